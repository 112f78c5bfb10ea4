"""Overviews of a store: from roll-ups if they distinguish what is asked for, else by reading each request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.histogram import Histogram
from flask_chest_otel._records.schema import clean, key_at
from flask_chest_otel._store.answers import OverviewRow
from flask_chest_otel._store.rollups import (
    BETWEEN,
    DAY_S,
    HOUR_S,
    KEY,
    LEVELS_S,
    MINUTE_S,
    TABLES,
    Figures,
    RollupKey,
    start_s_of,
    sums,
    tallied,
    true_from_ns,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from flask_chest_otel._store.rollups import CountedRow
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["BY", "Groups", "merged", "overview"]

BY = ("service", "route", "method", "status_class", "version")
"""Fields that an overview can group by."""

CLIENT_ERRORS, SERVER_ERRORS = 4, 5
"""First digits of status codes."""

NEVER_S = 2**35 // DAY_S * DAY_S
"""Begin of a day in the far future, seconds since 1970 UTC; stands for no end of the time."""


def overview(
    connection: sqlite3.Connection,
    requests: Callable[[str, Sequence[str]], Iterable[CountedRow]],
    wanted: Wanted,
    groups: Groups,
) -> list[OverviewRow]:
    """Return the rows of an overview.

    Args:
        connection: The store.
        requests: Returns ``COUNTED_COLUMNS`` of the wanted requests that meet one more SQL condition; its arguments are
            the condition and the values of its parameters.
        wanted: Selects requests.
        groups: Collects the figures.
    """
    start_s, end_s = _whole_minutes(connection, wanted)
    if not _is_rolled_up(wanted) or start_s >= end_s or groups.unit_s < MINUTE_S:
        groups.add_requests(requests("1", ()))
        return groups.rows()
    (until_key,) = connection.execute("SELECT until_key FROM chest_rolled_up").fetchone() or ("",)
    start_key, end_key = key_at(start_s * 10**9), key_at(end_s * 10**9)
    # Read the partial minutes at both ends, and requests that are not rolled up yet.
    groups.add_requests(requests("record_key < ?", (start_key,)))
    groups.add_requests(requests("record_key >= ?", (end_key,)))
    groups.add_requests(requests("record_key >= ? AND record_key < ?", (max(start_key, until_key), end_key)))
    late = "record_key IN (SELECT record_key FROM chest_late) AND record_key >= ? AND record_key < ?"
    groups.add_requests(requests(late, (start_key, end_key)))
    pieces = list(_pieces(start_s, end_s, groups.levels_s(start_s), start_s_of(until_key)))
    groups.add_rollups(connection.execute(*_rollups(wanted, groups.columns, pieces)))
    return groups.rows()


class Groups:
    """Collects figures by group and interval.

    Args:
        by: Names from ``BY``.
        per_s: Length of a row's interval, seconds; ``None``: one interval for the whole time.
        zone: Time zone in which intervals such as days begin.

    Attributes:
        columns: Fields of the roll-ups' key that the groups need.
        unit_s: Precision of a request's time, seconds: 60, as in roll-ups, or 1 if intervals are not whole minutes.
    """

    def __init__(self, by: Sequence[str], per_s: int | None, zone: tzinfo) -> None:
        self._places = [RollupKey._fields.index(name) for name in by]
        self._per_s = per_s
        self._zone = zone
        self.columns = {*by} if per_s is None else {*by, "start_s"}
        self.unit_s = MINUTE_S if (per_s or MINUTE_S) % MINUTE_S == 0 else 1
        self._offsets_s: dict[int, int] = {}
        self._found: dict[tuple[int | None, tuple[str, ...]], _Group] = {}

    def levels_s(self, start_s: int) -> list[int]:
        """Return the lengths of roll-ups, seconds, that never lie across the border of two intervals."""
        if self._per_s is None:
            return list(LEVELS_S)
        # The offset at one time is enough: clocks are changed by whole hours, except on one island.
        offset_s = self._offset_s(start_s)
        return [one for one in LEVELS_S if self._per_s % one == 0 and offset_s % one == 0 and one < DAY_S] or [MINUTE_S]

    def add_requests(self, rows: Iterable[CountedRow]) -> None:
        """Add requests; rows have the columns ``COUNTED_COLUMNS``."""
        for key, figures in tallied(rows, self.unit_s).items():
            client_errors, server_errors = key.status_class == CLIENT_ERRORS, key.status_class >= SERVER_ERRORS
            self._group(key).add(figures, figures.count * client_errors, figures.count * server_errors)

    def add_rollups(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add sums of roll-ups; rows are those of ``rollups.sums`` with ``ERRORS`` as further columns."""
        for row in rows:
            *key, count, errors, sum_ms, max_ms, histogram, client_errors, server_errors = row
            figures = Figures.of(count, errors, sum_ms, max_ms, Histogram.decode(histogram))
            self._group(RollupKey._make(key)).add(figures, client_errors, server_errors)

    def rows(self) -> list[OverviewRow]:
        """Return the rows, sorted by time and group."""
        found = sorted(self._found.items(), key=_place)
        return [one.row(start_s, group) for (start_s, group), one in found]

    def _group(self, key: RollupKey) -> _Group:
        start_s = None if self._per_s is None else self._begin(key.start_s, self._per_s)
        return self._found.setdefault((start_s, tuple([str(key[place]) for place in self._places])), _Group())

    def _begin(self, at_s: int, per_s: int) -> int:
        offset_s = self._offset_s(at_s)
        return (at_s + offset_s) // per_s * per_s - offset_s

    def _offset_s(self, at_s: int) -> int:
        hour = at_s // HOUR_S
        if hour not in self._offsets_s:
            offset = datetime.fromtimestamp(at_s, self._zone).utcoffset() or timedelta()
            self._offsets_s[hour] = int(offset.total_seconds())
        return self._offsets_s[hour]


