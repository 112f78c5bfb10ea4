"""The queue between requests and a chest's back end: one bounded queue and one writer thread per chest and process.

A request only calls ``put``: it checks the process and the bound, and appends to a deque.
"""

from __future__ import annotations

import atexit
import math
import queue
import threading
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from flask_chest_otel._base.lazy import suppression
from flask_chest_otel._base.process import PerProcess, at_end_of_child, current_process
from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import Log, LossReport, printable, report_error
from flask_chest_otel._records.abandoned import work_off
from flask_chest_otel._records.delivery import ChestOffError, Delivery
from flask_chest_otel._records.record import without_spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flask_chest_otel._records.delivery import Writer
    from flask_chest_otel._records.record import RequestRecord

__all__ = ["RecordQueue", "close_all"]

logger = Log(__name__)

CAPACITY = 10_000
"""Largest number of records that wait; further ones are dropped and counted."""

MOST_WITH_DETAILS = 1000
"""Largest number of waiting records that hold child spans, as these may be large; others hold their sums only."""

BATCH = 500
"""Largest number of records in one call of the writer."""

GATHER_S = 0.1
"""How long the writer waits for further records, seconds, so that it wakes once per batch and not once per request."""

EXIT_BUDGET_S = 2.0
"""How long the exit of the interpreter waits for all queues of the process together, seconds."""


