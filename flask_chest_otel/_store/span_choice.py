"""Decides for which requests the store keeps child spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._base.histogram import Histogram
from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._records.record import without_spans

if TYPE_CHECKING:
    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel.config.choices import SpansKept

__all__ = ["SpanChoice"]

SLOW_SHARE = 0.95
"""A request is slow if it takes longer than this share of the requests on its route."""

LOOKED_AT = 1000
"""After this many requests of a route, older ones no longer count."""

LEARNT_EVERY = 20
"""After this many requests of a route, its limit for slow requests is computed again; until then all are kept."""


class SpanChoice:
    """Decides for which requests child spans are kept. Those that are not kept are counted in ``spans_dropped``.

    Args:
        kept: ``all``; ``slow``: failed requests and the slowest 5 % of each route; ``none``.
    """

    def __init__(self, kept: SpansKept) -> None:
        self._kept = kept
        self._routes: dict[tuple[str, str | None], _Route] = {}

    def chosen(self, record: RequestRecord) -> RequestRecord:
        """Return the record to store, with or without child spans."""
        if self._kept == "all" or not self._is_dull(record):
            return record
        return without_spans(record)

    def _is_dull(self, record: RequestRecord) -> bool:
        if self._kept == "none":
            return bool(record.spans)
        # Count requests without spans, too: "slowest" means among all requests of the route.
        slow = self._routes.setdefault((record.service, record.route), _Route()).is_slow(record.duration_s)
        return bool(record.spans) and not slow and record.error is None and record.status < SERVER_ERROR


class _Route:
    """Durations of the last requests of a route."""

    def __init__(self) -> None:
        self._seen = 0
        self._times, self._before = Histogram(), Histogram()
        self._slow_s = 0.0

    def is_slow(self, duration_s: float) -> bool:
        """Add a request; returns whether it is among the slowest."""
        slow = duration_s > self._slow_s
        self._times.add(duration_s)
        self._seen += 1
        if self._seen % LEARNT_EVERY == 0:
            both = Histogram()
            both.merge(self._times)
            both.merge(self._before)
            self._slow_s = both.quantile(SLOW_SHARE) or 0.0
        if self._seen % LOOKED_AT == 0:
            self._times, self._before = Histogram(), self._times
        return slow
