"""``flask chest stats``: shows counts, errors and durations of requests, and sums of their variables."""

from __future__ import annotations

from dataclasses import asdict, astuple, replace
from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.figures import SORTS, Figures, by_route, by_time, by_value
from flask_chest_otel._cli.filters import filters
from flask_chest_otel._cli.nothing_found import why_nothing
from flask_chest_otel._cli.output import (
    ERROR,
    WARNING,
    bar,
    columns_here,
    milliseconds,
    number,
    safe,
    say,
    say_json,
    say_table,
    say_wrapped,
)
from flask_chest_otel._cli.source import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._cli.figures import Answer, Row
    from flask_chest_otel._cli.output import Style
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["command"]

VALUES_SHOWN = 20
"""How many values of ``--by`` are shown, by default."""

BAR_COLUMNS = 24
"""Largest width of a bar, columns."""

EXAMPLES = """\b
Examples:
  flask chest stats --since 1h
  flask chest stats --since yesterday --until today --per hour
  flask chest stats --route '/cart/<int:cart_id>' --var cart_total
  flask chest stats --by plan --sort p95
  flask chest stats --version 1.5.0 --slower 200 --json
"""


@click.command(name="stats", epilog=EXAMPLES, short_help="Counts, errors and times, per route, time or value.")
@filters(
    *("since", "until", "route", "method", "path", "status", "error", "slower"),
    *("version", "service"),
)
@click.option(
    "--var",
    "variables",
    type=options.variable,
    multiple=True,
    metavar="NAME[=VALUE]",
    help="NAME: also its sum, mean and percentiles; NAME=VALUE: only these requests.",
)
@click.option(
    "--by",
    metavar="NAME",
    help="A row for each value of this variable, or for each route, method, status, version or service.",
)
@click.option(
    "--per", type=click.Choice(["minute", "hour", "day"]), help="A row for each minute, hour or day, with a bar."
)
@click.option("--sort", type=click.Choice(SORTS), help="By what rows are sorted; what is most comes first.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=VALUES_SHOWN, show_default=True, help="Rows of --by."
)
@options.store_option
@options.json_option
def command(  # noqa: PLR0913 - an argument for each option
    *,
    wanted: Wanted,
    variables: tuple[tuple[str, str | None], ...],
    by: str | None,
    per: str | None,
    sort: str | None,
    limit: int,
    utc: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show how many requests there were per route and method, how they ended and how long they took.

    4XX and 5XX: client errors and server errors. P95: 95 of 100 requests took at most as long; percentiles of times are
    at most 1.1 % off the truth. Methods that HTTP does not know are counted together as _OTHER.
    """
    if by is not None and per is not None:
        raise click.UsageError("--by and --per both say what a row is: type one of them")
    wanted = replace(wanted, variables=tuple(one for one in variables if one[1] is not None))
    names = tuple(name for name, value in variables if value is None)
    with open_store(store) as reader:
        if by is not None:
            found = by_value(reader, wanted, by, names)
        elif per is not None:
            found = by_time(reader, wanted, per, names, utc=utc)
        else:
            found = by_route(reader, wanted, names)
        why = "" if found.rows or as_json else why_nothing(reader, wanted, utc=utc)
    found.sort(sort)
    if as_json:
        say_json(_as_json(found))
    elif found.rows:
        _say(found, limit if by is not None else len(found.rows))
        _say_missing(found, by, names)
    else:
        say_wrapped(f"No request in the store is like that.{why}", to_stderr=True)


def _say_missing(found: Answer, by: str | None, names: tuple[str, ...]) -> None:
    """Name variables of which no request has a number: they may be misspelt, or their values are texts."""
    if by is not None and all(row.names["value"] is None for row in found.rows):
        say(f"--by {by}: none of these requests recorded it", to_stderr=True)
    for name in names:
        if all(name not in row.variables for row in found.rows):
            say(f"--var {name}: none of these requests recorded a number", to_stderr=True)


def _as_json(found: Answer) -> dict[str, object]:
    rows = [{**row.names, **_figures(row.figures), "variables": _variables(row)} for row in found.rows]
    return {found.kind: rows, "total": _figures(found.total)}


def _figures(one: Figures) -> dict[str, object]:
    return {
        "transactions": one.count,
        "client_errors": one.client_errors,
        "errors": one.server_errors,
        "average_ms": one.mean_ms,
        "p50_ms": one.p50_ms,
        "p95_ms": one.p95_ms,
        "p99_ms": one.p99_ms,
        "max_ms": one.max_ms,
    }


def _variables(row: Row) -> dict[str, object]:
    return {name: asdict(one) for name, one in row.variables.items()}


def _say(found: Answer, limit: int) -> None:
    rows = found.rows[:limit]
    if found.kind == "times":
        _say_times(rows)
    else:
        _say_groups(found, rows)
    if len(found.rows) > limit:
        say(f"{len(found.rows) - limit} more rows: --limit {len(found.rows)}", to_stderr=True)
    if any(row.variables for row in rows):
        say("")
        head = (*found.head, "VARIABLE", "COUNT", "SUM", "MEAN", "P50", "P95", "P99")
        cells = [
            (*row.cells, safe(name), *map(number, astuple(one)))
            for row in rows
            for name, one in sorted(row.variables.items())
        ]
        first = len(found.head)
        say_table(head, cells, right=range(first + 1, first + 7), flexible=dict.fromkeys(range(first + 1), 10))


def _say_groups(found: Answer, rows: list[Row]) -> None:
    first = len(found.head)
    head = (*found.head, "COUNT", "4XX", "5XX", "P50 MS", "P95 MS", "P99 MS")
    end = ("TOTAL", *[""] * (first - 1), *_cells(found.total))
    say_table(
        head,
        [*[(*row.cells, *_cells(row.figures)) for row in rows], end],
        right=range(first, first + 6),
        flexible=dict.fromkeys(range(first), 10),
        styles=_styles([*[row.figures for row in rows], found.total], first),
    )


def _say_times(rows: list[Row]) -> None:
    most = max(row.figures.count for row in rows)
    width = max(8, min(BAR_COLUMNS, columns_here() - 56))
    say_table(
        ("TIME", "COUNT", "4XX", "5XX", "P50 MS", "P95 MS", ""),
        [
            (*row.cells, *_cells(row.figures)[:5], bar(row.figures.count / most, width) if row.figures.count else "")
            for row in rows
        ],
        right=range(1, 6),
        styles=_styles([row.figures for row in rows], 1),
    )


def _styles(figures: list[Figures], first: int) -> dict[tuple[int, int], Style]:
    wrong: dict[int, tuple[Style, Callable[[Figures], int]]] = {
        first + 1: (WARNING, lambda one: one.client_errors),
        first + 2: (ERROR, lambda one: one.server_errors),
    }
    return {
        (row, at): style for row, one in enumerate(figures) for at, (style, count_of) in wrong.items() if count_of(one)
    }


def _cells(one: Figures) -> tuple[str, ...]:
    counts = (one.count, one.client_errors, one.server_errors)
    return (*map(str, counts), *map(milliseconds, (one.p50_ms, one.p95_ms, one.p99_ms)))
