"""Aggregates the measurements of this package's own instruments without the SDK's check of each attribute.

The SDK copies, checks and hashes the attributes of each measurement. The attributes of this package are legal already,
and all measurements of a series pass the same mapping, so the identity of the mapping finds the series. Points and
exemplars equal those of the SDK: https://opentelemetry.io/docs/specs/otel/metrics/sdk/
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from random import random
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    Attributes = Mapping[str, Any] | None
    ExemplarFilter = Callable[[Context | None], SpanContext | None]

__all__ = ["EXEMPLAR_FILTERS", "GaugeInstrument", "HistogramInstrument", "OwnInstrument", "SumInstrument"]

_CUMULATIVE = AggregationTemporality.CUMULATIVE

_DEFAULT_BOUNDS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4)
"""https://opentelemetry.io/docs/specs/otel/metrics/sdk/#explicit-bucket-histogram-aggregation"""


def _every_span(context: Context | None) -> SpanContext | None:
    return trace.get_current_span(context or otel_context.get_current()).get_span_context()


def _sampled_span(context: Context | None) -> SpanContext | None:
    span = trace.get_current_span(context or otel_context.get_current()).get_span_context()
    return span if span.trace_flags.sampled else None


def _no_span(_context: Context | None) -> SpanContext | None:
    return None


EXEMPLAR_FILTERS: Mapping[str, ExemplarFilter] = {
    "trace_based": _sampled_span,
    "always_on": _every_span,
    "always_off": _no_span,
}
"""By the values of ``OTEL_METRICS_EXEMPLAR_FILTER``: the span of a measurement that may become an exemplar, or none."""


class _Sample(NamedTuple):
    """A measurement that becomes an exemplar if no other takes its place."""

    value: float
    time_unix_ns: int
    span: SpanContext

    def exemplar(self) -> sdk.Exemplar:
        """Return the SDK's exemplar. It has no attributes, as a measurement has none that its point lacks."""
        ids = (self.span.span_id, self.span.trace_id) if self.span.is_valid else (None, None)
        return sdk.Exemplar({}, self.value, self.time_unix_ns, *ids)


class _Series:
    """What was measured with one set of attributes: since the first measurement, or since the last collection.

    Attributes:
        attributes: The set of attributes; nobody changes it.
        start_ns: When the first of these measurements was made, or the last collection; nanoseconds since 1970.
        samples: The measurements that become exemplars at the next collection, by bucket.
        offered: How many measurements could have become the exemplar of a sum or of a gauge.
    """

    __slots__ = ("attributes", "count", "counts", "largest", "offered", "samples", "smallest", "start_ns", "total")

    def __init__(self, attributes: Mapping[str, Any], buckets: int) -> None:
        self.attributes = attributes
        self.samples: dict[int, _Sample] = {}
        self.offered = 0
        self.begin(buckets, time.time_ns())

    def begin(self, buckets: int, now_ns: int) -> None:
        """Forget what was measured; count from zero, from now on."""
        self.start_ns = now_ns
        self.counts = [0] * buckets
        self.count = 0
        self.total: float = 0
        self.smallest, self.largest = math.inf, -math.inf

    def take_exemplars(self) -> list[sdk.Exemplar]:
        """Return the exemplars since the last collection, and forget them."""
        samples, self.samples, self.offered = self.samples, {}, 0
        return [sample.exemplar() for _, sample in sorted(samples.items())]


class OwnInstrument:
    """Finds the series of a measurement, and makes the points of all series.

    Args:
        name: Its name.
        unit: The unit of its values.
        description: What it measures.
        span_of: Finds the span of a measurement that may become an exemplar; one of :data:`EXEMPLAR_FILTERS`.
    """

    kind: type = object
    buckets = 0

    def __init__(self, name: str, unit: str | None, description: str | None, span_of: ExemplarFilter) -> None:
        self._name, self._unit, self._description = name.lower(), unit or "", description or ""
        self._span_of = span_of
        self._series: dict[Hashable, _Series] = {}
        # The keys are ids of the mappings that began the series: a series keeps its mapping alive.
        self._by_mapping: dict[int, _Series] = {}
        # A thread holds it for a few steps, and may take it twice: a finalizer or a signal handler may measure, too.
        self._lock = threading.RLock()

    def metric(self, temporalities: Mapping[type, AggregationTemporality], now_ns: int) -> Metric | None:
        """Return the metric, or ``None`` where it has no points; with delta temporality, count from zero again."""
        temporality = temporalities.get(self.kind, _CUMULATIVE)
        points = list(self._points(now_ns, delta=temporality is AggregationTemporality.DELTA))
        return Metric(self._name, self._description, self._unit, self._data(points, temporality)) if points else None

    def _points(self, now_ns: int, *, delta: bool) -> Iterator[Any]:
        for series in list(self._series.values()):
            with self._lock:
                # It may have begun since this collection did, or before the clock was set back.
                series.start_ns = min(series.start_ns, now_ns)
                point = self._point(series, now_ns) if series.count else None
                if delta:
                    series.begin(self.buckets, now_ns)
            if point is not None:
                yield point

    def _find(self, attributes: Attributes) -> _Series:
        """Return the series of these attributes, for a mapping that did not begin a series itself."""
        given = {} if attributes is None else attributes
        # The type belongs to the key: True, 1 and 1.0 are equal, but three attribute sets.
        key = frozenset([(name, type(value), value) for name, value in given.items()])
        found = self._series.get(key)
        if found is None:
            fresh = _Series(given, self.buckets)
            found = self._series.setdefault(key, fresh)
            if found is fresh:
                self._by_mapping[id(given)] = fresh
        return found

    def _point(self, series: _Series, now_ns: int) -> Any:
        raise NotImplementedError

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> Any:
        raise NotImplementedError


