"""The worker that sends: one buffer, one sender per signal and one thread. Each forked child makes its own."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_instrumentation

from flask_chest_otel import _self_metrics
from flask_chest_otel._base.process import current_process, threads_run_here
from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import Log, LossReport, report_error
from flask_chest_otel._otlp.parts import Part, parts_of
from flask_chest_otel._outbox import senders
from flask_chest_otel._outbox.buffer import BatchBuffer, OutboxConfig
from flask_chest_otel._outbox.sender import SignalSender
from flask_chest_otel.names import OUTBOX_AGE, OUTBOX_BATCHES, OUTBOX_DROPPED, OUTBOX_SIZE, STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._otlp.client import OtlpEndpoint
    from flask_chest_otel._self_metrics import Figure

__all__ = ["OutboxWorker", "WorkerConfig", "worker_for"]

_logger = Log("flask_chest_otel")

GATHER_S = 0.1
"""How long the thread waits for more batches before it posts, seconds."""

LOOK_ROUND_S = 5.0
"""Time between two searches for batches of dead processes, seconds."""

ENDS_APART_S = 5.0
"""An exporter that ends later than this after the deadline of others gets a deadline of its own, seconds."""

GIVEN_UP_S = 1.0
"""How long the end waits for the thread once its post was given up, seconds."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Where batches are kept, and where they are sent; workers with equal ones are the same worker.

    Attributes:
        outbox: Folder and bounds of the outbox.
        addresses: The address of each signal.
        shutdown_timeout_s: How long sending may delay the end of the process, seconds.
        batch_bytes: How large one request may become, bytes.
    """

    outbox: OutboxConfig
    addresses: tuple[OtlpEndpoint, ...]
    shutdown_timeout_s: float
    batch_bytes: int = 4 * 1024 * 1024


class OutboxWorker:
    """Takes batches from exporters and sends them in its own thread.

    Attributes:
        process: The process that made the worker; no other process uses it.
        buffer: Where batches wait.
    """

    def __init__(self, worker_config: WorkerConfig) -> None:
        self.process = current_process()
        self.buffer = BatchBuffer(worker_config.outbox)
        self._worker_config = worker_config
        self._senders = [
            SignalSender(self.buffer, address, worker_config.batch_bytes) for address in worker_config.addresses
        ]
        self._users: set[object] = set()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bell = threading.Event()
        self._waiters: list[threading.Event] = []
        self._deadline: float | None = None
        self._stopping = False
        self._next_look = 0.0
        self._drops = LossReport(
            _logger,
            "the outbox is full or too old: %d spans, data points and log records were dropped, the oldest first",
        )
        _live.add(self)
        _self_metrics.watch(self)

    def join(self, user: object) -> None:
        """Register ``user``, which puts batches here until it calls ``leave``."""
        self._users.add(user)

    def put(self, signal: str, items: int, body: bytes) -> None:
        """Keep one batch and wake the thread that sends it; returns when the batch is kept.

        A batch that is larger than ``WorkerConfig.batch_bytes`` is kept in parts.
        """
        for part in parts_of(signal, Part(items, body), self._worker_config.batch_bytes):
            self.buffer.put(signal, part.items, part.body)
        self.start()
        self._bell.set()

    def start(self) -> None:
        """Start the thread, which also sends the batches of dead processes."""
        if self._thread is not None or senders.quiet.get() or not threads_run_here():
            return
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="flask-chest-outbox", daemon=True)
                # While the interpreter ends, no thread can be started. The next start of the application sends
                # what is kept.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def flush(self, timeout_s: float) -> bool:
        """Try to send everything now; returns whether nothing is left after at most ``timeout_s`` seconds."""
        self.start()
        if self._thread is not None and self._thread.is_alive():
            waiter = threading.Event()
            self._waiters.append(waiter)
            self._bell.set()
            waiter.wait(max(0.0, timeout_s))
        return self.buffer.is_empty()

    def leave(self, user: object) -> None:
        """Remove ``user``; the last one ends the thread.

        All users that end together wait no longer than ``WorkerConfig.shutdown_timeout_s`` for the collector.
        """
        if user not in self._users:
            return
        now = time.monotonic()
        if self._deadline is None or now > self._deadline + ENDS_APART_S:
            self._deadline = now + self._worker_config.shutdown_timeout_s
        self._users.discard(user)
        self.flush(self._deadline - now)
        if self._users:
            return
        _forget(self)
        self._stopping = True
        self._bell.set()
        if self._thread is None:
            self.buffer.close()
        else:
            self._thread.join(max(0.0, self._deadline - time.monotonic()))
            # If the thread is in a post that hangs, do not wait longer: the batch stays in the outbox.
            if self._thread.is_alive() and any([sender.give_up() for sender in self._senders]):  # noqa: C419 - all of them
                self._thread.join(GIVEN_UP_S)

    def own_metrics(self) -> Iterator[Figure]:
        """Yield how full the outbox is and what it dropped; nothing in other processes and after the end."""
        if self.process is not current_process() or self._stopping:
            return
        usage = self.buffer.usage()
        yield OUTBOX_DROPPED, self.buffer.dropped, {}
        yield OUTBOX_BATCHES, usage.waiting, {STATE: "waiting"}
        yield OUTBOX_BATCHES, usage.refused, {STATE: "refused"}
        yield OUTBOX_SIZE, usage.size_bytes, {}
        age_s = 0.0 if usage.oldest_unix_ns is None else (time.time_ns() - usage.oldest_unix_ns) / 1e9
        yield OUTBOX_AGE, max(0.0, age_s), {}

    def _run(self) -> None:
        # A forked child inherits this frame, and the frame keeps the connection referenced. That is wanted: a process
        # must not close an SQLite connection that it did not open, see
        # https://sqlite.org/howtocorrupt.html#_carrying_an_open_database
        with suppress_instrumentation():
            while not self._stopping:
                try:
                    self._round()
                except Exception as error:  # noqa: BLE001 - the thread must live on
                    report_error("outbox", error)
                    self._bell.wait(1.0)
            for sender in self._senders:
                sender.close()
            self.buffer.close()

    def _round(self) -> None:
        self._bell.clear()
        waiters, self._waiters = self._waiters, []
        try:
            if time.monotonic() >= self._next_look or waiters:
                self._next_look = time.monotonic() + LOOK_ROUND_S
                self.buffer.take_over()
            more = [sender.run(self._may_go_on, urgent=bool(waiters)) for sender in self._senders]
        finally:
            for waiter in waiters:
                waiter.set()
        self._drops.report(self.buffer.dropped)
        if not any(more):
            pauses = [pause for pause in (sender.pause_s() for sender in self._senders) if pause]
            self._bell.wait(min([LOOK_ROUND_S, *pauses]))
            self._gather()

    def _gather(self) -> None:
        until = time.monotonic() + GATHER_S
        while not self._waiters and not self._stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, GATHER_S / 5))

    def _may_go_on(self) -> bool:
        return not self._stopping


_workers: dict[tuple[object, WorkerConfig], OutboxWorker] = {}
_live: WeakObjects[OutboxWorker] = WeakObjects()


def worker_for(worker_config: WorkerConfig) -> OutboxWorker:
    """Return the worker of this process for ``worker_config``; the exporters of all signals share it."""
    key = (current_process(), worker_config)
    found = _workers.get(key)
    if found is None:
        # setdefault is atomic. A lock would not do: if another thread held it at a fork, it would stay locked in the
        # child.
        found = _workers.setdefault(key, OutboxWorker(worker_config))
    return found


def _forget(worker: OutboxWorker) -> None:
    for key, other in list(_workers.items()):
        if other is worker:
            del _workers[key]


def _after_in_child() -> None:
    for worker in _live:
        worker.buffer.leave_to_parent()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_after_in_child)
