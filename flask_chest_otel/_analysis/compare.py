"""Two groups of requests side by side: rate, errors and times, and whether they differ by more than chance.

Each figure has an interval that misses the truth once in 20 times. With four of them, one would exclude "no change" in
every sixth comparison of like with like. So a change is believed only where a second, stricter look at the same kind of
figures (rate; errors; times) agrees: see ``STRICT``. All looks together are wrong in about 2 of 100 comparisons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._analysis.chance import difference_of_shares, rank_chance, z_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_chest_otel._analysis.times import Span

__all__ = ["Comparison", "Group", "Measure", "compare", "quantile"]

CHANCE = 0.05
"""How often a shown interval misses the truth."""

STRICT = 0.005
"""How often the second look at one group of figures is wrong; for times there are three: ranks, P50, P95."""

DRAWS = 4000
"""Random draws for the interval of a percentile."""

SLICES = 20
"""Equal parts of a span of time, by which it is seen how unevenly requests come."""

FEWEST = 5
"""So many requests have to lie on both sides of a percentile, or its interval cannot be said."""

SMALLEST_MS = 1e-6
"""What a time of nothing counts as: its logarithm is needed."""


@dataclass(frozen=True, slots=True)
class Group:
    """The requests of one side.

    Attributes:
        starts_unix_ns: When each began.
        durations_ms: How long each took.
        errors: How many failed.
        span: The span of time that was asked for; ``None``: from the first request to the last.
    """

    starts_unix_ns: Sequence[int]
    durations_ms: Sequence[float]
    errors: int
    span: Span | None = None


class Measure(NamedTuple):
    """One figure of both sides.

    Attributes:
        name: ``rate`` (requests per second), ``errors`` (share of the requests), ``p50`` or ``p95`` (milliseconds).
        a: The figure of A; ``None``: it cannot be said.
        b: The figure of B.
        change: B less A, of ``errors`` as a difference of shares, of the others as part of A: 0.2 is 20 % more.
        low: Where the interval of the change begins; ``None``: there are too few requests to say so.
        high: Where it ends.
        differs: Whether it is more than chance.
    """

    name: str
    a: float | None
    b: float | None
    change: float | None
    low: float | None
    high: float | None
    differs: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures of both sides.

    Attributes:
        requests: How many there are of A and of B.
        measures: Rate, errors, P50, P95.
    """

    requests: tuple[int, int]
    measures: tuple[Measure, ...]


def compare(a: Group, b: Group) -> Comparison:
    """Hold two groups of requests, each of at least one, against each other; the same groups give the same answer."""
    return Comparison(
        (len(a.durations_ms), len(b.durations_ms)),
        (_rate(a, b), _errors(a, b), *_times(sorted(a.durations_ms), sorted(b.durations_ms))),
    )


def quantile(ranked: Sequence[float], part: float) -> float:
    """The value below which ``part`` of ``ranked`` lies, between two neighbours in proportion."""
    return _at(ranked, part * (len(ranked) - 1))


def _at(ranked: Sequence[float], place: float) -> float:
    place = min(max(place, 0.0), len(ranked) - 1.0)
    before = int(place)
    after = min(before + 1, len(ranked) - 1)
    return ranked[before] + (ranked[after] - ranked[before]) * (place - before)


# Rate


def _rate(a: Group, b: Group) -> Measure:
    rate_a, rate_b = _per_second(a), _per_second(b)
    if not rate_a or not rate_b or min(len(one.starts_unix_ns) for one in (a, b)) < 2 * FEWEST:
        return Measure("rate", rate_a, rate_b, None, None, None, differs=False)
    change = math.log(rate_b / rate_a)
    # As of a Poisson process, wider by how unevenly the requests really come.
    deviation = math.sqrt(_unevenness(a) / len(a.starts_unix_ns) + _unevenness(b) / len(b.starts_unix_ns))
    shown, strict = z_of(CHANCE) * deviation, z_of(STRICT) * deviation
    interval = (math.expm1(change - shown), math.expm1(change + shown))
    return Measure("rate", rate_a, rate_b, math.expm1(change), *interval, differs=abs(change) > strict)


