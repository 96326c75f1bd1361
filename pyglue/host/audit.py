"""The audit log: every decision and lifecycle change, one JSON line each.

Each line carries an HMAC over itself and the line before, with a key that is not in
the database, so that an edited, reordered or shortened log can be told.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyglue.manifest import canonical

_START: Final = "0" * 64


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
        self._key = _key(key)
        self._log = log
        self._last = self._read_last()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)

    def record(
        self, who: str, what: str, agent: str | None, data: Mapping[str, Any]
    ) -> None:
        """Append who did what, to which agent, with which hashes."""
        entry = {
            "at": round(time.time(), 3),
            "who": who,
            "what": what,
            "agent": agent,
            "data": dict(data),
            "previous": self._last,
        }
        mac = hmac.new(self._key, canonical(entry), hashlib.sha256).hexdigest()
        self._file.write(canonical({**entry, "mac": mac}) + b"\n")
        os.fsync(self._file.fileno())
        self._last = mac

    def close(self) -> None:
        """Close the file; every line is on disk already."""
        self._file.close()

    def _read_last(self) -> str:
        if not self._log.exists():
            return _START
        lines = self._log.read_bytes().splitlines()
        for line in reversed(lines):
            marker = b'"mac":"'
            begin = line.find(marker)
            if begin >= 0 and line.endswith(b"}"):
                return line[begin + len(marker) :][:64].decode("ascii", "replace")
        return _START
