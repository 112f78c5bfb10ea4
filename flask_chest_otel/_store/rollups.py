"""Roll-ups: number and durations of the requests of one kind that began in a minute, an hour or a day.

Overviews read roll-ups, so their time does not depend on the number of requests. Requests are rolled up in the order of
their keys; ``chest_rolled_up`` has the last key. When a process inserts an older request, a trigger writes its key to
``chest_late``, and the request is counted later; this also works for release 0.1.0. Until then, readers add the request
themselves.

Requests are deleted in the order of their keys, too, but their roll-ups stay. So roll-ups of a time in which some
requests are deleted are not used; readers add the requests that are left, or come late, themselves.

There are two tables. ``chest_rollups`` distinguishes routes, methods and versions; ``chest_totals`` does not. It has
far fewer rows, so a chart of all requests is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask_chest_otel._base.histogram import Histogram
from flask_chest_otel._records.schema import began_unix_ns
from flask_chest_otel._values.methods import known_method

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    CountedRow = tuple[str, str, str | None, str, int, float, str | None, str | None]
    _Place = tuple[int, str, str | None, str, int, str | None]

__all__ = [
    "BETWEEN",
    "COLUMNS",
    "COUNTED_COLUMNS",
    "CREATION",
    "DAY_S",
    "HOUR_S",
    "KEY",
    "LEVELS_S",
    "MINUTE_S",
    "ROLLUPS",
    "TABLES",
    "TOTALS",
    "TOTALS_CREATION",
    "Figures",
    "RollupKey",
    "RollupTable",
    "start_s_of",
    "sums",
    "tallied",
    "teach",
    "true_from_ns",
]

LEVELS_S = MINUTE_S, HOUR_S, DAY_S = (60, 3600, 86400)
"""Lengths of roll-ups, seconds; each roll-up begins at a multiple of its length since 1970 UTC."""

COUNTED_COLUMNS = ("record_key", "service", "route", "method", "status", "duration_ms", "version", "error_type")
"""Columns of a request that counting needs."""


class RollupKey(NamedTuple):
    """The key of one roll-up.

    Attributes:
        per_s: Length of its interval, seconds: ``MINUTE_S``, ``HOUR_S`` or ``DAY_S``.
        start_s: Begin of its interval, seconds since 1970 UTC.
        service: Name of the application.
        route: URL rule; ``""`` for requests that matched none.
        method: HTTP method; ``_OTHER`` for every method that HTTP does not define.
        status_class: First digit of the status code.
        version: Version of the application; ``""``: it has none.
    """

    per_s: int
    start_s: int
    service: str
    route: str
    method: str
    status_class: int
    version: str


class RollupTable(NamedTuple):
    """One table of roll-ups.

    Attributes:
        name: Its name.
        without: Fields of the key that are always empty in this table.
    """

    name: str
    without: frozenset[str] = frozenset()

    def keyed(self, found: dict[RollupKey, Figures]) -> dict[RollupKey, Figures]:
        """Return the figures, merged by the keys of this table."""
        if not self.without:
            return found
        empty: dict[str, Any] = dict.fromkeys(self.without, "")
        keys: dict[RollupKey, Figures] = {}
        for key, figures in found.items():
            keys.setdefault(key._replace(**empty), Figures()).merge(figures)
        return keys


COLUMNS = (*RollupKey._fields, "count", "errors", "sum_ms", "max_ms", "histogram")
"""Columns of a table: the key's fields, and figures."""

# Cast to the declared types, as SQLite stores values of any type in any column.
KEY = {
    name: f"CAST({name} AS {'INTEGER' if name in ('per_s', 'start_s', 'status_class') else 'TEXT'})"
    for name in RollupKey._fields
}
"""Field of the key to its SQL expression."""

_SUMS = (
    "CAST(total(CAST(count AS INTEGER)) AS INTEGER)",
    "CAST(total(CAST(errors AS INTEGER)) AS INTEGER)",
    "total(CAST(sum_ms AS REAL))",
    "max(CAST(max_ms AS REAL))",
    "chest_summed(CAST(histogram AS BLOB))",
)
BETWEEN = "per_s = ? AND start_s >= ? AND start_s < ?"
"""SQL condition for rows of one length, from one second to another."""

ROLLUPS = RollupTable("chest_rollups")
TOTALS = RollupTable("chest_totals", frozenset({"route", "method", "version"}))
TABLES = TOTALS, ROLLUPS
"""The tables; the smaller one comes first."""


def sums(rows: str, key: Mapping[str, str], *more: str) -> str:
    """Return an SQL query for sums of rows: its columns are those of a table of roll-ups, and ``more``.

    Args:
        rows: The part of the query behind ``FROM``.
        key: SQL expression of each field of the key to group by; all other fields are empty in the result.
        more: SQL expressions of further sums.
    """
    columns = [*(key.get(name, "''") for name in RollupKey._fields), *_SUMS, *more]
    same = (str(place) for place, name in enumerate(RollupKey._fields, 1) if place == 1 or name in key)
    return f"SELECT {', '.join(columns)} FROM {rows} GROUP BY {', '.join(same)}"  # noqa: S608 - our own names


def teach(connection: sqlite3.Connection) -> None:
    """Define the SQL functions that merge histograms on a connection."""
    connection.create_function("chest_merged", 2, _merged, deterministic=True)
    connection.create_aggregate("chest_summed", 1, _Summing)  # type: ignore[arg-type]  # it takes and gives bytes


def _merged(first: bytes, second: bytes) -> bytes:
    both = Histogram.decode(first)
    both.merge_encoded(second)
    return both.encode()


