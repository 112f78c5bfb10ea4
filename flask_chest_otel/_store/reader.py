"""Questions to an embedded store, for the command line and the viewer: read-only, while the application writes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timezone
from typing import TYPE_CHECKING, Any

from flask_chest_otel._records.schema import REQUESTS, VARIABLES, began_unix_ns, clean, utc_text
from flask_chest_otel._store import packed, slo_counts
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
from flask_chest_otel._store.opening import StoreReadError, opened
from flask_chest_otel._store.overview import Groups, overview
from flask_chest_otel._store.rollups import COUNTED_COLUMNS
from flask_chest_otel._store.rows import stored_request, typed, value_of
from flask_chest_otel._store.wanted import ANY_ERROR, Wanted, conditions

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

__all__ = [
    "ErrorGroup",
    "Losses",
    "OverviewRow",
    "RequestDetails",
    "RequestFacts",
    "SLOCount",
    "StoreExtent",
    "StoreReadError",
    "StoreReader",
    "StoredRequest",
    "VariableFact",
    "Wanted",
    "read_store",
]

MOST = 2**63 - 1
"""The largest number that SQLite knows."""

LAST_CHARACTER = "\U0010ffff"
"""Sorts after all that follows the beginning of an id."""

_REQUEST = tuple(column.name for column in REQUESTS.columns)
_FACTS = ("record_key", *RequestFacts._fields[1:])
_GROUPED = ("service", "error_type", "error_place", "route")
_VARIABLE = ("name", "type", "text_value", "number_value")


@contextmanager
def read_store(path: Path) -> Iterator[StoreReader]:
    """The store at ``path``, open for reading.

    Raises:
        StoreReadError: There is no such file, or it is not a store that this version can read.
    """
    with opened(path) as connection:
        yield StoreReader(connection)


class StoreReader:
    """Answers questions from an open store, all about the moment at which it was opened: see ``read_store``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def requests(self, wanted: Wanted, limit: int) -> list[StoredRequest]:
        """The newest requests, oldest of them first."""
        rows = self._select(_REQUEST, wanted, "ORDER BY record_key DESC LIMIT ?", min(limit, MOST)).fetchall()
        return [self._request(row) for row in reversed(rows)]

    def first_key(self, wanted: Wanted, limit: int) -> str | None:
        """The key of the oldest of the newest requests; ``None``: there is none."""
        condition, values = conditions(wanted)
        newest = f"SELECT record_key FROM chest_requests WHERE {condition} ORDER BY record_key DESC LIMIT ?"  # noqa: S608 - our own words
        found = self._connection.execute(f"SELECT min(record_key) FROM ({newest})", [*values, min(limit, MOST)])  # noqa: S608 - our own words
        key: str | None = found.fetchone()[0]
        return key

    def requests_from(self, wanted: Wanted, key: str, limit: int) -> list[StoredRequest]:
        """The oldest requests that have this key or a later one."""
        rows = self._select(_REQUEST, wanted, "AND record_key >= ? ORDER BY record_key LIMIT ?", key, limit).fetchall()
        return [self._request(row) for row in rows]

    def request(self, text: str, limit: int = 20) -> list[RequestDetails]:
        """The requests that have a request id, trace id or key; where none has, those in which one begins so.

        Args:
            text: The id, or its beginning.
            limit: How many are given at most, the newest; where it is more than one, ``text`` does not say enough.
        """
        found = self._having("= ?1", text, limit)
        if not found and text:
            found = self._having(">= ?1 AND {0} < ?1 || ?2", text, limit)
        return [self._details(row) for row in found]

    def errors(self, wanted: Wanted, newest: int | None = None) -> list[ErrorGroup]:
        """Requests that recorded an exception, by application, class, place and route.

        Args:
            wanted: Which requests.
            newest: So many groups at most, the one of the newest request first; ``None``: all, the most frequent first.
        """
        condition, values = conditions(replace(wanted, error_type=wanted.error_type or ANY_ERROR))
        names = ", ".join(_GROUPED)
        order = "count(*) DESC" if newest is None else "max(record_key) DESC"
        sql = [
            f"SELECT {names}, count(*), total(CAST(error_handled AS INTEGER) > 0), min(record_key), max(record_key)",
            f"FROM chest_requests WHERE {condition} GROUP BY {names} ORDER BY {order}, {names} LIMIT ?",
        ]
        groups = self._connection.execute(" ".join(sql), [*values, MOST if newest is None else newest]).fetchall()
        return [self._error_group(group, condition, values) for group in groups]

    def overview(
        self,
        wanted: Wanted,
        by: Sequence[str] = ("service", "route", "method"),
        per_s: int | None = None,
        zone: tzinfo = timezone.utc,
    ) -> list[OverviewRow]:
        """Figures of all wanted requests; from roll-ups, unless ``wanted`` has what these do not tell apart.

        They tell apart time, application, route, method, version, and classes of status such as 500 to 599; for all
        else each request is read.

        Args:
            wanted: Which requests.
            by: What a row is about: names out of ``overview.BY``; without one there is one row.
            per_s: How long the time of a row is, seconds (where no whole minutes, each request is read); ``None``: all.
            zone: Whose hours and days these times are.

        Returns:
            One row for each time and group that had requests, in their order; ``overview.merged`` adds rows up.
        """

        def requests(condition: str, values: Sequence[str]) -> sqlite3.Cursor:
            return self._select(COUNTED_COLUMNS, wanted, f"AND {condition}", *values)

        return overview(self._connection, requests, wanted, Groups(by, per_s, zone))

    def extent(self) -> StoreExtent:
        """How many requests there are, and from when to when."""
        span = self.span(Wanted())
        first, last = map(utc_text, span) if span is not None else (None, None)
        return StoreExtent(sum(row.count for row in self.overview(Wanted(), ())), first, last)

    def facts(self, wanted: Wanted) -> Iterator[RequestFacts]:
        """The wanted requests, without variables, in the order of their keys."""
        return map(RequestFacts._make, self._select(_FACTS, wanted, "ORDER BY record_key"))

    def variable_facts(self, wanted: Wanted, names: Sequence[str] = ()) -> Iterator[VariableFact]:
        """The variables of the wanted requests, or those with some ``names``, in the order of the requests' keys."""
        condition, values = conditions(wanted)
        chosen = f"AND name IN ({', '.join('?' for _ in names)})" if names else ""
        sql = [
            f"SELECT request_key, {typed(VARIABLES, *_VARIABLE)} FROM chest_requests",  # noqa: S608 - our own words
            "JOIN chest_variables ON request_key = record_key",
            f"WHERE {condition} {chosen} ORDER BY record_key, name",
        ]
        return map(VariableFact._make, self._connection.execute(" ".join(sql), [*values, *map(clean, names)]))

    def span(self, wanted: Wanted) -> tuple[int, int] | None:
        """When the oldest and the newest of the wanted requests began, nanoseconds since 1970 UTC."""
        ends = [
            self._select(("record_key",), wanted, f"ORDER BY record_key {order} LIMIT 1").fetchone()
            for order in ("ASC", "DESC")
        ]
        if ends[0] is None:
            return None
        # A row of somebody else's, whose key is none, may stand at either end.
        first, last = sorted(began_unix_ns(key) for (key,) in ends)
        return first, last

    def newest(self, wanted: Wanted, most: int) -> Wanted:
        """The same requests, but only from the time of the ``most``-th newest on."""
        row = self._select(("record_key",), wanted, "ORDER BY record_key DESC LIMIT 1 OFFSET ?", most - 1).fetchone()
        return wanted if row is None else replace(wanted, since_unix_ns=began_unix_ns(row[0]))

    def losses(self, wanted: Wanted) -> Losses:
        """What is missing in the wanted requests."""
        condition, values = conditions(wanted)
        sql = [
            "SELECT count(refused), total(spans_dropped), total(logs_dropped), total(spans_complete = 0)",
            f"FROM chest_requests WHERE {condition}",
        ]
        return Losses._make(map(int, self._connection.execute(" ".join(sql), values).fetchone()))

    def slo_counts(
        self, since_s: float, until_s: float, per_s: int | None = None, service: str | None = None
    ) -> list[SLOCount]:
        """How many requests of each objective were good and bad in a time: see ``slo_counts.counts``."""
        return slo_counts.counts(self._connection, since_s, until_s, per_s, service)

    def has_variable(self, service: str, name: str) -> bool:
        """Whether any request of an application has had a variable."""
        sql = (
            "SELECT 1 FROM chest_variables JOIN chest_requests ON record_key = request_key"
            " WHERE name = ? AND service = ? LIMIT 1"
        )
        return self._connection.execute(sql, (clean(name), clean(service))).fetchone() is not None

    def _select(self, columns: Iterable[str], wanted: Wanted, end: str = "", *more: object) -> sqlite3.Cursor:
        """``columns`` of the wanted requests."""
        condition, values = conditions(wanted)
        what = f"SELECT {typed(REQUESTS, *columns)} FROM chest_requests"  # noqa: S608 - our own words
        return self._connection.execute(f"{what} WHERE {condition} {end}", [*values, *more])

    def _having(self, condition: str, text: str, limit: int) -> list[tuple[object, ...]]:
        """Rows of requests for which a condition on one of their ids holds, oldest first."""
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

    def _error_group(self, group: tuple[Any, ...], condition: str, values: list[object]) -> ErrorGroup:
        *names, count, handled, first, last = group
        same = " AND ".join(f"{name} IS ?" for name in _GROUPED)
        sql = [
            f"SELECT {typed(REQUESTS, 'request_id', 'error_message')} FROM chest_requests",  # noqa: S608 - our own words
            f"WHERE {condition} AND {same} ORDER BY time DESC, record_key DESC LIMIT 3",
        ]
        newest = self._connection.execute(" ".join(sql), [*values, *names]).fetchall()
        service, kind, place, route = (None if name is None else str(name) for name in names)
        return ErrorGroup(
            service=service or "",
            type=kind or "",
            place=place or "",
            route=route,
            count=count,
            handled=int(handled),
            first=utc_text(began_unix_ns(first)),
            last=utc_text(began_unix_ns(last)),
            last_ids=tuple(request_id for request_id, _ in newest),
            last_message=newest[0][1] or "",
        )

    def _variables(self, key: str) -> dict[str, object]:
        rows = self._connection.execute(
            f"SELECT {typed(VARIABLES, 'name', 'type', 'text_value')} FROM chest_variables"  # noqa: S608 - our own words
            " WHERE request_key = ? ORDER BY name",
            (key,),
        )
        return {name: value_of(kind, text) for name, kind, text in rows}
