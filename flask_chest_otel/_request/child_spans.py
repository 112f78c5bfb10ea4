"""Collects the child spans of a request, from their start to the request's record.

The span processor reports which spans start and end. A span belongs to the request that runs where the span starts,
else to the request of its parent. Nothing in this module waits: several threads of one request may end spans at the
same time, and the garbage collector may end a span at any point of the program.
"""

from __future__ import annotations

import itertools
from collections import deque
from heapq import heapify, heappushpop
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import ref

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from flask_chest_otel._request.live import live_request
from flask_chest_otel._request.lookup import request_of_context
from flask_chest_otel._request.shaped_spans import LateSummary, LateTimings, ShapedSpans, times_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext

    from flask_chest_otel._records.record import ChildSpan
    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._request.shaped_spans import EndedSpan, Shape

__all__ = [
    "MOST_SPANS",
    "NOTHING",
    "ChildSpans",
    "TakenSpans",
    "collecting_request",
    "finish",
    "open_spans",
    "request_of_parent",
    "started",
]

MOST_SPANS = 100
"""Largest number of child spans in one record: the slowest are kept."""

_MOST_OPEN = 10_000
"""Largest number of open spans that are tracked at the same time; beyond it, the oldest are forgotten."""

_DB, _HTTP, _OTHER = "db", "http", "other"
_CLIENT, _SERVER = SpanKind.CLIENT, SpanKind.SERVER


class TakenSpans(NamedTuple):
    """The child spans of a request, as its record holds them.

    Attributes:
        timings: Kind of child span to the number of spans and the sum of their durations in seconds.
        spans: The spans that are kept, in the order of their start times.
        dropped: The number of spans that are not kept.
    """

    timings: Mapping[str, tuple[int, float]]
    spans: Sequence[ChildSpan]
    dropped: int


NOTHING = TakenSpans(MappingProxyType({}), (), 0)
"""No child spans."""

open_spans: dict[int, ref[LiveRequest]] = {}
"""Id of each open span to its request; the spans of a request are removed when its record is made."""

_serial = itertools.count()

_Key = TypeVar("_Key", str, "tuple[int, str]")


class ChildSpans:
    """The child spans of one request: their number, the sum of their durations, and the spans themselves.

    A span that ends is only put aside. Spans are summed up in the order in which they have ended: when as many were put
    aside as a record may hold, and the rest when the record is made or, where spans are kept, when it is read.

    Args:
        keeps: Whether spans are kept, or only counted and timed.

    Attributes:
        aside: The spans that have ended and are not summed up.
        count: Number of the spans that are summed up.
        inner: Of each span that is not summed up, by kind: the number and durations of the spans inside it.
        running: Ids of the spans that are not summed up, also of those that have not ended.
        slowest: The slowest spans; a heap, once there are as many as a record may hold.
        totals: Kind of child span to the number of spans and the sum of their durations in nanoseconds.
    """

    __slots__ = ("_keeps", "_summing", "aside", "count", "inner", "running", "slowest", "totals")

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self.count = 0
        self.totals: dict[str, list[int]] = {}
        self.inner: dict[tuple[int, str], list[int]] = {}
        self.slowest: list[EndedSpan] = []
        self._summing = Lock()
        self.aside: deque[tuple[int, ReadableSpan]] = deque()
        self.running: set[int] = set()

    def thin(self) -> None:
        """Sum up what was put aside, as it is as much as a record may hold."""
        # Do not wait for the lock: the next span comes here again.
        if self._summing.acquire(blocking=False):
            try:
                self.sum_up()
            finally:
                self._summing.release()

    def sum_up(self) -> None:
        """Count what was put aside."""
        aside = self.aside
        while aside:
            try:
                span_id, span = aside.popleft()
            except IndexError:  # another thread has taken the last one
                return
            self._sum_up_one(span, span_id)

    def _sum_up_one(self, span: ReadableSpan, span_id: int) -> None:
        """Count one span. Sums are changed without a call between reading and writing: no other thread runs there."""
        found: Any = span.attributes
        attributes = found.copy() if found is not None else ()  # reading the SDK's mapping takes ten times as long
        kind = _OTHER
        if "db.system.name" in attributes or "db.system" in attributes:
            kind = _DB
        elif span.kind is _CLIENT and ("http.request.method" in attributes or "http.method" in attributes):
            kind = _HTTP
        _, duration_ns = times_of(span)
        total = self.totals.get(kind)
        if total is None:
            total = self.totals.setdefault(kind, [0, 0])
        total[0] += 1
        total[1] += duration_ns
        if self.inner:
            self._leave_out_inner(span_id, kind)
        parent = span.parent
        if parent is not None and parent.span_id in self.running:
            _add_to(self.inner, (parent.span_id, kind), 1, duration_ns)
        self.count += 1
        if self._keeps:
            self._keep((duration_ns, next(_serial), span))
        self.running.discard(span_id)

    def _keep(self, entry: EndedSpan) -> None:
        slowest = self.slowest
        if len(slowest) < MOST_SPANS:
            slowest.append(entry)
            if len(slowest) == MOST_SPANS:
                heapify(slowest)
        elif entry > slowest[0]:
            heappushpop(slowest, entry)

    def close(self, shape: Shape) -> TakenSpans:
        """Return the result, which whoever reads it first sums up. Spans that have not ended are counted as dropped."""
        # A copy: another thread may still put a span aside, or sum up.
        closed = self.copy()
        summary = LateSummary(closed)
        kept = min(MOST_SPANS, len(closed.slowest) + len(closed.aside)) if self._keeps else 0
        spans = ShapedSpans(summary, kept, shape) if kept else ()
        return TakenSpans(LateTimings(summary), spans, closed.count + len(closed.running) - kept)

    def summed(self) -> tuple[dict[str, tuple[int, float]], list[EndedSpan]]:
        """Sum up a copy; return the timings, and the slowest spans."""
        found = self.copy()
        heapify(found.slowest)
        found.sum_up()
        return found.timings(), found.slowest

    def timings(self) -> dict[str, tuple[int, float]]:
        """The number of spans of each kind, and the sum of their durations in seconds."""
        return {kind: (count, ns / 1e9) for kind, (count, ns) in [*self.totals.items()]}

    def copy(self) -> ChildSpans:
        """A copy of which nobody else knows."""
        fresh = ChildSpans(keeps=self._keeps)
        fresh.aside, fresh.running = self.aside.copy(), self.running.copy()
        fresh.count, fresh.slowest = self.count, self.slowest[:MOST_SPANS]
        fresh.totals = {kind: [*total] for kind, total in [*self.totals.items()]}
        fresh.inner = {key: [*sums] for key, sums in [*self.inner.items()]}
        return fresh

    def _leave_out_inner(self, span_id: int, kind: str) -> None:
        """Where two instrumentations made spans of one call, one inside the other, count the outer span only."""
        for inner_kind in (_DB, _HTTP, _OTHER):
            inner = self.inner.pop((span_id, inner_kind), None)
            if inner is not None and inner_kind == kind:
                _add_to(self.totals, kind, -inner[0], -inner[1])


