"""The limit windows of accounts, as their providers last reported them."""

from collections.abc import Iterable

from pyglue.api.relay import RateWindow
from pyglue.store.database import Reader, Tx


def every(reader: Reader) -> tuple[tuple[str, RateWindow], ...]:
    """Return all of them, each with its account's name."""
    rows = reader.execute(
        "SELECT account, name, used, resets_at, is_used_up FROM rate_window"
    )
    return tuple(
        (account, RateWindow(name=name, used=used, resets_at=at, is_used_up=bool(up)))
        for account, name, used, at, up in rows.fetchall()
    )


def put(tx: Tx, account: str, windows: Iterable[RateWindow]) -> None:
    """Store an account's windows; those that have reset go."""
    for one in windows:
        tx.execute(
            "REPLACE INTO rate_window (account, name, used, resets_at, is_used_up) "
            "VALUES (?, ?, ?, ?, ?)",
            *(account, one.name, one.used, one.resets_at, int(one.is_used_up)),
        )
    tx.execute("DELETE FROM rate_window WHERE resets_at <= ?", tx.now)
