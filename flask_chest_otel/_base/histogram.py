"""A histogram that takes values, merges with others, is encoded in a few bytes, and gives percentiles.

It always has the buckets of OpenTelemetry's exponential histogram at scale 5, so that any two histograms can be merged:
bucket ``i`` holds the values above ``2 ** (i / 32)`` up to and including ``2 ** ((i + 1) / 32)``.
See https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RELATIVE_ERROR", "SCALE", "Histogram"]

SCALE = 5
"""Each power of two has ``2 ** SCALE`` buckets."""

_PER_OCTAVE = 1 << SCALE
_BASE = math.pow(2.0, 1 / _PER_OCTAVE)

RELATIVE_ERROR = (_BASE - 1) / (_BASE + 1)
"""The largest relative difference between a percentile and the value of that rank: 1.1 %."""

ZERO = -(2**15)
"""Index of the bucket for 0, and for every value that is not a positive finite number."""

_WIDTHS = {"B": 2**8, "H": 2**16, "I": 2**32, "Q": 2**64}
"""Format letter of ``struct`` to the smallest number that does not fit into it."""


class Histogram:
    """Counts of values by bucket.

    Attributes:
        buckets: Index of each bucket that is not empty, to the number of values in it.
    """

    __slots__ = ("buckets",)

    def __init__(self, values: Iterable[float] = ()) -> None:
        """Begin with ``values``."""
        self.buckets: dict[int, int] = {}
        for value in values:
            self.add(value)

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.buckets.values())

    def add(self, value: float) -> None:
        """Add one value."""
        index = bucket_of(value)
        self.buckets[index] = self.buckets.get(index, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Add all values of another histogram."""
        mine = self.buckets
        for index, count in other.buckets.items():
            mine[index] = mine.get(index, 0) + count

    def merge_encoded(self, data: bytes) -> None:
        """Add all values of an encoded histogram. Data that is not an encoded histogram counts as empty."""
        mine = self.buckets
        for index, count in _pairs(data):
            mine[index] = mine.get(index, 0) + count

    def quantile(self, share: float) -> float | None:
        """The value of nearest rank, for example P95 for ``share=0.95``; ``None`` where there are no values.

        It differs by at most ``RELATIVE_ERROR`` from a value that was added.
        """
        return self.quantiles(share)[0]

    def quantiles(self, *shares: float) -> list[float | None]:
        """Several quantiles in one pass; ``shares`` must ascend."""
        found: list[float | None] = []
        total, passed = self.count, 0
        ordered = iter(sorted(self.buckets.items()))
        index = ZERO
        for share in shares:
            rank = max(1, math.ceil(share * total))
            while passed < rank and total:
                index, count = next(ordered)
                passed += count
            found.append(_middle(index) if total else None)
        return found

    def encode(self) -> bytes:
        """Encode as bytes: two for the index of each bucket, and as many for each count as the largest count needs."""
        counts = self.buckets.values()
        largest = max(counts, default=0)
        width = next(width for width, bound in _WIDTHS.items() if largest < bound)
        return width.encode() + struct.pack(f"<{len(counts)}h{len(counts)}{width}", *self.buckets, *counts)

    @classmethod
    def decode(cls, data: bytes) -> Histogram:
        """The histogram that was encoded; an empty one where ``data`` is not an encoded histogram."""
        found = cls()
        found.merge_encoded(data)
        return found

    def __eq__(self, other: object) -> bool:
        """Whether both have the same counts in the same buckets."""
        return isinstance(other, Histogram) and self.buckets == other.buckets

    __hash__ = None  # type: ignore[assignment]  # a histogram is mutable


def bucket_of(value: float) -> int:
    """Index of the bucket that a value belongs to."""
    if not 0 < value < math.inf:
        return ZERO
    return max(ZERO + 1, math.ceil(math.log2(value) * _PER_OCTAVE) - 1)


def _middle(index: int) -> float:
    """The value with the smallest relative difference to every value of the bucket."""
    if index == ZERO:
        return 0.0
    lower = math.pow(2.0, index / _PER_OCTAVE)
    return lower + lower * RELATIVE_ERROR


def _pairs(data: bytes) -> Iterable[tuple[int, int]]:
    width = data[:1].decode("ascii", "replace")
    if width not in _WIDTHS:
        return ()
    buckets, layout = _layout(width, len(data) - 1)
    found = layout.unpack_from(data, 1)
    return zip(found[:buckets], found[buckets:], strict=True)


@lru_cache(maxsize=1024)
def _layout(width: str, size: int) -> tuple[int, struct.Struct]:
    """The number of buckets in ``size`` bytes, and the format to unpack them."""
    buckets = size // struct.calcsize(f"<h{width}")
    return buckets, struct.Struct(f"<{buckets}h{buckets}{width}")