def _add_to(sums: dict[_Key, list[int]], key: _Key, count: int, ns: int) -> None:
    found = sums.get(key)
    if found is None:
        found = sums.setdefault(key, [0, 0])
    found[0] += count
    found[1] += ns


def request_of_parent(parent: SpanContext | None) -> LiveRequest | None:
    """The request of the parent span; ``None`` where the span or the request has ended."""
    found = open_spans.get(parent.span_id) if parent is not None else None
    return found() if found is not None else None


def collecting_request(context: Context | None) -> LiveRequest | None:
    """The request that a span started now would belong to; ``None`` where no child spans are collected."""
    live = live_request.get()
    if live is None or live.finished:
        live = request_of_parent(trace.get_current_span(context).get_span_context()) or request_of_context()
    return live if live is not None and live.child_spans is not None else None


def started(live: LiveRequest, span: Span, span_id: int, box: list[ChildSpans]) -> None:
    """Note that the first span has started in a request that collects spans: its server span or a child span.

    Args:
        live: The request.
        span: The span.
        span_id: Its id.
        box: ``child_spans`` of the request.
    """
    if live.span is None and not live.server_span_id and span.kind is _SERVER:
        live.server_span_id = span_id
    else:
        _first(live, box).running.add(span_id)


def _first(live: LiveRequest, box: list[ChildSpans]) -> ChildSpans:
    """The ``ChildSpans`` of a request, made at its first span; threads that come at the same time get the same."""
    if len(open_spans) >= _MOST_OPEN:
        for oldest in list(open_spans)[: _MOST_OPEN // 10]:
            open_spans.pop(oldest, None)
    box.append(ChildSpans(keeps=live.span_watch is not None and live.span_watch.keeps_spans))
    return box[0]


def finish(live: LiveRequest, shape: Shape) -> TakenSpans:
    """Return the child spans of a request for its record, and stop tracking its spans.

    Args:
        live: The request.
        shape: Makes the ``ChildSpan`` for a span.
    """
    box, live.child_spans = live.child_spans, None
    if live.server_span_id:
        open_spans.pop(live.server_span_id, None)
        if live.outer is not None and live.outer.child_spans is not None:
            _hand_to_outer(live.server_span_id, live.outer, live.outer.child_spans)
    if not box:
        return NOTHING
    taken = box[0].close(shape)
    for span_id in list(box[0].running):
        open_spans.pop(span_id, None)
    return taken


def _hand_to_outer(span_id: int, outer: LiveRequest, box: list[ChildSpans]) -> None:
    """Make the server span of a request that ran inside another request a child span of the outer request."""
    (box[0] if box else _first(outer, box)).running.add(span_id)
    open_spans[span_id] = ref(outer)
