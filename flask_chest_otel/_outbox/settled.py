"""What became of batches on a disk that cannot be told so now: a full one, or one that somebody locks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_chest_otel._outbox.file import Outbox

__all__ = ["Settled"]

AT_ONCE = 500
"""Batches that are settled in one transaction."""


class Settled:
    """Batches that are not sent again although they are on disk."""

    def __init__(self) -> None:
        self._fates: dict[int, str | None] = {}
        # By signal: the last batch of those at the front that are all settled. Nobody looks at them once more.
        self._passed: dict[str, int] = {}

    def __len__(self) -> int:
        """How many they are."""
        return len(self._fates)

    def add(self, batch_id: int, refused: str | None = None) -> None:
        """A batch was accepted, or refused for a reason."""
        self._fates[batch_id] = refused

    def clear(self) -> None:
        """Forget all: they are of a file that is gone."""
        self._fates = {}
        self._passed = {}

    def unsettled(self, outbox: Outbox, owner: str, signal: str, most: int) -> list[tuple[int, int]]:
        """The oldest batches that are still to be sent, and their sizes; ``most`` at most, one at least."""
        while found := outbox.waiting_sizes(owner, signal, most, self._passed.get(signal, 0)):
            left = [(batch_id, size) for batch_id, size in found if batch_id not in self._fates]
            if left:
                return left
            self._passed[signal] = found[-1][0]
        return []

    def tell(self, outbox: Outbox) -> int:
        """Delete and put aside on disk, in parts: where the first fails, the others are not tried."""
        told = 0
        while fates := dict(islice(self._fates.items(), AT_ONCE)):
            accepted = [batch_id for batch_id, refused in fates.items() if refused is None]
            told += outbox.settle(accepted, {number: why for number, why in fates.items() if why is not None})
            for batch_id in fates:
                del self._fates[batch_id]
        self.clear()
        return told
