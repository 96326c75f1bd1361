"""Hostile agent.nix files: nothing is read, fetched or built, and limits end them.

Each runs with bubblewrap and, as an unprivileged user, without it: Nix's own
restrictions must hold alone. Limits of time are long here, so that a slow machine
changes no answer.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from checks.kits.nix.evaluator import BOTH, SANDBOXED, agent, evaluator, prompt
from checks.kits.patience import PATIENCE_S
from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest import schema
from pyglue.nix import EvalError, Evaluator
from pyglue.nix.failure import program
from pyglue.paths import share

SECRET: Final = "the-secret-of-this-machine"
FORBIDDEN: Final = (
    *("forbidden", "not allowed", "restricted", "disabled", "missing", "outside"),
    *("cannot", "unable", "No such file", "not valid", "not supported", "access to"),
    *(
        "is not in the Nix store",
        "was not found",
        "not enabled",
        "allowed-uris",
        "does not exist",
    ),
)


@pytest.fixture(scope="module", params=BOTH)
def made(request: pytest.FixtureRequest) -> Evaluator:
    """Give an evaluator with bubblewrap, then one without."""
    return evaluator(request.param, timeout=PATIENCE_S)


def secret_beside(room: Path) -> Path:
    """Put a secret beside the agent's directory that everybody could read."""
    for above in (room, *room.parents):
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o1:
            above.chmod(0o755)
    path = room / "agent-secret"
    path.mkdir()
    (path / "file").write_text(SECRET)
    return path


def way_to(sandboxed: bool, *given: Path) -> set[str]:
    """Return what may be listed of ``/``: where what Nix was given lies, no more."""
    return {"hive"} if sandboxed else {path.parts[1] for path in given}


READS: Final = {
    "read": "builtins.readFile /etc/passwd",
    "read-string": 'builtins.readFile "/etc/passwd"',
    "read-dots": "builtins.readFile ../agent-secret/file",
    "read-dots-string": 'builtins.readFile (toString ./. + "/../agent-secret/file")',
    "read-prefix": 'builtins.readFile (toString ./. + "-secret/file")',
    "read-link": "builtins.readFile ./link",
    "read-directory-link": "builtins.readFile ./directory/file",
    "import-link": "import ./link",
    "list": 'builtins.attrNames (builtins.readDir "/")',
    "list-home": "builtins.attrNames (builtins.readDir /root)",
    "list-link": "builtins.attrNames (builtins.readDir ./directory)",
    "exists": 'if builtins.pathExists /etc/passwd then "yes" else "no"',
    "proc": "builtins.readFile /proc/self/environ",
    "proc-cmdline": "builtins.readFile /proc/self/cmdline",
    "proc-root": "builtins.readFile /proc/1/root/etc/passwd",
    "find-file": 'builtins.readFile (builtins.findFile builtins.nixPath "nixpkgs")',
    "hash-file": 'builtins.hashFile "sha256" /etc/passwd',
    "path": "builtins.readFile (builtins.path { path = /etc/passwd; })",
    "filter-source": "builtins.readDir (builtins.filterSource (_: _: true) /etc)",
    "copy": '"${/etc/passwd}"',
    "store-path": "builtins.storePath /nix/store",
    "to-file": 'builtins.readFile (builtins.toFile "x" "y")',
    "derivation": (
        "import (derivation { name = ''x''; system = builtins.currentSystem; "
        "builder = ''/bin/sh''; args = [ ''-c'' ''echo > /tmp/hive-built'' ]; })"
    ),
    "fetchurl": 'builtins.readFile (builtins.fetchurl "http://127.0.0.1:9/x")',
    "fetchurl-file": 'builtins.readFile (builtins.fetchurl "file:///etc/passwd")',
    "fetch-tarball": 'builtins.fetchTarball "http://127.0.0.1:9/x.tar.gz"',
    "fetch-git": 'builtins.fetchGit "file:///etc"',
    "fetch-git-ext": "builtins.fetchGit { url = ''ext::sh -c id''; }",
    "fetch-git-ssh": "builtins.fetchGit { url = ''ssh://-oProxyCommand=id/x''; }",
    "fetch-mercurial": 'builtins.fetchMercurial "http://127.0.0.1:9/x"',
    "fetch-tree": "builtins.fetchTree { type = ''path''; path = ''/etc''; }",
    "get-flake": 'builtins.getFlake "path:/etc"',
    "exec": 'builtins.exec [ "/bin/sh" "-c" "id" ]',
    "import-native": 'builtins.importNative /lib/x86_64-linux-gnu/libc.so.6 "x"',
    "import-path": "import <nixpkgs> { }",
    "scoped-import": "builtins.scopedImport { } /etc/passwd",
    "nix-config": 'builtins.readFile "/etc/nix/nix.conf"',
}


