"""Reads an embedded store for commands and the viewer; the application can write at the same time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timezone
from typing import TYPE_CHECKING, Any

from flask_chest_otel._records.schema import began_unix_ns, clean, utc_text
from flask_chest_otel._records.tables import REQUESTS, VARIABLES
from flask_chest_otel._store import arrivals, packed, slo_counts
from flask_chest_otel._store.answers import (
    ErrorGroup,
    Losses,
    OverviewRow,
    RequestDetails,
    RequestFacts,
    SLOCount,
    StoredRequest,
    StoreExtent,
    VariableFact,
)
from flask_chest_otel._store.error_groups import error_groups
from flask_chest_otel._store.opening import opened
from flask_chest_otel._store.overview import Groups, overview
from flask_chest_otel._store.rollups import COUNTED_COLUMNS
from flask_chest_otel._store.rows import stored_request, typed, value_of
from flask_chest_otel._store.wanted import Wanted, conditions

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

__all__ = [
    "StoreReader",
    "read_store",
]

MOST = 2**63 - 1
"""The largest integer of SQLite."""

LAST_CHARACTER = "\U0010ffff"
"""Sorts after every character that can follow the beginning of an id."""

_REQUEST = tuple(column.name for column in REQUESTS.columns)
_FACTS = ("record_key", *RequestFacts._fields[1:])
_VARIABLE = ("name", "type", "text_value", "number_value")


@contextmanager
def read_store(path: Path) -> Iterator[StoreReader]:
    """Open the store at ``path`` for reading.

    Raises:
        StoreReadError: The file does not exist, or this version cannot read it.
    """
    with opened(path) as connection:
        yield StoreReader(connection)


class StoreReader:
    """Answers questions about an open store, as it was when ``read_store`` opened it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def requests(self, wanted: Wanted, limit: int) -> list[StoredRequest]:
        """Return the newest wanted requests, at most ``limit``; the oldest of them comes first."""
        rows = self._select(_REQUEST, wanted, "ORDER BY record_key DESC LIMIT ?", min(limit, MOST)).fetchall()
        return [self._request(row) for row in reversed(rows)]

    def first_key(self, wanted: Wanted, limit: int) -> str | None:
        """Return the key of the oldest request among the newest ``limit``; ``None``: there is none."""
        condition, values = conditions(wanted)
        newest = f"SELECT record_key FROM chest_requests WHERE {condition} ORDER BY record_key DESC LIMIT ?"  # noqa: S608 - our own words
        found = self._connection.execute(f"SELECT min(record_key) FROM ({newest})", [*values, min(limit, MOST)])  # noqa: S608 - our own words
        key: str | None = found.fetchone()[0]
        return key

    def requests_from(self, wanted: Wanted, key: str, limit: int) -> list[StoredRequest]:
        """Return the oldest wanted requests with this key or a later one, at most ``limit``."""
        rows = self._select(_REQUEST, wanted, "AND record_key >= ? ORDER BY record_key LIMIT ?", key, limit).fetchall()
        return [self._request(row) for row in rows]

    def arrived(self, wanted: Wanted, after: str, limit: int) -> list[StoredRequest]:
        """The requests that came last, in the order in which they came: see ``arrivals``.

        Args:
            wanted: Which requests.
            after: The key of a request; only those that came after it.
            limit: How many are given at most, the last ones.
        """
        number = arrivals.number_of(self._connection, after)
        end = "AND number > ? ORDER BY number DESC LIMIT ?"
        rows = self._select(_REQUEST, wanted, end, number, limit, table=arrivals.JOINED).fetchall()
        return [self._request(row) for row in reversed(rows)]

    def last_arrived(self) -> str:
        """The key of the request that came last; empty: none is remembered."""
        return arrivals.last_key(self._connection) or ""

    def request(self, text: str, limit: int = 20) -> list[RequestDetails]:
        """Return the requests with a request id, trace id or key; if there are none, those with an id that begins so.

        Args:
            text: The id, or its beginning.
            limit: How many requests to return at most, the newest. Several requests mean that ``text`` is ambiguous.
        """
        found = self._having("= ?1", text, limit)
        if not found and text:
            found = self._having(">= ?1 AND {0} < ?1 || ?2", text, limit)
        return [self._details(row) for row in found]

    def errors(self, wanted: Wanted, newest: int | None = None) -> list[ErrorGroup]:
        """Return groups of requests with an exception, by application, class, place and route.

        Args:
            wanted: Selects requests.
            newest: Return this many groups, the one with the newest request first; ``None``: all, the largest first.
        """
        return error_groups(self._connection, wanted, newest or 0)

    def overview(
        self,
        wanted: Wanted,
        by: Sequence[str] = ("service", "route", "method"),
        per_s: int | None = None,
        zone: tzinfo = timezone.utc,
    ) -> list[OverviewRow]:
        """Return figures of all wanted requests.

        They come from roll-ups if ``wanted`` selects by time, application, route, method, version or classes of status
        such as 500 to 599 only; else each request is read.

        Args:
            wanted: Selects requests.
            by: Fields to group by, from ``overview.BY``; empty: one group.
            per_s: Length of a row's interval, seconds; ``None``: one interval. If these are not whole minutes, each
                request is read.
            zone: Time zone in which intervals such as days begin.

        Returns:
            One row for each interval and group with requests, sorted; ``overview.merged`` adds rows up.
        """

        def requests(condition: str, values: Sequence[str]) -> sqlite3.Cursor:
            return self._select(COUNTED_COLUMNS, wanted, f"AND {condition}", *values)

        return overview(self._connection, requests, wanted, Groups(by, per_s, zone))

    def extent(self) -> StoreExtent:
        """Return the number of requests, and when the first and the last began."""
        span = self.span(Wanted())
        first, last = map(utc_text, span) if span is not None else (None, None)
        return StoreExtent(sum(row.count for row in self.overview(Wanted(), ())), first, last)

    def facts(self, wanted: Wanted) -> Iterator[RequestFacts]:
        """Return the wanted requests without variables, sorted by key."""
        return map(RequestFacts._make, self._select(_FACTS, wanted, "ORDER BY record_key"))

    def variable_facts(self, wanted: Wanted, names: Sequence[str] = ()) -> Iterator[VariableFact]:
        """Return the variables of the wanted requests, sorted by the requests' keys; only ``names`` if given."""
        condition, values = conditions(wanted)
        chosen = f"AND name IN ({', '.join('?' for _ in names)})" if names else ""
        sql = [
            f"SELECT request_key, {typed(VARIABLES, *_VARIABLE)} FROM chest_requests",  # noqa: S608 - our own words
            "JOIN chest_variables ON request_key = record_key",
            f"WHERE {condition} {chosen} ORDER BY record_key, name",
        ]
        return map(VariableFact._make, self._connection.execute(" ".join(sql), [*values, *map(clean, names)]))

    def span(self, wanted: Wanted) -> tuple[int, int] | None:
        """Return when the oldest and the newest wanted request began, nanoseconds since 1970 UTC; ``None``: none."""
        ends = [
            self._select(("record_key",), wanted, f"ORDER BY record_key {order} LIMIT 1").fetchone()
            for order in ("ASC", "DESC")
        ]
        if ends[0] is None:
            return None
        # A row that another program inserted may have no valid key and stand at either end.
        first, last = sorted(began_unix_ns(key) for (key,) in ends)
        return first, last

    def newest(self, wanted: Wanted, most: int) -> Wanted:
        """Return ``wanted`` limited to the time since the ``most``-th newest request."""
        row = self._select(("record_key",), wanted, "ORDER BY record_key DESC LIMIT 1 OFFSET ?", most - 1).fetchone()
        return wanted if row is None else replace(wanted, since_unix_ns=began_unix_ns(row[0]))

    def losses(self, wanted: Wanted) -> Losses:
        """Return what is missing in the wanted requests."""
        condition, values = conditions(wanted)
        sql = [
            "SELECT count(refused), total(spans_dropped), total(logs_dropped), total(spans_complete = 0)",
            f"FROM chest_requests WHERE {condition}",
        ]
        return Losses._make(map(int, self._connection.execute(" ".join(sql), values).fetchone()))

    def slo_counts(
        self, since_s: float, until_s: float, per_s: int | None = None, service: str | None = None
    ) -> list[SLOCount]:
        """Return how many requests of each objective were good and bad: see ``slo_counts.counts``."""
        return slo_counts.counts(self._connection, since_s, until_s, per_s, service)

    def has_variable(self, service: str, name: str) -> bool:
        """Whether a request of the application ``service`` has a variable ``name``."""
        sql = (
            "SELECT 1 FROM chest_variables JOIN chest_requests ON record_key = request_key"
            " WHERE name = ? AND service = ? LIMIT 1"
        )
        return self._connection.execute(sql, (clean(name), clean(service))).fetchone() is not None

    def _select(
        self, columns: Iterable[str], wanted: Wanted, end: str = "", *more: object, table: str = REQUESTS.name
    ) -> sqlite3.Cursor:
        """Return columns of the wanted requests; ``end`` is appended to the SQL query, ``more`` are its values."""
        condition, values = conditions(wanted)
        what = f"SELECT {typed(REQUESTS, *columns)} FROM {table}"  # noqa: S608 - our own words
        return self._connection.execute(f"{what} WHERE {condition} {end}", [*values, *more])

    def _having(self, condition: str, text: str, limit: int) -> list[tuple[object, ...]]:
        """Return rows of requests of which one id meets an SQL condition, the oldest first."""
        found: dict[str, tuple[object, ...]] = {}
        for column in ("record_key", "request_id", "trace_id"):
            sought = clean(text if column == "request_id" else text.lower())
            sql = [
                f"SELECT {typed(REQUESTS, *_REQUEST)} FROM chest_requests",  # noqa: S608 - our own words
                f"WHERE {column} {condition.format(column)} ORDER BY record_key DESC LIMIT ?3",
            ]
            rows = self._connection.execute(" ".join(sql), (sought, LAST_CHARACTER, limit))
            found |= {row[0]: row for row in rows}
        return [found[key] for key in sorted(found)[-limit:]]

    def _details(self, row: tuple[object, ...]) -> RequestDetails:
        sql = "SELECT spans, logs FROM chest_details WHERE request_key = ?"
        found = self._connection.execute(sql, row[:1]).fetchone() or (None, None)
        return RequestDetails(self._request(row), packed.spans(found[0]), packed.log_lines(found[1]))

    def _request(self, row: tuple[Any, ...]) -> StoredRequest:
        return stored_request(dict(zip(_REQUEST, row, strict=True)), self._variables(row[0]))

    def _variables(self, key: str) -> dict[str, object]:
        rows = self._connection.execute(
            f"SELECT {typed(VARIABLES, 'name', 'type', 'text_value')} FROM chest_variables"  # noqa: S608 - our own words
            " WHERE request_key = ? ORDER BY name",
            (key,),
        )
        return {name: value_of(kind, text) for name, kind, text in rows}
