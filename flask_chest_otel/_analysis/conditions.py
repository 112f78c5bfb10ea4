"""From requests to conditions that hold for some of them, such as ``plan=gold`` or ``items>=12``.

The requests for which a condition holds are the bits of one whole number: two conditions together are an ``&``, and
counting is one call, so that thousands of pairs over hundreds of thousands of requests take no time.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel.tracked import looks_like_id

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Columns", "Condition", "Fact", "bits_of"]

MOST_VALUES = 1000
"""A text with more different values identifies something: each stands for too few requests to say anything."""

FEWEST = 5
"""A condition has to hold for so many requests, and to fail for so many, or nothing can be said about it."""

AS_THEY_ARE = 10
"""Numbers with at most so many different values are not put into ranges of quantiles."""

QUANTILES = (*(part / 20 for part in range(1, 20)), 0.99)
"""Where ranges of numbers begin and end."""


class Fact(NamedTuple):
    """What is known of a request: ``request`` for its route, method …, ``variable`` for what it recorded."""

    kind: str
    name: str


class Condition(NamedTuple):
    """A fact has this value, or a number from ``at_least`` on and less than ``below``.

    Attributes:
        fact: The fact.
        value: The text that it is; ``None`` for a range.
        at_least: Begin of the range; ``None``: from the smallest.
        below: End of the range; ``None``: up to the largest.
        in_list: The value is one of a list.
    """

    fact: Fact
    value: str | None = None
    at_least: float | None = None
    below: float | None = None
    in_list: bool = False


class Columns:
    """The facts of many requests by name; requests are counted from 0.

    Attributes:
        left_out: Facts with too many values to be looked at.
    """

    def __init__(self) -> None:
        self.left_out: set[Fact] = set()
        self._texts: dict[Fact, dict[tuple[str, bool], array[int]]] = defaultdict(dict)
        self._numbers: dict[Fact, tuple[array[int], array[float]]] = {}

    def add(self, row: int, fact: Fact, value: object) -> None:
        """Request ``row`` has the fact with this value; ``None`` says nothing."""
        if value is None or fact in self.left_out:
            return
        if isinstance(value, (list, tuple)):
            for one in {_text(entry) for entry in value}:
                self._add_text(row, fact, one, in_list=True)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and not looks_like_id(fact.name):
            if math.isfinite(value):
                rows, values = self._numbers.setdefault(fact, (array("L"), array("d")))
                rows.append(row)
                values.append(value)
        else:
            self._add_text(row, fact, _text(value), in_list=False)

    def _add_text(self, row: int, fact: Fact, text: str, *, in_list: bool) -> None:
        found = self._texts[fact]
        found.setdefault((text, in_list), array("L")).append(row)
        if len(found) > MOST_VALUES:
            self.left_out.add(fact)
            del self._texts[fact]

    def conditions(self, count: int) -> Iterator[tuple[Condition, int]]:
        """Every condition that holds for enough of ``count`` requests, and those for which it does, as bits."""
        for condition, bits in (*self._text_conditions(), *self._ranges()):
            if FEWEST <= bits.bit_count() <= count - FEWEST:
                yield condition, bits

    def _text_conditions(self) -> Iterator[tuple[Condition, int]]:
        for fact, values in self._texts.items():
            for (text, in_list), rows in values.items():
                if len(rows) >= FEWEST:
                    yield Condition(fact, text, in_list=in_list), bits_of(rows)

    def _ranges(self) -> Iterator[tuple[Condition, int]]:
        for fact, (rows, values) in self._numbers.items():
            cuts = _cuts(values)
            bins = [array("L") for _ in cuts]
            for row, value in zip(rows, values, strict=True):
                bins[bisect_right(cuts, value) - 1].append(row)
            yield from _adjoining(fact, cuts, [bits_of(one) for one in bins])


def _adjoining(fact: Fact, cuts: list[float], bins: list[int]) -> Iterator[tuple[Condition, int]]:
    """Every range of adjoining bins, but all of them together."""
    last = len(bins) - 1
    for first in range(len(bins)):
        bits = 0
        for end in range(first, len(bins)):
            bits |= bins[end]
            if (first, end) != (0, last):
                at_least = cuts[first] if first else None
                below = cuts[end + 1] if end < last else None
                yield Condition(fact, at_least=at_least, below=below), bits


def _cuts(values: array[float]) -> list[float]:
    """Where the bins of numbers begin."""
    distinct = sorted(set(values))
    if len(distinct) <= AS_THEY_ARE:
        return distinct
    ranked = sorted(values)
    return sorted({ranked[0], *(ranked[int(part * len(ranked))] for part in QUANTILES)})


def bits_of(rows: array[int]) -> int:
    """A whole number with the bits ``rows``."""
    found = bytearray(max(rows, default=0) // 8 + 1)
    for row in rows:
        found[row >> 3] |= 1 << (row & 7)
    return int.from_bytes(found, "little")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
