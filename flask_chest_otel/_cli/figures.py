"""Calculates counts and durations of groups of requests: by route and method, by a variable's value, or by time."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from flask_chest_otel._analysis.chosen import joined
from flask_chest_otel._analysis.times import read_moments
from flask_chest_otel._base.statuses import CLIENT_ERROR, SERVER_ERROR
from flask_chest_otel._base.text import shown_number
from flask_chest_otel._cli.output import MISSING, safe
from flask_chest_otel._cli.zones import LocalZone
from flask_chest_otel._records.schema import began_unix_ns
from flask_chest_otel._store.overview import merged
from flask_chest_otel._values.methods import known_method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import tzinfo

    from flask_chest_otel._store.answers import OverviewRow, RequestFacts, VariableFact
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._store.wanted import Wanted

    KeyOf = Callable[[RequestFacts, Sequence[VariableFact]], "Key"]

__all__ = ["SORTS", "Answer", "Figures", "Row", "VariableFigures", "by_route", "by_time", "by_value"]

PARTS = (0.5, 0.95, 0.99)
"""The percentiles that are shown, as parts of 1."""

PER_S = {"minute": 60, "hour": 3600, "day": 86400}

OF_THE_REQUEST = ("route", "method", "status", "version", "service")
"""Fields of a request that ``--by`` takes, too, where no request has a variable of that name."""

MOST_EMPTY = 5000
"""Up to this many minutes, hours or days, those without requests have rows, too; a longer span leaves them out."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a group of requests; durations in milliseconds, ``None`` where there was no request."""

    count: int
    client_errors: int
    server_errors: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, slots=True)
class VariableFigures:
    """Figures of a numeric variable in a group of requests."""

    count: int
    sum: float
    average: float
    p50: float
    p95: float
    p99: float


Key = tuple[str, ...]


@dataclass(slots=True)
class Row:
    """One row of the answer.

    Attributes:
        names: What its requests have in common, for ``--json``.
        cells: The same as cells of a table.
        figures: Figures of its requests.
        variables: Figures of the variables that were asked for, by name.
    """

    names: Mapping[str, str | None]
    cells: Key
    figures: Figures
    variables: dict[str, VariableFigures] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """All rows of a command.

    Attributes:
        kind: ``routes``, ``values`` or ``times``.
        head: Heads of the columns for ``Row.cells``.
        rows: The rows, sorted by name or time until ``sort`` is called.
        total: Figures of all requests together.
    """

    kind: str
    head: Key
    rows: list[Row]
    total: Figures

    def sort(self, by: str | None) -> None:
        """Sort the rows by one of ``SORTS``, the largest first; ``None`` only sorts rows of values, by count."""
        if by is None and self.kind == "values":
            by = "count"
        if by is not None and by != "name":
            self.rows.sort(key=lambda row: _SORTS[by](row.figures) or 0, reverse=True)


_SORTS: dict[str, Callable[[Figures], float | None]] = {
    "count": lambda one: one.count,
    "4xx": lambda one: one.client_errors,
    "5xx": lambda one: one.server_errors,
    "mean": lambda one: one.mean_ms,
    "p50": lambda one: one.p50_ms,
    "p95": lambda one: one.p95_ms,
    "p99": lambda one: one.p99_ms,
    "max": lambda one: one.max_ms,
}

SORTS = ("name", *_SORTS)
"""What rows can be sorted by."""


def by_route(reader: StoreReader, wanted: Wanted, names: Sequence[str]) -> Answer:
    """Return a row for each application, route and method."""
    found = reader.overview(wanted)
    several = len({row.group[0] for row in found}) > 1
    rows: dict[Key, Row] = {}
    for row in found:
        service, route, method = row.group
        cells = (*[safe(service)] * several, f"{safe(method)} {safe(route or MISSING)}")
        rows[row.group] = Row({"service": service, "route": route or None, "method": method}, cells, _figures(row))

    def key_of(one: RequestFacts, _variables: Sequence[VariableFact]) -> Key:
        return one.service, one.route or "", known_method(one.method)

    _add_variables(rows, reader, wanted, names, key_of)
    head = (*["SERVICE"] * several, "REQUEST")
    return Answer("routes", head, list(rows.values()), _figures(merged(found)))


def by_time(reader: StoreReader, wanted: Wanted, per: str, names: Sequence[str], *, utc: bool) -> Answer:
    """Return a row for each minute, hour or day, also for those without requests."""
    zone = timezone.utc if utc else LocalZone()
    found = reader.overview(wanted, (), PER_S[per], zone)
    starts = {row.start_s or 0: _figures(row) for row in found}
    rows: dict[Key, Row] = {
        (str(start_s),): _time_row(start_s, starts.get(start_s, _NONE), per, zone)
        for start_s in _all_starts(sorted(starts), per, zone, utc=utc)
    }
    ordered = sorted(starts)

    def key_of(one: RequestFacts, _variables: Sequence[VariableFact]) -> Key:
        at_s = began_unix_ns(one.key) // 10**9
        return (str(max((start_s for start_s in ordered if start_s <= at_s), default=0)),)

    _add_variables(rows, reader, wanted, names, key_of)
    return Answer("times", ("TIME",), list(rows.values()), _figures(merged(found)))


