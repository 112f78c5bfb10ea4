"""What the embedded store and the direct chests have in common: a name, a queue, and its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._records.queue import EXIT_BUDGET_S

if TYPE_CHECKING:
    from flask_chest_otel._records.queue import RecordQueue

__all__ = ["QueuedChest"]


class QueuedChest:
    """Keeps request records somewhere, in a thread of its own.

    Args:
        name: By which routes speak of it in ``chests=``.
        queue: Takes the records.
    """

    def __init__(self, name: str, queue: RecordQueue) -> None:
        self.name = name
        self._queue = queue
        self.put = queue.put
        """Queue one record: see ``RecordQueue.put``. The very method, as a request pays for each call."""

    @property
    def dropped(self) -> int:
        """Records refused in this process because the queue was full, closed or off."""
        return self._queue.dropped

    @property
    def lost(self) -> int:
        """Records accepted in this process that did not get where they belong in the end."""
        return self._queue.lost

    def flush(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Wait until what was put before is written; whether it is, within ``timeout_s`` seconds."""
        return self._queue.flush(timeout_s)

    def close(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Write what is queued and let go of everything; whether that was done within ``timeout_s`` seconds."""
        return self._queue.close(timeout_s)
