"""The audit log: every decision and lifecycle change, one JSON line each.

Each line carries an HMAC over itself and the line before, with a key that is not in
the database, so that an edited or reordered log can be told. A log cut at its end
is whole in itself: so the newest line's place and HMAC are also kept beside the key
(``audit.head``) and said on stderr, which the journal keeps where there is one.
``audit_log`` reads and verifies.
"""

import errno
import hmac
import logging
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.host.audit_log import Head, mac_of, read_head, read_last
from pyglue.manifest import canonical

MISMATCH: Final = "audit_mismatch"
"""What is recorded when the log that hived finds is not the one that it left."""

_log = logging.getLogger("hyperhive-audit")


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

    def __init__(self, log: Path, key: Path) -> None:
        self.path = log
        self.head_path = key.with_name("audit.head")
        self._key = _key(key)
        _drop_torn_line(log)
        self._last, self._seq, whole = read_last(log, self._key)
        left = read_head(self.head_path, self._key)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.fdopen(os.open(log, flags, 0o600), "ab", buffering=0)
        self._head = os.open(self.head_path, os.O_WRONLY | os.O_CREAT, 0o600)
        if not self._is_as_left(left, whole=whole):
            expected = None if left is None else {"seq": left.seq, "mac": left.mac}
            found = {"seq": self._seq, "mac": self._last}
            data = {"expected": expected, "found": found}
            _log.error("the audit log is not as it was left; run: hive audit verify")
            self.record("system", MISMATCH, None, data)

    @property
    def key(self) -> bytes:
        """The key, for verifying."""
        return self._key

    def record(
        self, who: str, what: str, agent: str | None, data: Mapping[str, Any]
    ) -> None:
        """Append who did what, to which agent, with which hashes.

        Raises:
            HiveError: ``unavailable`` where it cannot be; no part of it is then.
        """
        entry = {
            "seq": self._seq + 1,
            "at": round(time.time(), 3),
            "who": who,
            "what": what,
            "agent": agent,
            "data": dict(data),
            "previous": self._last,
        }
        mac = mac_of(self._key, entry)
        try:
            self._append(canonical({**entry, "mac": mac}) + b"\n")
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"The audit log cannot be written ({error.strerror}), so it lacks that "
                f"{who} did this: {what}. Make room on the disk, and look at what is "
                "so by now.",
            ) from error
        self._last = mac
        self._seq += 1
        self._anchor()

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
        """Close the files; every line is on disk already."""
        self._file.close()
        os.close(self._head)

    def _anchor(self) -> None:
        head = Head(self._seq, self._last)
        os.pwrite(self._head, head.encode(self._key), 0)
        os.fsync(self._head)
        _log.info("hyperhive-audit head=%s seq=%d", head.mac, head.seq)

    def _is_as_left(self, left: Head | None, *, whole: bool) -> bool:
        """Tell if the log's end is what ``audit.head`` says, or one line more.

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