class _Summing:
    """SQL aggregate function that merges the histograms of rows."""

    def __init__(self) -> None:
        self._all = Histogram()

    def step(self, histogram: bytes) -> None:
        self._all.merge_encoded(histogram)

    def finalize(self) -> bytes:
        return self._all.encode()


def _creation(table: RollupTable) -> str:
    return f"""CREATE TABLE {table.name} (
        per_s INTEGER NOT NULL, start_s INTEGER NOT NULL, service TEXT NOT NULL, route TEXT NOT NULL,
        method TEXT NOT NULL, status_class INTEGER NOT NULL, version TEXT NOT NULL,
        count INTEGER NOT NULL, errors INTEGER NOT NULL, sum_ms REAL NOT NULL, max_ms REAL NOT NULL,
        histogram BLOB NOT NULL, PRIMARY KEY ({", ".join(RollupKey._fields)})) WITHOUT ROWID"""


CREATION = (
    _creation(ROLLUPS),
    "CREATE TABLE chest_rolled_up (until_key TEXT NOT NULL, deleted_key TEXT NOT NULL)",
    "INSERT INTO chest_rolled_up VALUES ('', '')",
    "CREATE TABLE chest_late (record_key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    """CREATE TRIGGER chest_requests_late AFTER INSERT ON chest_requests
        WHEN NEW.record_key < (SELECT until_key FROM chest_rolled_up)
        BEGIN INSERT OR IGNORE INTO chest_late VALUES (NEW.record_key); END""",
)
"""Statements that create the tables; ``histogram`` is ``Histogram.encode`` of the durations in milliseconds."""

TOTALS_CREATION = (
    _creation(TOTALS),
    # The new table has no figures of requests that are rolled up already: roll up everything again.
    f"DELETE FROM {ROLLUPS.name}",  # noqa: S608 - our own name
    "DELETE FROM chest_late",
    "UPDATE chest_rolled_up SET until_key = ''",
)
"""Statements that create the second table in a file that has the other tables."""


class Figures:
    """Figures of a group of requests.

    Attributes:
        count: Number of requests.
        errors: Number of requests that recorded an exception, handled or not.
        sum_ms: Sum of the durations, milliseconds.
        max_ms: Longest duration, milliseconds.
        histogram: Histogram of the durations, milliseconds.
    """

    __slots__ = ("count", "errors", "histogram", "max_ms", "sum_ms")

    def __init__(self) -> None:
        """Make figures of no requests."""
        self.count = self.errors = 0
        self.sum_ms = self.max_ms = 0.0
        self.histogram = Histogram()

    def add(self, duration_ms: float, *, failed: bool) -> None:
        """Add one request."""
        self.count += 1
        self.errors += failed
        self.sum_ms += duration_ms
        self.max_ms = max(self.max_ms, duration_ms)
        self.histogram.add(duration_ms)

    @classmethod
    def of(cls, count: int, errors: int, sum_ms: float, max_ms: float, histogram: Histogram) -> Figures:
        """Make figures from known values; ``histogram`` must not be changed elsewhere afterwards."""
        found = cls()
        found._add(count, errors, sum_ms, max_ms)
        found.histogram = histogram
        return found

    def merge(self, other: Figures) -> None:
        """Add other figures."""
        self.histogram.merge(other.histogram)
        self._add(other.count, other.errors, other.sum_ms, other.max_ms)

    def _add(self, count: int, errors: int, sum_ms: float, max_ms: float) -> None:
        self.count += count
        self.errors += errors
        self.sum_ms += sum_ms
        self.max_ms = max(self.max_ms, max_ms)


def start_s_of(record_key: str) -> int:
    """Return when the request with this key began, seconds since 1970 UTC; 0 for an invalid key."""
    return began_unix_ns(record_key) // 10**9


def true_from_ns(connection: sqlite3.Connection) -> int:
    """Return the time since which no counted request is deleted, nanoseconds since 1970 UTC."""
    # Release 0.1.0 does not write `deleted_key`. But it deletes the oldest requests, too, so the oldest one tells.
    oldest, deleted = connection.execute(_ENDS).fetchone() or (None, "")
    return max(began_unix_ns(oldest) if oldest is not None else 0, began_unix_ns(deleted) + 1 if deleted else 0)


_ENDS = "SELECT (SELECT min(record_key) FROM chest_requests), deleted_key FROM chest_rolled_up"


def tallied(rows: Iterable[CountedRow], unit_s: int = MINUTE_S) -> dict[RollupKey, Figures]:
    """Return figures of requests by minute, or by another unit; rows have the columns ``COUNTED_COLUMNS``."""
    found: dict[_Place, Figures] = {}
    for row in rows:
        place = _place(row, unit_s)
        figures = found.get(place)
        if figures is None:
            figures = found[place] = Figures()
        figures.add(row[5], failed=row[7] is not None)
    keys: dict[RollupKey, Figures] = {}
    for place, figures in found.items():
        # All methods that HTTP does not define become one key.
        keys.setdefault(_key(place, unit_s), Figures()).merge(figures)
    return keys


def _place(row: CountedRow, unit_s: int) -> _Place:
    """Return the values that distinguish requests; it is fast, as it is called for each request."""
    record_key, service, route, method, status, _, version, _ = row
    return start_s_of(record_key) // unit_s, service, route, method, status // 100, version


def _key(place: _Place, unit_s: int) -> RollupKey:
    number, service, route, method, status_class, version = place
    return RollupKey(unit_s, number * unit_s, service, route or "", known_method(method), status_class, version or "")
