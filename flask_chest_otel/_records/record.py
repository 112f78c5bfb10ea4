"""What one finished request was, and who takes such records."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Chest", "ChildSpan", "LogLine", "Measurement", "RequestError", "RequestRecord", "SpanEvent"]

# Named tuples: a frozen dataclass of these fields takes four times as long to make, in every request.


class Measurement(NamedTuple):
    """One value given to one instrument.

    Attributes:
        metric: Name of the instrument.
        kind: ``histogram``, ``counter``, ``up_down_counter`` or ``gauge``.
        value: What was recorded.
        unit: UCUM unit of the instrument.
        attributes: The point's attributes; only ``otel.metric.overflow`` past the cardinality limit.
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
        message: What it says of itself, bounded and masked like any recorded value.
        place: ``module:function:line`` of the last frame of the application's own code, ``""`` where there is none.
        stack: The traceback as text, without frames of this package; where it is too long, both ends are kept. Empty
            where an error handler has answered with less than 500.
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
        name: Its name; ``exception`` for one that was recorded.
        time_unix_ns: When it happened, nanoseconds since 1970 UTC.
        attributes: Its attributes, bounded and masked.
    """

    name: str
    time_unix_ns: int
    attributes: Mapping[str, Any]


class ChildSpan(NamedTuple):
    """One span that ended inside a request: a query, a call of another service, one made by hand.

    Attributes:
        name: Its name.
        kind: ``internal``, ``server``, ``client``, ``producer`` or ``consumer``.
        span_id: 16 lower-case hex digits.
        parent_id: The same of its parent, which is another child span or the server span; ``None``: it has none.
        start_unix_ns: When it began, nanoseconds since 1970 UTC.
        duration_s: How long it took, seconds.
        status: ``unset``, ``ok`` or ``error``.
        attributes: Its attributes, bounded and masked.
        events: Its events, bounded.
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
        level: Name of its level, such as ``WARNING``.
        logger: Name of the logger.
        message: The text, bounded and masked.
    """

    time_unix_ns: int
    level: str
    logger: str
    message: str


_NONE: Mapping[str, Any] = MappingProxyType({})


class RequestRecord(NamedTuple):
    """What one finished request was: handed to the chests, never changed.

    Attributes:
        start_unix_ns: Wall-clock time at which the request began, nanoseconds since 1970 UTC.
        duration_s: From begin to teardown on the monotonic clock, seconds.
        service: Name of the Flask application.
        request_id: The request's id.
        trace_id: 32 lower-case hex digits, or ``None`` where no tracing is set up.
        span_id: 16 lower-case hex digits of the server span, or ``None``.
        method: HTTP method as it was received.
        route: The matched URL rule, or ``None`` (404).
        status: HTTP status code; 500 when the exception left the application.
        variables: Tracked variable (its name on ``g``) to recorded value: str, bool, int, float or a tuple of one
            of these.
        chests: Names the route restricts its data to, or ``None``: everywhere.
        metrics: What the request's variables gave to instruments.
        refused: Variable to reason, for values that could not be recorded.
        path: URL path as it was asked for: percent-encoded, without the query, at most 255 characters.
        error: Why the request failed, or the exception that was handled; ``None``: nothing was raised.
        version: Version of the application: ``service.version`` of the resource, else ``FLASK_CHEST_VERSION``.
        cpu_s: Processor time of the serving thread from begin to finish, seconds; ``None`` where it is not known.
        first_byte_s: From begin to the begin of the response, seconds; ``None``: there was none.
        timings: Kind of child span (``db``, ``http``, ``other``) to how many there were and their seconds together.
        spans: Child spans, the slowest at most, in the order of their begin; empty where nobody keeps them. They take
            their final shape when they are first read.
        spans_dropped: How many more child spans there were.
        spans_complete: Whether child spans could be seen; false where the trace is sampled out and the SDK shows none.
        logs: Log lines, errors before others at most, in the order of time; empty where nobody keeps them.
        logs_dropped: How many more lines were logged.
        sampled: Whether the server span is exported, as far as its trace's flags say; ``None``: there is none.
        attributes: The variables as they stand on the server span, and ``http.route``; by their names there.
        slos: Name of each service level objective that it belongs to, and whether it was good by that.
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
        """What pickle and copy take: they cannot do with the defaults, mappings that nobody can change."""
        return RequestRecord, tuple(dict(one) if isinstance(one, MappingProxyType) else one for one in self)


class Chest(Protocol):
    """Takes the records of finished requests: a chest, the embedded store, a capture in a test.

    One that keeps child spans says so with an attribute ``keeps_spans = True``: where nobody does, records have
    ``timings`` and no ``spans``.
    One that keeps the ``logs`` of a record says so by an attribute ``keeps_logs = True``; without one that does, none
    are collected.

    Attributes:
        name: By which routes speak of it in ``chests=``.
    """

    @property
    def name(self) -> str:
        """By which routes speak of it in ``chests=``."""

    def put(self, record: RequestRecord) -> None:
        """Take one record, inside the request: no I/O, no lock that can wait, no exception."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was put before is where it belongs; ``False`` when time ran out."""

    def close(self, timeout_s: float) -> bool:
        """Flush, then release everything."""
