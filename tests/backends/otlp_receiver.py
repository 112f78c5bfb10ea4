"""A real OTLP/HTTP receiver in a thread, which decodes with OpenTelemetry's own generated classes.

It stands for any OTLP back end: nothing of `flask_chest_otel` takes part in reading what arrived::

    with OtlpReceiver() as receiver:
        exporter = OTLPSpanExporter(endpoint=f"{receiver.url}/v1/traces")
        ...
        assert receiver.wait_for_spans(3)[0]["attributes"]["flask.g.user_id"] == "u1"

What happened is kept in order of arrival. `status` and `delay_s` may be changed while it runs, so a test can
play a back end that is overloaded, broken or slow; a request that is answered with an error is counted in
`refused` and not kept, as a back end would do.
"""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypedDict, cast

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

HTTP_OK = 200
"""The status with which a request counts as accepted."""


class Event(TypedDict):
    """One span event."""

    name: str
    attributes: dict[str, Any]


class Link(TypedDict):
    """One span link; the ids are lower-case hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class Span(TypedDict):
    """One span as it was on the wire; ids are lower-case hex, `parent` is empty for a root."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: str
    """`server`, `client`, `internal`, `producer`, `consumer` or `unspecified`."""
    status: str
    """`unset`, `ok` or `error`."""
    start_ns: int
    end_ns: int
    flags: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    scope_version: str
    events: list[Event]
    links: list[Link]


class Point(TypedDict):
    """One metric data point; `sum` is a plain number's value too, so that totals are read one way."""

    name: str
    unit: str
    type: str
    """`gauge`, `sum`, `histogram` or `exponential_histogram`."""
    monotonic: bool
    temporality: str
    """`cumulative`, `delta` or `unspecified`."""
    value: float | None
    count: int | None
    sum: float | None
    min: float | None
    max: float | None
    bounds: list[float]
    buckets: list[int]
    exemplars: list[dict[str, Any]]
    start_ns: int
    time_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    scope_version: str


class Log(TypedDict):
    """One log record; ids are lower-case hex, empty where it has none."""

    event: str
    body: Any
    severity: int
    severity_text: str
    time_ns: int
    observed_ns: int
    trace_id: str
    span_id: str
    flags: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    scope_version: str


