"""Updates the roll-ups of a store a few seconds after requests were written.

Requests are counted together: that takes a fraction of the time of an update with each request.
"""

from __future__ import annotations

import time
from itertools import pairwise, product
from typing import TYPE_CHECKING

from flask_chest_otel._base.sqlite import transaction
from flask_chest_otel._records.schema import key_at
from flask_chest_otel._records.tables import REQUESTS
from flask_chest_otel._store import slo_counts
from flask_chest_otel._store.rollups import (
    BETWEEN,
    COLUMNS,
    COUNTED_COLUMNS,
    KEY,
    LEVELS_S,
    MINUTE_S,
    TABLES,
    Figures,
    RollupKey,
    RollupTable,
    start_s_of,
    sums,
    tallied,
    true_from_ns,
)
from flask_chest_otel._store.rows import typed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    _DueRow = tuple[str, str, str | None, str, int, float, str | None, str | None, str | None]

__all__ = ["Rolling", "trim"]

LOOK_EVERY_S = 1.0
"""Time between two searches for requests to count, seconds."""

GRACE_S = 10
"""Requests younger than this are not counted yet, seconds: requests that began earlier may still be running."""

AT_ONCE = 500
"""How many requests one transaction counts; other processes wait that long."""

BUDGET_S = 0.2
"""How long one search may count, seconds; the next one counts the rest."""


class Rolling:
    """Counts requests after writes, at most every ``LOOK_EVERY_S``; every worker process has one."""

    def __init__(self) -> None:
        """Search with the first write."""
        self._next_look = 0.0

    def after_write(self, connection: sqlite3.Connection) -> None:
        """Count the requests that are due; returns at once between two searches."""
        if time.monotonic() < self._next_look:
            return
        give_up_at = time.monotonic() + BUDGET_S
        while _count_some(connection) and time.monotonic() < give_up_at:
            # Under gevent, other greenlets cannot run while SQLite works: sleep(0) lets them.
            time.sleep(0)
        self._next_look = time.monotonic() + LOOK_EVERY_S


def trim(connection: sqlite3.Connection, deleted_key: str) -> None:
    """Delete roll-ups whose requests are all deleted, in the caller's transaction.

    Args:
        connection: The store.
        deleted_key: All requests up to this key are deleted.
    """
    connection.execute("UPDATE chest_rolled_up SET deleted_key = max(deleted_key, ?)", (deleted_key,))
    true_from_s = true_from_ns(connection) // 10**9
    for table, per_s in product(TABLES, LEVELS_S):
        connection.execute(f"DELETE FROM {table.name} WHERE per_s = ? AND start_s <= ?", (per_s, true_from_s - per_s))  # noqa: S608 - our own name


def _count_some(connection: sqlite3.Connection) -> bool:
    """Count the next requests; returns whether more may be due."""
    now_s = time.time_ns() // 10**9
    if not (_is_any_due(connection, now_s) or _is_any_late(connection)):
        return False
    with transaction(connection):
        # Look again inside the transaction, as another process may have counted them.
        due = _next_due(connection, now_s)
        if due:
            _count(connection, due)
        late = _count_late(connection)
    return len(due) == AT_ONCE or late == AT_ONCE


def _until_key(connection: sqlite3.Connection) -> str:
    found = connection.execute("SELECT until_key FROM chest_rolled_up").fetchone()
    return str(found[0]) if found else ""


def _next_due(connection: sqlite3.Connection, now_s: int) -> list[_DueRow]:
    """Return the next requests to count: ``AT_ONCE`` of them, or those of minutes that are over."""
    end_s = now_s - GRACE_S
    rows = connection.execute(_DUE, (_until_key(connection), key_at(end_s * 10**9), AT_ONCE)).fetchall()
    if len(rows) == AT_ONCE:
        return rows
    whole = key_at((end_s - end_s % MINUTE_S) * 10**9)
    return [row for row in rows if row[0] < whole]


def _is_any_due(connection: sqlite3.Connection, now_s: int) -> bool:
    until_key, end_s = _until_key(connection), now_s - GRACE_S
    whole, end = (key_at(second * 10**9) for second in (end_s - end_s % MINUTE_S, end_s))
    values = until_key, whole, until_key, end, AT_ONCE - 1
    return bool(connection.execute(_IS_DUE, values).fetchone()[0])


def _is_any_late(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM chest_late)").fetchone()[0])


