"""The buffer of one process: batches wait in the outbox on disk, or in memory while the disk cannot be written."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from flask_chest_otel._base.fork_lock import UnforkedLock
from flask_chest_otel._otlp.endpoint import SIGNALS
from flask_chest_otel._outbox import memory
from flask_chest_otel._outbox.disk import PATIENCE_S, TROUBLED_S, Disk, OutboxConfig
from flask_chest_otel._outbox.file import Usage
from flask_chest_otel._outbox.memory import Memory, within

if TYPE_CHECKING:
    from flask_chest_otel._outbox.file import Batch, Outbox

__all__ = ["BatchBuffer", "OutboxConfig"]


class BatchBuffer:
    """Takes batches from any thread and hands them to the sending thread in the same order.

    Args:
        config: Folder and bounds of the outbox.
    """

    def __init__(self, config: OutboxConfig) -> None:
        self._lock = UnforkedLock()
        self._disk = Disk(config)
        # Batches that are not in ``_memory`` yet. Appending here takes no lock, so a thread that puts never waits.
        self._incoming: deque[tuple[str, int, bytes]] = deque()
        # Always newer than everything on disk. Its batches go to the disk as soon as the disk can be written again.
        self._memory = Memory()
        self._in_flight = False
        self._hangs = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that this process dropped because of the bounds."""
        return self._dropped + self._disk.dropped

    def put(self, signal: str, items: int, body: bytes) -> None:
        """Keep one batch.

        Never raises, never loses a batch that fits, and never waits longer than ``PATIENCE_S``.

        Args:
            signal: ``traces``, ``metrics`` or ``logs``.
            items: How many spans, data points or log records the batch has.
            body: The OTLP request, as protobuf.
        """
        give_up_at = time.monotonic() + PATIENCE_S
        self._incoming.append((signal, items, body))
        if not self._lock.acquire(TROUBLED_S if self._hangs else PATIENCE_S):
            # The thread with the lock waits for a hanging disk. The next call that gets the lock stores the batch.
            self._hangs = True
            self._bound_incoming()
            return
        try:
            self._hangs = False
            self._take_in()
            self._store(give_up_at)
        finally:
            self._dropped += self._memory.keep_bound()
            self._lock.release()

    def oldest(self, signal: str, most: int, max_bytes: int) -> list[Batch]:
        """Return the batches to send next. The caller passes them to ``done``, ``refuse`` or ``keep`` afterwards.

        Args:
            signal: ``traces``, ``metrics`` or ``logs``.
            most: How many batches at most.
            max_bytes: How large the batches may be together; the first may be larger.
        """
        with self._lock:
            self._take_in()
            self._store()
            found = self._disk.use(lambda outbox: self._first(outbox, signal, most, max_bytes), reading=True) or []
            if not found:
                found = self._memory.first(signal, most, max_bytes)
                self._in_flight = bool(found)
            self._dropped += self._memory.keep_bound()
            return found

    def done(self, rows: list[Batch]) -> None:
        """Delete batches that the collector accepted."""
        with self._lock:
            self._in_flight = False
            self._memory.forget({row.batch_id for row in rows})
            for row in rows:
                if row.batch_id > 0:
                    self._disk.settled.add(row.batch_id)
            self._tidy()

    def refuse(self, row: Batch, signal: str, reason: str) -> None:
        """Put aside a batch that the collector refused; drop the batch if the disk cannot be written."""
        with self._lock:
            self._in_flight = False
            if row.batch_id > 0:
                self._disk.settled.add(row.batch_id, reason)
                self._tidy()
                return
            self._memory.forget({row.batch_id})
            if self._disk.use(lambda outbox: outbox.put_refused(self._disk.name, signal, row, reason)) is None:
                self._dropped += row.items

    def keep(self) -> None:
        """Keep the batches that ``oldest`` returned: they are to be sent again."""
        self._in_flight = False

    def is_empty(self) -> bool:
        """Whether no batch of this process waits; ``False`` also if that cannot be found out within ``PATIENCE_S``."""
        if not self._lock.acquire(PATIENCE_S):
            return False
        try:
            self._take_in()
            return not self._memory and not self._disk.use(self._has_unsettled, reading=True)
        finally:
            self._lock.release()

    def usage(self) -> Usage:
        """Return how much waits on disk and in memory."""
        with self._lock:
            self._take_in()
            found = self._disk.use(lambda outbox: outbox.usage(), reading=True) or Usage(0, 0, 0, None)
            waiting, size_bytes = found.waiting + len(self._memory), found.size_bytes + self._memory.size_bytes
            return Usage(waiting, found.refused, size_bytes, found.oldest_unix_ns)

    def take_over(self) -> int:
        """Adopt the batches of dead processes; returns how many."""
        with self._lock:
            self._tidy()
            # Adopt nothing while settled batches are still in the file: reading skips all batches up to the last
            # settled one, and adopted batches may be older.
            return 0 if self._disk.settled else self._disk.use(lambda outbox: outbox.take_over(self._disk.name)) or 0

    def close(self) -> None:
        """Close the file; another process adopts the batches that are left."""
        if not self._lock.acquire(PATIENCE_S):
            return
        try:
            self._disk.try_once_more()
            self._take_in()
            give_up_at = time.monotonic() + PATIENCE_S
            self._store(give_up_at)
            self._tidy(give_up_at)
            self._disk.leave()
        finally:
            self._lock.release()

    def leave_to_parent(self) -> None:
        """Give up the parent's lock file; called in a forked child."""
        self._disk.forget()

    def _take_in(self) -> None:
        while self._incoming:
            self._memory.add(*self._incoming.popleft())

    def _bound_incoming(self) -> None:
        while sum(len(body) for _, _, body in list(self._incoming)) > memory.MEMORY_BYTES:
            with suppress(IndexError):
                self._dropped += self._incoming.popleft()[1]

    def _store(self, give_up_at: float | None = None) -> None:
        if self._memory and not self._in_flight:
            batches = self._memory.batches()
            if self._disk.use(lambda outbox: outbox.put(self._disk.name, batches), give_up_at=give_up_at) is not None:
                self._memory.clear()

    def _tidy(self, give_up_at: float | None = None) -> None:
        if self._disk.settled:
            self._disk.use(self._disk.settled.tell, give_up_at=give_up_at)

    def _first(self, outbox: Outbox, signal: str, most: int, max_bytes: int) -> list[Batch]:
        found = self._disk.settled.unsettled(outbox, self._disk.name, signal, most)
        return outbox.read([batch_id for batch_id, _ in found][: within((size for _, size in found), max_bytes)])

    def _has_unsettled(self, outbox: Outbox) -> bool:
        return any(self._disk.settled.unsettled(outbox, self._disk.name, signal, 1) for signal in SIGNALS)
