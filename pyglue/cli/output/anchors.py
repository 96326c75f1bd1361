"""Heads of the audit log kept elsewhere: in the journal, or in a file.

hived prints each head on stderr. Where it runs as a systemd unit, the journal keeps
them and ``hive audit verify`` reads them from there; elsewhere the operator passes
them.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.api.audit import AuditAnchor
from pyglue.errors import ErrorCode, HiveError
from pyglue.process import find_program, run_sync
from pyglue.text.display import visible

UNIT: Final = "hived.service"
_ANCHOR: Final = r"hyperhive-audit head=([0-9a-f]{64}) seq=([0-9]{1,15})"
_ANYWHERE: Final = re.compile(rf"{_ANCHOR}\b")
ANCHOR_LINE: Final = "INFO hyperhive-audit: "
"""The beginning of a line of hived's log with a head."""
_OWN_LINE: Final = re.compile(rf"^{ANCHOR_LINE}{_ANCHOR}$", re.MULTILINE)
"""A whole line by hived: text that it quotes from others is not an anchor."""
_MOST: Final = 4096
_LINES: Final = 20_000
_READ_S: Final = 60.0


@dataclass(frozen=True)
class Anchors:
    """The newest anchors found, with their source; or why there are none."""

    found: tuple[AuditAnchor, ...] = ()
    source: str = ""
    missing: str = ""

    @property
    def words(self) -> str:
        """Describe them."""
        if not self.found:
            return f"not compared with any anchor: {self.missing}"
        first, last = self.found[0].seq, self.found[-1].seq
        which = f"line {first}" if first == last else f"lines {first} to {last}"
        count = "1 anchor" if len(self.found) == 1 else f"{len(self.found)} anchors"
        return f"{count} from {self.source} (of {which})"


def given(name: str) -> Anchors:
    """Return the anchors in a text file, ``-`` for stdin.

    Raises:
        HiveError: ``bad_request`` if it cannot be read or contains none.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"Cannot read the anchors in {name}: {error}."
        ) from error
    found = _newest(_ANYWHERE, text)
    if not found:
        raise HiveError(
            ErrorCode.BAD_REQUEST,
            f"{name} contains no line 'hyperhive-audit head=… seq=…'. Copy these "
            "lines from hived's log.",
        )
    return Anchors(found, "stdin" if name == "-" else name)


def of_journal() -> Anchors:
    """Return the newest anchors that hived's unit wrote to the journal."""
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
        errors = done.stderr.decode("utf-8", "replace").strip()
        reason = (
            visible(errors, limit=200)
            or f"journalctl failed with exit code {done.code}"
        )
        return Anchors(missing=f"{journal} was not read: {reason}")
    found = _newest(_OWN_LINE, done.stdout.decode("utf-8", "replace"))
    if not found:
        return Anchors(
            missing=f"{journal} shows you none. Run this as root, or as a member of a "
            "group that may read it (systemd-journal)."
        )
    return Anchors(found, journal)


def _newest(pattern: re.Pattern[str], text: str) -> tuple[AuditAnchor, ...]:
    found = {int(seq): head for head, seq in pattern.findall(text)}
    newest = sorted(found.items())[-_MOST:]
    return tuple(AuditAnchor(seq=seq, head=head) for seq, head in newest if seq > 0)
