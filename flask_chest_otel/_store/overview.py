"""Overviews over all of a store: from roll-ups where these tell apart what is asked for, else from each request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask_chest_otel._records.schema import clean, key_at
from flask_chest_otel._store.answers import OverviewRow
from flask_chest_otel._store.rollups import (
    DAY_S,
    HOUR_S,
    LEVELS_S,
    MINUTE_S,
    TABLE,
    TYPED_COLUMNS,
    Figures,
    RollupKey,
    start_s_of,
    tallied,
    true_from_ns,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from flask_chest_otel._store.wanted import Wanted

__all__ = ["BY", "Groups", "merged", "overview"]

BY = ("service", "route", "method", "status_class", "version")
"""By what an overview can be grouped."""

CLIENT_ERRORS, SERVER_ERRORS = 4, 5
"""First digits of status codes."""

NEVER_S = 2**35 // DAY_S * DAY_S
"""The begin of a day that nobody lives to see, seconds since 1970."""


def overview(
    connection: sqlite3.Connection,
    requests: Callable[[str, Sequence[str]], Iterable[tuple[object, ...]]],
    wanted: Wanted,
    groups: Groups,
) -> list[OverviewRow]:
    """Rows of an overview.

    Args:
        connection: The store.
        requests: Gives columns of the wanted requests for which a further condition holds, with its values.
        wanted: Which requests.
        groups: What they are grouped by.
    """
    start_s, end_s = _whole_minutes(connection, wanted)
    if not _is_rolled_up(wanted) or start_s >= end_s or groups.unit_s < MINUTE_S:
        groups.add_requests(requests("1", ()))
        return groups.rows()
    (until_key,) = connection.execute("SELECT until_key FROM chest_rolled_up").fetchone() or ("",)
    start_key, end_key = key_at(start_s * 10**9), key_at(end_s * 10**9)
    # The minutes at both ends that are asked for in part, and what is not rolled up yet.
    groups.add_requests(requests("record_key < ?", (start_key,)))
    groups.add_requests(requests("record_key >= ?", (end_key,)))
    groups.add_requests(requests("record_key >= ? AND record_key < ?", (max(start_key, until_key), end_key)))
    late = "record_key IN (SELECT record_key FROM chest_late) AND record_key >= ? AND record_key < ?"
    groups.add_requests(requests(late, (start_key, end_key)))
    condition, values = _condition(wanted)
    rolled_up_s = start_s_of(until_key)
    for piece in _pieces(start_s, end_s, groups.levels_s(start_s), rolled_up_s):
        groups.add_rollups(connection.execute(_ROLLUPS + condition, (*piece, *values)))
    return groups.rows()


class Groups:
    """Collects figures by group and time.

    Args:
        by: Names out of ``BY``.
        per_s: How long the time of a row is, seconds; ``None``: all of the time.
        zone: Whose days and hours they are.

    Attributes:
        unit_s: By what requests are told apart in time, seconds: a minute, as roll-ups do, where that is enough.
    """

    def __init__(self, by: Sequence[str], per_s: int | None, zone: tzinfo) -> None:
        self._places = [RollupKey._fields.index(name) for name in by]
        self._per_s = per_s
        self._zone = zone
        self.unit_s = MINUTE_S if (per_s or MINUTE_S) % MINUTE_S == 0 else 1
        self._offsets_s: dict[int, int] = {}
        self._found: dict[tuple[int | None, tuple[str, ...]], dict[int, Figures]] = {}

    def levels_s(self, start_s: int) -> list[int]:
        """Lengths of roll-ups that lie in one row each."""
        if self._per_s is None:
            return list(LEVELS_S)
        # The offset of today is as good as any: changes of the clock are whole hours, but for one island.
        offset_s = self._offset_s(start_s)
        return [one for one in LEVELS_S if self._per_s % one == 0 and offset_s % one == 0 and one < DAY_S] or [MINUTE_S]

    def add_requests(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Add requests, one by one; they have ``COUNTED_COLUMNS``."""
        for key, figures in tallied(rows, self.unit_s).items():
            self._figures(key).merge(figures)

    def add_rollups(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows of the table of roll-ups."""
        for row in rows:
            self._figures(RollupKey._make(row[:7])).merge_row(*row[7:])

    def rows(self) -> list[OverviewRow]:
        """What was found, by time and group."""
        found = sorted(self._found.items(), key=_place)
        return [_row(start_s, group, classes) for (start_s, group), classes in found]

    def _figures(self, key: RollupKey) -> Figures:
        start_s = None if self._per_s is None else self._begin(key.start_s, self._per_s)
        place = start_s, tuple([str(key[place]) for place in self._places])
        classes = self._found.setdefault(place, {})
        found = classes.get(key.status_class)
        if found is None:
            found = classes[key.status_class] = Figures()
        return found

    def _begin(self, at_s: int, per_s: int) -> int:
        offset_s = self._offset_s(at_s)
        return (at_s + offset_s) // per_s * per_s - offset_s

    def _offset_s(self, at_s: int) -> int:
        hour = at_s // HOUR_S
        if hour not in self._offsets_s:
            offset = datetime.fromtimestamp(at_s, self._zone).utcoffset() or timedelta()
            self._offsets_s[hour] = int(offset.total_seconds())
        return self._offsets_s[hour]


def merged(rows: Iterable[OverviewRow]) -> OverviewRow:
    """Figures of all rows together."""
    total, client_errors, server_errors = Figures(), 0, 0
    for row in rows:
        total.merge_row(row.count, row.exceptions, row.sum_ms, row.max_ms, row.histogram.encode())
        client_errors += row.client_errors
        server_errors += row.server_errors
    return _overview_row(None, (), total, client_errors, server_errors)


def _place(entry: tuple[tuple[int | None, tuple[str, ...]], object]) -> tuple[int, tuple[str, ...]]:
    (start_s, group), _ = entry
    return start_s or 0, group


def _row(start_s: int | None, group: tuple[str, ...], classes: dict[int, Figures]) -> OverviewRow:
    total = Figures()
    for figures in classes.values():
        total.merge(figures)
    client_errors = classes[CLIENT_ERRORS].count if CLIENT_ERRORS in classes else 0
    server_errors = sum(figures.count for status, figures in classes.items() if status >= SERVER_ERRORS)
    return _overview_row(start_s, group, total, client_errors, server_errors)


def _overview_row(
    start_s: int | None, group: tuple[str, ...], total: Figures, client_errors: int, server_errors: int
) -> OverviewRow:
    return OverviewRow(
        start_s=start_s,
        group=group,
        count=total.count,
        client_errors=client_errors,
        server_errors=server_errors,
        exceptions=total.errors,
        sum_ms=total.sum_ms,
        max_ms=total.max_ms,
        histogram=total.histogram,
    )


def _is_rolled_up(wanted: Wanted) -> bool:
    """Whether roll-ups tell these requests apart."""
    others = wanted.request_id, wanted.path, wanted.error_type, wanted.slower_than_ms
    lowest, highest = wanted.status or (100, 599)
    return not wanted.variables and all(one is None for one in others) and lowest % 100 == 0 and highest % 100 == 99  # noqa: PLR2004


def _whole_minutes(connection: sqlite3.Connection, wanted: Wanted) -> tuple[int, int]:
    """The first and the end of the whole minutes that are wanted, seconds since 1970."""
    first_ns = max(wanted.since_unix_ns or 0, true_from_ns(connection))
    minute_ns = MINUTE_S * 10**9
    until_ns = NEVER_S * 10**9 if wanted.until_unix_ns is None else wanted.until_unix_ns
    return -(-first_ns // minute_ns) * MINUTE_S, until_ns // minute_ns * MINUTE_S


def _pieces(start_s: int, end_s: int, levels_s: Sequence[int], rolled_up_s: int) -> Iterator[tuple[int, int, int]]:
    """Parts of a time that together are all of it, each with the longest level that fits; levels ascend.

    Hours and days are there as soon as all of them is rolled up.
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


_ROLLUPS = (
    f"SELECT {TYPED_COLUMNS} FROM {TABLE}"  # noqa: S608 - our own names
    " WHERE per_s = ? AND start_s >= ? AND start_s < ?"
)


def _condition(wanted: Wanted) -> tuple[str, list[object]]:
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
    wanting = {term: value for term, value in given.items() if value is not None}
    return "".join(f" AND {term}" for term in wanting), list(wanting.values())
