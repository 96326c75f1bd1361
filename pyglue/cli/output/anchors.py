"""Heads of the audit log that were kept elsewhere: in the journal, or in a file.

hived says each head on stderr. Where it is a unit of systemd's, the journal keeps them,
and ``hive audit verify`` reads them there by itself; elsewhere the operator gives them.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.api.audit import AuditAnchor
from pyglue.display import visible
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import find_program, run_sync

UNIT: Final = "hived.service"
_ANCHOR: Final = r"hyperhive-audit head=([0-9a-f]{64}) seq=([0-9]{1,15})"
_ANYWHERE: Final = re.compile(rf"{_ANCHOR}\b")
_OWN_LINE: Final = re.compile(rf"^INFO hyperhive-audit: {_ANCHOR}$", re.MULTILINE)
"""A whole line of hived's: what it quotes of others is no anchor."""
_MOST: Final = 4096
_LINES: Final = 20_000
_READ_S: Final = 60.0


@dataclass(frozen=True)
class Anchors:
    """What was found, the newest ones, and where; or why there is none."""

    found: tuple[AuditAnchor, ...] = ()
    source: str = ""
    missing: str = ""

    @property
    def words(self) -> str:
        """Say which they are."""
        if not self.found:
            return f"compared with no anchor: {self.missing}"
        first, last = self.found[0].seq, self.found[-1].seq
        which = f"line {first}" if first == last else f"lines {first} to {last}"
        count = "1 anchor" if len(self.found) == 1 else f"{len(self.found)} anchors"
        return f"{count} from {self.source} (of {which})"


def given(name: str) -> Anchors:
    """Return the anchors in a text file, ``-`` for stdin.

    Raises:
        HiveError: ``bad_request`` if it cannot be read or holds none.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"The anchors in {name} cannot be read: {error}."
        ) from error
    found = _newest(_ANYWHERE, text)
    if not found:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{name} holds no 'hyperhive-audit head=… seq=…'. These lines are in the "
            "log of hived.",
        )
    return Anchors(found, "stdin" if name == "-" else name)


def of_journal() -> Anchors:
    """Return the newest anchors that hived's unit left in the journal."""
    journal = f"the journal of {UNIT}"
    try:
        done = run_sync(
            [
                find_program("journalctl"),
                *("--no-pager", "--quiet", "--output=cat"),
                *(f"--unit={UNIT}", f"--lines={_LINES}"),
            ],
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            timeout=_READ_S,
        )
    except HiveError as error:
        return Anchors(missing=f"{journal} was not read. {error.message}")
    if done.code != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        reason = visible(said, limit=200) or f"journalctl ended with {done.code}"
        return Anchors(missing=f"{journal} was not read: {reason}")
    found = _newest(_OWN_LINE, done.stdout.decode("utf-8", "replace"))
    if not found:
        return Anchors(
            missing=f"{journal} shows none to you. Be root, or in a group that may "
            "read it (systemd-journal)."
        )
    return Anchors(found, journal)


def _newest(pattern: re.Pattern[str], text: str) -> tuple[AuditAnchor, ...]:
    found = {int(seq): head for head, seq in pattern.findall(text)}
    newest = sorted(found.items())[-_MOST:]
    return tuple(AuditAnchor(seq=seq, head=head) for seq, head in newest if seq > 0)
