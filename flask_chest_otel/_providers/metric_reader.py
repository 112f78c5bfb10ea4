"""The SDK's periodic reader of metrics with a thread of our own, because the SDK's thread fails in two cases.

The SDK's thread has the class ``Thread`` from the time when the SDK was imported. If gevent patches later, as gunicorn
does with ``--preload``, ``join`` does not notice that such a thread has ended (before Python 3.13): the end of the
process waits for the whole time-out. And the SDK restarts its thread in each forked child, although this package makes
the providers anew there.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import (
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)

from flask_chest_otel._base.process import PerProcess, threads_run_here
from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import Refusal, count_refusal, guarded
from flask_chest_otel._outbox.exporters import OutboxMetricExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

__all__ = ["ProcessMetricReader", "keep_all"]


class ProcessMetricReader(PeriodicExportingMetricReader):
    """Collects every ``OTEL_METRIC_EXPORT_INTERVAL`` in the process that made the reader, and once at the end.

    Args:
        exporter: Takes the metrics.
        produce: Makes further metrics, which no meter of the SDK has; returns ``None`` where there are none.
    """

    def __init__(self, exporter: MetricExporter, produce: Callable[[], MetricsData | None] = lambda: None) -> None:
        self._sends, self._produce = exporter, produce
        self._produced: deque[MetricsData] = deque()
        # Collections follow one another: an older one must not have the larger sums, and the end must not shut the
        # exporter down before another one has exported.
        self._turn = threading.RLock()
        self._longest_ms = _milliseconds(os.environ, "OTEL_METRIC_EXPORT_TIMEOUT", 30_000)
        # With an infinite interval the SDK starts no thread.
        super().__init__(exporter, export_interval_millis=math.inf, export_timeout_millis=self._longest_ms)
        interval_s = _milliseconds(os.environ, "OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000
        self._pause_s = min(interval_s, threading.TIMEOUT_MAX)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        if isinstance(exporter, OutboxMetricExporter):
            _readers.get().add(self)
        # Without threads, metrics are collected by a flush and at the end only.
        if threads_run_here():
            self._start()

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Collect once more, unless the exporter hangs, and shut the exporter down."""
        deadline = time.monotonic() + timeout_millis / 1000
        self._ending.set()
        if self._thread is not None:
            self._thread.join(max(0.0, timeout_millis / 1000))
        if self._thread is None or not self._thread.is_alive():
            self.keep(max(0.0, deadline - time.monotonic()))
        super().shutdown(max(0.0, deadline - time.monotonic()) * 1000, **kwargs)

    @guarded("collecting metrics")
    def keep(self, wait_s: float = threading.TIMEOUT_MAX) -> None:
        """Collect now, in addition to the regular times; what is produced goes into the batch of the SDK's metrics.

        Args:
            wait_s: How long to wait for the end of another collection, seconds; ``OTEL_METRIC_EXPORT_TIMEOUT`` at most.
        """
        if self._turn.acquire(timeout=min(wait_s, self._longest_ms / 1000, threading.TIMEOUT_MAX)):
            try:
                self._collect_everything()
            finally:
                self._turn.release()

    def _collect_everything(self) -> None:
        self._add_produced()
        try:
            self.collect(timeout_millis=self._longest_ms)
        finally:
            if self._produced:  # the SDK has no metrics, or collecting them failed
                self._receive_metrics(MetricsData([]), self._longest_ms)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect now, and let the exporter send everything."""
        self.keep()
        return self._sends.force_flush(timeout_millis)

    @guarded("producing metrics")
    def _add_produced(self) -> None:
        produced = self._produce()
        if produced is not None:
            self._produced.append(produced)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> None:
        found = [metrics_data]
        with suppress(IndexError):
            while True:
                found.append(self._produced.popleft())
        joined = _joined(found)
        if joined.resource_metrics:  # of two collections at once, one may send what both have made
            super()._receive_metrics(joined, timeout_millis, **kwargs)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="flask-chest-metrics", daemon=True)
        with suppress(RuntimeError):  # the interpreter is ending: `shutdown` collects instead
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        while not self._ending.wait(self._pause_s):
            self.keep()


_readers: PerProcess[WeakObjects[ProcessMetricReader]] = PerProcess(WeakObjects)
"""Readers whose metrics go into an outbox."""


def _joined(found: list[MetricsData]) -> MetricsData:
    """Return all metrics of one resource with each scope once: OTLP's encoder forgets what is there twice."""
    resources = [one for data in found for one in data.resource_metrics]
    if len(resources) <= 1:
        return MetricsData(resources)
    scopes: dict[InstrumentationScope, ScopeMetrics] = {}
    for scope in (scope for one in resources for scope in one.scope_metrics):
        before = scopes.get(scope.scope)
        metrics = [*(before.metrics if before is not None else ()), *scope.metrics]
        scopes[scope.scope] = ScopeMetrics(scope.scope, metrics, scope.schema_url)
    first = resources[0]
    return MetricsData([ResourceMetrics(first.resource, list(scopes.values()), first.schema_url)])


def keep_all() -> None:
    """Collect now in all readers of this process whose metrics go into an outbox."""
    for reader in _readers.get():
        reader.keep()


def _milliseconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    with suppress(ValueError):
        if (given := float(text)) > 0:
            return given
    count_refusal(Refusal.SETTING, name, "%s=%r is no number greater than 0: the default is used", name, text)
    return default
