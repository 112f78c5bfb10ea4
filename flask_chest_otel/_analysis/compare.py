"""Compares two groups of requests: rate, errors and times, and whether they differ by more than chance.

Each figure has a confidence interval of 95 %. With four figures, one interval would exclude "no change" in every sixth
comparison of equal groups. So a change is reported only where a second, stricter test of the same kind of figures
(rate; errors; times) agrees: see ``STRICT``. All tests together report a change of equal groups in about 2 of 100
comparisons.
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
"""How often an interval that is shown misses the true change."""

STRICT = 0.005
"""How often the second test of one kind of figures is wrong; times have three such tests: ranks, P50, P95."""

DRAWS = 4000
"""Random draws for the interval of a percentile."""

SLICES = 20
"""Number of equal parts of a span of time in which requests are counted, to see how unevenly they come."""

FEWEST = 5
"""How many requests have to lie above a percentile, at least; with fewer, it has no interval."""

SMALLEST_MS = 1e-6
"""Duration that is used in place of 0, which has no logarithm, milliseconds."""


@dataclass(frozen=True, slots=True)
class Group:
    """The requests of one side.

    Attributes:
        starts_unix_ns: When each began, nanoseconds since 1970 UTC.
        durations_ms: How long each took, milliseconds.
        errors: How many failed (status 500 and above).
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
        a: The figure of A; ``None``: too few requests to calculate it.
        b: The figure of B.
        change: B minus A: of ``errors`` the difference of the shares, of the others a part of A (0.2 is 20 % more).
        low: Lower end of the confidence interval of the change; ``None``: too few requests to calculate it.
        high: Upper end of the interval.
        differs: Whether the change is more than chance.
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
        requests: The numbers of requests of A and of B.
        measures: Rate, errors, P50 and P95.
    """

    requests: tuple[int, int]
    measures: tuple[Measure, ...]


def compare(a: Group, b: Group) -> Comparison:
    """Compare two groups of requests, each of at least one. Fixed seeds make the result repeatable."""
    return Comparison(
        (len(a.durations_ms), len(b.durations_ms)),
        (_rate(a, b), _errors(a, b), *_times(sorted(a.durations_ms), sorted(b.durations_ms))),
    )


def quantile(ranked: Sequence[float], part: float) -> float:
    """Return the quantile ``part`` (0 to 1) of sorted values, interpolated between two neighbours."""
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
    # The deviation of a Poisson process, made larger by how unevenly the requests really come.
    deviation = math.sqrt(_unevenness(a) / len(a.starts_unix_ns) + _unevenness(b) / len(b.starts_unix_ns))
    shown, strict = z_of(CHANCE) * deviation, z_of(STRICT) * deviation
    interval = (math.expm1(change - shown), math.expm1(change + shown))
    return Measure("rate", rate_a, rate_b, math.expm1(change), *interval, differs=abs(change) > strict)


def _per_second(group: Group) -> float | None:
    """Return requests per second; ``None`` for a single request without a span of time."""
    count = len(group.starts_unix_ns)
    if group.span is not None:
        return count * 1e9 / (group.span.end_unix_ns - group.span.begin_unix_ns)
    lasted_ns = max(group.starts_unix_ns) - min(group.starts_unix_ns)
    # From the first to the last request there are count - 1 gaps.
    return (count - 1) * 1e9 / lasted_ns if lasted_ns else None


def _unevenness(group: Group) -> float:
    """Return the variance of requests per slice divided by their mean (Fano factor): 1 for a Poisson process."""
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

    The rank that the true P95 has among the requests of a sample has the beta distribution of an order statistic,
    whatever the distribution of times is. So each random draw is a rank, and one look-up gives its time.
    """

    def __init__(self, name: str, a: Sequence[float], b: Sequence[float]) -> None:
        self._name = name
        part = int(name[1:]) / 100
        self._a, self._b = quantile(a, part), quantile(b, part)
        # At least 10 requests for P50, and 100 for P95.
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
    random = Random(f"{side} {part}")  # noqa: S311 - the same result each time
    alpha, beta = part * (count + 1), (1 - part) * (count + 1)
    return tuple(random.betavariate(alpha, beta) * (count + 1) - 1 for _ in range(DRAWS))


def _log(time_ms: float) -> float:
    return math.log(max(time_ms, SMALLEST_MS))
