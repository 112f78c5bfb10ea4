"""Writes finished spans into the outbox: within a second by a thread, or at once when a server span ends."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

from flask_chest_otel import _self_metrics
from flask_chest_otel._base.process import PerProcess, at_end_of_child, current_process
from flask_chest_otel._guard import Log, LossReport, guarded
from flask_chest_otel._otlp.batching import batching_of
from flask_chest_otel.names import SPANS_DROPPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.sdk.trace.export import SpanExporter

    from flask_chest_otel._otlp.batching import Batching
    from flask_chest_otel._self_metrics import Figure

__all__ = ["OutboxSpanProcessor"]

_logger = Log("flask_chest_otel")

REQUEST_WAITS_S = 1.0
"""How long a request with ``durability='request'`` waits for another thread that is writing, seconds."""

END_WAITS_S = 5.0
"""How long the end of the process waits for a thread that writes a batch, seconds; then the batch is lost."""

DROPPED = "%d finished spans were dropped: they came faster than they could be written, or could not be encoded"


class OutboxSpanProcessor(SpanProcessor):
    """Hands finished spans to an exporter that only writes to the local disk.

    Args:
        exporter: Takes batches of spans.
        each_request: Whether ``on_end`` of a span without a parent in this process returns only after its spans are
            written.

    Attributes:
        each_request: As given.
    """

    def __init__(self, exporter: SpanExporter, *, each_request: bool = False) -> None:
        self._exporter = exporter
        self.each_request = each_request
        self._batching = batching_of(os.environ)
        self._queues = PerProcess(partial(_SpanQueue, exporter, self._batching))
        self._closed = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing."""

    @guarded("keeping spans")
    def on_end(self, span: ReadableSpan) -> None:
        """Take a span; waits only if ``each_request`` is set."""
        if self._closed or span.context is None or not span.context.trace_flags.sampled:
            return
        queue = self._queues.found() or self._begin()
        queue.put(span)
        if self.each_request and (span.parent is None or span.parent.is_remote):
            queue.write_all(REQUEST_WAITS_S)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write all finished spans and try to send them; returns whether all are sent."""
        deadline = time.monotonic() + timeout_millis / 1000
        queue = self._queues.found()
        written = queue is None or queue.write_all(timeout_millis / 1000)
        return self._exporter.force_flush(int(max(0.0, deadline - time.monotonic()) * 1000)) and written

    def shutdown(self) -> None:
        """Write all finished spans, and let the exporter send what it can in time."""
        if self._closed:
            return
        self._closed = True
        queue = self._queues.found()
        if queue is not None:
            queue.stop()
        self._exporter.shutdown()

    def _begin(self) -> _SpanQueue:
        queue, is_fresh = self._queues.begin()
        if is_fresh:
            _self_metrics.watch(queue)
            queue.start()
            at_end_of_child(self.shutdown)
        return queue


class _SpanQueue:
    """Finished spans of one process, and the thread that writes them."""

    def __init__(self, exporter: SpanExporter, batching: Batching) -> None:
        self.process = current_process()
        self._exporter = exporter
        self._batching = batching
        self._spans: deque[ReadableSpan] = deque()
        self._some = threading.Event()
        self._enough = threading.Event()
        # A thread holds the lock from taking spans off the queue until they are in the outbox. So a thread that gets
        # the lock knows that all spans taken before are written.
        self._writing = threading.RLock()
        self._writer: int | None = None
        self._taken = 0
        self._stopping = False
        self._dropped = 0
        self._drops = LossReport(_logger, DROPPED)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        thread = threading.Thread(target=self._run, name="flask-chest-spans", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: the shutdown writes what is there
            return
        self._thread = thread

    def own_metrics(self) -> Iterator[Figure]:
        if self._dropped and self.process is current_process():
            yield SPANS_DROPPED, self._dropped, {}

    def put(self, span: ReadableSpan) -> None:
        waiting = len(self._spans)
        if waiting >= self._batching.capacity:
            self._dropped += 1
            return
        self._spans.append(span)
        # Set the flag after the append: the thread clears it before it reads the queue.
        if not self._some.is_set():
            self._some.set()
        if waiting + 1 >= self._batching.batch:
            self._enough.set()

    def write_all(self, timeout_s: float = -1.0) -> bool:
        """Write all spans of the queue in the calling thread.

        Args:
            timeout_s: How long to wait for another thread that is writing, seconds; negative: without end.

        Returns:
            Whether the spans are written, or will be by a caller further up in this thread.
        """
        me = threading.get_ident()
        if self._writer == me:
            # This span ended inside of the writing itself, perhaps in the garbage collector. The loop that is running
            # writes it next.
            return True
        if not self._writing.acquire(timeout=timeout_s):
            return False
        try:
            self._writer = me
            self._write_batches()
        finally:
            self._writer = None
            self._writing.release()
        return True

    def stop(self) -> None:
        self._stopping = True
        self._enough.set()
        self._some.set()
        if not self.write_all(END_WAITS_S):
            lost = self._taken + len(self._spans)
            self._dropped += lost
            _logger.error("%d finished spans are lost: they could not be written in time at the end", lost)

    def _write_batches(self) -> None:
        with suppress_instrumentation():
            while batch := self._take():
                self._taken = len(batch)
                if self._exporter.export(batch) is SpanExportResult.FAILURE:
                    self._dropped += self._taken
                self._taken = 0

    def _run(self) -> None:
        while not self._stopping:
            self._some.wait()
            self._enough.wait(self._batching.gather_s)
            self._enough.clear()
            self._some.clear()
            self._write()

    @guarded("writing spans")
    def _write(self) -> None:
        self.write_all()
        self._drops.report(self._dropped)

    def _take(self) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        try:
            while len(batch) < self._batching.batch:
                batch.append(self._spans.popleft())
        except IndexError:
            pass
        return batch
