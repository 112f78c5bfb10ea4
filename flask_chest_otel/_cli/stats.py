"""``flask chest stats``: transactions, response times and sums of variables, by application, route and method."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.output import number, safe, say, say_json, say_table
from flask_chest_otel._cli.source import open_store
from flask_chest_otel._store.reader import Wanted
from flask_chest_otel._values.methods import metric_method
from flask_chest_otel.tracked import looks_like_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flask_chest_otel._store.reader import RouteTiming, VariableSum

__all__ = ["command"]

SERVER_ERRORS = 500
"""Status codes from here on are errors of the application, not of its client."""

HEAD = ("METHOD", "ROUTE", "TRANSACTIONS", "ERRORS", "AVERAGE MS", "P95 MS", "MAX MS")
VARIABLES_HEAD = ("METHOD", "ROUTE", "VARIABLE", "COUNT", "SUM", "AVERAGE")


EXAMPLES = """\b
Examples:
  flask chest stats --since 1h
  flask chest stats --route '/cart/<int:cart_id>' --json
  flask chest stats --service shop
"""


class Timing(NamedTuple):
    """Figures of a group of requests; the times in milliseconds, ``None`` where there was no request."""

    transactions: int
    errors: int
    average_ms: float | None
    p95_ms: float | None
    max_ms: float | None


@click.command(name="stats", epilog=EXAMPLES, short_help="Transactions and response times per route.")
@options.since_option
@options.route_option
@options.method_option
@options.service_option
@options.store_option
@options.json_option
def command(
    *,
    since: int | None,
    route: str | None,
    method: str | None,
    service: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show transactions and response times per route and method, and sums of the numeric variables.

    Applications that share an instance folder share a store: each has rows of its own, and a column SERVICE.

    Methods that HTTP does not know, which clients may make up, are one: _OTHER.

    Errors are responses with a status of 500 and above. P95: 95 of 100 requests were at most that slow.
    """
    wanted = Wanted(since_unix_ns=since, route=options.route_of(route), method=method, service=service)
    with open_store(store) as reader:
        groups = _grouped(reader.timings(wanted))
        sums = _summed(found for found in reader.variable_sums(wanted) if not looks_like_id(found.name))
    routes = {key: _timing(group) for key, group in sorted(groups.items(), key=_by_name)}
    total = _timing([request for group in groups.values() for request in group])
    if as_json:
        say_json(_as_json(routes, total, sums))
    elif routes:
        _say(routes, total, sums)
    else:
        say("No request in the store is like that.", to_stderr=True)


class Key(NamedTuple):
    """What a row is about."""

    service: str
    route: str | None
    method: str


def _by_name(entry: tuple[Key, Any]) -> tuple[str, str, str]:
    return entry[0].service, entry[0].route or "", entry[0].method


def _grouped(timings: Iterable[RouteTiming]) -> dict[Key, list[RouteTiming]]:
    groups: dict[Key, list[RouteTiming]] = defaultdict(list)
    for timing in timings:
        groups[_key(timing)].append(timing)
    return groups


def _key(one: RouteTiming | VariableSum) -> Key:
    return Key(one.service, one.route, metric_method(one.method))


def _summed(sums: Iterable[VariableSum]) -> list[VariableSum]:
    """One sum for each row: methods that clients have made up are one."""
    found: dict[tuple[Key, str], VariableSum] = {}
    for one in sums:
        place = _key(one), one.name
        same = found.get(place, one._replace(samples=0, total=0.0))
        samples, total = same.samples + one.samples, same.total + one.total
        found[place] = one._replace(method=place[0].method, samples=samples, total=total, average=total / samples)
    return list(found.values())


def _timing(group: list[RouteTiming]) -> Timing:
    if not group:
        return Timing(0, 0, None, None, None)
    times = sorted(request.duration_ms for request in group)
    errors = sum(request.status >= SERVER_ERRORS for request in group)
    # Nearest rank: a time that a request really took.
    p95 = times[math.ceil(0.95 * len(times)) - 1]
    return Timing(len(times), errors, round(sum(times) / len(times), 3), p95, times[-1])


def _as_json(routes: dict[Key, Timing], total: Timing, sums: list[VariableSum]) -> dict[str, Any]:
    found = {key: {**key._asdict(), **timing._asdict(), "variables": {}} for key, timing in routes.items()}
    for one in sums:
        figures = {"count": one.samples, "sum": one.total, "average": one.average}
        found[_key(one)]["variables"][one.name] = figures
    return {"routes": list(found.values()), "total": total._asdict()}


def _say(routes: dict[Key, Timing], total: Timing, sums: list[VariableSum]) -> None:
    several = len({key.service for key in routes}) > 1
    service = ["SERVICE"] * several
    rows = [(*_names(key, several=several), *_cells(timing)) for key, timing in routes.items()]
    end = ("TOTAL", *[""] * several, "", *_cells(total))
    say_table([*service, *HEAD], [*rows, end], right=range(2 + several, 7 + several))
    if sums:
        say("")
        rows = [
            (*_names(_key(s), several=several), safe(s.name), str(s.samples), number(s.total), number(s.average))
            for s in sums
        ]
        say_table([*service, *VARIABLES_HEAD], rows, right=range(3 + several, 6 + several))


def _names(key: Key, *, several: bool) -> tuple[str, ...]:
    return (*[safe(key.service)] * several, safe(key.method), safe(key.route))


def _cells(timing: Timing) -> list[str]:
    return ["-" if figure is None else number(figure) for figure in timing]
