"""What differs between the signals of OTLP: messages, services, and where in a request its items stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

if TYPE_CHECKING:
    RequestMessage = (
        trace_service_pb2.ExportTraceServiceRequest
        | metrics_service_pb2.ExportMetricsServiceRequest
        | logs_service_pb2.ExportLogsServiceRequest
    )
    ResponseMessage = (
        trace_service_pb2.ExportTraceServiceResponse
        | metrics_service_pb2.ExportMetricsServiceResponse
        | logs_service_pb2.ExportLogsServiceResponse
    )

__all__ = ["OTLP_SIGNALS", "Signal"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal.

    Attributes:
        request: Message of a request.
        response: Message of its answer.
        rejected: Field of a partial success with the number of items that were not taken.
        method: Of its gRPC service.
        path: Fields that lead from a request to its items.
        joined: Whether successive requests may be sent as one. Points of one series, which a metric's successive
            requests have, are kept apart: not every back end takes two at once.
    """

    request: type[RequestMessage]
    response: type[ResponseMessage]
    rejected: str
    method: str
    path: tuple[str, ...]
    joined: bool = True


OTLP_SIGNALS = {
    "traces": Signal(
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
        "rejected_spans",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ("resource_spans", "scope_spans", "spans"),
    ),
    "metrics": Signal(
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
        "rejected_data_points",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        ("resource_metrics", "scope_metrics", "metrics", "data_points"),
        joined=False,
    ),
    "logs": Signal(
        logs_service_pb2.ExportLogsServiceRequest,
        logs_service_pb2.ExportLogsServiceResponse,
        "rejected_log_records",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        ("resource_logs", "scope_logs", "log_records"),
    ),
}
"""By the names that OTLP's paths and OpenTelemetry's variables have."""
