"""Statistical tests and confidence intervals: how likely something is by chance alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Counts", "difference_of_shares", "log_chance", "rank_chance", "z_of"]

_ENOUGH = 1e-12
"""A sum ends when its next term is smaller than this part of it."""


class Counts(NamedTuple):
    """How many requests of two groups fulfil a condition.

    Attributes:
        chosen_with: Chosen requests that fulfil it.
        chosen: All chosen requests.
        rest_with: Other requests that fulfil it.
        rest: All other requests.
    """

    chosen_with: int
    chosen: int
    rest_with: int
    rest: int

    @property
    def chosen_share(self) -> float:
        """Part of the chosen requests that fulfil the condition, 0 to 1."""
        return self.chosen_with / self.chosen if self.chosen else 0.0

    @property
    def rest_share(self) -> float:
        """Part of the other requests that fulfil the condition, 0 to 1."""
        return self.rest_with / self.rest if self.rest else 0.0


def log_chance(counts: Counts) -> float:
    """Return the logarithm of the p-value of Fisher's exact test, one-sided.

    The p-value is the chance that as many chosen requests, or more, fulfil a condition that does not depend on the
    choice. It is returned as a logarithm, because small ones are below the smallest float.
    """
    have, chosen, rest_have, rest = counts
    if counts.chosen_share <= counts.rest_share:
        return 0.0
    first = _log_choose(chosen, have) + _log_choose(rest, rest_have) - _log_choose(chosen + rest, have + rest_have)
    term = total = 1.0
    while rest_have and have < chosen and term > total * _ENOUGH:
        term *= (chosen - have) * rest_have / ((have + 1) * (rest - rest_have + 1))
        have, rest_have, total = have + 1, rest_have - 1, total + term
    return min(0.0, first + math.log(total))


def _log_choose(all_: int, some: int) -> float:
    return math.lgamma(all_ + 1) - math.lgamma(some + 1) - math.lgamma(all_ - some + 1)


def z_of(chance: float) -> float:
    """Return how many standard deviations from the mean leave ``chance`` outside, on both sides together."""
    return -NormalDist().inv_cdf(chance / 2)


def difference_of_shares(a: tuple[int, int], b: tuple[int, int], chance: float) -> tuple[float, float]:
    """Return the confidence interval of the difference of two shares, B minus A.

    Newcombe's interval (1998, method 10) is used, which is made of two of Wilson's. It also holds for few and for no
    occurrences.

    Args:
        a: How many requests of A fulfil the condition, and how many there are.
        b: The same of B.
        chance: How often the interval may miss the true difference, such as 0.05.

    Returns:
        The lower and the upper end.
    """
    z = z_of(chance)
    (share_a, low_a, high_a), (share_b, low_b, high_b) = _wilson(*a, z), _wilson(*b, z)
    difference = share_b - share_a
    return (
        difference - math.hypot(share_b - low_b, high_a - share_a),
        difference + math.hypot(high_b - share_b, share_a - low_a),
    )


def _wilson(have: int, all_: int, z: float) -> tuple[float, float, float]:
    share, square = have / all_, z * z
    middle = (share + square / (2 * all_)) / (1 + square / all_)
    half = z / (1 + square / all_) * math.sqrt(share * (1 - share) / all_ + square / (4 * all_ * all_))
    return share, max(0.0, middle - half), min(1.0, middle + half)


def rank_chance(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the p-value of the Wilcoxon-Mann-Whitney test, two-sided, by its normal approximation with ties.

    The p-value is the chance that two groups of numbers of the same distribution differ as much as these.
    """
    count_a, count_b = len(a), len(b)
    ranked = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    rank_sum, ties, at = 0.0, 0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        same = end - at
        rank_sum += (at + 1 + end) / 2 * sum(1 for _, group in ranked[at:end] if group == 0)
        ties += same**3 - same
        at = end
    total = count_a + count_b
    expected = count_a * (total + 1) / 2
    variance = count_a * count_b / 12 * (total + 1 - ties / (total * (total - 1)))
    return math.erfc(abs(rank_sum - expected) / math.sqrt(2 * variance)) if variance > 0 else 1.0
