"""Run the project's own commands, and check how they end.

``python`` runs any module as a process, ``forks`` one several times. ``typed`` runs the
command line in this process, which takes a tenth of that: its start is mostly imports.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from checks.kits.patience import PATIENCE_S
from pyglue.cli.hive import main
from pyglue.process import RunAs, run
from pyglue.sandbox import own_places, reach

HIVE: Final = "pyglue.cli.hive"


@dataclass(frozen=True)
class Said:
    """How a process ended."""

    code: int
    out: str
    err: str

    def refusal(self, *, code: int = 1) -> str:
        """Return the sentence it ended with; it is one, and no traceback is near."""
        assert "Traceback" not in self.out + self.err
        assert self.code == code, self.err
        last = self.err.strip().splitlines()[-1]
        assert code == 2 or last[-1] in ".)?", last
        return last

    def error(self) -> dict[str, str]:
        """Return the error object of ``--json``, which is all that it printed."""
        assert (self.code, self.err) == (1, "")
        error: dict[str, str] = json.loads(self.out.splitlines()[-1])["error"]
        assert error.keys() == {"code", "message"}
        return error


def typed(*words: str | Path) -> Said:
    """Run the command line to its end, as if these words had been typed.

    Nothing else of this process goes on meanwhile: a command that needs something of
    the test before it ends runs as a process.
    """
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["hive", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        return Said(int(ended.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
    raise AssertionError("hive always exits")


async def python(
    module: str,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    run_as: RunAs | None = None,
) -> Said:
    """Run a module as a process, to its end."""
    kept = {key: os.environ[key] for key in ("PATH",)}
    done = await run(
        [sys.executable, "-P", "-m", module, *map(str, arguments)],
        env={**kept, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **(env or {})},
        timeout=PATIENCE_S,
        run_as=run_as,
        wrapper=reach(dict.fromkeys(own_places()), run_as),
    )
    return Said(done.code, done.stdout.decode(), done.stderr.decode())


_FORKS: Final = """
import importlib, json, os, sys
module, room, lines = sys.argv[1:]
main = importlib.import_module(module).main
for number, words in enumerate(json.loads(lines)):
    if os.fork() == 0:
        for descriptor in (1, 2):
            made = os.open(f"{room}/{number}.{descriptor}", os.O_WRONLY | os.O_CREAT)
            os.dup2(made, descriptor)
        sys.argv = [module, *words]
        sys.exit(main())
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


async def forks(
    room: Path, module: str, *lines: Sequence[str | Path]
) -> tuple[Said, ...]:
    """Run a module once for each of these lines of arguments, one after the other.

    They are forks of one process, whose start is mostly imports. ``room`` is for what
    they say.
    """
    words = json.dumps([[str(word) for word in line] for line in lines])
    done = await run(
        [sys.executable, "-P", "-c", _FORKS, module, str(room), words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        timeout=PATIENCE_S,
    )
    codes = map(int, done.stdout.split())
    said = [
        Said(code, *((room / f"{number}.{one}").read_text() for one in (1, 2)))
        for number, code in enumerate(codes)
    ]
    assert len(said) == len(lines), done.stderr
    return tuple(said)


ASKING = {
    "account": ("bob", "team"),
    "accounts": (),
    "agents": (),
    "approval": ("1",),
    "approvals": (),
    "approve": ("1", "--commit", "c", "--manifest", "m"),
    "audit": ("verify",),
    "backup": ("-o", "x"),
    "cancel": ("bob",),
    "cancel-operation": ("1",),
    "compact": ("bob",),
    "compare": ("bob", "1", "2"),
    "new-session": ("bob",),
    "deny": ("1", "--reason", "r"),
    "request-changes": ("1", "--comment", "a:1=why"),
    "destroy": ("bob",),
    "discard": ("bob",),
    "doctor": (),
    "draft": ("bob",),
    "drafts": (),
    "export": ("bob", "-o", "x"),
    "import": ("x",),
    "inbox": (),
    "kept": (),
    "login": (),
    "logs": ("bob",),
    "metrics-token": (),
    "model": ("bob",),
    "operations": (),
    "pause": ("bob",),
    "purge": ("bob",),
    "rebuild": ("bob",),
    "restart": ("bob",),
    "restore": ("bob",),
    "queue": ("bob",),
    "resume": ("bob",),
    "retry": ("1",),
    "rollback": ("bob", "1"),
    "secret": ("list",),
    "workspace": ("list",),
    "notifications": ("list",),
    "send": ("bob", "text"),
    "spawn": ("bob",),
    "start": ("bob",),
    "status": (),
    "stop": ("bob",),
    "wakeups": ("bob",),
}
"""Words for each command that needs a hive."""
