"""Differences between the signals of OTLP: messages, gRPC methods, and the path to the items of a request."""

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
        request: Class of the request message.
        response: Class of the response message.
        rejected: Field of ``partial_success`` with the number of rejected items.
        method: Path of the gRPC method.
        path: Names of the fields that lead from a request to its items.
        joined: Whether several requests may be sent as one. Not for metrics: successive requests have points of the
            same series, and not every back end accepts two points of a series in one request.
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
"""Signals by their names in OTLP's URL paths and in OpenTelemetry's variables."""
