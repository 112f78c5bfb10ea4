"""Of which requests the store keeps child spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._base.histogram import Histogram
from flask_chest_otel._base.statuses import SERVER_ERROR

if TYPE_CHECKING:
    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel.config.choices import SpansKept

__all__ = ["SpanChoice"]

SLOW_SHARE = 0.95
"""A request is slow that took longer than this share of the others on its route."""

LOOKED_AT = 1000
"""Requests of a route after which its older ones no longer count."""

LEARNT_EVERY = 20
"""Requests of a route after which is looked again what is slow there; the first ones are kept."""


class SpanChoice:
    """Decides of which requests child spans are kept; what is left out is counted in the request's row.

    Args:
        kept: ``all``; ``slow``, those that failed and the slowest twentieth of each route; ``none``.
    """

    def __init__(self, kept: SpansKept) -> None:
        self._kept = kept
        self._routes: dict[tuple[str, str | None], _Route] = {}

    def chosen(self, record: RequestRecord) -> RequestRecord:
        """The record as it is to be kept."""
        if self._kept == "all" or not self._is_dull(record):
            return record
        return record._replace(spans=(), spans_dropped=record.spans_dropped + len(record.spans))

    def _is_dull(self, record: RequestRecord) -> bool:
        if self._kept == "none":
            return bool(record.spans)
        # Also of requests without spans: the slowest are those among all.
        slow = self._routes.setdefault((record.service, record.route), _Route()).is_slow(record.duration_s)
        return bool(record.spans) and not slow and record.error is None and record.status < SERVER_ERROR


class _Route:
    """How long the last requests of a route took."""

    def __init__(self) -> None:
        self._seen = 0
        self._times, self._before = Histogram(), Histogram()
        self._slow_s = 0.0

    def is_slow(self, duration_s: float) -> bool:
        """Whether a request is among the slowest; it counts from now on."""
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