class OtlpReceiver:
    """An OTLP/HTTP server on a loopback port, started and stopped as a context manager.

    Attributes:
        url: Base URL, without `/v1/...`: what `OTEL_EXPORTER_OTLP_ENDPOINT` takes.
        status: HTTP status of every answer from now on.
        delay_s: Seconds each answer is held back.
        refused: Number of requests that were answered with anything but 200.
        headers: Request headers, in order of arrival, with lower-case names.
    """

    def __init__(self, *, status: int = HTTP_OK, delay_s: float = 0.0, port: int = 0) -> None:
        self.status = status
        self.delay_s = delay_s
        self.refused = 0
        self.headers: list[dict[str, str]] = []
        self._spans: list[Span] = []
        self._points: list[Point] = []
        self._logs: list[Log] = []
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and every open connection, as a server that dies does."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_connections()
        self._thread.join()

    def spans(self, name: str | None = None) -> list[Span]:
        """Return all spans that have arrived, or those called `name`."""
        with self._changed:
            return [span for span in self._spans if name in (None, span["name"])]

    def metrics(self, name: str | None = None) -> list[Point]:
        """Return all metric data points that have arrived, or those of the metric `name`.

        A cumulative metric comes again with each export: see `latest` for its present state.
        """
        with self._changed:
            return [point for point in self._points if name in (None, point["name"])]

    def logs(self, event: str | None = None) -> list[Log]:
        """Return all log records that have arrived, or those of one event."""
        with self._changed:
            return [log for log in self._logs if event in (None, log["event"])]

    def wait_for_logs(self, count: int, timeout_s: float = 10.0, *, event: str | None = None) -> list[Log]:
        """Return the log records as soon as at least `count` have arrived.

        Raises:
            TimeoutError: They did not come in time; the message says what did.
        """
        self._wait(lambda: len(self.logs(event)) >= count, timeout_s)
        logs = self.logs(event)
        if len(logs) < count:
            raise TimeoutError(f"{count} log records were expected within {timeout_s} s, {len(logs)} came: {logs}")
        return logs

    def latest(self, name: str) -> list[Point]:
        """Return the newest point of each series of `name`: one per resource and attribute set."""
        newest = {_series(point): point for point in self.metrics(name)}
        return list(newest.values())

    def clear(self) -> None:
        """Forget everything that has arrived."""
        with self._changed:
            self._spans.clear()
            self._points.clear()
            self._logs.clear()
            self.headers.clear()
            self.refused = 0

    def wait_for_spans(self, count: int, timeout_s: float = 10.0, *, name: str | None = None) -> list[Span]:
        """Return the spans as soon as at least `count` have arrived.

        Raises:
            TimeoutError: They did not come in time; the message says what did.
        """
        self._wait(lambda: len(self.spans(name)) >= count, timeout_s)
        spans = self.spans(name)
        if len(spans) < count:
            raise TimeoutError(
                f"{count} spans were expected within {timeout_s} s, {len(spans)} came: "
                f"{[span['name'] for span in spans]}"
            )
        return spans

    def wait_for_metric(self, name: str, timeout_s: float = 10.0, *, count: int = 1) -> list[Point]:
        """Return the points of `name` as soon as at least `count` have arrived.

        Raises:
            TimeoutError: They did not come in time; the message names the metrics that did.
        """
        self._wait(lambda: len(self.metrics(name)) >= count, timeout_s)
        points = self.metrics(name)
        if len(points) < count:
            seen = sorted({point["name"] for point in self.metrics()})
            raise TimeoutError(f"{count} points of {name!r} were expected, {len(points)} came; seen: {seen}")
        return points

    def _wait(self, done: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not done() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Keep one request (the HTTP handler's door); return the status and the body of its answer."""
        time.sleep(self.delay_s)
        status = self.status
        signal = _SIGNALS.get(path)
        if signal is None:
            return 404, b""
        request, response = signal[0](), signal[1]()
        try:
            request.ParseFromString(unpacked(headers, body))
        except Exception:  # noqa: BLE001 - whatever is wrong with the body, its sender hears 400
            status = 400
        with self._changed:
            self.headers.append(headers)
            if status == HTTP_OK:
                self._spans.extend(_spans_of(request) if path == "/v1/traces" else ())
                self._points.extend(_points_of(request) if path == "/v1/metrics" else ())
                self._logs.extend(logs_of(request) if path == "/v1/logs" else ())
            else:
                self.refused += 1
            self._changed.notify_all()
        return status, cast("bytes", response.SerializeToString()) if status == HTTP_OK else b""


_SIGNALS: dict[str, tuple[Any, Any]] = {
    "/v1/traces": (
        trace_service_pb2.ExportTraceServiceRequest,
        trace_service_pb2.ExportTraceServiceResponse,
    ),
    "/v1/metrics": (
        metrics_service_pb2.ExportMetricsServiceRequest,
        metrics_service_pb2.ExportMetricsServiceResponse,
    ),
    "/v1/logs": (logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse),
}


def unpacked(headers: dict[str, str], body: bytes) -> bytes:
    """Return the body as it was before its Content-Encoding."""
    return _ENCODINGS[headers.get("content-encoding", "identity")](body)


class _Server(ThreadingHTTPServer):
    """Remembers its connections: a client's keep-alive connection would outlive the closed port."""

    daemon_threads = True
    receiver: OtlpReceiver

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: clients that vanish in the middle of a request are what fault tests are about."""

    def cut_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                _cut(connection)


def _cut(connection: socket.socket) -> None:
    # The handler's thread closes it: closing under its feet would hand the number to somebody else.
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = self.server.receiver.take(self.path, headers, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output readable."""


_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


def _spans_of(request: Any) -> Iterator[Span]:
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield Span(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_").lower(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    flags=span.flags,
                    attributes=_attributes(span.attributes),
                    resource=_attributes(group.resource.attributes),
                    scope=scoped.scope.name,
                    scope_version=scoped.scope.version,
                    events=[Event(name=e.name, attributes=_attributes(e.attributes)) for e in span.events],
                    links=[
                        Link(
                            trace_id=link.trace_id.hex(),
                            span_id=link.span_id.hex(),
                            attributes=_attributes(link.attributes),
                        )
                        for link in span.links
                    ],
                )


def _points_of(request: Any) -> Iterator[Point]:
    for group in request.resource_metrics:
        for scoped in group.scope_metrics:
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    yield _point(metric, kind, data, point, group.resource, scoped.scope)


def logs_of(request: Any) -> Iterator[Log]:
    """The log records of one decoded request."""
    for group in request.resource_logs:
        for scoped in group.scope_logs:
            for log in scoped.log_records:
                attributes = _attributes(log.attributes)
                yield Log(
                    # Messages older than OTLP 1.5 have an attribute in place of the field.
                    event=getattr(log, "event_name", "") or attributes.get("event.name", ""),
                    body=_value(log.body),
                    severity=log.severity_number,
                    severity_text=log.severity_text,
                    time_ns=log.time_unix_nano,
                    observed_ns=log.observed_time_unix_nano,
                    trace_id=log.trace_id.hex(),
                    span_id=log.span_id.hex(),
                    flags=log.flags,
                    attributes=attributes,
                    resource=_attributes(group.resource.attributes),
                    scope=scoped.scope.name,
                    scope_version=scoped.scope.version,
                )


def _point(metric: Any, kind: str, data: Any, point: Any, resource: Any, scope: Any) -> Point:
    number = kind in ("gauge", "sum")
    value = float(getattr(point, point.WhichOneof("value"))) if number else None
    return Point(
        name=metric.name,
        unit=metric.unit,
        type=kind,
        monotonic=getattr(data, "is_monotonic", False),
        temporality=("unspecified", "delta", "cumulative")[getattr(data, "aggregation_temporality", 0)],
        value=value,
        count=None if number else point.count,
        sum=value if number else point.sum,
        min=None if number or not point.HasField("min") else point.min,
        max=None if number or not point.HasField("max") else point.max,
        bounds=list(getattr(point, "explicit_bounds", ())),
        buckets=list(getattr(point, "bucket_counts", ())),
        exemplars=[
            {
                "trace_id": e.trace_id.hex(),
                "span_id": e.span_id.hex(),
                "value": getattr(e, e.WhichOneof("value")),
            }
            for e in point.exemplars
        ],
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        attributes=_attributes(point.attributes),
        resource=_attributes(resource.attributes),
        scope=scope.name,
        scope_version=scope.version,
    )


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    content = getattr(value, kind)
    if kind == "array_value":
        return [_value(item) for item in content.values]
    if kind == "kvlist_value":
        return _attributes(content.values)
    return content


def _series(point: Point) -> str:
    return repr((point["scope"], sorted(point["resource"].items()), sorted(point["attributes"].items())))