class HistogramInstrument(OwnInstrument):
    """Aggregates a histogram with explicit buckets. The last measurement of each bucket becomes its exemplar.

    Args:
        name: Its name.
        unit: The unit of its values.
        description: What it measures.
        span_of: Finds the span of a measurement that may become an exemplar.
        bounds: Upper bounds of all buckets but the last, which has none; ``None``: those of the specification.
    """

    kind = sdk.Histogram

    def __init__(
        self,
        name: str,
        unit: str | None,
        description: str | None,
        span_of: ExemplarFilter,
        bounds: Sequence[float] | None,
    ) -> None:
        super().__init__(name, unit, description, span_of)
        self._bounds = _DEFAULT_BOUNDS if bounds is None else tuple(bounds)
        self.buckets = len(self._bounds) + 1

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Record one value. It has to be finite, and not negative."""
        series = self._by_mapping.get(id(attributes)) or self._find(attributes)
        span = self._span_of(context)
        sample = _Sample(amount, time.time_ns(), span) if span is not None else None
        bucket = bisect_left(self._bounds, amount)
        with self._lock:
            series.counts[bucket] += 1
            series.count += 1
            series.total += amount
            if amount < series.smallest:  # noqa: PLR1730 - min() is a call
                series.smallest = amount
            if amount > series.largest:  # noqa: PLR1730 - and so is max()
                series.largest = amount
            if sample is not None:
                series.samples[bucket] = sample

    def _point(self, series: _Series, now_ns: int) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=series.attributes,
            start_time_unix_nano=series.start_ns,
            time_unix_nano=now_ns,
            count=series.count,
            sum=series.total,
            bucket_counts=tuple(series.counts),
            explicit_bounds=self._bounds,
            min=series.smallest,
            max=series.largest,
            exemplars=series.take_exemplars(),
        )

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> Histogram:
        return Histogram(points, temporality)


class _NumberInstrument(OwnInstrument):
    """Aggregates a sum or a last value. Each measurement is equally likely to become the exemplar."""

    def _note(self, series: _Series, amount: float, span: SpanContext | None) -> None:
        """Count a measurement whose value is in the total already. The caller holds the lock."""
        series.count += 1
        if span is not None:
            series.offered += 1
            if series.offered == 1 or random() * series.offered < 1:  # noqa: S311 - nobody is kept from guessing it
                series.samples[0] = _Sample(amount, time.time_ns(), span)

    def _point(self, series: _Series, now_ns: int) -> NumberDataPoint:
        return NumberDataPoint(series.attributes, series.start_ns, now_ns, series.total, series.take_exemplars())


class SumInstrument(_NumberInstrument):
    """Aggregates a counter or an up-down counter.

    Args:
        kind: The SDK's class of the instrument, by which temporalities are chosen.
        name: Its name.
        unit: The unit of its values.
        description: What it counts.
        span_of: Finds the span of a measurement that may become an exemplar.
    """

    def __init__(
        self, kind: type, name: str, unit: str | None, description: str | None, span_of: ExemplarFilter
    ) -> None:
        super().__init__(name, unit, description, span_of)
        self.kind = kind

    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add one value. It has to be finite; a counter takes no negative one."""
        series = self._by_mapping.get(id(attributes)) or self._find(attributes)
        span = self._span_of(context)
        with self._lock:
            # One step: in a call between reading and writing, a signal handler's own addition would be lost.
            series.total += amount
            self._note(series, amount, span)

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> Sum:
        return Sum(points, temporality, is_monotonic=self.kind is sdk.Counter)


class GaugeInstrument(_NumberInstrument):
    """Keeps the last value of a gauge."""

    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        """Set the value. It has to be finite."""
        series = self._by_mapping.get(id(attributes)) or self._find(attributes)
        span = self._span_of(context)
        with self._lock:
            series.total = amount
            self._note(series, amount, span)

    def _point(self, series: _Series, now_ns: int) -> NumberDataPoint:
        no_start: Any = None  # as the SDK has it
        return NumberDataPoint(series.attributes, no_start, now_ns, series.total, series.take_exemplars())

    def _data(self, points: list[Any], temporality: AggregationTemporality) -> Gauge:  # noqa: ARG002 - it has none
        return Gauge(points)
