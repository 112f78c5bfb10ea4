"""``flask chest stats``: transactions, response times and sums of variables, by route and method."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flask_chest_otel._cli import _options
from flask_chest_otel._cli._output import number, safe, say, say_json, say_table
from flask_chest_otel._cli._source import open_store
from flask_chest_otel.chests._reader import Wanted
from flask_chest_otel.tracked import looks_like_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flask_chest_otel.chests._reader import RouteTiming, VariableSum

__all__ = ["command"]

SERVER_ERRORS = 500
"""Status codes from here on are errors of the application, not of its client."""

HEAD = ("METHOD", "ROUTE", "TRANSACTIONS", "ERRORS", "AVERAGE MS", "P95 MS", "MAX MS")
VARIABLES_HEAD = ("METHOD", "ROUTE", "VARIABLE", "COUNT", "SUM", "AVERAGE")


EXAMPLES = """\b
Examples:
  flask chest stats --since 1h
  flask chest stats --route '/cart/<int:cart_id>' --json
"""


class Timing(NamedTuple):
    """Figures of a group of requests; the times in milliseconds, ``None`` where there was no request."""

    transactions: int
    errors: int
    average_ms: float | None
    p95_ms: float | None
    max_ms: float | None


@click.command(name="stats", epilog=EXAMPLES, short_help="Transactions and response times per route.")
@_options.since_option
@_options.route_option
@_options.method_option
@_options.store_option
@_options.json_option
def command(*, since: int | None, route: str | None, method: str | None, store: Path | None, as_json: bool) -> None:
    """Show transactions and response times per route and method, and sums of the numeric variables.

    Errors are responses with a status of 500 and above. P95: 95 of 100 requests were at most that slow.
    """
    wanted = Wanted(since_unix_ns=since, route=_options.route_of(route), method=method)
    with open_store(store) as reader:
        groups = _grouped(reader.timings(wanted))
        sums = [found for found in reader.variable_sums(wanted) if not looks_like_id(found.name)]
    routes = {key: _timing(group) for key, group in sorted(groups.items(), key=_by_name)}
    total = _timing([request for group in groups.values() for request in group])
    if as_json:
        say_json(_as_json(routes, total, sums))
    elif routes:
        _say(routes, total, sums)
    else:
        say("No request in the store is like that.", to_stderr=True)


Key = tuple["str | None", str]


def _by_name(entry: tuple[Key, Any]) -> tuple[str, str]:
    return entry[0][0] or "", entry[0][1]


def _grouped(timings: Iterable[RouteTiming]) -> dict[Key, list[RouteTiming]]:
    groups: dict[Key, list[RouteTiming]] = defaultdict(list)
    for timing in timings:
        groups[timing.route, timing.method].append(timing)
    return groups


def _timing(group: list[RouteTiming]) -> Timing:
    if not group:
        return Timing(0, 0, None, None, None)
    times = sorted(request.duration_ms for request in group)
    errors = sum(request.status >= SERVER_ERRORS for request in group)
    # Nearest rank: a time that a request really took.
    p95 = times[math.ceil(0.95 * len(times)) - 1]
    return Timing(len(times), errors, round(math.fsum(times) / len(times), 3), p95, times[-1])


def _as_json(routes: dict[Key, Timing], total: Timing, sums: list[VariableSum]) -> dict[str, Any]:
    found = {
        key: {"route": key[0], "method": key[1], **timing._asdict(), "variables": {}} for key, timing in routes.items()
    }
    for one in sums:
        figures = {"count": one.samples, "sum": one.total, "average": one.average}
        found[one.route, one.method]["variables"][one.name] = figures
    return {"routes": list(found.values()), "total": total._asdict()}


def _say(routes: dict[Key, Timing], total: Timing, sums: list[VariableSum]) -> None:
    rows = [(safe(method), safe(route), *_cells(timing)) for (route, method), timing in routes.items()]
    say_table(HEAD, [*rows, ("TOTAL", "", *_cells(total))], right=range(2, 7))
    if sums:
        say("")
        say_table(
            VARIABLES_HEAD,
            [
                (safe(s.method), safe(s.route), safe(s.name), str(s.samples), number(s.total), number(s.average))
                for s in sums
            ],
            right=range(3, 6),
        )


def _cells(timing: Timing) -> list[str]:
    return ["-" if figure is None else number(figure) for figure in timing]
