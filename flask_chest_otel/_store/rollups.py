"""Roll-ups: how many requests of one kind began in a minute, an hour or a day, and how long they took.

Overviews are made of these, however many requests there are. Requests are rolled up in the order of their keys, up to
the one that ``chest_rolled_up`` names. Who inserts an older one, a worker of release 0.1.0, too, finds a trigger
that notes its key in ``chest_late``: these follow. Until then, readers add the requests themselves.

Requests are deleted in the order of their keys, too, and stay counted. So roll-ups say nothing of a time from which
some are deleted; what is left of it, or comes late, readers add themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask_chest_otel._base.histogram import Histogram
from flask_chest_otel._records.schema import began_unix_ns
from flask_chest_otel._values.methods import known_method

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

__all__ = [
    "COLUMNS",
    "COUNTED_COLUMNS",
    "CREATION",
    "DAY_S",
    "HOUR_S",
    "LEVELS_S",
    "MINUTE_S",
    "TABLE",
    "TYPED_COLUMNS",
    "Figures",
    "RollupKey",
    "start_s_of",
    "tallied",
    "true_from_ns",
]

TABLE = "chest_rollups"

LEVELS_S = MINUTE_S, HOUR_S, DAY_S = (60, 3600, 86400)
"""How long the times are that are rolled up, seconds; each begins at a multiple of that since 1970 UTC."""

COUNTED_COLUMNS = ("record_key", "service", "route", "method", "status", "duration_ms", "version", "error_type")
"""Columns of a request that are needed for counting it."""


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


COLUMNS = (*RollupKey._fields, "count", "errors", "sum_ms", "max_ms", "histogram")
"""Columns of the table: those of the key, and figures."""

_TYPES = dict.fromkeys(("per_s", "start_s", "status_class", "count", "errors"), "INTEGER")
_TYPES |= {"sum_ms": "REAL", "max_ms": "REAL", "histogram": "BLOB"}

TYPED_COLUMNS = ", ".join(f"CAST({name} AS {_TYPES.get(name, 'TEXT')})" for name in COLUMNS)
"""The same for a question, with their types: SQLite itself keeps whatever somebody wrote there."""

CREATION = (
    f"""CREATE TABLE {TABLE} (
        per_s INTEGER NOT NULL, start_s INTEGER NOT NULL, service TEXT NOT NULL, route TEXT NOT NULL,
        method TEXT NOT NULL, status_class INTEGER NOT NULL, version TEXT NOT NULL,
        count INTEGER NOT NULL, errors INTEGER NOT NULL, sum_ms REAL NOT NULL, max_ms REAL NOT NULL,
        histogram BLOB NOT NULL, PRIMARY KEY ({", ".join(RollupKey._fields)})) WITHOUT ROWID""",
    "CREATE TABLE chest_rolled_up (until_key TEXT NOT NULL, deleted_key TEXT NOT NULL)",
    "INSERT INTO chest_rolled_up VALUES ('', '')",
    "CREATE TABLE chest_late (record_key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    """CREATE TRIGGER chest_requests_late AFTER INSERT ON chest_requests
        WHEN NEW.record_key < (SELECT until_key FROM chest_rolled_up)
        BEGIN INSERT OR IGNORE INTO chest_late VALUES (NEW.record_key); END""",
)
"""Statements that make the tables; ``histogram`` is ``Histogram.encode`` of the durations in milliseconds."""


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


def start_s_of(record_key: str) -> int:
    """When the request of that key began, seconds since 1970 UTC; 0 for what is no key."""
    return began_unix_ns(record_key) // 10**9


def true_from_ns(connection: sqlite3.Connection) -> int:
    """From when on no request is deleted that roll-ups have counted, nanoseconds since 1970 UTC."""
    # A worker of release 0.1.0 deletes without a word, but the oldest ones, too.
    oldest, deleted = connection.execute(_ENDS).fetchone() or (None, "")
    return max(began_unix_ns(oldest) if oldest is not None else 0, began_unix_ns(deleted) + 1 if deleted else 0)


_ENDS = "SELECT (SELECT min(record_key) FROM chest_requests), deleted_key FROM chest_rolled_up"


def tallied(rows: Iterable[tuple[Any, ...]], unit_s: int = MINUTE_S) -> dict[RollupKey, Figures]:
    """Figures of requests by minute, or by another unit; rows have the columns ``COUNTED_COLUMNS``."""
    found: dict[tuple[object, ...], Figures] = {}
    for row in rows:
        place = _place(row, unit_s)
        figures = found.get(place)
        if figures is None:
            figures = found[place] = Figures()
        figures.add(row[5], failed=row[7] is not None)
    keys: dict[RollupKey, Figures] = {}
    for place, figures in found.items():
        # Methods that HTTP does not know are one.
        keys.setdefault(_key(place, unit_s), Figures()).merge(figures)
    return keys


def _place(row: tuple[Any, ...], unit_s: int) -> tuple[object, ...]:
    """What tells apart requests, as quickly as it can be had: each one comes here."""
    record_key, service, route, method, status, _, version, _ = row
    return start_s_of(record_key) // unit_s, service, route, method, status // 100, version


def _key(place: tuple[Any, ...], unit_s: int) -> RollupKey:
    number, service, route, method, status_class, version = place
    return RollupKey(unit_s, number * unit_s, service, route or "", known_method(method), status_class, version or "")
