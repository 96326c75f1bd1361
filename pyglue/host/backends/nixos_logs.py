"""Logs of NixOS containers: the journal of the harness inside, and of the unit."""

import contextlib
import os
from typing import Final

from pyglue.api.journal import JournalUnit
from pyglue.errors import HiveError
from pyglue.host.backends.journald import Journald
from pyglue.host.backends.logs import JournalSource
from pyglue.host.backends.nixos_files import container_of, unit_of
from pyglue.process import find_program, run_sync
from pyglue.redaction.redactor import Redactor

_HARNESS_UNIT: Final = "hive-agent"
_TAIL_S: Final = 10.0


def tail(name: str, lines: int, redactor: Redactor) -> tuple[str, ...]:
    """Return the newest lines of the harness, or of the container's unit.

    Blocking, at most 20 s; nothing if the journal cannot be read.
    """
    selections = (
        (f"--machine={container_of(name)}", f"--unit={_HARNESS_UNIT}"),
        (f"--unit={unit_of(name)}",),
    )
    for selection in selections:
        with contextlib.suppress(HiveError):
            done = run_sync(
                [
                    find_program("journalctl"),
                    *("--no-pager", "--quiet", "--output=cat"),
                    *(f"--lines={lines}", *selection),
                ],
                env={"PATH": os.environ.get("PATH", os.defpath)},
                timeout=_TAIL_S,
            )
            text = done.stdout.decode("utf-8", "replace")
            if done.code == 0 and text:
                return tuple(redactor.text(text).splitlines()[-lines:])
    return ()


def journal(name: str | None, unit: JournalUnit, redactor: Redactor) -> JournalSource:
    """Return the journal of an agent's harness or container; hived's for None."""
    if name is None:
        return Journald("--unit=hived.service")
    if unit is JournalUnit.MACHINE:
        selection = [f"--unit={unit_of(name)}"]
    else:
        selection = [f"--machine={container_of(name)}", f"--unit={_HARNESS_UNIT}"]
    return Journald(*selection, clean=redactor.text)
