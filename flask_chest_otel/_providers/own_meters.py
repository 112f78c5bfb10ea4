"""The SDK's meter provider, but for this package's own instruments, which it aggregates for less.

Only where the whole way of the metrics is ours: one reader, whose exporter puts them into the outbox.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import Counter, Meter, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from flask_chest_otel._outbox.exporters import OutboxMetricExporter, has_explicit_buckets
from flask_chest_otel._providers.aggregation import (
    EXEMPLAR_FILTERS,
    GaugeInstrument,
    HistogramInstrument,
    OwnInstrument,
    SumInstrument,
)
from flask_chest_otel._providers.metric_reader import ProcessMetricReader
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import AggregationTemporality
    from opentelemetry.sdk.resources import Resource

__all__ = ["OwnMeterProvider", "can_aggregate"]

_FILTER = "OTEL_METRICS_EXEMPLAR_FILTER"


def can_aggregate(environ: Mapping[str, str]) -> bool:
    """Whether :class:`OwnMeterProvider` does what the SDK would do in this environment."""
    return has_explicit_buckets(environ) and environ.get(_FILTER, "trace_based") in EXEMPLAR_FILTERS


class OwnMeterProvider(MeterProvider):
    """A meter provider whose instruments of this package are not the SDK's.

    Args:
        exporter: Gets all metrics.
        resource: Of what they are.
    """

    def __init__(self, exporter: OutboxMetricExporter, resource: Resource) -> None:
        self._own_meters: dict[Hashable, OwnMeter] = {}
        self._own_resource = resource
        self._own_temporalities = exporter.temporalities
        # Collections follow one another, as the SDK's do: an older one must not have the larger sums.
        self._collecting = threading.RLock()
        reader = ProcessMetricReader(exporter, self._produce)
        super().__init__([reader], resource=resource, shutdown_on_exit=False)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> metrics.Meter:
        """A meter of the SDK, or of this package."""
        meter = super().get_meter(name, version, schema_url, attributes)
        if name != SCOPE or not isinstance(meter, Meter):  # it is none where the SDK is switched off
            return meter
        scope = InstrumentationScope(name, version, schema_url, attributes)
        return self._own_meters.setdefault(scope, OwnMeter(meter, scope))

    def _produce(self) -> MetricsData | None:
        """What this package's instruments have measured; ``None``: nothing."""
        with self._collecting:
            now_ns = time.time_ns()
            found = [meter.produce(self._own_temporalities, now_ns) for meter in list(self._own_meters.values())]
        scopes = [scope for scope in found if scope is not None]
        resource = self._own_resource
        return MetricsData([ResourceMetrics(resource, scopes, resource.schema_url)]) if scopes else None


class OwnMeter(metrics.Meter):
    """Makes instruments of this package; those that are observed are the SDK's.

    Args:
        meter: The SDK's.
        scope: What they are of.
    """

    def __init__(self, meter: Meter, scope: InstrumentationScope) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url)
        self._scope = scope
        self._span_of = EXEMPLAR_FILTERS[os.environ.get(_FILTER, "trace_based")]
        self._made: dict[Hashable, OwnInstrument] = {}
        self._making = threading.RLock()
        self._meter = meter

    def produce(self, temporalities: Mapping[type, AggregationTemporality], now_ns: int) -> ScopeMetrics | None:
        """What there is to export now; ``None``: nothing."""
        made = list(self._made.values())
        found = [metric for one in made if (metric := one.metric(temporalities, now_ns)) is not None]
        return ScopeMetrics(self._scope, found, self._scope.schema_url or "") if found else None

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        """A counter."""
        return self._once(self._meter.create_counter, (name, unit, description), partial(SumInstrument, Counter))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        """An up-down counter."""
        make = partial(SumInstrument, UpDownCounter)
        return self._once(self._meter.create_up_down_counter, (name, unit, description), make)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Any:
        """A histogram."""
        bounds = explicit_bucket_boundaries_advisory
        of_sdk = partial(self._meter.create_histogram, explicit_bucket_boundaries_advisory=bounds)
        return self._once(of_sdk, (name, unit, description), partial(HistogramInstrument, bounds=bounds))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """A gauge."""
        return self._once(self._meter.create_gauge, (name, unit, description), GaugeInstrument)

    def create_observable_counter(self, *args: Any, **kwargs: Any) -> metrics.ObservableCounter:
        """The SDK's."""
        return self._meter.create_observable_counter(*args, **kwargs)

    def create_observable_up_down_counter(self, *args: Any, **kwargs: Any) -> metrics.ObservableUpDownCounter:
        """The SDK's."""
        return self._meter.create_observable_up_down_counter(*args, **kwargs)

    def create_observable_gauge(self, *args: Any, **kwargs: Any) -> metrics.ObservableGauge:
        """The SDK's."""
        return self._meter.create_observable_gauge(*args, **kwargs)

    def _once(
        self, of_sdk: Callable[..., Hashable], definition: tuple[str, str, str], make: Callable[..., OwnInstrument]
    ) -> OwnInstrument:
        """The instrument with this definition, made once: several applications may be one service.

        The SDK makes an instrument, too, which is never measured with: it checks and compares definitions, and has one
        instrument for two definitions that differ in the case of the name, or in buckets only.
        """
        with self._making:  # older SDKs fail where two threads make the same instrument
            key = of_sdk(*definition)
            found = self._made.get(key)
            return self._made.setdefault(key, make(*definition, span_of=self._span_of)) if found is None else found
