"""What is different about the requests of a filter: values that are more frequent among them than among all others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask_chest_otel._analysis.conditions import Fact
from flask_chest_otel._analysis.explain import Observation, explain
from flask_chest_otel._store.reader import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._analysis.conditions import Condition
    from flask_chest_otel._store.reader import RequestFacts, StoreReader
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["explain_data"]

MOST = 10_000
"""The newest requests that are looked at, the chosen ones and the rest together."""

_OF_REQUESTS = ("service", "route", "method", "version", "error_type")


def explain_data(reader: StoreReader, given: Filter) -> dict[str, Any]:
    """What stands out, ranked; nothing is chosen where the filter has no words."""
    if not given.words:
        return {"explained": None, "most": MOST}
    everything = Wanted(since_unix_ns=given.wanted.since_unix_ns, until_unix_ns=given.wanted.until_unix_ns)
    window = reader.newest(everything, MOST)
    chosen = {fact.key for fact in reader.facts(replace(given.wanted, since_unix_ns=window.since_unix_ns))}
    if given.text:
        chosen &= {row.key for row in reader.requests(given.wanted, MOST) if given.has(row)}
    found = explain(_observations(reader, window, chosen, _said(given)))
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


def _said(given: Filter) -> set[str]:
    """Facts by which the requests were chosen: that these are frequent among them is no news."""
    names = {word.split("=")[0].split(">")[0].split("<")[0] for word in given.words}
    return names | ({"error_type"} if names & {"status", "error"} else set())


def _observations(reader: StoreReader, window: Wanted, chosen: set[str], said: set[str]) -> Iterator[Observation]:
    variables = iter(reader.variable_facts(window))
    waiting = next(variables, None)
    for request in reader.facts(window):
        facts = _facts(request)
        while waiting is not None and waiting.key <= request.key:
            if waiting.key == request.key:
                value = waiting.number if waiting.type in ("int", "float") else waiting.text
                facts[Fact("variable", waiting.name)] = value
            waiting = next(variables, None)
        kept = {fact: value for fact, value in facts.items() if fact.name not in said}
        yield Observation(request.key in chosen, kept)


def _facts(request: RequestFacts) -> dict[Fact, Any]:
    return {Fact("request", name): getattr(request, name) for name in _OF_REQUESTS}


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
    """The condition as a word of the filter, where the filter has one for it."""
    name = {"error_type": "error"}.get(condition.fact.name, condition.fact.name)
    return f"{name}={condition.value}" if condition.value is not None and not condition.in_list else None
