"""What is different about some requests: values, routes, versions that are more frequent among them than elsewhere.

Each condition is held against Fisher's exact test, and the chance multiplied by how many were looked at (Bonferroni):
among thousands of conditions some are frequent by accident. Conditions of two facts are named only where each of the
two adds to the other; what comes and goes with something named before is listed beside it.
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
"""What is more likely than this by chance alone, after the correction, does not stand out."""

LEAST_SHARE = 0.03
"""What is more frequent among the chosen by less than this part of them does not stand out, however sure it is."""

PAIRED = 150
"""Conditions that are looked at in pairs: those that stand out most alone."""

MOST_FINDINGS = 10
"""Findings that are named at most."""


class Observation(NamedTuple):
    """One request.

    Attributes:
        chosen: Whether it is one of those that are to be explained.
        facts: What is known of it: texts, numbers, true and false, and lists of them; of facts that
            always come together, the first is named.
    """

    chosen: bool
    facts: Mapping[Fact, object]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out.

    Attributes:
        conditions: One condition, or two that hold together.
        counts: For how many requests it holds.
        chance: That it is so frequent by chance alone, corrected for all that was looked at.
        along: Other conditions that stand out among the same requests.
    """

    conditions: tuple[Condition, ...]
    counts: Counts
    chance: float
    along: tuple[tuple[Condition, ...], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What stands out.

    Attributes:
        chosen: How many requests were chosen.
        rest: How many were not.
        looked_at: How many conditions were looked at, pairs included.
        findings: What stands out, what is least likely by chance first.
        left_out: Facts with too many different values.
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
    # One condition before two that say the same; of others that do, the one whose fact was named first.
    return one.log_chance, len(one.conditions)


def explain(observations: Iterable[Observation]) -> Explanation:
    """What is more frequent among the chosen requests than among the rest, ranked."""
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
        """How likely it is that a condition is so frequent, among all requests or within some."""
        if within is None:
            return log_chance(self.counts(bits))
        inside, all_ = self.counts(bits & within), self.counts(within)
        return log_chance(Counts(inside.chosen_with, all_.chosen_with, inside.rest_with, all_.rest_with))

    def matters(self, bits: int) -> bool:
        counts = self.counts(bits)
        return counts.chosen_share - counts.rest_share >= LEAST_SHARE

    def without(self, bits: int) -> int:
        return self._everything & ~bits


def _best_ranges(singles: list[_Candidate]) -> list[_Candidate]:
    """Of all ranges of one number the one that stands out most; every other condition."""
    best: dict[Fact | Condition, _Candidate] = {}
    for one in sorted(singles, key=_rank):
        (condition,) = one.conditions
        best.setdefault(condition.fact if condition.value is None else condition, one)
    return list(best.values())


def _pairs(groups: _Groups, singles: list[_Candidate], limit: float) -> list[_Candidate]:
    """Two conditions together, where each makes it more likely for requests that fulfil the other to be chosen."""
    step = math.log(CHANCE / max(1, len(singles)))
    found = []
    for one, other in combinations(sorted(_best_ranges(singles), key=_rank)[:PAIRED], 2):
        bits = one.bits & other.bits
        # Cheap questions first: there are thousands of pairs.
        if one.conditions[0].fact == other.conditions[0].fact or not groups.matters(bits):
            continue
        chance = groups.log_chance(bits)
        if chance < limit and all(groups.log_chance(bits, within=part.bits) < step for part in (one, other)):
            conditions = tuple(sorted((*one.conditions, *other.conditions), key=lambda each: each.fact))
            found.append(_Candidate(chance, conditions, bits))
    return found


class _Findings:
    """What has been found, and what goes along with it."""

    def __init__(self, groups: _Groups, looked_at: int) -> None:
        self._groups = groups
        self._looked_at = looked_at
        self._found: list[tuple[_Candidate, list[tuple[Condition, ...]]]] = []

    def add(self, one: _Candidate) -> None:
        """A finding of its own, if it stands out where the earlier ones do not hold; else it goes along with one."""
        rest = -1
        for earlier, along in self._found:
            rest &= self._groups.without(earlier.bits)
            if self._groups.log_chance(one.bits, within=rest) >= math.log(CHANCE / self._looked_at):
                if len(one.conditions) == 1 and one.conditions[0] not in earlier.conditions:
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
