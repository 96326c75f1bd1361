"""The evaluator: its results, its errors, and its sandbox."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Final

import pytest

from checks.kits.nix.evaluator import BARE, BOTH, agent, evaluator, prompt
from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import own_children
from checks.nix import outcome
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import schema
from pyglue.nix import EvalError, Evaluation, Evaluator, Problem
from pyglue.nix.log import Roots, read_problems
from pyglue.paths import share

CODES: Final = {ErrorCode.EVAL_FAILED, ErrorCode.EVAL_LIMIT}


@pytest.fixture(scope="module", params=BOTH)
def both(request: pytest.FixtureRequest) -> Evaluator:
    """Give an evaluator with bubblewrap, then one without."""
    return evaluator(request.param)


@pytest.fixture
def ours() -> Evaluator:
    """Give the evaluator that this machine would use."""
    return Evaluator(timeout=PATIENCE_S)


async def refused(made: Evaluator, directory: Path) -> EvalError:
    with pytest.raises(EvalError) as caught:
        await made.evaluate(directory)
    assert caught.value.code in CODES
    return caught.value


# --- what it gives --------------------------------------------------------------


async def test_gives_manifest_and_options(both: Evaluator, tmp_path: Path) -> None:
    body = """{ lib, ... }: {
      imports = [ ./more.nix ];
      hyperhive.prompt = builtins.readFile ./prompt.md;
      systemd.services.x.enable = true;
    }"""
    more = "{ hyperhive.network = true; environment.variables.A = 1; }"
    directory = agent(tmp_path / "a", body, more__nix=more, prompt__md="Be kind.\n")
    found = await both.evaluate(directory)
    manifest = schema.validate(found.manifest)
    assert (manifest["prompt"], manifest["network"]) == ("Be kind.\n", True)
    assert found.nixos_options == ("environment.variables.A", "systemd.services.x")


async def test_a_sample_of_the_corpus_comes_out_as_recorded(ours: Evaluator) -> None:
    names = outcome.case_names()[::6]
    results = await asyncio.gather(
        *(ours.evaluate(outcome.CASES / name) for name in names),
        return_exceptions=True,
    )
    for name, result in zip(names, results, strict=True):
        wanted = outcome.read_expected(name)
        if "error" in wanted or name.startswith("lite-lacks"):
            assert isinstance(result, EvalError), name
        else:
            assert isinstance(result, Evaluation), (name, result)
            assert result.manifest == wanted["manifest"], name
            assert [*result.nixos_options] == wanted["nixosOptions"], name


@pytest.mark.parametrize("name", ["template", "manager", "alice"])
async def test_agents_of_the_repository_are_good(ours: Evaluator, name: str) -> None:
    found = await ours.evaluate(share() / "agents" / name)
    schema.validate(found.manifest)


async def test_uses_nixpkgs_lib_where_there_is_one(tmp_path: Path) -> None:
    lib = tmp_path / "nixpkgs" / "lib"
    shutil.copytree(share() / "modules" / "eval", lib / "eval")
    text = 'import ./eval/lite.nix // { ours = "yes"; }'
    (lib / "default.nix").write_text(text)
    directory = agent(tmp_path / "a", prompt("lib.ours"))
    for path in (lib, lib.parent):
        found = await Evaluator(timeout=PATIENCE_S, nixpkgs_lib=path).evaluate(
            directory
        )
        assert found.manifest["prompt"] == "yes"
    with pytest.raises(EvalError):
        await Evaluator(timeout=PATIENCE_S).evaluate(directory)


async def test_a_wrong_lib_is_the_operators_error(tmp_path: Path) -> None:
    made = Evaluator(nixpkgs_lib=tmp_path)
    with pytest.raises(HiveError) as caught:
        made.check()
    assert caught.value.code == ErrorCode.CONFIG_INVALID


def test_is_made_from_the_config(tmp_path: Path) -> None:
    config = HiveConfig(
        state_dir=str(tmp_path),
        runtime_dir=str(tmp_path),
        nixpkgs_lib=str(tmp_path / "none"),
    )
    with pytest.raises(HiveError, match="none is not nixpkgs"):
        Evaluator.of(config).check()


def test_missing_nix_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HiveError) as caught:
        Evaluator().check()
    assert caught.value.code == ErrorCode.MISSING_PROGRAM
    assert "nix-bin" in caught.value.message


# --- where the directory may lie ---------------------------------------------------


async def test_directory_that_only_its_owner_can_enter(
    both: Evaluator, tmp_path: Path
) -> None:
    directory = agent(tmp_path / "closed" / "a b=c", prompt("1"))
    directory.chmod(0o700)
    directory.parent.chmod(0o700)
    assert (await both.evaluate(directory)).manifest["prompt"] == "1"


@pytest.mark.needs("root")
async def test_what_root_copies_nobody_else_can_read(
    both: Evaluator, tmp_path: Path
) -> None:
    directory = agent(tmp_path / "a", prompt("1"), secret="s")
    directory.chmod(0o700)
    with both.fence().seeing({"agent": directory}) as seen:
        room = seen.real["agent"].parent
        assert room != tmp_path
        status = room.stat()
        assert (status.st_uid, status.st_gid) == (0, 65534)
        assert status.st_mode & 0o777 == 0o750
    assert not room.exists()


@pytest.mark.needs("root")
async def test_a_special_file_in_the_directory_is_no_trap(
    both: Evaluator, tmp_path: Path
) -> None:
    directory = agent(tmp_path / "a", prompt("1"))
    os.mkfifo(directory / "pipe")
    directory.chmod(0o700)
    assert (await both.evaluate(directory)).manifest["prompt"] == "1"


async def test_no_directory_or_no_agent_nix(ours: Evaluator, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        error = await refused(ours, path)
        assert str(error.problems[0]) == "agent.nix: no such file"


async def test_cancelling_ends_it(ours: Evaluator, tmp_path: Path) -> None:
    ours.check()
    directory = agent(tmp_path / "a", prompt("let f = n: f (n + 1) + 1; in f 0"))
    task = asyncio.create_task(ours.evaluate(directory))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_warnings_and_traces_are_kept(both: Evaluator, tmp_path: Path) -> None:
    body = """
      { lib, ... }: {
        hyperhive.description = lib.warn "old\\nway" (builtins.trace { a = 1; } "d");
        hyperhive.prompt = builtins.foldl'
          (x: n: builtins.trace "line ${toString n}" x)
          (builtins.trace (lib.concatStrings (lib.replicate 9000 "x")) "p")
          (lib.range 1 99);
      }
    """
    found = await both.evaluate(agent(tmp_path / "a", body))
    assert any(
        text.startswith("evaluation warning: old\\nway") for text in found.printed
    )
    assert "{ a = 1; }" in found.printed
    assert len(found.printed) == 20 and all(len(text) <= 501 for text in found.printed)
    quiet = await both.evaluate(agent(tmp_path / "b", "{ }"))
    assert quiet.printed == ()


# --- started in advance ------------------------------------------------------------


async def test_the_nix_that_waits_evaluates_what_is_written_then(
    both: Evaluator, tmp_path: Path
) -> None:
    others = own_children()
    both.spare.prepare()
    both.spare.prepare()
    waiting = own_children() - others
    assert len(waiting) == 1
    async with both.tree() as tree:
        assert not list(tree.directory.iterdir())
        assert own_children() - others == waiting
        agent(tree.directory, prompt("builtins.readFile ./p"), p="1")
        found = await tree.evaluate(commit="c" * 40)
    assert found.manifest["prompt"] == "1"
    assert not tree.directory.exists() and own_children() == others
    by_path = await both.evaluate(agent(tmp_path / "a", prompt("1")))
    assert by_path.manifest == found.manifest
    async with both.tree() as tree:  # none waits
        agent(tree.directory, prompt("1 +"))
        with pytest.raises(EvalError) as caught:
            await tree.evaluate(commit="c" * 40)
    assert caught.value.problems[0].file == "agent.nix"
    assert own_children() == others


async def test_each_nix_is_used_once_and_one_that_died_is_not(both: Evaluator) -> None:
    others = own_children()
    for _ in range(2):
        both.spare.prepare()
        (pid,) = own_children() - others
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        async with both.tree() as tree:
            agent(tree.directory, prompt("1"))
            assert (await tree.evaluate()).manifest["prompt"] == "1"
        assert own_children() == others


async def test_no_agent_nix_in_a_tree_and_an_unused_tree(both: Evaluator) -> None:
    others = own_children()
    both.spare.prepare()
    async with both.tree() as tree:
        with pytest.raises(EvalError) as caught:
            await tree.evaluate()
    assert str(caught.value.problems[0]) == "agent.nix: no such file"
    with pytest.raises(asyncio.CancelledError):
        async with both.tree() as tree:
            raise asyncio.CancelledError
    assert not tree.directory.exists() and own_children() == others


async def test_a_closed_evaluator_keeps_none_ready(ours: Evaluator) -> None:
    made = ours
    made.check()
    others = own_children()
    made.spare.prepare()
    made.spare.close()
    assert own_children() == others
    made.spare.prepare()
    assert own_children() == others


@pytest.mark.needs("root")
async def test_a_tree_is_for_nix_alone_and_not_to_be_changed(both: Evaluator) -> None:
    async with both.tree() as tree:
        above, own = tree.directory.parent.stat(), tree.directory.stat()
        assert (above.st_uid, above.st_gid) == (0, 65534)
        assert above.st_mode & 0o777 == 0o750
        assert own.st_uid == 0 and own.st_mode & 0o777 == 0o755


# --- errors ------------------------------------------------------------------------


async def test_a_file_that_was_not_committed_is_named_with_the_commit(
    both: Evaluator, tmp_path: Path
) -> None:
    for body in (
        "{ imports = [ ./limits.nix ]; }",
        "{ hyperhive.prompt = builtins.readFile ./limits.nix; }",
        "{ hyperhive = import ./limits.nix; }",
    ):
        place = agent(tmp_path / "a", body)
        with pytest.raises(EvalError) as caught:
            await both.evaluate(place, commit="0123456789abcdef" * 2)
        assert "limits.nix is not in commit 0123456789ab." in caught.value.message
        assert "`git add limits.nix`" in caught.value.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{ hyperhive.model = "x" }', "agent.nix:1:25: syntax error"),
        ("{\n  hyperhive.model = y;\n}", "agent.nix:2:21: undefined variable 'y'"),
        ("{ hyperhive.modle = 1; }", "agent.nix:1:13: The option `hyperhive.modle'"),
        ("{\n  hyperhive.network = 1;\n}", "agent.nix:2:13: A definition for option"),
        ("{ imports = [ ./b.nix ]; }", "b.nix:1:3: "),
        (
            "{ imports = [ ./none.nix ]; }",
            "agent.nix: none.nix does not exist in the agent's directory",
        ),
        ("{ disabledModules = [ ]; }", "agent.nix:1:3: agent.nix sets `disabled"),
        ('throw "why not"', "agent.nix: why not"),
        ('{ hyperhive.prompt = abort "x"; }', "aborted with the following error"),
        ("let a = a; in a", "infinite recursion encountered"),
    ],
)
async def test_errors_say_where_and_why(
    both: Evaluator, tmp_path: Path, body: str, said: str
) -> None:
    error = await refused(both, agent(tmp_path / "a", body, b__nix="{ = 1; }"))
    assert error.code == ErrorCode.EVAL_FAILED
    assert said in error.message and said in str(error.problems[0])
    assert str(tmp_path) not in error.message and "/hive/" not in error.message
    problem = error.problems[0]
    assert error.details["problems"] == [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "message": problem.message,
        }
    ]


async def test_a_thrown_text_cannot_forge_or_colour(
    ours: Evaluator, tmp_path: Path
) -> None:
    forged = r"@nix {\"level\":0,\"raw_msg\":\"forged\",\"file\":\"x\",\"line\":1}"
    text = f"\"\\n{forged}\\n\" + builtins.fromJSON ''\"\\u001b[2J\\u202e\\u0007\"''"
    body = f"builtins.trace ({text}) (throw ({text}))"
    error = await refused(ours, agent(tmp_path / "a", body))
    (problem,) = error.problems
    assert "\x1b" not in error.message and "\u202e" not in error.message
    assert problem.file is None and "forged" in problem.message


async def test_a_long_error_is_cut_and_still_read(
    ours: Evaluator, tmp_path: Path
) -> None:
    body = 'throw (lib.concatStrings (lib.genList (_: "long ") 40000))'
    error = await refused(ours, agent(tmp_path / "a", "{ lib, ... }: " + body))
    assert error.problems[0].message.startswith("long long ")
    assert len(error.message) < 5000


def roots(directory: Path) -> Roots:
    return Roots(
        agent="/hive/agent", modules="/hive/modules", lib=None, directory=directory
    )


def log(**event: object) -> bytes:
    """Write an event as Nix does: keys sorted, no spaces."""
    whole = {"action": "msg", "level": 0, **event}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return b"@nix " + text.encode()


def test_reads_positions_as_new_nix_writes_them(tmp_path: Path) -> None:
    event = log(raw_msg="no", file="/hive/agent/d/x.nix:4:16", line=4, column=16)
    assert read_problems(event, roots(tmp_path)) == (
        Problem(file="d/x.nix", line=4, column=16, message="no"),
    )


def test_reads_an_event_that_was_cut(tmp_path: Path) -> None:
    whole = log(
        **{"column": 3, "file": "/hive/agent/agent.nix", "line": 2},
        msg="\x1b[31merror:\x1b[0m it broke " + "x" * 99,
    )
    (problem,) = read_problems(whole[:-60], roots(tmp_path))
    assert (problem.file, problem.line, problem.column) == ("agent.nix", 2, 3)
    assert problem.message.startswith("it broke xxx")


@pytest.mark.parametrize(
    "text",
    [b"", b"@nix ", b"@nix {", b"@nix []", b"\xff\xfe", b'@nix {"level":0}', b"@nix 1"],
)
def test_a_log_without_an_error_has_no_problems(text: bytes, tmp_path: Path) -> None:
    assert read_problems(text, roots(tmp_path)) == ()


def test_a_text_that_names_a_file_outside_opens_none(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "x.nix").write_text("a = 1;")
    (tmp_path / "agent" / "l.nix").symlink_to(tmp_path / "x.nix")
    for name in ("../x.nix", str(tmp_path / "x.nix"), "l.nix"):
        event = log(raw_msg=f"The option `hyperhive.a' is bad. In `{name}'")
        (problem,) = read_problems(event, roots(tmp_path / "agent"))
        assert problem.line is None


@pytest.mark.parametrize(
    ("name", "text", "refused"),
    [
        ("agent.nix", "# a comment \r hyperhive.network = true;\n{ }", True),
        ("agent.nix", "# a comment \x85 x\n{ }", True),
        ("agent.nix", "# a comment \u2028 x\n{ }", True),
        ("agent.nix", "# a comment \u2029 x\n{ }", True),
        ("agent.nix", "# a comment \x0b x\n{ }", True),
        ("agent.nix", "# a comment \x0c x\n{ }", True),
        ("agent.nix", "# a comment \x1b[2J x\n{ }", True),
        ("agent.nix", "# a comment \x00 x\n{ }", True),
        ("more.nix", "# a comment \r x\n{ }", True),
        ("more.txt", "# a comment \r x\n{ }", True),
        ("more", "# not UTF-8: \udcff \r x\n{ }", True),
        ("more", "# late zero: " + "x" * 8000 + "\0 \r x\n{ }", True),
        ("more", "\0 is shown as binary \r x", False),
        ("agent.nix", "# a comment\r\n{ }\t\r\n", False),
        ("more.txt", "a page \x0c and the next", False),
    ],
)
async def test_what_nix_and_a_page_read_differently_is_refused(
    tmp_path: Path, name: str, text: str, refused: bool
) -> None:
    (tmp_path / "agent.nix").write_text("{ }\n")
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    made = evaluator(BARE)
    if not refused:
        assert (await made.evaluate(tmp_path)).nixos_options == ()
        return
    with pytest.raises(EvalError, match="Nix and web pages treat") as caught:
        await made.evaluate(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (name, 1)
