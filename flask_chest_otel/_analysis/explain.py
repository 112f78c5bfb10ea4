"""Explains chosen requests: finds values, routes and versions that are more frequent among them than among the rest.

Fisher's exact test gives each condition a p-value. It is multiplied by the number of tested conditions (Bonferroni),
because among thousands of conditions some are frequent by accident. A pair of conditions is a finding only where each
of the two makes the other stronger. A condition that holds for the same requests as an earlier finding is listed with
that finding.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._analysis.chance import Counts, log_chance
from flask_chest_otel._analysis.conditions import Columns, Condition, Fact, bits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Explanation", "Finding", "Observation", "explain"]

CHANCE = 0.01
"""Largest p-value of a finding, after the correction."""

LEAST_SHARE = 0.03
"""By how much a finding's share among the chosen requests is larger than among the rest, at least."""

SAME = 0.95
"""Of a finding's chosen requests, the part for which a condition holds that goes along with it, at least."""

PAIRED = 150
"""How many conditions are tested in pairs: those with the smallest p-values."""

MOST_FINDINGS = 10
"""How many findings are returned at most."""


class Observation(NamedTuple):
    """One request.

    Attributes:
        chosen: Whether it is one of the requests that are to be explained.
        facts: Its facts: texts, numbers, booleans, and lists of them. Of facts that always come together, the first
            one becomes the finding.
    """

    chosen: bool
    facts: Mapping[Fact, object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One or two conditions that are more frequent among the chosen requests.

    Attributes:
        conditions: One condition, or two that hold together.
        counts: How many requests fulfil them.
        chance: The p-value, corrected for the number of tested conditions.
        along: Further conditions that hold for the same requests, but for a few.
    """

    conditions: tuple[Condition, ...]
    counts: Counts
    chance: float
    along: tuple[tuple[Condition, ...], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of ``explain``.

    Attributes:
        chosen: How many requests were chosen.
        rest: How many were not.
        looked_at: How many conditions were tested, pairs included.
        findings: The findings, the smallest p-value first.
        left_out: Facts that were ignored, because they have too many different values.
    """

    chosen: int
    rest: int
    looked_at: int
    findings: tuple[Finding, ...]
    left_out: tuple[Fact, ...]


class _Candidate(NamedTuple):
    log_chance: float
    conditions: tuple[Condition, ...]
    bits: int


def _rank(one: _Candidate) -> tuple[float, int]:
    # Of equal p-values, one condition comes before two. Else, as sorting is stable, the order of facts decides.
    return one.log_chance, len(one.conditions)


def explain(observations: Iterable[Observation]) -> Explanation:
    """Find what is more frequent among the chosen requests than among the rest."""
    columns, chosen, count = Columns(), array("L"), 0
    for row, one in enumerate(observations):
        count = row + 1
        if one.chosen:
            chosen.append(row)
        for fact, value in one.facts.items():
            columns.add(row, fact, value)
    groups = _Groups(bits_of(chosen) if chosen else 0, (1 << count) - 1)
    singles = [_Candidate(groups.log_chance(bits), (one,), bits) for one, bits in columns.conditions(count)]
    looked_at = len(singles) + len(singles) * (len(singles) - 1) // 2
    limit = math.log(CHANCE / max(1, looked_at))
    candidates = [*_best_ranges(singles), *_pairs(groups, singles, limit)]
    standing_out = [one for one in candidates if one.log_chance < limit and groups.matters(one.bits)]
    findings = _Findings(groups, looked_at)
    for candidate in sorted(standing_out, key=_rank):
        findings.add(candidate)
    left_out = tuple(sorted(columns.left_out))
    return Explanation(len(chosen), count - len(chosen), looked_at, findings.all(), left_out)


class _Groups:
    """The chosen requests and the rest."""

    def __init__(self, chosen: int, everything: int) -> None:
        self._chosen = chosen
        self._everything = everything
        self._sizes = chosen.bit_count(), everything.bit_count() - chosen.bit_count()

    def counts(self, bits: int) -> Counts:
        have_chosen = (bits & self._chosen).bit_count()
        return Counts(have_chosen, self._sizes[0], bits.bit_count() - have_chosen, self._sizes[1])

    def log_chance(self, bits: int, within: int | None = None) -> float:
        """Return the logarithm of a condition's p-value, among all requests or among those of ``within``."""
        if within is None:
            return log_chance(self.counts(bits))
        inside, all_ = self.counts(bits & within), self.counts(within)
        return log_chance(Counts(inside.chosen_with, all_.chosen_with, inside.rest_with, all_.rest_with))

    def matters(self, bits: int) -> bool:
        counts = self.counts(bits)
        return counts.chosen_share - counts.rest_share >= LEAST_SHARE

    def covers(self, bits: int, others: int) -> bool:
        """Whether a condition holds for the chosen requests of another one, but for a few."""
        wanted = others & self._chosen
        return (bits & wanted).bit_count() >= SAME * wanted.bit_count()

    def without(self, bits: int) -> int:
        return self._everything & ~bits


def _best_ranges(singles: list[_Candidate]) -> list[_Candidate]:
    """Keep of all ranges of one number the one with the smallest p-value, and keep every other condition."""
    best: dict[Fact | Condition, _Candidate] = {}
    for one in sorted(singles, key=_rank):
        (condition,) = one.conditions
        best.setdefault(condition.fact if condition.value is None else condition, one)
    return list(best.values())


def _pairs(groups: _Groups, singles: list[_Candidate], limit: float) -> list[_Candidate]:
    """Find pairs of conditions of which each is significant among the requests that fulfil the other."""
    step = math.log(CHANCE / max(1, len(singles)))
    found = []
    for one, other in combinations(sorted(_best_ranges(singles), key=_rank)[:PAIRED], 2):
        bits = one.bits & other.bits
        # Cheap tests come first, because there are thousands of pairs.
        if one.conditions[0].fact == other.conditions[0].fact or not groups.matters(bits):
            continue
        chance = groups.log_chance(bits)
        if chance < limit and all(groups.log_chance(bits, within=part.bits) < step for part in (one, other)):
            conditions = tuple(sorted((*one.conditions, *other.conditions), key=lambda each: each.fact))
            found.append(_Candidate(chance, conditions, bits))
    return found


class _Findings:
    """The findings so far, with the conditions that hold for the same requests."""

    def __init__(self, groups: _Groups, looked_at: int) -> None:
        self._groups = groups
        self._looked_at = looked_at
        self._found: list[tuple[_Candidate, list[tuple[Condition, ...]]]] = []

    def add(self, one: _Candidate) -> None:
        """Add a candidate: as a finding if it is significant where no earlier one holds, else to the earlier one."""
        rest = -1
        for earlier, along in self._found:
            rest &= self._groups.without(earlier.bits)
            if self._groups.log_chance(one.bits, within=rest) >= math.log(CHANCE / self._looked_at):
                is_new = len(one.conditions) == 1 and one.conditions[0] not in earlier.conditions
                if is_new and self._groups.covers(one.bits, earlier.bits):
                    along.append(one.conditions)
                return
        if len(self._found) < MOST_FINDINGS:
            self._found.append((one, []))

    def all(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                one.conditions,
                self._groups.counts(one.bits),
                min(1.0, self._looked_at * math.exp(one.log_chance)),
                tuple(along),
            )
            for one, along in self._found
        )
