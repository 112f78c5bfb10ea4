"""``RequestRecord``: everything about one finished request; ``Chest``: the protocol of objects that take records."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Chest",
    "ChildSpan",
    "LogLine",
    "Measurement",
    "RequestError",
    "RequestRecord",
    "SpanEvent",
    "without_spans",
]

# Named tuples: a frozen dataclass with these fields takes four times as long to create, in every request.


class Measurement(NamedTuple):
    """One value that was recorded with one instrument.

    Attributes:
        metric: Name of the instrument.
        kind: ``histogram``, ``counter``, ``up_down_counter`` or ``gauge``.
        value: The recorded value.
        unit: UCUM unit of the instrument.
        attributes: The attributes; only ``otel.metric.overflow`` beyond the cardinality limit.
    """

    metric: str
    kind: str
    value: float
    unit: str
    attributes: Mapping[str, object]


class RequestError(NamedTuple):
    """The exception that a request ended with, or that an error handler of the application answered.

    Attributes:
        type: Qualified name of its class, as in the span attribute ``error.type``.
        message: The exception's text, bounded and masked like every recorded value.
        place: ``module:function:line`` of the last frame of the application's own code, ``""`` where there is none.
        stack: The traceback as text, without frames of this package; a long one loses its middle. Empty where an error
            handler has answered with a status below 500.
        handled: Whether an error handler of the application answered it.
    """

    type: str
    message: str
    place: str
    stack: str
    handled: bool


class SpanEvent(NamedTuple):
    """One event of a child span.

    Attributes:
        name: The event's name; ``exception`` for a recorded exception.
        time_unix_ns: When it happened, nanoseconds since 1970 UTC.
        attributes: The attributes, bounded and masked.
    """

    name: str
    time_unix_ns: int
    attributes: Mapping[str, Any]


class ChildSpan(NamedTuple):
    """One span that ended inside a request: a query, a call of another service, or a span of the application's code.

    Attributes:
        name: The span's name.
        kind: ``internal``, ``server``, ``client``, ``producer`` or ``consumer``.
        span_id: Span id, 16 lower-case hex digits.
        parent_id: Span id of the parent, which is another child span or the server span; ``None``: it has no parent.
        start_unix_ns: When it began, nanoseconds since 1970 UTC.
        duration_s: How long it took, seconds.
        status: ``unset``, ``ok`` or ``error``.
        attributes: The attributes, bounded and masked.
        events: The first events.
    """

    name: str
    kind: str
    span_id: str
    parent_id: str | None
    start_unix_ns: int
    duration_s: float
    status: str
    attributes: Mapping[str, Any]
    events: tuple[SpanEvent, ...] = ()


class LogLine(NamedTuple):
    """One line that the application logged during a request.

    Attributes:
        time_unix_ns: When it was logged, nanoseconds since 1970 UTC.
        level: Name of the level, such as ``WARNING``.
        logger: Name of the logger.
        message: The text, bounded and masked.
    """

    time_unix_ns: int
    level: str
    logger: str
    message: str


_NONE: Mapping[str, Any] = MappingProxyType({})


class RequestRecord(NamedTuple):
    """The record of one finished request, as chests get it; it is never changed.

    Attributes:
        start_unix_ns: Wall-clock time at which the request began, nanoseconds since 1970 UTC.
        duration_s: Time from the begin to the teardown on the monotonic clock, seconds.
        service: Name of the Flask application.
        request_id: The request's id.
        trace_id: 32 lower-case hex digits, or ``None`` where no tracing is set up.
        span_id: 16 lower-case hex digits of the server span, or ``None``.
        method: HTTP method as it was received; ``SOCKETIO`` of an event of Flask-SocketIO.
        route: The matched URL rule, or ``None`` (404); the name of an event.
        status: HTTP status code; 500 when the exception left the application.
        variables: Tracked variable (its name on ``g``) to recorded value: str, bool, int, float or a tuple of one
            of these.
        chests: Names of the destinations to which the route restricts its data; ``None``: no restriction.
        metrics: The values that were recorded with instruments.
        refused: Name of each variable whose value could not be recorded, to the reason.
        path: URL path as the client sent it: percent-encoded, without the query, at most 255 characters.
        error: The exception with which the request failed, or that was handled; ``None``: nothing was raised.
        version: Version of the application: ``service.version`` of the resource, else ``FLASK_CHEST_VERSION``.
        cpu_s: Processor time of the serving thread from begin to finish, seconds; ``None`` where it is not known.
        first_byte_s: Time from the begin of the request to the begin of the response, seconds; ``None``: no response.
        timings: Kind of child span (``db``, ``http``, ``other``) to the number of spans and the sum of their durations
            in seconds. It is computed when it is first read.
        spans: Child spans in the order of their start times, at most the 100 slowest; empty where no chest keeps them.
            They are converted when they are first read.
        spans_dropped: Number of further child spans.
        spans_complete: Whether child spans were visible; false where the trace was not sampled and the SDK shows none.
        logs: Log lines in the order of time, at most 50, errors preferred; empty where no chest keeps them.
        logs_dropped: Number of further log lines.
        sampled: Whether the sampled flag of the server span is set; ``None``: there is no server span.
        attributes: Span attributes of the variables, and ``http.route`` (of an event: its namespace and its name), as
            they are on the server span.
        slos: Name of each service level objective that the request belongs to, to whether the request was good.
    """

    start_unix_ns: int
    duration_s: float
    service: str
    request_id: str
    trace_id: str | None
    span_id: str | None
    method: str
    route: str | None
    status: int
    variables: Mapping[str, Any]
    chests: tuple[str, ...] | None = None
    metrics: tuple[Measurement, ...] = ()
    refused: Mapping[str, str] | None = None
    path: str = ""
    error: RequestError | None = None
    version: str | None = None
    cpu_s: float | None = None
    first_byte_s: float | None = None
    timings: Mapping[str, tuple[int, float]] = _NONE
    spans: Sequence[ChildSpan] = ()
    spans_dropped: int = 0
    spans_complete: bool = True
    logs: tuple[LogLine, ...] = ()
    logs_dropped: int = 0
    sampled: bool | None = None
    attributes: Mapping[str, object] = _NONE
    slos: Mapping[str, bool] = _NONE

    def __reduce__(self) -> tuple[type[RequestRecord], tuple[object, ...]]:
        """Support pickle and copy, which cannot take the read-only mappings that are the defaults."""
        return RequestRecord, tuple(dict(one) if isinstance(one, MappingProxyType) else one for one in self)


def without_spans(record: RequestRecord) -> RequestRecord:
    """Return a record that only counts its child spans, and keeps none of them in memory."""
    dropped = record.spans_dropped + len(record.spans)
    return record._replace(spans=(), spans_dropped=dropped, timings=dict(record.timings))


class Chest(Protocol):
    """Takes the records of finished requests: a direct chest, the embedded store, a capture in a test.

    A chest that keeps child spans has the attribute ``keeps_spans = True``; where no chest has it, records have
    ``timings`` and no ``spans``.
    A chest that keeps log lines has the attribute ``keeps_logs = True``; where no chest has it, no log lines are
    collected.
    A chest that uses neither ``cpu_s`` nor ``timings`` may have the attribute ``keeps_timings = False``; where all
    chests have it, neither is measured.

    Attributes:
        name: The name that routes use in ``chests=``.
    """

    @property
    def name(self) -> str:
        """The name that routes use in ``chests=``."""

    def put(self, record: RequestRecord) -> None:
        """Take one record inside the request. It must do no I/O, must not wait for a lock, and must not raise."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until the records put before are written; ``False`` where ``timeout_s`` seconds were not enough."""

    def close(self, timeout_s: float) -> bool:
        """Flush, then release all resources; ``False`` where ``timeout_s`` seconds were not enough."""
