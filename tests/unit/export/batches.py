"""Batches, and routes to put them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._otlp.endpoint import HTTP, SIGNALS
from flask_chest_otel._outbox.buffer import OutboxConfig
from flask_chest_otel._outbox.worker import WorkerConfig

if TYPE_CHECKING:
    from pathlib import Path


def spans(*names: str) -> bytes:
    """An OTLP request with one span of each name."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for name in names:
        scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8)
    return bytes(request.SerializeToString())


def route_to(
    url: str,
    folder: Path,
    *,
    max_bytes: int = 2**28,
    max_age_s: float = 86400.0,
    protocol: str = HTTP,
    batch_bytes: int = 4 * 1024 * 1024,
    **variables: str,
) -> WorkerConfig:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **variables}
    addresses = tuple(address_of(signal, environ, protocol) for signal in SIGNALS)
    return WorkerConfig(OutboxConfig(folder, max_bytes, max_age_s), addresses, 1.0, batch_bytes)
