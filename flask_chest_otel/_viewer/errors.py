"""Data of the page of exceptions: groups of the same type, place and route, each with a small chart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from flask_chest_otel._records.schema import began_unix_ns

if TYPE_CHECKING:
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["errors_data"]

BARS = 30
MOST_GROUPS = 200


def errors_data(reader: StoreReader, given: Filter) -> dict[str, object]:
    """Return groups of exceptions, the most frequent first, with their numbers over time."""
    groups = reader.errors(given.wanted)[:MOST_GROUPS]
    times: dict[tuple[object, ...], list[int]] = defaultdict(list)
    wanted = replace(given.wanted, error_type=given.wanted.error_type or "*")
    for fact in reader.facts(wanted):
        times[fact.service, fact.error_type, fact.error_place or "", fact.route].append(began_unix_ns(fact.key))
    span = _span(times)
    return {
        "groups": [
            {**asdict(group), "times": _bars(times[group.service, group.type, group.place, group.route], *span)}
            for group in groups
        ]
    }


def _span(times: dict[tuple[object, ...], list[int]]) -> tuple[int, int]:
    every = [at for found in times.values() for at in found]
    return (min(every), max(every)) if every else (0, 0)


def _bars(times: list[int], first: int, last: int) -> list[int]:
    counts = [0] * BARS
    width = (last - first) / BARS or 1
    for at in times:
        counts[min(BARS - 1, int((at - first) / width))] += 1
    return counts
