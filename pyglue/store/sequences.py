"""The ids that tables give: they only grow, also over a store made anew."""

from collections.abc import Mapping

from pyglue.store.database import Tx


def raise_to(tx: Tx, highest: Mapping[str, int]) -> None:
    """Let each table go on after the id that it gave last, as others know it."""
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
