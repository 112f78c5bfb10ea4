"""Which objective suits a route, by what the store remembers of it.

An objective shall be kept by an application that goes on as it did, with half of its budget left for what nobody
foresees. And it shall be no stricter than so many requests can tell: of 600 without a failure, 99.99 % is a guess.
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

    from flask_chest_otel._store.reader import OverviewRow, StoreReader, Wanted

__all__ = ["LADDER", "LEAST_BUDGET", "Choice", "Suggestion", "suggestions"]

LADDER = (99.99, 99.95, 99.9, 99.5, 99.0, 98.0, 95.0)
"""Objectives that are looked at, the strictest first, percent."""

LEAST_BUDGET = 10
"""So many of the requests that there were the budget has to allow to be bad."""

SHARE_SPENT = 0.5
"""How much of the budget may have been spent by what happened."""

DAY_S = 86400
_ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)
_LONGEST_NAME = 40


class Choice(NamedTuple):
    """What was chosen for a route.

    Attributes:
        name: A name for the objective.
        objective: Percent.
        latency_ms: From when on a request is too slow, milliseconds.
        slow: How many of the requests that did not fail were slower.
    """

    name: str
    objective: float
    latency_ms: float
    slow: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One route and method.

    Attributes:
        service: Name of the application.
        route: URL rule; ``""``: requests that matched none.
        method: HTTP method.
        requests: How many there were.
        failed: How many had a status of 500 and above.
        days: How long the store's history is.
        choice: What is suggested; ``None``: no objective of ``LADDER`` can be kept, or the requests are too few.
    """

    service: str
    route: str
    method: str
    requests: int
    failed: int
    days: float
    choice: Choice | None


def suggestions(reader: StoreReader, wanted: Wanted) -> list[Suggestion]:
    """One for each route and method, the most frequent first."""
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
    """Counts a row's requests that did not fail and took longer than some milliseconds: from each one."""
    service, route, method = row.group

    def count(latency_ms: float) -> int:
        same = replace(wanted, service=service, route=route, method=method, slower_than_ms=latency_ms)
        return sum(found.count for found in reader.overview(replace(same, status=(100, SERVER_ERROR - 1)), ()))

    return count


def _rounded_up(milliseconds: float) -> float:
    """The next number that people choose: 1, 1.5, 2, … times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(milliseconds, 1.0)))
    return round(_ROUND[min(bisect_left(_ROUND, milliseconds / power), len(_ROUND) - 1)] * power, 6)


def _name(route: str) -> str:
    """A name for the objective of a route: ``/cart/<int:cart_id>`` is ``cart``."""
    words = re.findall(r"[A-Za-z0-9_-]+", re.sub(r"<[^>]*>", "", route))
    name = "-".join(words)[:_LONGEST_NAME]
    return name if name[:1].isalpha() else f"route-{name}".rstrip("-") if name else "root"