def by_value(reader: StoreReader, wanted: Wanted, name: str, names: Sequence[str]) -> Answer:
    """Return a row for each value of a variable or of one of ``OF_THE_REQUEST``, and one for requests without it."""
    shown: dict[str, str] = {}

    def of_variable(_: RequestFacts, variables: Sequence[VariableFact]) -> Key:
        values = [found for found in variables if found.name == name]
        shown.update({one.text: shown_number(one.number) for one in values if one.type == "float" and one.number})
        return tuple(one.text for one in values)

    def of_request(one: RequestFacts, _: Sequence[VariableFact]) -> Key:
        value = getattr(one, name)
        return () if value is None else (known_method(value) if name == "method" else str(value),)

    key_of: KeyOf = of_variable
    times = _grouped(reader, wanted, name, key_of)
    if name in OF_THE_REQUEST and times.keys() <= {()}:
        key_of = of_request
        times = _grouped(reader, wanted, name, key_of)
    rows = {
        key: Row({"name": name, "value": value}, (safe(shown.get(str(value), value)),), _exact(group))
        for key, group in sorted(times.items())
        for value in (key[0] if key else None,)
    }
    _add_variables(rows, reader, wanted, names, key_of, name)
    total = _exact([one for group in times.values() for one in group])
    return Answer("values", (safe(name).upper(),), list(rows.values()), total)


def _grouped(reader: StoreReader, wanted: Wanted, name: str, key_of: KeyOf) -> dict[Key, list[RequestFacts]]:
    """Group requests by what ``key_of`` returns; ``key_of`` only gets the variable ``name``."""
    found: dict[Key, list[RequestFacts]] = defaultdict(list)
    for one, variables in joined(reader.facts(wanted), reader.variable_facts(wanted, (name,))):
        found[key_of(one, variables)].append(one)
    return found


def _add_variables(
    rows: Mapping[Key, Row],
    reader: StoreReader,
    wanted: Wanted,
    names: Sequence[str],
    key_of: KeyOf,
    *more: str,
) -> None:
    """Add to each row the figures of the variables ``names``; booleans, NaN and infinity are left out."""
    if not names:
        return
    values: dict[tuple[Key, str], list[float]] = defaultdict(list)
    for one, variables in joined(reader.facts(wanted), reader.variable_facts(wanted, (*names, *more))):
        for found in variables:
            if found.name in names and found.number is not None and found.type in {"int", "float"}:
                values[key_of(one, variables), found.name].append(found.number)
    for (key, name), group in values.items():
        if key in rows:
            rows[key].variables[name] = _of_variable(group)


def _of_variable(group: list[float]) -> VariableFigures:
    group.sort()
    total = math.fsum(group)
    return VariableFigures(len(group), total, total / len(group), *(_rank(group, part) for part in PARTS))


def _rank(ranked: Sequence[float], part: float) -> float:
    """Return the percentile by nearest rank, which is one of the values."""
    return ranked[max(0, math.ceil(part * len(ranked)) - 1)]


_NONE = Figures(0, 0, 0, None, None, None, None, None)


def _figures(row: OverviewRow) -> Figures:
    if not row.count:
        return _NONE
    p50_ms, p95_ms, p99_ms = row.quantiles_ms(*PARTS)
    mean_ms = None if row.mean_ms is None else round(row.mean_ms, 3)
    return Figures(row.count, row.client_errors, row.server_errors, mean_ms, p50_ms, p95_ms, p99_ms, row.max_ms)


def _exact(group: Sequence[RequestFacts]) -> Figures:
    if not group:
        return _NONE
    times = sorted(one.duration_ms for one in group)
    client_errors = sum(CLIENT_ERROR <= one.status < SERVER_ERROR for one in group)
    server_errors = sum(one.status >= SERVER_ERROR for one in group)
    p50_ms, p95_ms, p99_ms = (_rank(times, part) for part in PARTS)
    mean_ms = round(math.fsum(times) / len(times), 3)
    return Figures(len(group), client_errors, server_errors, mean_ms, p50_ms, p95_ms, p99_ms, times[-1])


def _time_row(start_s: int, figures: Figures, per: str, zone: tzinfo) -> Row:
    begin = datetime.fromtimestamp(start_s, zone)
    return Row(
        {"time": begin.isoformat()}, (f"{begin:%Y-%m-%d}" if per == "day" else f"{begin:%Y-%m-%d %H:%M}",), figures
    )


def _all_starts(found: Sequence[int], per: str, zone: tzinfo, *, utc: bool) -> Iterable[int]:
    """Return the begins of all minutes, hours or days from the first to the last that had requests."""
    if not found or (found[-1] - found[0]) // PER_S[per] > MOST_EMPTY:
        return found
    starts, at_s = [], found[0]
    while at_s <= found[-1]:
        starts.append(at_s)
        at_s = _next_day(at_s, zone, utc=utc) if per == "day" else at_s + PER_S[per]
    return sorted({*starts, *found})


def _next_day(at_s: int, zone: tzinfo, *, utc: bool) -> int:
    # Not 24 hours: with summer time, one day of the year has 23 hours and one has 25.
    day = f"{datetime.fromtimestamp(at_s, zone):%Y-%m-%d}"
    return read_moments(day, 0, utc=utc).end_unix_ns // 10**9
