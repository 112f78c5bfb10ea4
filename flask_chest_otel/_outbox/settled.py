"""Remembers batches that were accepted or refused while the disk is full or locked, so that they are not sent again."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_chest_otel._outbox.file import Outbox

__all__ = ["Settled"]

AT_ONCE = 500
"""How many batches one transaction deletes or marks as refused."""


class Settled:
    """Batches that are still on disk as waiting, but must not be sent again."""

    def __init__(self) -> None:
        self._fates: dict[int, str | None] = {}
        # Signal to a batch number: all batches up to it are settled, so reading begins behind it.
        self._passed: dict[str, int] = {}

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._fates)

    def add(self, batch_id: int, refused: str | None = None) -> None:
        """Remember that a batch was accepted; or refused, with the reason."""
        self._fates[batch_id] = refused

    def clear(self) -> None:
        """Forget all batches: their file does not exist any more."""
        self._fates = {}
        self._passed = {}

    def unsettled(self, outbox: Outbox, owner: str, signal: str, most: int) -> list[tuple[int, int]]:
        """Return number and size in bytes of the oldest batches that wait; empty: none waits.

        At most ``most`` batches; there may be fewer, although more wait.
        """
        while found := outbox.waiting_sizes(owner, signal, most, self._passed.get(signal, 0)):
            left = [(batch_id, size) for batch_id, size in found if batch_id not in self._fates]
            if left:
                return left
            self._passed[signal] = found[-1][0]
        return []

    def tell(self, outbox: Outbox) -> int:
        """Delete accepted batches in the file and mark refused ones; returns how many.

        Raises:
            sqlite3.Error: The file cannot be written; batches that are not marked yet stay remembered.
        """
        told = 0
        while fates := dict(islice(self._fates.items(), AT_ONCE)):
            accepted = [batch_id for batch_id, refused in fates.items() if refused is None]
            told += outbox.settle(accepted, {number: why for number, why in fates.items() if why is not None})
            for batch_id in fates:
                del self._fates[batch_id]
        self.clear()
        return told