def _count(connection: sqlite3.Connection, due: list[_DueRow]) -> None:
    from_s, until_key = start_s_of(_until_key(connection)), due[-1][0]
    _add(connection, tallied(row[:-1] for row in due))
    slo_counts.add(connection, [(row[0], row[1], row[-1]) for row in due if row[-1]])
    # The trigger compares with "less than", so store the smallest text after the last counted key.
    connection.execute("UPDATE chest_rolled_up SET until_key = ?", (f"{until_key}0",))
    for table, (per_s, wider_s) in product(TABLES, pairwise(LEVELS_S)):
        _sum_up(connection, table, per_s, wider_s, from_s, start_s_of(until_key))


def _sum_up(
    connection: sqlite3.Connection, table: RollupTable, per_s: int, wider_s: int, from_s: int, until_s: int
) -> None:
    """Sum up minutes to hours that are over, and hours to days."""
    from_s, until_s = (second - second % wider_s for second in (from_s, until_s))
    if from_s < until_s:
        begin = f"start_s - start_s % {wider_s}"
        rows = sums(f"{table.name} WHERE {BETWEEN}", KEY | {"per_s": str(wider_s), "start_s": begin})
        connection.execute(_merging(table, rows), (per_s, from_s, until_s))


def _count_late(connection: sqlite3.Connection) -> int:
    """Count requests that were inserted after their minute was rolled up; returns how many.

    They are added to their minute, and to their hour and day if these are rolled up, too.
    """
    keys = connection.execute("SELECT record_key FROM chest_late ORDER BY record_key LIMIT ?", (AT_ONCE,)).fetchall()
    if not keys:
        return 0
    late = connection.execute(_LATE, keys[-1]).fetchall()
    until_s = start_s_of(_until_key(connection))
    minutes = tallied(row[:-1] for row in late)
    slo_counts.add(connection, [(row[0], row[1], row[-1]) for row in late if row[-1]])
    found = dict(minutes)
    for key, figures in minutes.items():
        for wider_s in LEVELS_S[1:]:
            wider = _wider(key, wider_s)
            if wider.start_s < until_s - until_s % wider_s:
                found.setdefault(wider, Figures()).merge(figures)
    _add(connection, found)
    connection.execute("DELETE FROM chest_late WHERE record_key <= ?", keys[-1])
    return len(keys)


def _wider(key: RollupKey, per_s: int) -> RollupKey:
    return key._replace(per_s=per_s, start_s=key.start_s - key.start_s % per_s)


def _add(connection: sqlite3.Connection, found: dict[RollupKey, Figures]) -> None:
    for table in TABLES:
        connection.executemany(_merging(table, _ONE_ROW), _rows(table.keyed(found)))


def _rows(found: dict[RollupKey, Figures]) -> Iterator[tuple[object, ...]]:
    for key, figures in found.items():
        yield (*key, figures.count, figures.errors, figures.sum_ms, figures.max_ms, figures.histogram.encode())


def _merging(table: RollupTable, rows: str) -> str:
    """Return the SQL statement that adds figures to existing rows."""
    return (
        f"INSERT INTO {table.name} ({', '.join(COLUMNS)}) {rows}"
        f" ON CONFLICT ({', '.join(RollupKey._fields)}) DO UPDATE SET count = count + excluded.count,"
        " errors = errors + excluded.errors, sum_ms = sum_ms + excluded.sum_ms, max_ms = max(max_ms, excluded.max_ms),"
        " histogram = chest_merged(histogram, excluded.histogram)"
    )


_ONE_ROW = f"VALUES ({', '.join('?' for _ in COLUMNS)})"
_REQUEST = typed(REQUESTS, *COUNTED_COLUMNS, slo_counts.COLUMN)
_DUE = (
    f"SELECT {_REQUEST} FROM chest_requests"  # noqa: S608 - our own names
    " WHERE record_key >= ? AND record_key < ? ORDER BY record_key LIMIT ?"
)
_IS_DUE = (
    "SELECT EXISTS (SELECT 1 FROM chest_requests WHERE record_key >= ? AND record_key < ?)"
    " OR EXISTS (SELECT 1 FROM chest_requests WHERE record_key >= ? AND record_key < ? LIMIT 1 OFFSET ?)"
)
_LATE = (
    f"SELECT {_REQUEST} FROM chest_requests"  # noqa: S608 - our own names
    " WHERE record_key IN (SELECT record_key FROM chest_late WHERE record_key <= ?)"
)