def _per_second(group: Group) -> float | None:
    """Requests per second; ``None`` of one request whose span nobody named."""
    count = len(group.starts_unix_ns)
    if group.span is not None:
        return count * 1e9 / (group.span.end_unix_ns - group.span.begin_unix_ns)
    lasted_ns = max(group.starts_unix_ns) - min(group.starts_unix_ns)
    # Between the first and the last there is one fewer.
    return (count - 1) * 1e9 / lasted_ns if lasted_ns else None


def _unevenness(group: Group) -> float:
    """Variance of the number of requests per slice of time, divided by their mean: 1 for requests by chance."""
    begin, end = group.span or (min(group.starts_unix_ns), max(group.starts_unix_ns) + 1)
    counts = [0] * SLICES
    for start in group.starts_unix_ns:
        counts[min(max((start - begin) * SLICES // (end - begin), 0), SLICES - 1)] += 1
    mean = sum(counts) / SLICES
    return max(1.0, sum((count - mean) ** 2 for count in counts) / (SLICES - 1) / mean)


# Errors


def _errors(a: Group, b: Group) -> Measure:
    (share_a, of_a), (share_b, of_b) = ((one.errors / len(one.durations_ms), _errors_of(one)) for one in (a, b))
    low, high = difference_of_shares(of_a, of_b, CHANCE)
    strict_low, strict_high = difference_of_shares(of_a, of_b, STRICT)
    differs = strict_low > 0 or strict_high < 0
    return Measure("errors", share_a, share_b, share_b - share_a, low, high, differs)


def _errors_of(group: Group) -> tuple[int, int]:
    return group.errors, len(group.durations_ms)


# Times


def _times(a: Sequence[float], b: Sequence[float]) -> tuple[Measure, ...]:
    any_different = min(len(a), len(b)) >= 2 * FEWEST and rank_chance(a, b) < STRICT
    found = [_Percentile(name, a, b) for name in ("p50", "p95")]
    any_different = any_different or any(one.excludes_no_change(STRICT / 2) for one in found)
    return tuple(one.measure(any_different=any_different) for one in found)


class _Percentile:
    """A percentile of both sides.

    Where the P95 of all requests lies among those that were seen is a matter of chance, which has the beta distribution
    of an order statistic, whatever the times are like. So each draw is one look-up.
    """

    def __init__(self, name: str, a: Sequence[float], b: Sequence[float]) -> None:
        self._name = name
        part = int(name[1:]) / 100
        self._a, self._b = quantile(a, part), quantile(b, part)
        # 10 requests for P50, 100 for P95.
        self._is_known = round(min(len(a), len(b)) * (1 - part), 6) >= FEWEST
        draws_a, draws_b = _draws(a, part, "A"), _draws(b, part, "B")
        self._changes = sorted(one_b - one_a for one_a, one_b in zip(draws_a, draws_b, strict=True))

    def measure(self, *, any_different: bool) -> Measure:
        change = math.expm1(_log(self._b) - _log(self._a))
        if not self._is_known:
            return Measure(self._name, self._a, self._b, change, None, None, differs=False)
        low, high = self._interval(CHANCE)
        differs = any_different and self.excludes_no_change(CHANCE)
        return Measure(self._name, self._a, self._b, change, math.expm1(low), math.expm1(high), differs)

    def excludes_no_change(self, chance: float) -> bool:
        low, high = self._interval(chance)
        return self._is_known and (low > 0 or high < 0)

    def _interval(self, chance: float) -> tuple[float, float]:
        return quantile(self._changes, chance / 2), quantile(self._changes, 1 - chance / 2)


def _draws(ranked: Sequence[float], part: float, side: str) -> list[float]:
    logarithms = [_log(time_ms) for time_ms in ranked]
    return [_at(logarithms, place) for place in _places(len(ranked), part, side)]


@lru_cache(maxsize=8)
def _places(count: int, part: float, side: str) -> tuple[float, ...]:
    random = Random(f"{side} {part}")  # noqa: S311 - the same answer each time is what is wanted
    alpha, beta = part * (count + 1), (1 - part) * (count + 1)
    return tuple(random.betavariate(alpha, beta) * (count + 1) - 1 for _ in range(DRAWS))


def _log(time_ms: float) -> float:
    return math.log(max(time_ms, SMALLEST_MS))
