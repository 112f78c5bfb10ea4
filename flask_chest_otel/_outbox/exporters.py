"""Exporters that put batches into the outbox and return; ``OutboxWorker`` sends the batches to the collector.

``OTEL_TRACES_EXPORTER=flask_chest_otlp`` and ``OTEL_METRICS_EXPORTER=flask_chest_otlp`` select them in any application.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter, ObservableUpDownCounter, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from flask_chest_otel._base.process import current_process
from flask_chest_otel._guard import report_error
from flask_chest_otel._otlp.signals import OTLP_SIGNALS
from flask_chest_otel._otlp.spans import SpanEncoder
from flask_chest_otel._otlp.variables import chosen
from flask_chest_otel._outbox import senders
from flask_chest_otel._outbox.config import user_instance_id, worker_config_of
from flask_chest_otel._outbox.instance_id import instance_id
from flask_chest_otel._outbox.worker import worker_for
from flask_chest_otel.names import SERVICE_INSTANCE_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
    from opentelemetry.sdk.metrics.view import Aggregation
    from opentelemetry.sdk.trace import ReadableSpan

    from flask_chest_otel._otlp.signals import RequestMessage
    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig

__all__ = ["OutboxMetricExporter", "OutboxSpanExporter", "Outgoing", "has_explicit_buckets"]

_DELTA = AggregationTemporality.DELTA
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_TEMPORALITIES: dict[str, dict[type, AggregationTemporality]] = {
    "cumulative": {},
    "delta": {Counter: _DELTA, ObservableCounter: _DELTA, Histogram: _DELTA},
    "lowmemory": {Counter: _DELTA, Histogram: _DELTA},
}
_HISTOGRAMS = ("explicit_bucket_histogram", "base2_exponential_bucket_histogram")
_ALWAYS: dict[type, AggregationTemporality] = {UpDownCounter: _CUMULATIVE, ObservableUpDownCounter: _CUMULATIVE}


class Outgoing:
    """What the exporters of all signals share: they put batches into the outbox of the current process.

    Args:
        worker_config: Where batches are kept and where they are sent; ``None``: as the environment variables say.
        fixed_process: Whether to export nothing in children of the process that made the exporter. Children inherit
            the parent's metrics, and would export them a second time.
    """

    def __init__(self, worker_config: WorkerConfig | None, *, fixed_process: bool = False) -> None:
        self._worker_config = worker_config or worker_config_of(os.environ)
        self._process = current_process() if fixed_process else None
        self._user_instance_id = user_instance_id(os.environ)
        self._worker: OutboxWorker | None = None
        self._ended: object = current_process() if senders.quiet.get() else None
        senders.exporters.add(self)

    def start_sending(self) -> None:
        """Begin to send the batches that other processes left, before this process has batches of its own."""
        if self._ended is not current_process() and not self._is_foreign():
            self.worker().start()

    def fall_silent(self) -> None:
        """Neither keep nor send anything in this process from now on."""
        self._ended = current_process()

    def worker(self) -> OutboxWorker:
        """Return the worker of this process."""
        if self._worker is None or self._worker.process is not current_process():
            worker = worker_for(self._worker_config)
            worker.join(self)
            self._worker = worker
        return self._worker

    def export(self, signal: str, encode: Callable[[], tuple[int, bytes]]) -> bool:
        """Keep one OTLP request.

        Args:
            signal: ``traces``, ``metrics`` or ``logs``.
            encode: Returns the number of items and the request as protobuf.

        Returns:
            Whether the request is kept; also ``True`` in a child process that has to export nothing.
        """
        if self._ended is current_process():
            return False
        if self._is_foreign():
            return True
        try:
            items, body = encode()
            if items:
                self.worker().put(signal, items, body)
        except Exception as error:  # noqa: BLE001 - what cannot be encoded must not end the exporting thread
            report_error(f"encoding {signal}", error)
            return False
        return True

    def name(self, resource: ResourceMessage) -> None:
        """Set ``service.instance.id`` of the current process in a resource's message.

        The provider that made the resource may have been made in the parent process.
        """
        user_given = self._user_instance_id
        for attribute in resource.attributes:
            if attribute.key == SERVICE_INSTANCE_ID:
                attribute.value.string_value = instance_id(user_given or attribute.value.string_value)
                return
        resource.attributes.add(key=SERVICE_INSTANCE_ID).value.string_value = instance_id(user_given)

    def serialized(self, signal: str, request: RequestMessage) -> bytes:
        """Return a request as protobuf, with ``service.instance.id`` of the current process."""
        for group in getattr(request, OTLP_SIGNALS[signal].path[0]):
            self.name(group.resource)
        return bytes(request.SerializeToString())

    def flush(self, timeout_ms: float) -> bool:
        """Try to send everything; returns whether nothing is left."""
        if self._worker is None or self._ended is current_process() or self._is_foreign():
            return True
        return self.worker().flush(timeout_ms / 1000)

    def shut_down(self) -> None:
        """Send what can be sent in time; ``export`` refuses everything afterwards."""
        if self._ended is not current_process() and not self._is_foreign():
            self._ended = current_process()
            if self._worker is not None and self._worker.process is current_process():
                self._worker.leave(self)

    def _is_foreign(self) -> bool:
        """Whether this process is a child of the one that the exporter belongs to."""
        return self._process is not None and self._process is not current_process()


class OutboxSpanExporter(SpanExporter):
    """Puts spans into the outbox as OTLP requests.

    Args:
        worker_config: Where batches are kept and where they are sent; ``None``: as the environment variables say.
    """

    def __init__(self, worker_config: WorkerConfig | None = None) -> None:
        self._outgoing = Outgoing(worker_config)
        self._encoder = SpanEncoder(self._outgoing.name)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep a batch. Success means that the batch is in the outbox; it may not be sent yet."""
        kept = self._outgoing.export("traces", partial(self._encoder.encode, spans))
        return SpanExportResult.SUCCESS if kept else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Try to send everything; returns whether nothing is left."""
        return self._outgoing.flush(timeout_millis)

    def shutdown(self) -> None:
        """Send what can be sent within the setting ``shutdown_timeout_s``; the rest stays in the outbox."""
        self._outgoing.shut_down()


class OutboxMetricExporter(MetricExporter):
    """Puts metrics into the outbox as OTLP requests.

    Args:
        worker_config: Where batches are kept and where they are sent; ``None``: as the environment variables say.
        fixed_process: Whether to export nothing in children of the process that made the exporter.

    Attributes:
        temporalities: What is delta, by the SDK's classes of instruments; what is not here is cumulative.
    """

    def __init__(self, worker_config: WorkerConfig | None = None, *, fixed_process: bool = False) -> None:
        self.temporalities = _temporality(os.environ)
        super().__init__(self.temporalities, _aggregation(os.environ))
        self._outgoing = Outgoing(worker_config, fixed_process=fixed_process)

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - the base class's signature
        **kwargs: object,  # noqa: ARG002 - the same
    ) -> MetricExportResult:
        """Keep a batch. Success means that the batch is in the outbox; it may not be sent yet."""
        kept = self._outgoing.export("metrics", partial(self._encoded, metrics_data))
        return MetricExportResult.SUCCESS if kept else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Try to send everything; returns whether nothing is left."""
        return self._outgoing.flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:  # noqa: ARG002 - the base class's signature
        """Send what can be sent within the setting ``shutdown_timeout_s``; the rest stays in the outbox."""
        self._outgoing.shut_down()

    def _encoded(self, metrics_data: MetricsData) -> tuple[int, bytes]:
        return _count_points(metrics_data), self._outgoing.serialized("metrics", encode_metrics(metrics_data))


def _count_points(metrics_data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in metrics_data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _temporality(environ: Mapping[str, str]) -> dict[type, AggregationTemporality]:
    name = chosen(environ, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", tuple(_TEMPORALITIES))
    return _ALWAYS | _TEMPORALITIES[name]


def _aggregation(environ: Mapping[str, str]) -> dict[type, Aggregation]:
    explicit = has_explicit_buckets(environ)
    return {Histogram: ExplicitBucketHistogramAggregation() if explicit else ExponentialBucketHistogramAggregation()}


def has_explicit_buckets(environ: Mapping[str, str]) -> bool:
    """Whether the environment wants histograms with explicit buckets, as it does unless it says otherwise."""
    variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    return chosen(environ, variable, _HISTOGRAMS) == _HISTOGRAMS[0]
