"""What the store answers: requests, errors, overviews, and light tuples for whoever computes with many of them."""

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
    """One request as it lies in the store. What release 0.1.0 wrote has nothing from ``path`` on.

    Attributes:
        time: When it began: UTC, ISO 8601 with microseconds.
        request_id: The request's id.
        trace_id: 32 hex digits, or ``None``.
        span_id: 16 hex digits of the server span, or ``None``.
        service: Name of the application.
        method: HTTP method as it was received.
        route: The URL rule; ``None``: it matched none.
        status: HTTP status code.
        duration_ms: How long it took, milliseconds.
        variables: Tracked variables with the values that were recorded.
        key: The store's own key: no two requests share it, and keys sort by time.
        refused: Variable to reason, for values that could not be recorded.
        path: URL path as it was asked for.
        version: Version of the application.
        error: The exception that it recorded.
        cpu_ms: Processor time of its thread, milliseconds; ``None``: not known.
        first_byte_ms: Until the response began, milliseconds; ``None``: not known.
        timings: ``db``, ``http`` and ``other`` to how many child spans there were and their milliseconds together;
            empty where nobody knows.
        spans_dropped: How many more child spans there were than are kept.
        spans_complete: Whether child spans could be seen; ``None``: not known.
        logs_dropped: How many more lines were logged than are kept.
        slos: Name of each service level objective that it belongs to, and whether it was good by that.
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
        spans: Its child spans, in the order of their begin; empty where none are kept.
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
        place: ``module:function:line`` in the application's code; ``""`` where there is none.
        route: The URL rule; ``None``: they matched none.
        count: How many requests.
        handled: How many of them an error handler of the application answered.
        first: Time of the first: UTC, ISO 8601 with microseconds.
        last: Time of the last.
        last_ids: Ids of the last three requests, the newest first.
        last_message: What the newest said of itself.
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
        start_s: When the time begins that the row is about, seconds since 1970 UTC; ``None``: all that was asked for.
        group: What the row is about, one text for each name in ``by``; ``""`` stands for no route, and no version.
        count: How many requests.
        client_errors: How many had a status from 400 to 499.
        server_errors: How many had a status of 500 and above.
        exceptions: How many recorded an exception, handled or not.
        sum_ms: How long they took together, milliseconds.
        max_ms: How long the longest took, milliseconds.
        histogram: How long each took, milliseconds.
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
        """How long they took in the mean, milliseconds."""
        return self.sum_ms / self.count if self.count else None

    def quantile_ms(self, share: float) -> float | None:
        """How long that share of them took at most, milliseconds: ``0.95`` for P95; at most 1.1 % off the truth."""
        return self.quantiles_ms(share)[0]

    def quantiles_ms(self, *shares: float) -> list[float | None]:
        """The same for several shares, which ascend."""
        return [None if found is None else min(found, self.max_ms) for found in self.histogram.quantiles(*shares)]


class Losses(NamedTuple):
    """What is missing in a group of requests.

    Attributes:
        refused: Requests with values that could not be recorded.
        spans_dropped: Child spans that were more than is kept of a request.
        logs_dropped: Log lines that were more than is kept of a request.
        spans_unseen: Requests that ran where child spans could not be seen.
    """

    refused: int
    spans_dropped: int
    logs_dropped: int
    spans_unseen: int


class RequestFacts(NamedTuple):
    """One request without its variables, for whoever computes with many; the fields are those of ``StoredRequest``."""

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
        key: The request's.
        name: The variable's name.
        type: ``str``, ``bool``, ``int``, ``float`` or ``list``.
        text: The value as text: numbers as Python writes them, lists as JSON.
        number: The number, 1 or 0 for a bool; ``None`` for all else.
    """

    key: str
    name: str
    type: str
    text: str
    number: float | None


class SLOCount(NamedTuple):
    """How many requests of one objective were good in a time.

    Attributes:
        start_s: When the time begins, seconds since 1970 UTC.
        service: Name of the application.
        name: The objective's.
        good: How many were good.
        bad: How many were bad.
    """

    start_s: int
    service: str
    name: str
    good: int
    bad: int


class StoreExtent(NamedTuple):
    """How much a store holds.

    Attributes:
        requests: How many requests.
        first: When the oldest began: UTC, ISO 8601 with microseconds; ``None``: there is none.
        last: When the newest began.
    """

    requests: int
    first: str | None
    last: str | None
