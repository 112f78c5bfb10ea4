"""``flask chest explain``: shows what failed or slow requests have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from flask_chest_otel._analysis.chosen import ERROR_FACTS, observations, same_time
from flask_chest_otel._analysis.explain import explain
from flask_chest_otel._cli import options
from flask_chest_otel._cli.filters import filters
from flask_chest_otel._cli.nothing_found import why_nothing
from flask_chest_otel._cli.output import HEAD, say, say_json, say_wrapped, whole
from flask_chest_otel._cli.source import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel._analysis.conditions import Condition
    from flask_chest_otel._analysis.explain import Explanation, Finding
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["command"]

MOST = 100_000
"""How many of the newest requests are analysed, which takes some seconds."""

FEW = 10
"""Up to this many chosen requests are too few to expect a finding."""

SMALLEST_CHANCE = 1e-12
"""A smaller p-value is shown as ``<1e-12``."""

ALONG = 3
"""How many conditions beside a finding are shown; ``--json`` has all."""

EXAMPLES = """\b
Examples:
  flask chest explain --status 5xx
  flask chest explain --slower 500 --since 1h
  flask chest explain --error PaymentError --route /pay
  flask chest explain --status 404 --json
"""


@click.command(name="explain", epilog=EXAMPLES, short_help="What is different about failed or slow requests.")
@click.option("--status", type=options.status, metavar="CODE", help="Explain requests with this status, or class, 5xx.")
@click.option("--slower", type=options.milliseconds, metavar="MS", help="Explain those that took longer.")
@click.option("--error", metavar="TYPE", help="Explain those with this exception; '*': with any.")
@filters("since", "until", "route", "method", "path", "version", "service", "variables")
@options.store_option
@options.json_option
def command(
    *,
    status: tuple[int, int] | None,
    slower: float | None,
    error: str | None,
    wanted: Wanted,
    utc: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show which routes, versions, and values of variables are more frequent among some requests than among the rest.

    At least one of --status, --slower and --error chooses the requests; the other options say among which ones. Chance
    is how likely a row is by accident, corrected for all that was looked at; what is above 0.01 is not shown.
    """
    if all(one is None for one in (status, slower, error)):
        raise click.UsageError("which requests? Type --status 5xx, --slower 500 or --error PaymentError")
    asked = replace(wanted, status=status, slower_than_ms=slower, error_type=error)
    with open_store(store) as reader:
        wanted = reader.newest(wanted, MOST)
        chosen = replace(asked, since_unix_ns=wanted.since_unix_ns)
        keys = {one.key for one in reader.facts(chosen)}
        by_outcome = status is not None or error is not None
        left_out = same_time(reader, chosen) | (ERROR_FACTS if by_outcome else set())
        found = explain(observations(reader, wanted, keys, left_out))
        why = "" if found.chosen or as_json else why_nothing(reader, asked, utc=utc)
    if as_json:
        say_json(_as_json(found))
    else:
        _say(found, why)


def _as_json(found: Explanation) -> dict[str, object]:
    return {
        "chosen": found.chosen,
        "rest": found.rest,
        "looked_at": found.looked_at,
        "left_out": [fact._asdict() for fact in found.left_out],
        "findings": [_finding(one) for one in found.findings],
    }


def _finding(one: Finding) -> dict[str, object]:
    return {
        "conditions": list(map(_condition, one.conditions)),
        "chosen_with": one.counts.chosen_with,
        "chosen_share": one.counts.chosen_share,
        "rest_with": one.counts.rest_with,
        "rest_share": one.counts.rest_share,
        "chance": one.chance,
        "along": [list(map(_condition, conditions)) for conditions in one.along],
    }


def _condition(one: Condition) -> dict[str, object]:
    return {
        "kind": one.fact.kind,
        "name": one.fact.name,
        "value": one.value,
        "at_least": one.at_least,
        "below": one.below,
        "in_list": one.in_list,
        "text": _words(one),
    }


def _say(found: Explanation, why_none: str) -> None:
    total = found.chosen + found.rest
    newest = "the newest " if total >= MOST else ""
    say_wrapped(f"Chosen: {found.chosen} of {newest}{total} requests. Conditions looked at: {found.looked_at}.")
    if found.left_out:
        names = ", ".join(whole(fact.name) for fact in found.left_out)
        say_wrapped(f"Left out, for too many different values: {names}.")
    if not found.findings:
        say_wrapped(_why_nothing(found, why_none))
        return
    say("")
    rows = [
        (*map(_percent, (one.counts.chosen_share, one.counts.rest_share)), _chance(one.chance))
        for one in found.findings
    ]
    say_wrapped(f"{'AMONG THEM':>10}  {'ELSE':>6}  {'CHANCE':>8}  WHAT", style=HEAD)
    for (among, rest, chance), one in zip(rows, found.findings, strict=True):
        what = " and ".join(map(_words, one.conditions))
        say_wrapped(f"{among:>10}  {rest:>6}  {chance:>8}  {what}", hanging=30)
        if one.along:
            more = f", and {len(one.along) - ALONG} more" if len(one.along) > ALONG else ""
            along = ", ".join(" and ".join(map(_words, conditions)) for conditions in one.along[:ALONG])
            say_wrapped(f"the same requests: {along}{more}", indent=" " * 30)


def _why_nothing(found: Explanation, why_none: str) -> str:
    if not found.chosen:
        return f"No request is like that.{why_none}"
    if not found.rest:
        return "All requests are like that: there is nothing to hold them against."
    few = f" So few requests ({found.chosen}) seldom show anything." if found.chosen <= FEW else ""
    return f"Nothing stands out.{few}"


def _words(one: Condition) -> str:
    name = whole(one.fact.name)
    if one.value is not None:
        return f"{name} has {whole(one.value)}" if one.in_list else f"{name}={whole(one.value)}"
    low, high = (None if end is None else f"{end:.6g}" for end in (one.at_least, one.below))
    if low is not None and high is not None:
        return f"{low}<={name}<{high}"
    return f"{name}>={low}" if high is None else f"{name}<{high}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _chance(chance: float) -> str:
    return "<1e-12" if chance < SMALLEST_CHANCE else f"{chance:.0e}"
