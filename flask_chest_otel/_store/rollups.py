"""Roll-ups: how many requests of one kind began in a minute, an hour or a day, and how long they took.

Overviews are made of these, however many requests there are. The writer counts what it inserts, in the same
transaction. Rows that it did not insert itself, as a worker of release 0.1.0 does, have no ``counted``: they are
counted a little later, by whatever worker writes next, and readers add them until then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._base.histogram import Histogram
from flask_chest_otel._base.sqlite import transaction
from flask_chest_otel._values.methods import metric_method

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

__all__ = [
    "COUNTED_COLUMNS",
    "CREATION",
    "DAY_S",
    "FIGURES",
    "HOUR_S",
    "LEVELS_S",
    "MINUTE_S",
    "TABLE",
    "Figures",
    "RollupKey",
    "add",
    "count_the_rest",
    "key_of",
    "prepare",
    "start_s_of",
    "tallied",
    "trim",
]

TABLE = "chest_rollups"

LEVELS_S = MINUTE_S, HOUR_S, DAY_S = (60, 3600, 86400)
"""How long the times are that are rolled up, seconds; each begins at a multiple of that since 1970 UTC."""

COUNTED_AT_ONCE = 500
"""Requests counted in one transaction: other workers wait that long."""

COUNTING_S = 0.2
"""How long requests of others are counted after one batch, seconds; the rest is left to the next."""

COUNTED_COLUMNS = ("record_key", "service", "route", "method", "status", "duration_ms", "version", "error_type")
"""Columns of a request that are needed for counting it, in the order of ``CountedRow``."""

_TYPES = {
    "record_key": "TEXT",
    **dict.fromkeys(("service", "method"), "TEXT"),
    "status": "INTEGER",
    "duration_ms": "REAL",
}


class RollupKey(NamedTuple):
    """What one roll-up is about.

    Attributes:
        per_s: How long its time is, seconds: ``MINUTE_S``, ``HOUR_S`` or ``DAY_S``.
        start_s: When that begins, seconds since 1970 UTC.
        service: Name of the application.
        route: URL rule; ``""`` for requests that matched none.
        method: HTTP method; ``_OTHER`` for all that HTTP does not know.
        status_class: First digit of the status code.
        version: Version of the application; ``""`` where it has none.
    """

    per_s: int
    start_s: int
    service: str
    route: str
    method: str
    status_class: int
    version: str


_KEY = ", ".join(RollupKey._fields)

FIGURES = ("count", "errors", "sum_ms", "max_ms", "histogram")
"""Columns beside those of the key."""

CREATION = (
    f"CREATE TABLE {TABLE} (per_s INTEGER NOT NULL, start_s INTEGER NOT NULL, service TEXT NOT NULL,"
    " route TEXT NOT NULL, method TEXT NOT NULL, status_class INTEGER NOT NULL, version TEXT NOT NULL,"
    " count INTEGER NOT NULL, errors INTEGER NOT NULL, sum_ms REAL NOT NULL, max_ms REAL NOT NULL,"
    f" histogram BLOB NOT NULL, PRIMARY KEY ({_KEY})) WITHOUT ROWID"
)
"""Makes the table; ``histogram`` is ``Histogram.encode`` of the durations in milliseconds."""

_MERGING = (
    f"INSERT INTO {TABLE} ({_KEY}, {', '.join(FIGURES)})"  # noqa: S608 - our own names
    f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({_KEY}) DO UPDATE SET count = count + excluded.count,"
    " errors = errors + excluded.errors, sum_ms = sum_ms + excluded.sum_ms, max_ms = max(max_ms, excluded.max_ms),"
    " histogram = chest_merged(histogram, excluded.histogram)"
)


class Figures:
    """Figures of a group of requests.

    Attributes:
        count: How many there were.
        errors: How many of them recorded an exception, handled or not.
        sum_ms: How long they took together, milliseconds.
        max_ms: How long the longest took, milliseconds.
        histogram: How long each took, milliseconds.
    """

    __slots__ = ("count", "errors", "histogram", "max_ms", "sum_ms")

    def __init__(self) -> None:
        """Begin with nothing."""
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

    def merge(self, other: Figures) -> None:
        """Add all requests of others."""
        self.histogram.merge(other.histogram)
        self._add(other.count, other.errors, other.sum_ms, other.max_ms)

    def merge_row(self, count: int, errors: int, sum_ms: float, max_ms: float, histogram: bytes) -> None:
        """Add what a row of the table says."""
        self.histogram.merge_encoded(histogram)
        self._add(count, errors, sum_ms, max_ms)

    def quantile_ms(self, share: float) -> float | None:
        """How long at most that share of them took, milliseconds, at most 1.1 % beside the true value."""
        found = self.histogram.quantile(share)
        return None if found is None else min(found, self.max_ms)

    def _add(self, count: int, errors: int, sum_ms: float, max_ms: float) -> None:
        self.count += count
        self.errors += errors
        self.sum_ms += sum_ms
        self.max_ms = max(self.max_ms, max_ms)


def prepare(connection: sqlite3.Connection) -> None:
    """Teach a connection how histograms are merged."""
    connection.create_function("chest_merged", 2, _merged, deterministic=True)


def start_s_of(record_key: str) -> int:
    """When the request of that key began, seconds since 1970 UTC."""
    return int(record_key[:16], 16) // 10**9


def key_of(row: Iterable[object]) -> RollupKey:
    """The minute, and the rest, that a row of ``COUNTED_COLUMNS`` belongs to."""
    record_key, service, route, method, status, _, version, _ = row
    start_s = start_s_of(str(record_key))
    return RollupKey(
        MINUTE_S,
        start_s - start_s % MINUTE_S,
        str(service),
        str(route or ""),
        metric_method(str(method)),
        int(status) // 100,  # type: ignore[call-overload]  # an integer: the writer's own, or cast by the query
        str(version or ""),
    )


def tallied(rows: Iterable[tuple[object, ...]]) -> dict[RollupKey, Figures]:
    """Figures of requests by minute; rows have the columns ``COUNTED_COLUMNS``."""
    found: dict[RollupKey, Figures] = {}
    for row in rows:
        key = key_of(row)
        figures = found.get(key)
        if figures is None:
            figures = found[key] = Figures()
        figures.add(float(row[5]), failed=row[7] is not None)  # type: ignore[arg-type]  # as above
    return found


def add(connection: sqlite3.Connection, minutes: dict[RollupKey, Figures]) -> None:
    """Add what requests of some minutes were to the roll-ups, in the caller's transaction."""
    connection.executemany(_MERGING, _rows(minutes))


