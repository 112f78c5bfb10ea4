"""The base class of the embedded store and the direct chests: a name, a queue, and its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._records.queue import EXIT_BUDGET_S

if TYPE_CHECKING:
    from flask_chest_otel._records.queue import RecordQueue

__all__ = ["QueuedChest"]


class QueuedChest:
    """A chest that writes request records in its own thread.

    Args:
        name: The name that routes use in ``chests=``.
        queue: Takes the records.
    """

    def __init__(self, name: str, queue: RecordQueue) -> None:
        self.name = name
        self._queue = queue
        self.put = queue.put
        """Queue one record: see ``RecordQueue.put``. It is that method itself, to save one call in each request."""

    @property
    def dropped(self) -> int:
        """Records refused in this process because the queue was full, closed or off."""
        return self._queue.dropped

    @property
    def lost(self) -> int:
        """Records that this process accepted, but the back end did not take."""
        return self._queue.lost

    def flush(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Wait at most ``timeout_s`` seconds until the records put before are written; return whether they are."""
        return self._queue.flush(timeout_s)

    def close(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Write the queued records and close; return whether that was done within ``timeout_s`` seconds."""
        return self._queue.close(timeout_s)
