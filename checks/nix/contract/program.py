"""Calls of ``nixos-container``, and the effects of each.

``answers`` asks a program all of them, each on a stage of its own. The generator asks
the real one, the test our stand-in.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from checks.nix.contract.stage import FAKES, Stage, ours, perl_paths

Program = Callable[[Stage, "Call"], Any]
_CONF: Final = "/etc/nixos-containers/foo.conf"
_TEXT: Final = "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\n"
_FOO: Final = {_CONF: _TEXT, "/var/lib/nixos-containers/foo/etc/x": ""}
_CONFIGURED: Final = {
    **_FOO,
    "/var/lib/nixos-containers/foo/etc/nixos/configuration.nix": "{ }\n",
}
_SYSTEM: Final = ("--system-path", "/nix/store/x")
_GONE: Final = "4194304"
"""No process has this number: the largest is one less."""


@dataclass(frozen=True)
class Call:
    """One call: its words, what is there before, and what the fakes do."""

    words: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


def _on_foo(*words: str, text: str = _TEXT, **env: str) -> Call:
    return Call(words, {**_FOO, _CONF: text}, env)


_UP: Final = {"ACTIVE": "active", "LEADER": _GONE}

CALLS: Final[dict[str, Call]] = {
    "no words": Call(()),
    "an unknown flag": Call(("--nonsense", "list")),
    "a flag without a value": Call(("create", "foo", "--bridge")),
    "a flag abbreviated": Call(("list", "--auto")),
    "help": Call(("--help",)),
    "list, none": Call(("list",)),
    "list, two": Call(
        ("list",), {_CONF: "", "/etc/nixos-containers/bar.conf": "", "/etc/x": ""}
    ),
    "no name": Call(("start",)),
    "an invalid name": Call(("start", "a.b")),
    "an unknown action": _on_foo("explode", "foo"),
    "one address": Call(("create", "foo", "--host-address", "10.0.0.1")),
    "two configurations": Call(
        ("create", "foo", "--config", "a", "--config-file", "b")
    ),
    "create": Call(("create", "foo", *_SYSTEM)),
    "create, all flags": Call(
        (
            *("create", "foo", *_SYSTEM, "--auto-start", "--bridge", "br0"),
            *("--port", "tcp:80:80", "--host-address", "10.1.0.1"),
            *("--local-address", "10.1.0.2"),
        )
    ),
    "create, network taken": Call(("create", "bar", *_SYSTEM), _FOO),
    "create, name taken": Call(("create", "foo", *_SYSTEM), _FOO),
    "create, unique name": Call(("create", "foo", *_SYSTEM, "--ensure-unique-name")),
    "create, unique name taken": Call(
        ("create", "foo", *_SYSTEM, "--ensure-unique-name"), _FOO
    ),
    "create, long name": Call(("create", "abcdefghijkl", *_SYSTEM)),
    "create, longest name": Call(("create", "abcdefghijk", *_SYSTEM)),
    "create, fails": Call(("create", "foo", *_SYSTEM), env={"FAIL": "nix-env:--set"}),
    "create, flake": Call(("create", "foo", "--flake", "/some/where#one")),
    "create, flake fails": Call(
        ("create", "foo", "--flake", "/some/where"), env={"FAIL": "nix:build"}
    ),
    "create, config": Call(("create", "foo", "--config", "a = 1;")),
    "create, config fails": Call(
        ("create", "foo", "--config", "a = 1;"), env={"FAIL": "nix-env:--set"}
    ),
    **{
        f"{action}, none": Call((action, "foo"))
        for action in (
            *("destroy", "restart", "start", "status", "stop", "terminate"),
            *("update", "run", "show-ip"),
        )
    },
    "start": _on_foo("start", "foo"),
    "start, fails": _on_foo("start", "foo", FAIL="systemctl:start"),
    "stop": _on_foo("stop", "foo"),
    "stop, fails": _on_foo("stop", "foo", FAIL="systemctl:stop"),
    "restart": _on_foo("restart", "foo"),
    "restart, fails": _on_foo("restart", "foo", FAIL="systemctl:start"),
    "status, up": _on_foo("status", "foo", **_UP),
    "status, down": _on_foo("status", "foo"),
    "terminate": _on_foo("terminate", "foo", **_UP),
    "terminate, no leader": _on_foo("terminate", "foo"),
    "terminate, fails": _on_foo(
        "terminate", "foo", LEADER=_GONE, FAIL="machinectl:terminate"
    ),
    "destroy": _on_foo("destroy", "foo"),
    "destroy, up": _on_foo("destroy", "foo", **_UP),
    "update, flake": _on_foo("update", "foo", text=f"{_TEXT}FLAKE=/some/where\n"),
    "update, another flake, up": _on_foo("update", "foo", "--flake", "/x#one", **_UP),
    "update, reload fails": _on_foo(
        *("update", "foo", "--flake", "/x"), **_UP, FAIL="systemctl:reload"
    ),
    "update, flake fails": _on_foo("update", "foo", "--flake", "/x", FAIL="nix:build"),
    "update, profile fails": _on_foo(
        "update", "foo", "--flake", "/x", FAIL="nix-env:--set"
    ),
    "update": Call(("update", "foo"), _CONFIGURED),
    "update, config": Call(("update", "foo", "--config", "a = 1;"), _CONFIGURED),
    "update, first config": _on_foo("update", "foo", "--config", "a = 1;"),
    "update, config fails": Call(
        ("update", "foo", "--config", "a = 1;"), _CONFIGURED, {"FAIL": "nix-env:--set"}
    ),
    "update, flags for Nix": Call(
        (
            *("update", "foo", "--option", "a", "b", "--impure", "--override-input"),
            *("c", "d", "--log-format", "raw", "--nixos-path", "/n"),
        ),
        _CONFIGURED,
    ),
    "login": _on_foo("login", "foo"),
    "root-login": _on_foo("root-login", "foo", **_UP),
    "run": _on_foo("run", "foo", "--", "sh", "-c", "echo 'a b'", **_UP),
    "run, no leader": _on_foo("run", "foo", "--", "true"),
    "show-ip": _on_foo("show-ip", "foo"),
    "show-ip, with a mask": _on_foo("show-ip", "foo", text="LOCAL_ADDRESS=10.1.0.2/24"),
    "show-ip, version 6": _on_foo("show-ip", "foo", text="LOCAL_ADDRESS6=fc00::2/7"),
    "show-ip, no address": _on_foo("show-ip", "foo", text="LOCAL_ADDRESS=\n"),
    "show-host-key": Call(
        ("show-host-key", "foo"),
        {
            **_FOO,
            "/var/lib/nixos-containers/foo/etc/ssh/ssh_host_ed25519_key.pub": "key\n",
        },
    ),
    "show-host-key, none": _on_foo("show-host-key", "foo"),
}


def real(script: Path) -> Program:
    """Return the program of nixpkgs, from its source; it needs Perl's File::Slurp."""
    text = script.read_text()
    for name, value in (
        ("perl", "/usr"),
        ("utillinux", FAKES),
        ("su", "su"),
        ("configurationDirectory", "/etc/nixos-containers"),
        ("stateDirectory", "/var/lib/nixos-containers"),
    ):
        text = text.replace(f"@{name}@", value)

    def run(stage: Stage, call: Call) -> Any:
        (stage.room / "fakes/program").write_text(text)
        argv = ("perl", f"{FAKES}/program", *call.words)
        paths = perl_paths()
        env = {**call.env, **({"PERL5LIB": ":".join(paths)} if paths else {})}
        return stage.run(argv, env=env, seen=paths)

    return run


