"""What may be bound into a sandbox, and the programs that run inside."""

import os
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.process.processes import open_below
from checks.kits.sandbox.python import AGENT, CHECKOUT, give, inside
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import run_sync
from pyglue.sandbox import (
    Bind,
    SandboxSpec,
    prepare,
    program_binds,
    python_runtime,
)

pytestmark = pytest.mark.needs("bwrap")


def refusal(bind: Bind) -> ErrorCode:
    with pytest.raises(HiveError) as refused:
        prepare(SandboxSpec(binds=(bind,)), ["true"])
    return refused.value.code


@pytest.mark.needs("root")
def test_sources_that_the_agents_user_cannot_reach(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "shown").mkdir(parents=True)
    (closed / "shown" / "a").write_text("x")
    closed.chmod(0o700)
    bind = Bind(source=closed / "shown", target="/shown")
    assert inside("os.listdir('/shown')", bind) == ["a"]


def test_a_link_in_the_place_of_a_source_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (secret / "state").mkdir(parents=True)
    top = tmp_path / "hive"
    (top / "agents").mkdir(parents=True)
    (top / "agents" / "a").symlink_to(secret)
    (top / "agents" / "s").symlink_to(secret / "state")
    os.mkfifo(top / "agents" / "fifo")

    def ask(*parts: str) -> ErrorCode:
        source = top.joinpath("agents", *parts)
        return refusal(Bind(source=source, target="/state", below=top))

    assert ask("a", "state") is ErrorCode.FORBIDDEN
    assert ask("s") is ErrorCode.FORBIDDEN
    assert ask("fifo") is ErrorCode.FORBIDDEN
    assert ask("none") is ErrorCode.NOT_FOUND


def test_a_source_that_is_swapped_after_the_check(tmp_path: Path) -> None:
    state, secret = give(tmp_path / "state"), tmp_path / "secret"
    (state / "own").touch()
    secret.mkdir()
    spec = SandboxSpec(binds=(Bind(source=state, target="/state", below=tmp_path),))
    with prepare(spec, ["ls", "/state"], run_as=AGENT) as prepared:
        state.rename(tmp_path / "moved")
        state.symlink_to(secret)
        done = run_sync(
            prepared.argv,
            env={},
            timeout=PATIENCE_S,
            run_as=AGENT,
            pass_fds=prepared.pass_fds,
            wrapper=prepared.wrapper,
        )
    # Reached through a mount of what was opened, or refused by bubblewrap.
    assert (done.stdout, done.code) in ((b"own\n", 0), (b"", 1)), done.stderr


@pytest.mark.parametrize("target", ["relative", "/a/../b", "/"])
def test_places_that_are_none(target: str) -> None:
    with pytest.raises(ValueError, match="not a place"):
        Bind(source=Path("/usr"), target=target)


def test_writable_needs_a_top() -> None:
    with pytest.raises(ValueError, match="below"):
        Bind(source=Path("/usr"), target="/x", writable=True)


def test_a_refused_prepare_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "opened").mkdir()
    refusal(Bind(source=tmp_path / "opened/none", target="/x"))
    assert open_below(tmp_path) == []


def test_the_runtime_never_holds_the_whole_checkout() -> None:
    sources = {bind.source for bind in python_runtime(["git"]).binds}
    assert not [s for s in sources if CHECKOUT.is_relative_to(s)]


def test_our_own_programs_run_inside() -> None:
    found = inside(
        "[shell('git --version'), "
        "os.path.isdir(__import__('pyglue.paths').paths.share() / 'prompts'), "
        "__import__('importlib.util').util.find_spec('claude_agent_sdk') is not None]"
    )
    assert found[0].startswith("git version")
    assert found[1:] == [True, True]


def test_a_program_from_elsewhere_is_made_findable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "mytool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    binds, path = program_binds("mytool", "no-such-tool")
    found = inside("shell('mytool')", *binds, env={"PATH": path})
    assert found == "mine\n"
