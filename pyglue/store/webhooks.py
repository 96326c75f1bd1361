"""Deliveries accepted by webhooks, so that none is accepted twice."""

from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import WEBHOOK
from pyglue.store.database import Tx


def note(tx: Tx, agent: str, hook: str, delivery: str) -> None:
    """Record a delivery by the hash of its ID, and delete old ones.

    Raises:
        HiveError: ``conflict`` if it is already recorded.
    """
    tx.execute("DELETE FROM webhook_delivery WHERE at < ?", tx.now - WEBHOOK.known_s)
    noted = tx.execute(
        "INSERT OR IGNORE INTO webhook_delivery (agent, hook, delivery, at) "
        "VALUES (?, ?, ?, ?)",
        *(agent, hook, delivery, tx.now),
    )
    if noted.rowcount == 0:
        raise HiveError(ErrorCode.CONFLICT, "This delivery was already accepted.")
