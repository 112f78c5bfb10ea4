"""Keeps batches in memory while the disk cannot be written."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from flask_chest_otel._outbox.file import Batch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["MEMORY_BYTES", "Memory", "within"]

MEMORY_BYTES = 16 * 1024 * 1024
"""How much may wait in memory, bytes; beyond it the oldest batches are dropped."""


class Memory:
    """One queue per signal.

    Numbers of batches in memory are negative, so that they never equal numbers in the file; later batches have smaller
    numbers.

    Attributes:
        size_bytes: Size of all batches, bytes.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._queues: dict[str, deque[Batch]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of batches."""
        return sum(map(len, self._queues.values()))

    def add(self, signal: str, items: int, body: bytes) -> None:
        """Append one batch."""
        self._count += 1
        self._queues.setdefault(signal, deque()).append(Batch(-self._count, items, body))
        self.size_bytes += len(body)

    def first(self, signal: str, most: int, max_bytes: int) -> list[Batch]:
        """Return the oldest batches of one signal, at most ``most``; for ``max_bytes`` see ``within``."""
        queue = self._queues.get(signal, ())
        rows = [row for row, _ in zip(queue, range(most), strict=False)]
        return rows[: within((len(row.body) for row in rows), max_bytes)]

    def batches(self) -> list[tuple[str, int, bytes]]:
        """Return signal, number of items and content of all batches."""
        return [(signal, row.items, row.body) for signal, queue in self._queues.items() for row in queue]

    def forget(self, numbers: Collection[int]) -> None:
        """Remove the batches with these numbers."""
        for signal, queue in self._queues.items():
            # They were the first ones when ``first`` returned them. Some may have been dropped meanwhile.
            while queue and queue[0].batch_id in numbers:
                self._take_first(signal)

    def keep_bound(self) -> int:
        """Drop the oldest batches of all signals until ``MEMORY_BYTES`` is kept; returns how many items they had."""
        dropped = 0
        while self.size_bytes > MEMORY_BYTES:
            oldest = max((signal for signal, queue in self._queues.items() if queue), key=self._number)
            dropped += self._take_first(oldest).items
        return dropped

    def clear(self) -> None:
        """Remove all batches."""
        self._queues.clear()
        self.size_bytes = 0

    def _number(self, signal: str) -> int:
        return self._queues[signal][0].batch_id

    def _take_first(self, signal: str) -> Batch:
        row = self._queues[signal].popleft()
        self.size_bytes -= len(row.body)
        return row


def within(sizes: Iterable[int], max_bytes: int) -> int:
    """Return how many of the first sizes fit into ``max_bytes``, at least one."""
    total = count = 0
    for size in sizes:
        total += size
        if count and total > max_bytes:
            break
        count += 1
    return count
