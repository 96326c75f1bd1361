"""The IDs that tables assign: they only grow, even across a rebuilt store."""

from collections.abc import Mapping

from pyglue.store.database import Tx


def raise_to(tx: Tx, highest: Mapping[str, int]) -> None:
    """Continue each table after the last ID known to others."""
    for table, number in highest.items():
        found = tx.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        row = found.fetchone()
        if row is None and number:
            tx.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, number
            )
        elif row is not None and row[0] < number:
            tx.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", number, table
            )
