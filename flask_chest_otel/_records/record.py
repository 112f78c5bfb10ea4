"""What one finished request was, and who takes such records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Measurement", "RequestRecord", "Sink"]

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
    attributes: Mapping[str, Any]


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


class Sink(Protocol):
    """Takes the records of finished requests: a chest, the embedded store, a capture in a test.

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
