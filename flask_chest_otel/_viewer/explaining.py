"""Data of the page that explains the requests of a filter by values that are more frequent among them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask_chest_otel._analysis.chosen import ERROR_FACTS, observations, same_time
from flask_chest_otel._analysis.conditions import Fact
from flask_chest_otel._analysis.explain import explain
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from flask_chest_otel._analysis.conditions import Condition
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["explain_data"]

MOST = 10_000
"""How many of the newest requests are analysed, chosen ones and others together."""


def explain_data(reader: StoreReader, given: Filter) -> dict[str, object]:
    """Return the findings, the best first; ``explained`` is ``None`` where the filter has no words."""
    if not given.words:
        return {"explained": None, "most": MOST}
    window = reader.newest(
        Wanted(since_unix_ns=given.wanted.since_unix_ns, until_unix_ns=given.wanted.until_unix_ns), MOST
    )
    chosen = replace(given.wanted, since_unix_ns=window.since_unix_ns)
    keys = {fact.key for fact in reader.facts(chosen)}
    if given.text:
        keys &= {row.key for row in reader.requests(chosen, MOST) if given.has(row)}
    found = explain(observations(reader, window, keys, _said(reader, given, chosen)))
    return {
        "most": MOST,
        "explained": {
            "chosen": found.chosen,
            "rest": found.rest,
            "looked_at": found.looked_at,
            "findings": [
                {
                    "words": [_words(one) for one in finding.conditions],
                    "terms": [term for one in finding.conditions if (term := _term(one)) is not None],
                    "chosen": finding.counts.chosen_with,
                    "chosen_share": finding.counts.chosen_share,
                    "rest": finding.counts.rest_with,
                    "rest_share": finding.counts.rest_share,
                    "chance": finding.chance,
                    "along": [" and ".join(map(_words, conditions)) for conditions in finding.along],
                }
                for finding in found.findings
            ],
            "left_out": [fact.name for fact in found.left_out],
        },
    }


def _said(reader: StoreReader, given: Filter, chosen: Wanted) -> set[Fact]:
    """Return the facts by which the filter chose the requests. They would explain nothing."""
    wanted = given.wanted
    said = {Fact("variable", name) for name, _ in wanted.variables}
    of_request = ("route", "method", "path", "version", "service")
    said |= {Fact("request", name) for name in of_request if getattr(wanted, name) is not None}
    if wanted.status is not None or wanted.error_type is not None or given.text:
        said |= ERROR_FACTS
    return said | same_time(reader, chosen)


def _words(condition: Condition) -> str:
    name = condition.fact.name
    if condition.value is not None:
        return f"{name} has {condition.value}" if condition.in_list else f"{name} is {condition.value}"
    if condition.below is None:
        return f"{name} is {condition.at_least:g} or more"
    if condition.at_least is None:
        return f"{name} is below {condition.below:g}"
    return f"{name} is from {condition.at_least:g} to below {condition.below:g}"


def _term(condition: Condition) -> str | None:
    """Return a condition as a word of the filter; ``None`` where the filter cannot express it."""
    name = condition.fact.name
    return f"{name}={condition.value}" if condition.value is not None and not condition.in_list else None