@pytest.mark.parametrize("name", READS)
async def test_nothing_outside_is_reached(
    made: Evaluator, tmp_path: Path, name: str
) -> None:
    secret = secret_beside(tmp_path)
    room = agent(tmp_path / "agent", prompt(READS[name]))
    (room / "link").symlink_to(secret / "file")
    (room / "directory").symlink_to(secret)
    built = Path("/tmp/hive-built")
    try:
        found = await made.evaluate(room)
    except EvalError as error:
        assert error.code == ErrorCode.EVAL_FAILED
        assert SECRET not in error.message and "root:" not in error.message
        assert any(word in error.message for word in FORBIDDEN), error.message
        assert error.message.count("\n") < 6
    else:
        text = found.manifest["prompt"]
        if name == "list":  # since Nix 2.20
            assert set(text.split()) <= way_to(made.sandboxed, room, share())
            return
        # Two give an answer that tells nothing.
        assert (name, text) in {("exists", "no"), ("to-file", "y")}
    assert not built.exists()


async def test_symlinks_that_stay_inside_are_read(
    made: Evaluator, tmp_path: Path
) -> None:
    room = agent(tmp_path / "agent", prompt("builtins.readFile ./l"), f="inside")
    (room / "l").symlink_to("f")
    assert (await made.evaluate(room)).manifest["prompt"] == "inside"


