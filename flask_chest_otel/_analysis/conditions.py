"""Finds the conditions that hold for some of many requests, such as ``plan=gold`` or ``items>=12``.

The requests that fulfil a condition are the bits of one integer. Two conditions are joined by ``&``, and ``bit_count``
counts their requests, so that thousands of pairs over hundreds of thousands of requests are fast.
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
"""A text with more different values than this is an identifier: each value has too few requests."""

FEWEST = 5
"""A condition is tested if at least this many requests fulfil it and at least this many do not."""

AS_THEY_ARE = 10
"""Numbers with at most this many different values are compared one by one, not in ranges of quantiles."""

QUANTILES = (*(part / 20 for part in range(1, 20)), 0.99)
"""The quantiles at which ranges of numbers begin and end."""


class Fact(NamedTuple):
    """What is known of a request.

    Attributes:
        kind: ``request`` for its route, method and the like; ``variable`` for a tracked variable.
        name: Name of the fact.
    """

    kind: str
    name: str


class Condition(NamedTuple):
    """A fact has a certain value, or its number lies in a range.

    Attributes:
        fact: The fact.
        value: The value as text; ``None`` for a range.
        at_least: Smallest number of the range; ``None``: it has no lower end.
        below: The numbers are smaller than this; ``None``: the range has no upper end.
        in_list: Whether the fact is a list that contains the value.
    """

    fact: Fact
    value: str | None = None
    at_least: float | None = None
    below: float | None = None
    in_list: bool = False


class Columns:
    """The facts of many requests, column by column; requests are numbered from 0.

    Attributes:
        left_out: Facts that have too many different values, and are ignored.
    """

    def __init__(self) -> None:
        self.left_out: set[Fact] = set()
        self._texts: dict[Fact, dict[tuple[str, bool], array[int]]] = defaultdict(dict)
        self._numbers: dict[Fact, tuple[array[int], array[float]]] = {}

    def add(self, row: int, fact: Fact, value: object) -> None:
        """Add a fact of the request ``row``; a value of ``None`` is ignored."""
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
        """Yield every condition that enough of ``count`` requests fulfil, with these requests as bits."""
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
    """Yield every range of adjoining bins, except for the one of all bins."""
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
    """Return the numbers at which bins begin."""
    distinct = sorted(set(values))
    if len(distinct) <= AS_THEY_ARE:
        return distinct
    ranked = sorted(values)
    return sorted({ranked[0], *(ranked[int(part * len(ranked))] for part in QUANTILES)})


def bits_of(rows: array[int]) -> int:
    """Return an integer in which the bits ``rows`` are set."""
    found = bytearray(max(rows, default=0) // 8 + 1)
    for row in rows:
        found[row >> 3] |= 1 << (row & 7)
    return int.from_bytes(found, "little")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
