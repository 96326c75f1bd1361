"""``hive doctor --repair --from-git``: a new store from git and the audit log.

No hived runs at that time, so this starts a program that does it: first to list what it
would do and what is lost, then to do it.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from pyglue import strict_json
from pyglue.api.rebuild import Rebuilt
from pyglue.cli.output.spinner import spinner
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import run as run_program
from pyglue.text.display import visible

_MODULE: Final = "pyglue.host.rebuild.main"
_TIMEOUT_S: Final = 3600.0
_SYSTEM: Final = Path("/var/lib/hyperhive")
_TEXT_MAX: Final = 4000


class _Problem(msgspec.Struct):
    code: str
    message: str


class _Printed(msgspec.Struct):
    error: _Problem


def state_of(local: Path, *, named: bool) -> Path:
    """Return the state directory: the local hive's, or the system's."""
    return local if named or local.is_dir() or not _SYSTEM.is_dir() else _SYSTEM


def rebuild(state: Path, arguments: argparse.Namespace) -> int:
    """Show what is rebuilt and what is lost, ask, and rebuild.

    Raises:
        HiveError: why it cannot be done; nothing has changed.
    """
    if not arguments.repair:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            "--from-git rebuilds the store: use it with --repair, while no hive runs.",
        )
    state = state.absolute()
    with spinner("Reading repositories and the audit log"):
        found = _call(state)
    if not arguments.yes:
        if arguments.json:
            raise HiveError(ErrorCode.BAD_REQUEST, "--json cannot ask: add --yes.")
        sys.stdout.write(_text(state, found))
        if not _agreed():
            sys.stdout.write("Nothing was changed.\n")
            return 1
    with spinner("Rebuilding the store"):
        done = _call(state, "--apply")
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
        return 0
    if arguments.yes:
        sys.stdout.write(_text(state, done))
    sys.stdout.write(_done(done))
    return 0


def _agreed() -> bool:
    sys.stdout.write("Rebuild the store? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _text(state: Path, found: Rebuilt) -> str:
    lines = [f"The store of {state} is rebuilt from git and the audit log."]
    if found.agents:
        lines += ["Agents, as they were deployed:", *map("  {}".format, found.agents)]
    else:
        lines += ["No agent was deployed."]
    if found.kept:
        lines.append(f"Kept, to be restored or purged: {', '.join(found.kept)}")
    if found.drafts:
        lines.append(f"Drafts: {', '.join(found.drafts)}")
    lines.append(
        f"Approvals: {found.approvals}. Undecided proposals are closed; propose them "
        "again."
    )
    lines.append(found.lost)
    lines += found.notes
    return "".join(f"{visible(line, limit=_TEXT_MAX)}\n" for line in lines)


def _done(done: Rebuilt) -> str:
    old = "".join(f"The old store was moved to {path}\n" for path in done.aside)
    return f"Done. {old}Start the hive, then run: hive doctor; hive audit verify\n"


def _call(state: Path, *more: str) -> Rebuilt:
    argv = [sys.executable, "-P", "-m", _MODULE, "--state", str(state), *more]
    kept = ("PATH", "HIVE_SHARE", "PYTHONPATH")
    env = {key: os.environ[key] for key in kept if key in os.environ}
    ended = asyncio.run(run_program(argv, env=env, timeout=_TIMEOUT_S))
    if ended.code == 0:
        return strict_json.read(ended.stdout, Rebuilt)
    try:
        error = strict_json.read(ended.stdout, _Printed).error
    except HiveError:
        last = ended.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        raise HiveError(
            ErrorCode.INTERNAL, f"Rebuilding the store failed: {last}"
        ) from None
    known = error.code in ErrorCode.__members__.values()
    code = ErrorCode(error.code) if known else ErrorCode.INTERNAL
    raise HiveError(code, error.message)
