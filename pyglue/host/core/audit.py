"""The audit log: every decision and lifecycle change, one JSON line each.

Each line carries an HMAC over itself and the previous line. The key is stored outside
the database, so edits and reordering are detectable. The chain alone does not reveal
truncation, so the number and HMAC of the last line are also stored beside the key
(``audit.head``) and printed to stderr, and so end up in the journal if there is one.
``audit_log`` reads and verifies.

Recording never fails for the caller: an operator's action in an emergency must not
wait for the disk. A line that cannot be written is buffered, in order and with its
original time, until it can. ``ready`` guards decisions that must not go unrecorded.
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

from pyglue.errors import ErrorCode, HiveError
from pyglue.files.disk_space import FULL, Reserve
from pyglue.host.core.audit_log import Head, mac_of, read_head, read_last
from pyglue.manifest.record import canonical

MISMATCH: Final = "audit_mismatch"
"""Recorded when the log on disk is not the one that hived left behind."""

LOST: Final = "lines_lost"
"""Recorded when more lines had to be buffered than ``_KEPT_MAX``."""
_KEPT_MAX: Final = 10_000
RESERVE: Final = 1024 * 1024
"""Bytes reserved on disk for the log to grow into."""
_log = logging.getLogger("hyperhive-audit")


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line to be written; its number and HMAC are added when it is."""

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
    """Appends to the log; only one hived may write it."""

    def __init__(
        self,
        log: Path,
        key: Path,
        *,
        make_space: Callable[[], bool] = lambda: False,
        reserve: int = 0,
    ) -> None:
        self.path = log
        self._make_space = make_space
        self._kept: deque[_Line] = deque()
        self._lost = 0
        self._is_anchored = True
        self.problem: str | None = None
        """Why lines are being buffered, None if none are."""
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
        """The HMAC key, for verification."""
        return self._key

    def record(
        self, who: str, what: str, agent: str | None, data: Mapping[str, Any]
    ) -> None:
        """Append a line: who did what to which agent, with ``data`` such as hashes.

        If it cannot be written, it is buffered behind any earlier buffered lines.
        """
        line = _Line(
            at=round(time.time(), 3), who=who, what=what, agent=agent, data=dict(data)
        )
        canonical(line.data)  # refuse data that cannot be encoded here, not later
        if len(self._kept) < _KEPT_MAX:
            self._kept.append(line)
        else:
            self._lost += 1
        self.flush()

    def ready(self) -> None:
        """Refuse a decision that could not be recorded.

        Raises:
            HiveError: ``unavailable``, with what to do about it.
        """
        if not self.flush():
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"{self.problem} No decision was recorded."
            )

    def flush(self) -> bool:
        """Write buffered lines; return whether everything is on disk."""
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
        """Restore the disk space reserve behind the log; called periodically."""
        self._reserve.keep()

    def _say(self, error: OSError) -> None:
        count = len(self._kept) + self._lost
        if self.problem is None:
            _log.error("cannot write the audit log: %s", error.strerror)
        self.problem = (
            f"Cannot write the audit log ({error.strerror}): {count} lines are kept "
            "in memory until it is writable. Free disk space; do not stop the hive "
            "before then."
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
            if error.errno not in FULL or not self._make_space():
                raise
            self._append(encoded)
        self._last = mac
        self._seq += 1
        self._is_anchored = False
        try:
            self._anchor()
        except OSError as error:  # the line is on disk; ``flush`` anchors it later
            _log.warning("cannot write the audit log's head: %s", error.strerror)

    def _append(self, line: bytes) -> None:
        """Write the whole line or nothing: a partial line would corrupt the next."""
        before = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise

    def close(self) -> None:
        """Write buffered lines if possible, and close the files."""
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
        """Return whether the log ends at the line in ``audit.head``, or one later.

        hived may have died between writing a line and anchoring it.
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
    """Remove a partial last line left by a crash; its caller never got an answer."""
    if not log.exists():
        return
    content = log.read_bytes()
    if content and not content.endswith(b"\n"):
        with log.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())
