"""One-time codes and sessions. Only hashes of the secrets are stored."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pyglue.store.database import Reader, Tx
from pyglue.store.models import LoginModel

_NEVER = 1e12
"""The expiry of a token that does not expire."""
SET_BACK_S: Final = 300.0
"""The clock may be set back this far; beyond that, logins from the future end."""


class LoginKind(StrEnum):
    """A code is used once and becomes a session; one token gives access to metrics."""

    CODE = "code"
    SESSION = "session"
    METRICS = "metrics"


@dataclass(frozen=True, kw_only=True)
class Span:
    """From when until when a session is valid, in seconds since the epoch."""

    created_at: float
    expires_at: float

    def has(self, now: float, longest_s: float) -> bool:
        """Return whether ``now`` is within it, limited to ``longest_s`` seconds.

        If the clock was set back far, ``now`` is before its beginning.
        """
        ends_at = min(self.expires_at, self.created_at + longest_s)
        return self.created_at - SET_BACK_S <= now < ends_at


def insert(tx: Tx, kind: LoginKind, digest: str, expires_at: float) -> None:
    """Store the hash of a secret; delete expired ones."""
    LoginModel.delete().where(LoginModel.expires_at <= tx.now).execute(tx.db)
    LoginModel.insert(
        hash=digest, kind=kind.value, created_at=tx.now, expires_at=expires_at
    ).execute(tx.db)


def take(tx: Tx, kind: LoginKind, digest: str) -> bool:
    """Remove a valid secret; False if there was none."""
    removed: int = (
        LoginModel.delete()
        .where(
            LoginModel.hash == digest,
            LoginModel.kind == kind.value,
            LoginModel.expires_at > tx.now,
            LoginModel.created_at <= tx.now + SET_BACK_S,
        )
        .execute(tx.db)
    )
    return removed > 0


def sessions(reader: Reader, now: float) -> dict[str, Span]:
    """Return the hashes of valid sessions, and the times of their validity."""
    rows = (
        LoginModel.select()
        .where(
            LoginModel.kind == LoginKind.SESSION.value,
            LoginModel.expires_at > now,
            LoginModel.created_at <= now + SET_BACK_S,
        )
        .execute(reader.db)
    )
    return {
        row.hash: Span(created_at=row.created_at, expires_at=row.expires_at)
        for row in rows
    }


def metrics(reader: Reader) -> frozenset[str]:
    """Return the hash of the token for ``/metrics``, if there is one."""
    kind = LoginKind.METRICS.value
    rows = LoginModel.select().where(LoginModel.kind == kind).execute(reader.db)
    return frozenset(row.hash for row in rows)


def set_metrics(tx: Tx, digest: str | None) -> None:
    """Replace the token for ``/metrics``; None removes it."""
    kind = LoginKind.METRICS.value
    LoginModel.delete().where(LoginModel.kind == kind).execute(tx.db)
    if digest is not None:
        insert(tx, LoginKind.METRICS, digest, _NEVER)