def standin(stage: Stage, call: Call) -> Any:
    """Run the stand-in of the test host."""
    argv, env, seen = ours()
    words = (*argv, "-m", "checks.systemd.nixos_container", *call.words)
    return stage.run(words, env={**env, **call.env}, seen=seen)


def answers(program: Program) -> dict[str, Any]:
    """Return what a program does at every call."""
    return {name: answer(program, call) for name, call in CALLS.items()}


def answer(program: Program, call: Call) -> Any:
    """Return what a program does at one call."""
    with tempfile.TemporaryDirectory() as place:
        stage = Stage.made(Path(place), call.files)
        done = program(stage, call)
        return {
            "code": done.returncode,
            "out": _words(done.stdout)
            if "--help" in call.words
            else done.stdout.splitlines(),
            "err": [_shape(line) for line in done.stderr.splitlines()],
            "runs": [_entering(words) for words in stage.log()],
            "files": stage.files(
                "/etc/nixos-containers",
                "/var/lib/nixos-containers",
                "/nix/var/nix/profiles",
            ),
        }


def _shape(line: str) -> str:
    """Return a line without what depends on where the program lies."""
    line = line.replace(f"{FAKES}/program", "nixos-container")
    return re.sub(r" line \d+\.$", " line N.", line)


def _words(text: str) -> list[str]:
    """Return what a help names: actions and flags."""
    return sorted({*re.findall(r"--[a-z-]+|nixos-container [a-z-]+", text)})


def _entering(words: list[str]) -> list[str]:
    """Leave out the login shell: the container of the test host has no PAM."""
    if words[0] != "nsenter":
        return words
    return [*words[: words.index("--") + 1], words[-1]]