class _Group:
    """Figures of one row."""

    __slots__ = ("client_errors", "figures", "server_errors")

    def __init__(self) -> None:
        self.figures = Figures()
        self.client_errors = self.server_errors = 0

    def add(self, figures: Figures, client_errors: int, server_errors: int) -> None:
        self.figures.merge(figures)
        self.client_errors += client_errors
        self.server_errors += server_errors

    def row(self, start_s: int | None, group: tuple[str, ...]) -> OverviewRow:
        total = self.figures
        return OverviewRow(
            start_s=start_s,
            group=group,
            count=total.count,
            client_errors=self.client_errors,
            server_errors=self.server_errors,
            exceptions=total.errors,
            sum_ms=total.sum_ms,
            max_ms=total.max_ms,
            histogram=total.histogram,
        )


def merged(rows: Iterable[OverviewRow]) -> OverviewRow:
    """Return the figures of all rows together as one row."""
    total = _Group()
    for row in rows:
        figures = Figures.of(row.count, row.exceptions, row.sum_ms, row.max_ms, row.histogram)
        total.add(figures, row.client_errors, row.server_errors)
    return total.row(None, ())


def _place(entry: tuple[tuple[int | None, tuple[str, ...]], object]) -> tuple[int, tuple[str, ...]]:
    (start_s, group), _ = entry
    return start_s or 0, group


def _is_rolled_up(wanted: Wanted) -> bool:
    """Whether roll-ups distinguish these requests from others."""
    others = wanted.request_id, wanted.path, wanted.error_type, wanted.slower_than_ms, wanted.bad_for
    lowest, highest = wanted.status or (100, 599)
    return not wanted.variables and all(one is None for one in others) and lowest % 100 == 0 and highest % 100 == 99  # noqa: PLR2004


def _whole_minutes(connection: sqlite3.Connection, wanted: Wanted) -> tuple[int, int]:
    """Return begin and end of the whole minutes in the wanted time, seconds since 1970 UTC."""
    first_ns = max(wanted.since_unix_ns or 0, true_from_ns(connection))
    minute_ns = MINUTE_S * 10**9
    until_ns = NEVER_S * 10**9 if wanted.until_unix_ns is None else wanted.until_unix_ns
    return -(-first_ns // minute_ns) * MINUTE_S, until_ns // minute_ns * MINUTE_S


def _pieces(start_s: int, end_s: int, levels_s: Sequence[int], rolled_up_s: int) -> Iterator[tuple[int, int, int]]:
    """Split a time into parts, each with the longest roll-ups that fit; yields length of a roll-up, begin and end.

    Args:
        start_s: Begin of the time, seconds since 1970 UTC.
        end_s: End of the time, seconds since 1970 UTC.
        levels_s: Lengths of roll-ups, ascending, seconds.
        rolled_up_s: Until when requests are rolled up; an hour or a day exists once it is over and rolled up.
    """
    per_s, *wider = levels_s
    if wider:
        inner_start_s = -(-start_s // wider[0]) * wider[0]
        inner_end_s = min(end_s, rolled_up_s) // wider[0] * wider[0]
        if inner_start_s < inner_end_s:
            yield per_s, start_s, inner_start_s
            yield from _pieces(inner_start_s, inner_end_s, wider, rolled_up_s)
            start_s = inner_end_s
    yield per_s, start_s, end_s


ERRORS = tuple(
    f"CAST(total(CAST(count AS INTEGER) * (CAST(status_class AS INTEGER) {which})) AS INTEGER)"
    for which in (f"= {CLIENT_ERRORS}", f">= {SERVER_ERRORS}")
)
"""SQL expressions for the numbers of client errors and of server errors in roll-ups."""


def _rollups(wanted: Wanted, columns: set[str], pieces: Sequence[tuple[int, ...]]) -> tuple[str, list[object]]:
    """Return the SQL query for the wanted roll-ups in some parts of the time, and its values."""
    terms = _terms(wanted)
    needed = columns | {term.split()[0] for term in terms}
    # Use the smaller table if it has all needed fields.
    table = next(table for table in TABLES if not table.without & needed)
    one = f"SELECT * FROM {table.name} WHERE {' AND '.join([BETWEEN, *terms])}"  # noqa: S608 - our own names
    question = sums(f"({' UNION ALL '.join([one] * len(pieces))})", {name: KEY[name] for name in columns}, *ERRORS)
    return question, [value for piece in pieces for value in (*piece, *terms.values())]


def _terms(wanted: Wanted) -> dict[str, object]:
    """Return conditions on columns of roll-ups, each with its value."""
    lowest, highest = wanted.status or (None, None)
    terms = {
        "service = ?": wanted.service,
        "route = ?": wanted.route,
        "method = ?": wanted.method,
        "version = ?": wanted.version,
        "status_class >= ?": None if lowest is None else lowest // 100,
        "status_class <= ?": None if highest is None else highest // 100,
    }
    given = {term: clean(value) if isinstance(value, str) else value for term, value in terms.items()}
    return {term: value for term, value in given.items() if value is not None}
