"""A meter provider of the SDK that aggregates this package's own instruments itself, at a lower cost.

It is used only where histograms have explicit buckets, and all metrics have one reader, whose exporter puts them into
the outbox.
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

from flask_chest_otel._providers.aggregation import (
    EXEMPLAR_FILTERS,
    GaugeInstrument,
    HistogramInstrument,
    OwnInstrument,
    SumInstrument,
)
from flask_chest_otel._providers.metric_reader import ProcessMetricReader
from flask_chest_otel._providers.sdk_variables import exemplar_filter, sdk_exemplar_filter
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import AggregationTemporality
    from opentelemetry.sdk.resources import Resource

    from flask_chest_otel._outbox.exporters import OutboxMetricExporter
    from flask_chest_otel._providers.aggregation import ExemplarFilter

__all__ = ["OwnMeterProvider"]


class OwnMeterProvider(MeterProvider):
    """Hands out the SDK's meters, and an :class:`OwnMeter` for this package's scope.

    Args:
        exporter: Takes all metrics.
        resource: The resource of all metrics.
    """

    def __init__(self, exporter: OutboxMetricExporter, resource: Resource) -> None:
        self._own_meters: dict[Hashable, OwnMeter] = {}
        self._own_resource = resource
        self._own_temporalities = exporter.temporalities
        self._own_filter = EXEMPLAR_FILTERS[exemplar_filter(os.environ)]
        of_sdk = sdk_exemplar_filter(os.environ)
        reader = ProcessMetricReader(exporter, self._produce)
        super().__init__([reader], resource=resource, exemplar_filter=of_sdk, shutdown_on_exit=False)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> metrics.Meter:
        """Return a meter of the SDK, or for this package's scope one of its own."""
        meter = super().get_meter(name, version, schema_url, attributes)
        if name != SCOPE or not isinstance(meter, Meter):  # it is none where the SDK is switched off
            return meter
        scope = InstrumentationScope(name, version, schema_url, attributes)
        return self._own_meters.setdefault(scope, OwnMeter(meter, scope, self._own_filter))

    def _produce(self) -> MetricsData | None:
        """Return what this package's instruments have measured; ``None``: nothing. One thread at a time calls it."""
        now_ns = time.time_ns()
        found = [meter.produce(self._own_temporalities, now_ns) for meter in list(self._own_meters.values())]
        scopes = [scope for scope in found if scope is not None]
        resource = self._own_resource
        return MetricsData([ResourceMetrics(resource, scopes, resource.schema_url)]) if scopes else None


class OwnMeter(metrics.Meter):
    """Makes the instruments of this package. Observable ones come from the SDK's meter.

    Args:
        meter: The SDK's meter for the same scope.
        scope: The scope of the instruments.
        span_of: Finds the span of a measurement that may become an exemplar.
    """

    def __init__(self, meter: Meter, scope: InstrumentationScope, span_of: ExemplarFilter) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url)
        self._scope = scope
        self._span_of = span_of
        self._made: dict[Hashable, OwnInstrument] = {}
        self._making = threading.RLock()
        self._meter = meter

    def produce(self, temporalities: Mapping[type, AggregationTemporality], now_ns: int) -> ScopeMetrics | None:
        """Return the metrics to export now; ``None``: there are none."""
        made = list(self._made.values())
        found = [metric for one in made if (metric := one.metric(temporalities, now_ns)) is not None]
        return ScopeMetrics(self._scope, found, self._scope.schema_url or "") if found else None

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return a counter."""
        return self._once(self._meter.create_counter, (name, unit, description), partial(SumInstrument, Counter))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return an up-down counter."""
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
        """Return a histogram."""
        bounds = explicit_bucket_boundaries_advisory
        of_sdk = partial(self._meter.create_histogram, explicit_bucket_boundaries_advisory=bounds)
        return self._once(of_sdk, (name, unit, description), partial(HistogramInstrument, bounds=bounds))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return a gauge."""
        return self._once(self._meter.create_gauge, (name, unit, description), GaugeInstrument)

    def create_observable_counter(self, *args: Any, **kwargs: Any) -> metrics.ObservableCounter:
        """Return the SDK's observable counter."""
        return self._meter.create_observable_counter(*args, **kwargs)

    def create_observable_up_down_counter(self, *args: Any, **kwargs: Any) -> metrics.ObservableUpDownCounter:
        """Return the SDK's observable up-down counter."""
        return self._meter.create_observable_up_down_counter(*args, **kwargs)

    def create_observable_gauge(self, *args: Any, **kwargs: Any) -> metrics.ObservableGauge:
        """Return the SDK's observable gauge."""
        return self._meter.create_observable_gauge(*args, **kwargs)

    def _once(
        self, of_sdk: Callable[..., Hashable], definition: tuple[str, str, str], make: Callable[..., OwnInstrument]
    ) -> OwnInstrument:
        """Return the instrument with this definition; several applications of one service share it.

        The SDK makes an instrument, too, which gets no measurements. The SDK checks the definition, and has one object
        for definitions that differ only in the case of the name, or only in buckets.
        """
        with self._making:  # older SDKs fail where two threads make the same instrument
            key = of_sdk(*definition)
            found = self._made.get(key)
            return self._made.setdefault(key, make(*definition, span_of=self._span_of)) if found is None else found