class RecordQueue:
    """Takes records inside requests and writes them outside.

    Args:
        name: The chest's name: in the thread's name and in log lines.
        open_writer: Makes the back end's writer, in the writer thread. It must not refer to this queue.
        capacity: Largest number of records that wait.
        retry_for_s: How long one batch is retried, seconds; ``delivery.RETRY_FOR_S`` by default.

    A forked child does not use its parent's queue: its first ``put`` begins an empty queue with its own thread.
    """

    def __init__(
        self,
        name: str,
        open_writer: Callable[[], Writer],
        *,
        capacity: int = CAPACITY,
        retry_for_s: float | None = None,
    ) -> None:
        self._closed = False
        # Import it here, when a chest is made: a fork while the thread imports would leave a half-loaded module.
        untraced = suppression()
        self._threads = PerProcess(partial(_WriterThread, name, open_writer, capacity, retry_for_s, untraced))

    @property
    def dropped(self) -> int:
        """Records refused in this process because the queue was full, closed or off."""
        thread = self._threads.found()
        return thread.dropped if thread is not None else 0

    @property
    def lost(self) -> int:
        """Records that this process accepted, but the back end did not take."""
        thread = self._threads.found()
        return thread.lost if thread is not None else 0

    def put(self, record: RequestRecord) -> None:
        """Queue one record; never waits, never raises. Where the queue is full, the record is dropped and counted."""
        thread = self._threads.found() or self._begin()
        waiting = thread.items.qsize()
        if waiting >= thread.capacity:
            thread.dropped += 1
            return
        if waiting >= MOST_WITH_DETAILS and (record.spans or record.timings):
            record = without_spans(record)
        thread.items.put(record)

    def flush(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Wait until the records that were put before are written.

        Returns:
            Whether all were written within ``timeout_s`` seconds.
        """
        thread = self._threads.found()
        return thread is None or thread.flush(timeout_s)

    def close(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Write what is queued and end the thread; later records are dropped and counted.

        Returns:
            Whether the thread ended within ``timeout_s`` seconds.
        """
        self._closed = True
        thread = self._threads.found()
        if thread is None:
            return True
        deadline = time.monotonic() + timeout_s
        thread.stop(deadline)
        return thread.join(deadline)

    def _begin(self) -> _WriterThread:
        thread, is_fresh = self._threads.begin()
        if is_fresh and self._closed:
            thread.capacity = 0
        elif is_fresh:
            thread.start()
            weakref.finalize(self, thread.stop_when_idle).atexit = False
        return thread


class _Marker(threading.Event):
    """Marks a place in the queue; it is set when the writer has written everything before it."""

    def __init__(self, *, lost_before: int = 0, last: bool = False) -> None:
        super().__init__()
        self.lost_before = lost_before
        self.last = last


class _WriterThread:
    """The queue, thread and counters of one process. It holds no reference to its ``RecordQueue``."""

    def __init__(
        self,
        name: str,
        open_writer: Callable[[], Writer],
        capacity: int,
        retry_for_s: float | None,
        untraced: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.process = current_process()
        self.capacity = capacity
        self.items: queue.SimpleQueue[RequestRecord | _Marker] = queue.SimpleQueue()
        # No lock for the counters: since CPython 3.10, `+= 1` on an attribute is not interrupted by another thread.
        self.dropped = 0
        self.lost = 0
        self._name = name
        self._open_writer = open_writer
        self._retry_for_s = retry_for_s
        self._untraced = untraced
        # A SimpleQueue, not an Event: put() takes no lock that the thread of a signal handler may hold already.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._deadline = math.inf
        self._ended = False
        self._in_hand = self._lost_before_end = 0
        self._drops = LossReport(logger, "flask_chest: %d request records dropped: chest %r was full", name)
        self._thread = threading.Thread(target=self._run, name=f"flask-chest-{name}", daemon=True)

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # no thread can be started, or the interpreter is ending
            self.capacity, self._ended = 0, True
            logger.warning("flask_chest: chest %r is off: %s", self._name, error)
            return
        _running.add(self)
        # Only once per process: registering again would call it twice.
        atexit.unregister(close_all)
        atexit.register(close_all)
        at_end_of_child(close_all)

    def flush(self, timeout_s: float) -> bool:
        if self._ended:
            return self.lost == 0 and self.items.empty()
        marker = _Marker(lost_before=self.lost)
        self.items.put(marker)
        self._bell.put(None)
        return marker.wait(timeout_s) and self.lost == marker.lost_before

    def stop(self, deadline: float) -> None:
        self._deadline = deadline
        self._lost_before_end = self.lost
        self.stop_when_idle()
        self._bell.put(None)

    def stop_when_idle(self) -> None:
        # The garbage collector may call this at any point of the program, so it must not take a lock.
        self.capacity = 0
        self.items.put(_Marker(last=True))

    def join(self, deadline: float) -> bool:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def report_left(self) -> None:
        """Log how many records are lost at the end of the process."""
        left = self._in_hand + self.lost - self._lost_before_end
        with suppress(queue.Empty):
            while True:
                left += not isinstance(self.items.get_nowait(), _Marker)
        if left:
            logger.warning("flask_chest: chest %r ended without %d request records written", self._name, left)

    def _run(self) -> None:
        # Only this frame refers to the delivery. In a forked child the frame never runs again and is never freed, so
        # the child does not close the back end's connection: closing an inherited connection can damage the parent's
        # file, see https://sqlite.org/howtocorrupt.html#_carrying_an_open_database
        delivery = Delivery(self._name, self._open_writer, self._pause, self._retry_for_s)
        with self._untraced():
            try:
                while self._step(delivery):
                    pass
            except ChestOffError as error:
                logger.error(  # noqa: TRY400 - the message says what to do; a traceback of our own frames would not help
                    "flask_chest: chest %r is off: %s",
                    self._name,
                    printable(str(error)),
                )
            finally:
                self.capacity, self._ended = 0, True
                self._discard(delivery)
                delivery.close()

    def _step(self, delivery: Delivery) -> bool:
        batch, marker = self._gather()
        lost_before = delivery.lost
        self._in_hand = len(batch)
        try:
            if batch:
                delivery.deliver(batch)
        except ChestOffError:
            raise
        except Exception as error:  # noqa: BLE001 - the thread must continue
            delivery.lost = lost_before + len(batch)
            report_error("chest", error)
        finally:
            self.lost, self._in_hand = delivery.lost, 0
            if marker is not None:
                marker.set()
        self._drops.report(self.dropped)
        return marker is None or not marker.last

    def _gather(self) -> tuple[list[RequestRecord], _Marker | None]:
        item = self.items.get()
        if not isinstance(item, _Marker) and self.items.qsize() < BATCH:
            self._pause(GATHER_S)
        batch: list[RequestRecord] = []
        while not isinstance(item, _Marker):
            batch.append(item)
            if len(batch) == BATCH:
                return batch, None
            try:
                item = self.items.get_nowait()
            except queue.Empty:
                return batch, None
        return batch, item

    def _pause(self, seconds: float) -> bool:
        # Log here and not in put(): a log handler may write to a disk.
        self._drops.report(self.dropped)
        with suppress(queue.Empty):
            self._bell.get(timeout=max(0.0, min(seconds, self._deadline - time.monotonic())))
        return time.monotonic() < self._deadline

    def _discard(self, delivery: Delivery) -> None:
        # Records that are left when the chest is off, or that came while it was closed.
        while True:
            try:
                item = self.items.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, _Marker):
                item.set()
            else:
                delivery.lost += 1
        self.lost = delivery.lost


_running: WeakObjects[_WriterThread] = WeakObjects()
"""All started writer threads of the process: the exit of the interpreter closes those of every application."""


def close_all() -> None:
    """Write all queued records when the process ends: all queues at the same time, with one time limit for all."""
    work_off()
    deadline = time.monotonic() + EXIT_BUDGET_S
    mine = [line for line in _running if line.process is current_process()]
    for line in mine:
        line.stop(deadline)
    for line in mine:
        line.join(deadline)
        line.report_left()
