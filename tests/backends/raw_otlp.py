"""OTLP requests made by hand from the protocol's own classes: also those that no SDK would send."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.backends.server import request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADERS = {"Content-Type": "application/x-protobuf"}


def trace_request(
    spans: int,
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str = "span",
    change: Callable[[Any, int], None] | None = None,
) -> bytes:
    """Return an export request of some spans; `change(span, number)` may do to each what it likes."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    set_attribute(group.resource.attributes, "service.name", "by-hand")
    scoped = group.scope_spans.add()
    for number in range(spans):
        span = scoped.spans.add()
        span.name = name
        span.trace_id, span.span_id = random.randbytes(16), random.randbytes(8)
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 1_000_000
        for key, value in (attributes or {}).items():
            set_attribute(span.attributes, key, value)
        if change is not None:
            change(span, number)
    return cast("bytes", message.SerializeToString())


def gauge_request(name: str, values: list[float], *, scope: str = "tests") -> bytes:
    """Return an export request of one gauge with a point per value; the attribute `number` tells them apart."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    scoped = message.resource_metrics.add().scope_metrics.add()
    scoped.scope.name = scoped.scope.version = scope
    metric = scoped.metrics.add()
    metric.name = name
    for number, value in enumerate(values):
        point = metric.gauge.data_points.add()
        point.time_unix_nano = time.time_ns()
        point.as_double = value
        set_attribute(point.attributes, "number", str(number))
    return cast("bytes", message.SerializeToString())


def set_attribute(pairs: Any, key: str, value: Any) -> None:
    """Add one attribute to a repeated field of key-value pairs."""
    pair = pairs.add()
    pair.key = key
    setattr(pair.value, "double_value" if isinstance(value, float) else "string_value", value)


def post(url: str, signal: str, body: bytes) -> int:
    """Send a request for `traces`, `metrics` or `logs`; return the status, 0 when nobody answered."""
    return request(f"{url}/v1/{signal}", body, headers=HEADERS, timeout_s=60)[0]
