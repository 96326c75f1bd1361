"""The audit log: every decision and lifecycle change, one JSON line each.

Each line carries an HMAC over itself and the line before, with a key that is not in
the database, so that an edited or reordered log can be told. A log cut at its end
is whole in itself: so the newest line's place and HMAC are also kept beside the key
(``audit.head``) and said on stderr, which the journal keeps where there is one.
``audit_log`` reads and verifies.

Writing never fails for who records: what an operator does in an emergency must not
wait for a disk. A line that cannot be written is kept, in its order and with its time,
until it can; ``ready`` is for decisions that must not happen without their line.
"""

import errno
import hmac
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyglue.diskspace import FULL, Reserve
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.audit_log import Head, mac_of, read_head, read_last
from pyglue.manifest import canonical

MISMATCH: Final = "audit_mismatch"
"""What is recorded when the log that hived finds is not the one that it left."""

LOST: Final = "lines_lost"
"""What is recorded when more lines had to be kept than there is memory for."""
_KEPT_MAX: Final = 10_000
RESERVE: Final = 1024 * 1024
"""Bytes set aside behind the log."""
_log = logging.getLogger("hyperhive-audit")


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What is to be written; number and chain come when it is."""

    at: float
    who: str
    what: str
    agent: str | None
    data: Mapping[str, Any]


def _key(path: Path) -> bytes:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(descriptor)
    return path.read_bytes()


class Audit:
    """Appends to the log; one hived writes it."""

    def __init__(
        self,
        log: Path,
        key: Path,
        *,
        make_room: Callable[[], bool] = lambda: False,
        reserve: int = 0,
    ) -> None:
        self.path = log
        self._make_room = make_room
        self._kept: deque[_Line] = deque()
        self._lost = 0
        self._is_anchored = True
        self.problem: str | None = None
        """Why lines are kept instead of written, None if none are."""
        self.head_path = key.with_name("audit.head")
        self._key = _key(key)
        _drop_torn_line(log)
        self._last, self._seq, whole = read_last(log, self._key)
        left = read_head(self.head_path, self._key)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.fdopen(os.open(log, flags, 0o600), "ab", buffering=0)
        self._head = os.open(self.head_path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._reserve = Reserve(log, reserve)
        self.keep_reserve()
        if not self._is_as_left(left, whole=whole):
            expected = None if left is None else {"seq": left.seq, "mac": left.mac}
            found = {"seq": self._seq, "mac": self._last}
            data = {"expected": expected, "found": found}
            _log.error(
                "the audit log was changed while hived was not running; run: hive "
                "audit verify"
            )
            self.record("system", MISMATCH, None, data)

    @property
    def key(self) -> bytes:
        """The key, for verifying."""
        return self._key

    def record(
        self, who: str, what: str, agent: str | None, data: Mapping[str, Any]
    ) -> None:
        """Append who did what, to which agent, with which hashes; keep it if need be.

        Lines are one after the other: it is written after those that are kept.
        """
        line = _Line(
            at=round(time.time(), 3), who=who, what=what, agent=agent, data=dict(data)
        )
        canonical(line.data)  # what cannot be encoded is refused here, not later
        if len(self._kept) < _KEPT_MAX:
            self._kept.append(line)
        else:
            self._lost += 1
        self.flush()

    def ready(self) -> None:
        """Refuse a decision that could not be recorded.

        Raises:
            HiveError: ``unavailable`` with what to do.
        """
        if not self.flush():
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"{self.problem} No decision was recorded."
            )

    def flush(self) -> bool:
        """Write what is kept; tell whether all of it is on disk."""
        try:
            while self._kept:
                self._write(self._kept[0])
                self._kept.popleft()
            if self._lost:
                data = {"lines": self._lost}
                self._write(
                    _Line(
                        at=round(time.time(), 3),
                        who="system",
                        what=LOST,
                        agent=None,
                        data=data,
                    )
                )
                self._lost = 0
            if not self._is_anchored:
                self._anchor()
        except OSError as error:
            self._say(error)
            return False
        if self.problem is not None:
            _log.warning("the audit log is writable again")
            self.problem = None
        return True

    def keep_reserve(self) -> None:
        """Set room aside again for what was written; now and then."""
        self._reserve.keep()

    def _say(self, error: OSError) -> None:
        count = len(self._kept) + self._lost
        if self.problem is None:
            _log.error("cannot write the audit log: %s", error.strerror)
        self.problem = (
            f"Cannot write the audit log ({error.strerror}): {count} lines are kept "
            "in memory until it is writable. Free disk space, and do not stop the "
            "hive before then."
        )

    def _write(self, line: _Line) -> None:
        entry = {
            "seq": self._seq + 1,
            "at": line.at,
            "who": line.who,
            "what": line.what,
            "agent": line.agent,
            "data": dict(line.data),
            "previous": self._last,
        }
        mac = mac_of(self._key, entry)
        encoded = canonical({**entry, "mac": mac}) + b"\n"
        try:
            self._append(encoded)
        except OSError as error:
            if error.errno not in FULL or not self._make_room():
                raise
            self._append(encoded)
        self._last = mac
        self._seq += 1
        self._is_anchored = False
        try:
            self._anchor()
        except OSError as error:  # the line is there; ``flush`` anchors it later
            _log.warning("cannot write the audit log's head: %s", error.strerror)

    def _append(self, line: bytes) -> None:
        """Write a line or nothing: half of one would spoil the next."""
        before = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise

    def close(self) -> None:
        """Write what is kept, if that can be, and close the files."""
        if not self.flush():
            _log.error("%s", self.problem)
        self._reserve.release()
        self._file.close()
        os.close(self._head)

    def _anchor(self) -> None:
        head = Head(self._seq, self._last)
        os.pwrite(self._head, head.encode(self._key), 0)
        os.fsync(self._head)
        self._is_anchored = True
        _log.info("hyperhive-audit head=%s seq=%d", head.mac, head.seq)

    def _is_as_left(self, left: Head | None, *, whole: bool) -> bool:
        """Return whether the log's end is what ``audit.head`` says, or one line more.

        hived may have died between the line and its anchor.
        """
        if not whole:
            return False
        if left is None:
            unsaid = self.head_path.stat().st_size == 0
            return self._seq == 0 or (unsaid and self._seq == 1)
        return left.seq in (self._seq, self._seq - 1) and (
            left.seq != self._seq or hmac.compare_digest(left.mac, self._last)
        )


def _drop_torn_line(log: Path) -> None:
    """Cut off what a crash left of a line that was never answered for."""
    if not log.exists():
        return
    content = log.read_bytes()
    if content and not content.endswith(b"\n"):
        with log.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())