@pytest.mark.parametrize("name", ["HOME", "PATH", "HIVE_SECRET", "ANTHROPIC_API_KEY"])
async def test_the_environment_is_not_seen(
    made: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HIVE_SECRET", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    room = agent(tmp_path / "a", prompt(f'builtins.getEnv "{name}"'))
    assert (await made.evaluate(room)).manifest["prompt"] == ""


async def test_a_configuration_file_of_nix_is_not_read(
    made: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nix.conf").write_text("restrict-eval = false\nallowed-uris = file:\n")
    for name in ("NIX_CONF_DIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NIX_USER_CONF_FILES", str(tmp_path / "nix.conf"))
    monkeypatch.setenv("NIX_CONFIG", "restrict-eval = false")
    monkeypatch.setenv("NIX_PATH", "nixpkgs=/etc")
    room = agent(tmp_path / "a", prompt("builtins.readFile /etc/passwd"))
    with pytest.raises(EvalError):
        await made.evaluate(room)


async def test_time_stands_still(made: Evaluator, tmp_path: Path) -> None:
    room = agent(tmp_path / "a", prompt("builtins.currentTime"))
    assert (await made.evaluate(room)).manifest["prompt"] == "0"


# --- too much ---------------------------------------------------------------------

DOUBLE: Final = 'lib.foldl\' (s: _: s + s) "aaaaaaaaaaaaaaaa" (lib.range 1 40)'
HUNGRY: Final = {
    "list": "builtins.length (builtins.genList (x: x) 1000000000)",
    "string": f"builtins.stringLength ({DOUBLE})",
    "attributes": (
        "builtins.length (builtins.attrNames (builtins.listToAttrs (builtins.genList "
        "(n: { name = toString n; value = [ n ]; }) 20000000)))"
    ),
    "deep": "let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 100000000",
}


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", HUNGRY)
async def test_memory_ends(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # A third less than a hive allows: filling memory is what takes the time.
    monkeypatch.setattr("pyglue.nix.evaluator._MEMORY_MAX", 1024**3)
    room = agent(tmp_path / "a", prompt(HUNGRY[name]))
    with pytest.raises(EvalError) as caught:
        await evaluator(kind, timeout=PATIENCE_S).evaluate(room)
    assert caught.value.code == ErrorCode.EVAL_LIMIT
    assert "memory" in caught.value.message


FOREVER: Final = {
    "regex": 'builtins.match "(a*)*(a*)*(a*)*b" (lib.concatStrings '
    '(lib.replicate 60 "a"))',
    # Nested loops over one list need no more memory however long they run, so that
    # the limit of memory never comes first on a fast machine.
    "loop": "let l = builtins.genList (x: x) 10000; "
    "over = f: toString (builtins.foldl' (_: f) 0 l); in "
    "over (_: over (_: over (_: over (_: 0))))",
}


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", FOREVER)
async def test_time_ends(kind: str, tmp_path: Path, name: str) -> None:
    room = agent(tmp_path / "a", prompt(FOREVER[name]))
    with pytest.raises(EvalError) as no:
        await evaluator(kind, timeout=1).evaluate(room)
    assert no.value.code == ErrorCode.EVAL_LIMIT
    assert "more than 1 s" in no.value.message


async def test_a_huge_result_is_refused_by_size(
    made: Evaluator, tmp_path: Path
) -> None:
    big = 'lib.concatStrings (lib.replicate 3000 "0123456789")'
    each = 'lib.nameValuePair "A${toString n}" big'
    body = (
        f"{{ lib, ... }}: let big = {big}; in {{ hyperhive.env = "
        f"builtins.listToAttrs (builtins.genList (n: {each}) 300); }}"
    )
    with pytest.raises(EvalError) as caught:
        await made.evaluate(agent(tmp_path / "a", body))
    assert caught.value.code == ErrorCode.EVAL_LIMIT
    assert "4194304 bytes" in caught.value.message


async def test_too_many_nixos_options_are_refused(
    made: Evaluator, tmp_path: Path
) -> None:
    many = 'builtins.genList (n: { name = "o${toString n}"; value = 1; }) 2000'
    for body in (
        f"{{ environment.etc = builtins.listToAttrs ({many}); }}",
        '{ lib, ... }: { a.${lib.concatStrings (lib.replicate 600 "x")} = 1; }',
    ):
        with pytest.raises(EvalError) as caught:
            await made.evaluate(agent(tmp_path / "a", body))
        assert caught.value.code == ErrorCode.EVAL_LIMIT
        assert "NixOS options" in caught.value.message


async def test_output_of_trace_fills_nothing(made: Evaluator, tmp_path: Path) -> None:
    noise = 'builtins.foldl\' (a: n: builtins.trace "noise ${toString n}" a) 1 '
    room = agent(tmp_path / "a", prompt(noise + "(builtins.genList (n: n) 40000)"))
    assert (await made.evaluate(room)).manifest["prompt"] == "1"
    room = agent(
        tmp_path / "b", prompt(noise + '(builtins.genList (n: n) 40000) + throw "end"')
    )
    with pytest.raises(EvalError, match="end"):
        await made.evaluate(room)


# --- modules that undo the checks ----------------------------------------------------

UNDOING: Final = {
    "disabled": "{ disabledModules = [ ../../agent/options.nix ]; hyperhive.x = 1; }",
    "own-options": "{ lib, ... }: { options.hyperhive = lib.mkOption { }; }",
    "own-option": "{ lib, ... }: { options.hyperhive.x = lib.mkOption { }; }",
    "check": "{ _module.check = false; hyperhive.x = 1; }",
    "check-config": "{ config._module.check = false; config.hyperhive.x = 1; }",
    "check-inside": "{ hyperhive._module.check = false; hyperhive.x = 1; }",
    "freeform": "{ lib, ... }: { hyperhive._module.freeformType = lib.types.attrs; }",
    "module-value": "{ hyperhive = { options = { }; config.x = 1; }; }",
    "function-value": "{ hyperhive = { lib, ... }: { x = lib.mkForce 1; }; }",
    "force": '{ lib, ... }: { hyperhive.network = lib.mkForce "yes"; }',
    "imports-inside": "{ hyperhive.imports = [ { options.x = 1; } ]; }",
    "functor": "{ hyperhive.__functor = self: x: x; }",
    "to-string": '{ hyperhive.model.__toString = self: "opus"; }',
    "out-path": '{ hyperhive.model = { outPath = "opus"; }; }',
    "server": "{ hyperhive.mcpServers.a = { options = 1; command = ''x''; }; }",
    "type": "{ hyperhive.env.A = { _type = ''override''; content = 3; }; }",
}


@pytest.mark.parametrize("name", UNDOING)
async def test_modules_cannot_undo_the_checks(
    made: Evaluator, tmp_path: Path, name: str
) -> None:
    room = agent(tmp_path / "a", UNDOING[name])
    with pytest.raises(HiveError) as caught:
        schema.validate((await made.evaluate(room)).manifest)
    assert caught.value.code in {ErrorCode.EVAL_FAILED, ErrorCode.MANIFEST_INVALID}


# --- the sandbox alone ----------------------------------------------------------------


def test_the_sandbox_holds_without_nix(tmp_path: Path) -> None:
    """Run a shell where Nix would be: it sees its directory and no more."""
    secret_beside(tmp_path)
    room = agent(tmp_path / "agent", "{ }\n")
    room.chmod(0o755)
    script = (
        "PATH=/usr/bin; cd /hive/agent; id -u; cat agent.nix; ls /; ls /proc /tmp; "
        "echo > agent.nix; echo > /hive/agent/new; cat ../agent-secret/file; "
        "ls /home /root /etc /var; cat /proc/*/environ; kill -9 1; echo; echo end"
    )
    fence = evaluator(SANDBOXED).fence()
    with fence.seeing({"agent": room}) as seen, fence.launch(seen, []) as launch:
        user = launch.run_as
        prefix = () if user is None else user.prefix()
        sandbox = launch.argv[: launch.argv.index("--")]
        done = subprocess.run(
            [*prefix, *sandbox, "--", "/usr/bin/sh", "-c", script],
            pass_fds=launch.pass_fds,
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = done.stdout.splitlines()
    assert lines[-1:] == ["end"], done.stderr
    assert lines[:2] == ["1000", "{ }"]
    assert SECRET not in done.stdout
    hidden = {"etc", "home", "root", "var", "work"} - {program().parts[1]}
    assert hidden.isdisjoint(lines)
    # Its own init, the shell and ls.
    assert len([line for line in lines if line.isdigit() and line != "1000"]) <= 3
    assert (room / "agent.nix").read_text() == "{ }\n"
    assert not (room / "new").exists()
