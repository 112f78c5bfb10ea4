"""Types of the store's answers: requests, groups of errors, overviews, and light tuples for analyses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._base.histogram import Histogram
    from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError

__all__ = [
    "ErrorGroup",
    "Losses",
    "OverviewRow",
    "RequestDetails",
    "RequestFacts",
    "SLOCount",
    "StoreExtent",
    "StoredRequest",
    "VariableFact",
]


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """One request in the store. Requests that release 0.1.0 wrote have no values from ``path`` on.

    Attributes:
        time: When it began: UTC, ISO 8601 with microseconds.
        request_id: The request's id.
        trace_id: 32 hex digits, or ``None``.
        span_id: 16 hex digits of the server span, or ``None``.
        service: Name of the application.
        method: HTTP method as the client sent it.
        route: The URL rule; ``None``: the request matched none.
        status: HTTP status code.
        duration_ms: How long it took, milliseconds.
        variables: Tracked variables and their recorded values.
        key: The request's key in the store. Keys are unique and sort by time.
        refused: Variable to reason, for values that could not be recorded.
        path: URL path of the request.
        version: Version of the application.
        error: The exception that was recorded; ``None``: none was.
        cpu_ms: Processor time of its thread, milliseconds; ``None``: not known.
        first_byte_ms: Time until the response began, milliseconds; ``None``: not known.
        timings: ``db``, ``http`` and ``other`` to number and total milliseconds of child spans; empty: not known.
        spans_dropped: Number of child spans that are not kept.
        spans_complete: Whether child spans could be observed; ``None``: not known.
        logs_dropped: Number of log lines that are not kept.
        slos: Name of each service level objective that the request counts for, to whether it was good.
    """

    time: str
    request_id: str
    trace_id: str | None
    span_id: str | None
    service: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    variables: dict[str, Any]
    key: str
    refused: Mapping[str, str] | None
    path: str | None
    version: str | None
    error: RequestError | None
    cpu_ms: float | None
    first_byte_ms: float | None
    timings: Mapping[str, tuple[int, float]]
    spans_dropped: int
    spans_complete: bool | None
    logs_dropped: int
    slos: Mapping[str, bool]


class RequestDetails(NamedTuple):
    """Everything about one request.

    Attributes:
        request: Its row and variables.
        spans: Its child spans, in the order in which they began; empty: none are kept.
        logs: Its log lines, in the order of time.
    """

    request: StoredRequest
    spans: tuple[ChildSpan, ...]
    logs: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Requests that recorded the same exception at the same place on the same route.

    Attributes:
        service: Name of the application.
        type: Qualified name of the exception's class.
        place: ``module:function:line`` in the application's code; ``""``: no frame belongs to it.
        route: The URL rule; ``None``: the requests matched none.
        count: Number of requests.
        handled: Number of these that an error handler of the application answered.
        first: When the first began: UTC, ISO 8601 with microseconds.
        last: When the last began, in the same format.
        last_ids: Request ids of the last three, the newest first.
        last_message: Message of the newest exception.
    """

    service: str
    type: str
    place: str
    route: str | None
    count: int
    handled: int
    first: str
    last: str
    last_ids: tuple[str, ...]
    last_message: str


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """Figures of a group of requests.

    Attributes:
        start_s: Begin of the row's interval, seconds since 1970 UTC; ``None``: the row covers the whole time.
        group: Values of the fields in ``by``, in their order; ``""`` stands for no route and for no version.
        count: Number of requests.
        client_errors: Number with a status from 400 to 499.
        server_errors: Number with a status of 500 and above.
        exceptions: Number that recorded an exception, handled or not.
        sum_ms: Sum of the durations, milliseconds.
        max_ms: Longest duration, milliseconds.
        histogram: Histogram of the durations, milliseconds.
    """

    start_s: int | None
    group: tuple[str, ...]
    count: int
    client_errors: int
    server_errors: int
    exceptions: int
    sum_ms: float
    max_ms: float
    histogram: Histogram

    @property
    def mean_ms(self) -> float | None:
        """Mean duration, milliseconds; ``None``: there are no requests."""
        return self.sum_ms / self.count if self.count else None

    def quantile_ms(self, share: float) -> float | None:
        """Return a quantile of the durations in milliseconds, at most 1.1 % off; ``share`` is ``0.95`` for P95."""
        return self.quantiles_ms(share)[0]

    def quantiles_ms(self, *shares: float) -> list[float | None]:
        """Return several quantiles; ``shares`` must be in ascending order."""
        return [None if found is None else min(found, self.max_ms) for found in self.histogram.quantiles(*shares)]


class Losses(NamedTuple):
    """What is missing in a group of requests.

    Attributes:
        refused: Number of requests with values that could not be recorded.
        spans_dropped: Number of child spans above the limit of a request.
        logs_dropped: Number of log lines above the limit of a request.
        spans_unseen: Number of requests whose child spans could not be observed.
    """

    refused: int
    spans_dropped: int
    logs_dropped: int
    spans_unseen: int


class RequestFacts(NamedTuple):
    """One request without its variables, for analyses of many requests; for the fields see ``StoredRequest``."""

    key: str
    service: str
    route: str | None
    method: str
    status: int
    duration_ms: float
    version: str | None
    path: str | None
    error_type: str | None
    error_place: str | None


class VariableFact(NamedTuple):
    """One variable of one request.

    Attributes:
        key: Key of the request.
        name: Name of the variable.
        type: ``str``, ``bool``, ``int``, ``float`` or ``list``.
        text: The value as text: numbers as Python writes them, lists as JSON.
        number: The value of a number; 1 or 0 for a bool; ``None`` for other types.
    """

    key: str
    name: str
    type: str
    text: str
    number: float | None


class SLOCount(NamedTuple):
    """How many requests of one objective were good and bad in an interval.

    Attributes:
        start_s: Begin of the interval, seconds since 1970 UTC.
        service: Name of the application.
        name: Name of the objective.
        good: Number of good requests.
        bad: Number of bad requests.
    """

    start_s: int
    service: str
    name: str
    good: int
    bad: int


class StoreExtent(NamedTuple):
    """How much a store holds.

    Attributes:
        requests: Number of requests.
        first: When the oldest began: UTC, ISO 8601 with microseconds; ``None``: there is none.
        last: When the newest began, in the same format.
    """

    requests: int
    first: str | None
    last: str | None