def count_the_rest(connection: sqlite3.Connection) -> None:
    """Count requests that others have inserted without counting them; costs one small read when there are none."""
    give_up_at = time.monotonic() + COUNTING_S
    while time.monotonic() < give_up_at and _any_uncounted(connection):
        with transaction(connection):
            rows = connection.execute(_UNCOUNTED, (COUNTED_AT_ONCE,)).fetchall()
            add(connection, tallied(rows))
            marks = ((row[0],) for row in rows)
            connection.executemany("UPDATE chest_requests SET counted = 1 WHERE record_key = ?", marks)
        time.sleep(0)


def trim(connection: sqlite3.Connection) -> None:
    """Delete the roll-ups of times from which no request is left, in the caller's transaction."""
    (oldest,) = connection.execute("SELECT min(record_key) FROM chest_requests").fetchone()
    oldest_s = start_s_of(oldest) if oldest is not None else 2**62
    for per_s in LEVELS_S:
        connection.execute(f"DELETE FROM {TABLE} WHERE per_s = ? AND start_s <= ?", (per_s, oldest_s - per_s))  # noqa: S608 - our own name


_UNCOUNTED = (
    f"SELECT {', '.join(f'CAST({name} AS {_TYPES[name]})' if name in _TYPES else name for name in COUNTED_COLUMNS)}"  # noqa: S608 - our own names
    " FROM chest_requests WHERE counted IS NULL ORDER BY record_key LIMIT ?"
)


def _any_uncounted(connection: sqlite3.Connection) -> bool:
    sql = "SELECT EXISTS (SELECT 1 FROM chest_requests WHERE counted IS NULL)"
    return bool(connection.execute(sql).fetchone()[0])


def _rows(minutes: dict[RollupKey, Figures]) -> Iterator[tuple[object, ...]]:
    levels = dict(minutes)
    for per_s in LEVELS_S[1:]:
        for key, figures in minutes.items():
            wider = key._replace(per_s=per_s, start_s=key.start_s - key.start_s % per_s)
            levels.setdefault(wider, Figures()).merge(figures)
    for key, figures in levels.items():
        yield (*key, figures.count, figures.errors, figures.sum_ms, figures.max_ms, figures.histogram.encode())


def _merged(first: bytes, second: bytes) -> bytes:
    both = Histogram.decode(first)
    both.merge_encoded(second)
    return both.encode()
