"""``flask chest compare``: compares two versions or spans of time, and says whether they differ by more than chance."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from flask_chest_otel._analysis.compare import compare
from flask_chest_otel._analysis.sides import Side, group_of_side, side_of
from flask_chest_otel._analysis.times import TimeTextError
from flask_chest_otel._base.text import counted, shown_change
from flask_chest_otel._cli import options, times
from flask_chest_otel._cli.filters import filters
from flask_chest_otel._cli.output import (
    ERROR,
    MISSING,
    milliseconds,
    number,
    say,
    say_json,
    say_table,
    say_wrapped,
    whole,
)
from flask_chest_otel._cli.source import open_store

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from flask_chest_otel._analysis.compare import Comparison, Group, Measure
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["command"]

BAD = ("errors", "p50", "p95")
"""Figures that are worse when they are larger."""

NAMES_SHOWN = 8
"""How many versions the message about an unknown one names."""

HEAD = ("", "A", "B", "CHANGE", "95 % INTERVAL", "")

LABELS = {"rate": "requests/s", "errors": "errors (5xx)", "p50": "P50 ms", "p95": "P95 ms"}

EXAMPLES = """\b
Examples:
  flask chest compare 1.4.0 1.5.0
  flask chest compare yesterday today --route /pay
  flask chest compare 2h..1h 1h
  flask chest compare '2026-11-25 14:00..15:00' '2026-11-26 14:00..15:00'
  flask chest compare 1.4.0 1.5.0 --fail-on errors --fail-on p95
"""


@click.command(name="compare", epilog=EXAMPLES, short_help="Two versions or spans of time side by side.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--fail-on",
    type=click.Choice([*BAD, "any"]),
    multiple=True,
    help="End with status 1 where B is worse in this by more than chance; may be repeated.",
)
@filters("route", "method", "path", "status", "slower", "version", "service", "variables")
@options.store_option
@options.json_option
def command(
    *,
    a: str,
    b: str,
    fail_on: tuple[str, ...],
    wanted: Wanted,
    utc: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show rate, errors and times of A and B, and whether they differ by more than chance.

    A and B are versions of the application, or spans of time: a day (yesterday, 2026-11-26), FROM..TO, or an age such
    as 2h: from then until now. The interval holds the true change 19 times out of 20.
    """
    with open_store(store) as reader:
        versions = {row.group[0]: row.count for row in reader.overview(wanted, by=("version",))}
        sides = [_side(text, wanted, versions, utc=utc) for text in (a, b)]
        groups = [_group(reader, side) for side in sides]
    found = compare(*groups)
    worse = [one.name for one in found.measures if one.name in BAD and one.differs and (one.change or 0) > 0]
    if as_json:
        say_json(_as_json(sides, groups, found, worse))
    else:
        _say(sides, groups, found, utc=utc)
    failed = worse if "any" in fail_on else [name for name in worse if name in fail_on]
    if failed:
        raise click.ClickException(f"B is worse in {', '.join(failed)}")


def _versions(known: list[str]) -> str:
    if not known:
        return ", of which the store has none: FlaskChest(app, version=...) records it"
    return f": the store has {', '.join([*known[:NAMES_SHOWN], *['…'] * (len(known) > NAMES_SHOWN)])}"


def _side(text: str, wanted: Wanted, versions: Collection[str], *, utc: bool) -> Side:
    try:
        return side_of(text, wanted, versions, time.time_ns(), utc=utc)
    except TimeTextError as error:
        raise click.BadParameter(f"{error}; or a version{_versions([name for name in versions if name])}") from error


def _group(reader: StoreReader, side: Side) -> Group:
    group = group_of_side(reader, side)
    if not group.durations_ms:
        raise click.ClickException(f"no request of {side.name} is in the store: there is nothing to compare")
    return group


def _as_json(sides: list[Side], groups: list[Group], found: Comparison, worse: list[str]) -> dict[str, object]:
    return {
        **{
            name: {"name": side.name, "requests": count, "first": _first(group), "last": _last(group)}
            for name, side, count, group in zip("ab", sides, found.requests, groups, strict=True)
        },
        "measures": [one._asdict() for one in found.measures],
        "worse": worse,
    }


def _first(group: Group) -> str:
    return times.stored(min(group.starts_unix_ns))


def _last(group: Group) -> str:
    return times.stored(max(group.starts_unix_ns))


def _say(sides: list[Side], groups: list[Group], found: Comparison, *, utc: bool) -> None:
    shown = times.clock([end(group) for group in groups for end in (_first, _last)], utc=utc)
    for letter, side, group in zip("AB", sides, groups, strict=True):
        when = f"{shown[_first(group)]} to {shown[_last(group)]}"
        say_wrapped(f"{letter}: {whole(side.name)}, {counted(len(group.durations_ms), 'request', 'requests')}, {when}")
    say("")
    styles = {(at, 5): ERROR for at, one in enumerate(found.measures) if _verdict(one) == "worse"}
    say_table(HEAD, map(_row, found.measures), right=(1, 2, 3, 4), styles=styles)


def _row(one: Measure) -> tuple[str, ...]:
    shown = {"errors": _percent, "rate": number}.get(one.name, milliseconds)
    figures = [shown(side) for side in (one.a, one.b)]
    interval = MISSING if one.low is None else f"{_change(one.low)} to {_change(one.high)}"
    unit = " points" if one.name == "errors" else " %"
    change = MISSING if one.change is None else f"{_change(one.change)}{unit}"
    return LABELS[one.name], *figures, change, interval, _verdict(one)


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.2f} %"


def _change(change: float | None) -> str:
    return shown_change(100 * (change or 0))


def _verdict(one: Measure) -> str:
    if one.low is None:
        return "too few to say"
    if not one.differs:
        return "may be chance"
    if one.name not in BAD:
        return "more" if (one.change or 0) > 0 else "fewer"
    return "worse" if (one.change or 0) > 0 else "better"
