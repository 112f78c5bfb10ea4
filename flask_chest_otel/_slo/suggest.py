"""Suggests an objective for each route, from the requests in the store.

An objective is suggested if the stored requests would have spent at most half of its budget, so that half is left for
unforeseen failures. And there have to be enough requests for it: 600 requests without a failure do not prove 99.99 %.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._base.statuses import SERVER_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._store.answers import OverviewRow
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["LADDER", "LEAST_BUDGET", "Choice", "Suggestion", "suggestions"]

LADDER = (99.99, 99.95, 99.9, 99.5, 99.0, 98.0, 95.0)
"""Objectives that are tried, the strictest first, percent."""

LEAST_BUDGET = 10
"""How many of the stored requests the budget has to allow to be bad, at least."""

SHARE_SPENT = 0.5
"""Part of the budget that the stored requests may have spent, at most."""

DAY_S = 86400
_ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)
_LONGEST_NAME = 40


class Choice(NamedTuple):
    """The suggested objective of a route.

    Attributes:
        name: A name for the objective.
        objective: Share of good requests, percent.
        latency_ms: Duration above which a request is bad, milliseconds.
        slow: How many of the requests that did not fail took longer.
    """

    name: str
    objective: float
    latency_ms: float
    slow: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What is suggested for one route and method.

    Attributes:
        service: Name of the application.
        route: URL rule; ``""``: requests that matched no rule.
        method: HTTP method.
        requests: How many requests the store has.
        failed: How many had a status of 500 and above.
        days: Time between the store's first and last request, days.
        choice: The objective; ``None``: too many requests failed for each of ``LADDER``, or there are too few.
    """

    service: str
    route: str
    method: str
    requests: int
    failed: int
    days: float
    choice: Choice | None


def suggestions(reader: StoreReader, wanted: Wanted) -> list[Suggestion]:
    """Return a suggestion for each route and method, the most frequent first."""
    span = reader.span(wanted)
    if span is None:
        return []
    days = (span[1] - span[0]) / 1e9 / DAY_S
    rows = sorted(reader.overview(wanted), key=lambda row: -row.count)
    return [_suggestion(row, days, _slow_counter(reader, wanted, row)) for row in rows if row.group[1]]


def _suggestion(row: OverviewRow, days: float, slow: Callable[[float], int]) -> Suggestion:
    service, route, method = row.group
    plain = Suggestion(service, route, method, row.count, row.server_errors, days, None)
    for objective in LADDER:
        budget = 1 - objective / 100
        room = SHARE_SPENT * budget - row.server_errors / row.count
        if room >= 0 and row.count * budget >= LEAST_BUDGET:
            latency_ms = _rounded_up(row.quantile_ms(1 - room) or 0.0)
            return replace(plain, choice=Choice(_name(route), objective, latency_ms, slow(latency_ms)))
    return plain


def _slow_counter(reader: StoreReader, wanted: Wanted, row: OverviewRow) -> Callable[[float], int]:
    """Return a function that counts the requests of a row that did not fail and took longer than some milliseconds."""
    service, route, method = row.group

    def count(latency_ms: float) -> int:
        same = replace(wanted, service=service, route=route, method=method, slower_than_ms=latency_ms)
        return sum(found.count for found in reader.overview(replace(same, status=(100, SERVER_ERROR - 1)), ()))

    return count


def _rounded_up(milliseconds: float) -> float:
    """Round up to a number such as people choose: 1, 1.5, 2, … times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(milliseconds, 1.0)))
    return round(_ROUND[min(bisect_left(_ROUND, milliseconds / power), len(_ROUND) - 1)] * power, 6)


def _name(route: str) -> str:
    """Make a name for the objective of a route: ``/cart/<int:cart_id>`` becomes ``cart``."""
    words = re.findall(r"[A-Za-z0-9_-]+", re.sub(r"<[^>]*>", "", route))
    name = "-".join(words)[:_LONGEST_NAME]
    return name if name[:1].isalpha() else f"route-{name}".rstrip("-") if name else "root"
