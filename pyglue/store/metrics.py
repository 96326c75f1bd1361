"""Metrics of turns: raw rows, and buckets of increasing length.

A row is kept for two days. Its buckets are updated in the same transaction, so a chart
reads a single step and never has to combine two. The name of a series is stored once
(in ``stats_series``), with its count, total and last value, so counters and gauges only
need one small table.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyglue.api.metrics import Fold, MetricSeries, fold_of
from pyglue.store.database import Reader, Tx

DAY_S: Final = 86400.0
ROWS_KEPT_S: Final = 2 * DAY_S
STEPS: Final = (300, 3600, 21600)
"""Lengths of buckets in seconds."""
KEPT_S: Final = (8 * DAY_S, 60 * DAY_S, float("inf"))
"""How long buckets of each length are kept, unless the configuration says less."""
SERIES_MAX: Final = 256
"""The most series of one agent, so that a harness cannot grow the store."""

_FOLDED: Final = {Fold.SUM: "total", Fold.MEAN: "total / n", Fold.MAX: "high"}


@dataclass(frozen=True)
class Total:
    """The total of a series since the beginning, and its latest value."""

    agent: str
    key: str
    count: int
    total: float
    last: float
    last_at: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """The requested data; ``step`` is a multiple of the stored step."""

    since: float
    until: float
    step: int
    agent: str | None = None
    keys: tuple[str, ...] = ()


def forget(tx: Tx, agent: str) -> None:
    """Delete all metrics of a name that is gone for good."""
    for table in ("stats_row", "stats_bucket"):
        tx.execute(
            f"DELETE FROM {table} WHERE series IN "
            "(SELECT id FROM stats_series WHERE agent = ?)",
            agent,
        )
    tx.execute("DELETE FROM stats_series WHERE agent = ?", agent)


def record(tx: Tx, agent: str, values: Mapping[str, float]) -> None:
    """Add a row per metric; metrics beyond ``SERIES_MAX`` names are left out."""
    known = _series(tx, agent)
    fresh = [key for key in values if key not in known]
    if fresh:
        left = max(0, SERIES_MAX - len(known))
        _many(
            tx,
            "INSERT INTO stats_series (agent, key) VALUES (?, ?)",
            [(agent, key) for key in fresh[:left]],
        )
        known = _series(tx, agent)
    rows = [(known[key], value) for key, value in values.items() if key in known]
    _many(
        tx,
        "INSERT OR REPLACE INTO stats_row (series, ts, value) VALUES (?, ?, ?)",
        [(series, tx.now, value) for series, value in rows],
    )
    _many(
        tx,
        "INSERT INTO stats_bucket (step, series, ts, n, total, high) "
        "VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET n = n + 1, "
        "total = total + excluded.total, high = max(high, excluded.high)",
        [
            (step, series, int(tx.now // step) * step, value, value)
            for step in STEPS
            for series, value in rows
        ],
    )
    _many(
        tx,
        "UPDATE stats_series SET n = n + 1, total = total + ?, last = ?, last_at = ? "
        "WHERE id = ?",
        [(value, value, tx.now, series) for series, value in rows],
    )


def series(reader: Reader, window: Window) -> tuple[MetricSeries, ...]:
    """Return the requested data, by agent and key; empty steps have no point."""
    found = reader.execute(
        "SELECT id, agent, key FROM stats_series WHERE (?1 IS NULL OR agent = ?1) "
        "ORDER BY agent, key",
        window.agent,
    ).fetchall()
    wanted = set(window.keys)
    chosen = {i: (a, k) for i, a, k in found if not wanted or k in wanted}
    points: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    for fold in Fold:
        ids = [i for i, (_, key) in chosen.items() if fold_of(key) is fold]
        if not (rows := _points(reader, window, fold, ids)):
            continue
        owners, at, values = zip(*rows, strict=True)
        begin = 0
        while begin < len(owners):  # series by series, without examining each point
            end = bisect.bisect_right(owners, owners[begin], begin)
            points[owners[begin]] = (at[begin:end], values[begin:end])
            begin = end
    return tuple(
        MetricSeries(agent=agent, key=key, at=points[i][0], values=points[i][1])
        for i, (agent, key) in chosen.items()
        if i in points
    )


def costs(
    reader: Reader, *, since: float, step: int
) -> tuple[tuple[str, float, float], ...]:
    """Return agent, time and dollars of all buckets of ``step`` seconds (``STEPS``).

    One query for all agents: the overview shows it of each of them.
    """
    rows = reader.execute(
        "SELECT s.agent, b.ts, b.total FROM stats_series AS s CROSS JOIN stats_bucket "
        "AS b ON b.step = ? AND b.series = s.id AND b.ts >= ? WHERE s.key = 'cost_usd'",
        step,
        since,
    )
    return tuple(rows.fetchall())


def oldest(reader: Reader, agent: str | None) -> float:
    """Return the time of the oldest value, of one agent or all; 0 if there is none."""
    longest = STEPS[-1]
    row = reader.execute(
        "SELECT min((SELECT min(ts) FROM stats_bucket WHERE step = ?1 AND "
        "series = stats_series.id)) FROM stats_series WHERE ?2 IS NULL OR agent = ?2",
        longest,
        agent,
    ).fetchone()
    return float(row[0] or 0.0)


def totals(reader: Reader) -> tuple[Total, ...]:
    """Return the totals of every series."""
    rows = reader.execute(
        "SELECT agent, key, n, total, last, last_at FROM stats_series "
        "ORDER BY agent, key"
    )
    return tuple(Total(*row) for row in rows.fetchall())


def prune(tx: Tx, *, kept_s: float, most: int) -> int:
    """Delete up to ``most`` rows and buckets that are too old; return how many."""
    gone = _prune(tx, "stats_row", (), tx.now - ROWS_KEPT_S, most)
    for step, longest in zip(STEPS, KEPT_S, strict=True):
        before = tx.now - min(longest, kept_s)
        gone += _prune(tx, "stats_bucket", (step,), before, most - gone)
    return gone


def _prune(tx: Tx, table: str, step: tuple[int, ...], before: float, most: int) -> int:
    """Delete older rows; each series is a range of the key, and only that is read."""
    key = "step, series, ts" if step else "series, ts"
    cursor = tx.execute(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM stats_series "
        f"CROSS JOIN {table} ON series = stats_series.id "
        f"{'AND step = ?' if step else ''} AND ts < ? LIMIT ?)",
        *step,
        before,
        most,
    )
    return max(0, int(cursor.rowcount))


def _series(tx: Tx, agent: str) -> dict[str, int]:
    rows = tx.execute("SELECT key, id FROM stats_series WHERE agent = ?", agent)
    return dict(rows.fetchall())


def _points(
    reader: Reader, window: Window, fold: Fold, ids: Sequence[int]
) -> list[tuple[int, float, float]]:
    """Return series, time and value, in that order, from the longest suitable step."""
    if not ids:
        return []
    base = max((step for step in STEPS if window.step % step == 0), default=0)
    among = f"series IN ({','.join(map(str, ids))}) AND ts >= ? AND ts < ?"
    begin = window.since // window.step * window.step
    if base == window.step:
        sql = (
            f"SELECT series, ts, {_FOLDED[fold]} FROM stats_bucket "
            f"WHERE step = {base} AND {among} ORDER BY series, ts"
        )
    else:
        if base:
            source = f"stats_bucket WHERE step = {base} AND {among}"
            value = {
                Fold.SUM: "sum(total)",
                Fold.MEAN: "sum(total) / sum(n)",
                Fold.MAX: "max(high)",
            }[fold]
        else:
            source = f"stats_row WHERE {among}"
            value = {
                Fold.SUM: "sum(value)",
                Fold.MEAN: "avg(value)",
                Fold.MAX: "max(value)",
            }[fold]
        bucket = f"CAST(ts / {window.step} AS INTEGER) * {window.step}"
        sql = (
            f"SELECT series, {bucket} AS at, {value} FROM {source} "
            "GROUP BY series, at ORDER BY series, at"
        )
    rows: list[tuple[int, float, float]]
    rows = reader.execute(sql, begin, window.until).fetchall()
    return rows


def _many(tx: Tx, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    tx.db.connection().executemany(sql, rows)
