"""Providers for code that asks for one before ``export=`` is decided.

Instrumentations need tracers and meters at set-up, but the real providers are known from the first request on. The
providers here hand out tracers and instruments that look up the real ones when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackT
    from opentelemetry.util.types import Attributes

    from flask_chest_otel._providers.export_policy import ExportPolicy

__all__ = ["DeferredMeterProvider", "DeferredTracerProvider"]

_I = TypeVar("_I")


class DeferredTracerProvider(trace.TracerProvider):
    """Hands out tracers that ask ``export`` for the real provider with each span, until ``export=`` is decided."""

    def __init__(self, export: ExportPolicy) -> None:
        self._export = export

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        """Return a tracer with the scope that the arguments describe."""
        scope = (instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        return _DeferredTracer(self._export, scope)


class _DeferredTracer(trace.Tracer):
    """Passes every span to the real tracer; looks the tracer up once after the decision."""

    def __init__(self, export: ExportPolicy, scope: tuple[str, str | None, str | None, Attributes]) -> None:
        self._export = export
        self._scope = scope
        self._found: trace.Tracer | None = None

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return self._tracer().start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self._tracer().start_as_current_span(*args, **kwargs)

    def _tracer(self) -> trace.Tracer:
        if self._found is not None:
            return self._found
        tracer: trace.Tracer = self._export.tracer_provider().get_tracer(*self._scope)
        if self._export.decided:
            self._found = tracer
        return tracer


class DeferredMeterProvider(metrics.MeterProvider):
    """Hands out meters whose instruments ask ``export`` for the real provider until ``export=`` is decided."""

    def __init__(self, export: ExportPolicy) -> None:
        self._export = export

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Attributes = None
    ) -> metrics.Meter:
        """Return a meter with the scope that the arguments describe."""
        return _DeferredMeter(self._export, name, version, schema_url, attributes)


class _DeferredMeter(metrics.Meter):
    """Makes instruments of the real meter.

    An instrument that is made before the decision finds the real one with its first value after the decision.
    Observable instruments belong to the provider that is known when they are made.
    """

    def __init__(
        self, export: ExportPolicy, name: str, version: str | None, schema_url: str | None, attributes: Attributes
    ) -> None:
        super().__init__(name, version, schema_url)
        self._export = export
        self._attributes = attributes

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        return self._made(_Counter, lambda: self._real().create_counter(name, unit, description))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        return self._made(_UpDownCounter, lambda: self._real().create_up_down_counter(name, unit, description))

    def create_histogram(
        self, name: str, unit: str = "", description: str = "", **advisory: Sequence[float] | None
    ) -> metrics.Histogram:
        return self._made(_Histogram, lambda: self._real().create_histogram(name, unit, description, **advisory))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._made(_Gauge, lambda: self._real().create_gauge(name, unit, description))

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        return self._real().create_observable_counter(name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        return self._real().create_observable_up_down_counter(name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        return self._real().create_observable_gauge(name, callbacks, unit, description)

    def _real(self) -> metrics.Meter:
        provider = self._export.own_meter_provider
        return metrics.get_meter(self.name, self.version or "", provider, self.schema_url, self._attributes)

    def _made(self, deferred: Callable[[ExportPolicy, Callable[[], _I]], _I], make: Callable[[], _I]) -> _I:
        return make() if self._export.decided else deferred(self._export, make)


class _Deferred(Generic[_I]):
    """Passes values to the real instrument; makes that instrument once after the decision."""

    def __init__(self, export: ExportPolicy, make: Callable[[], _I]) -> None:
        self._export = export
        self._make = make
        self._found: _I | None = None

    def _instrument(self) -> _I:
        instrument = self._make()
        if self._export.decided:
            self._found = instrument
        return instrument


class _Counter(_Deferred[metrics.Counter], metrics.Counter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._found or self._instrument()).add(amount, attributes, context)


class _UpDownCounter(_Deferred[metrics.UpDownCounter], metrics.UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._found or self._instrument()).add(amount, attributes, context)


class _Histogram(_Deferred[metrics.Histogram], metrics.Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._found or self._instrument()).record(amount, attributes, context)


class _Gauge(_Deferred[Any]):  # the API's class has no public name
    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._found or self._instrument()).set(amount, attributes, context)
