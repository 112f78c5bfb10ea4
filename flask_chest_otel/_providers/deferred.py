"""Providers that are not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._providers.export_policy import ExportPolicy

__all__ = ["DeferredMeterProvider", "DeferredTracerProvider"]


class DeferredTracerProvider(trace.TracerProvider):
    """Hands out tracers that ask ``export`` for the real provider once it is decided."""

    def __init__(self, export: ExportPolicy) -> None:
        self._export = export

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """A tracer with the scope of the arguments, as ``TracerProvider.get_tracer`` takes them."""
        return _DeferredTracer(self._export, args, kwargs)


class _DeferredTracer(trace.Tracer):
    """Passes everything to the real tracer, which it looks up once."""

    def __init__(self, export: ExportPolicy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._export = export
        self._scope = (args, kwargs)
        self._found: trace.Tracer | None = None

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        """Start a span with the real tracer."""
        return self._tracer().start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Start a span with the real tracer and make it current."""
        return self._tracer().start_as_current_span(*args, **kwargs)

    def _tracer(self) -> trace.Tracer:
        if self._found is not None:
            return self._found
        args, kwargs = self._scope
        tracer = self._export.tracer_provider().get_tracer(*args, **kwargs)
        if self._export.decided:
            self._found = tracer
        return tracer  # type: ignore[no-any-return]  # providers come as Any: an application may bring any kind


class DeferredMeterProvider(metrics.MeterProvider):
    """Hands out meters whose instruments are made once ``export`` is decided; those used before ask again."""

    def __init__(self, export: ExportPolicy) -> None:
        self._export = export

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> metrics.Meter:
        """A meter with the scope of the arguments, as ``MeterProvider.get_meter`` takes them."""
        return _DeferredMeter(self._export, name, version, schema_url, attributes)


class _DeferredMeter(metrics.Meter):
    """Makes instruments of the real meter; before the decision, such as find theirs with their first use after it."""

    def __init__(
        self, export: ExportPolicy, name: str, version: str | None, schema_url: str | None, attributes: Any
    ) -> None:
        super().__init__(name, version, schema_url)
        self._export = export
        self._attributes = attributes

    def create_counter(self, *args: Any, **kwargs: Any) -> Any:
        """A counter."""
        return self._made("create_counter", args, kwargs)

    def create_up_down_counter(self, *args: Any, **kwargs: Any) -> Any:
        """An up-down counter."""
        return self._made("create_up_down_counter", args, kwargs)

    def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
        """A histogram."""
        return self._made("create_histogram", args, kwargs)

    def create_gauge(self, *args: Any, **kwargs: Any) -> Any:
        """A gauge."""
        return self._made("create_gauge", args, kwargs)

    def create_observable_counter(self, *args: Any, **kwargs: Any) -> Any:
        """An observable counter, of the provider that is known now."""
        return self._real().create_observable_counter(*args, **kwargs)

    def create_observable_up_down_counter(self, *args: Any, **kwargs: Any) -> Any:
        """An observable up-down counter, of the provider that is known now."""
        return self._real().create_observable_up_down_counter(*args, **kwargs)

    def create_observable_gauge(self, *args: Any, **kwargs: Any) -> Any:
        """An observable gauge, of the provider that is known now."""
        return self._real().create_observable_gauge(*args, **kwargs)

    def _real(self) -> metrics.Meter:
        provider = self._export.own_meter_provider
        return metrics.get_meter(self.name, self.version or "", provider, self.schema_url, self._attributes)

    def _made(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def make() -> Any:
            return getattr(self._real(), method)(*args, **kwargs)

        return make() if self._export.decided else _DeferredInstrument(self._export, make)


class _DeferredInstrument:
    """Passes values to the real instrument, which it makes once."""

    def __init__(self, export: ExportPolicy, make: Callable[[], Any]) -> None:
        self._export = export
        self._make = make
        self._found: Any = None

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Of a counter."""
        (self._found or self._instrument()).add(*args, **kwargs)

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Of a histogram."""
        (self._found or self._instrument()).record(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Of a gauge."""
        (self._found or self._instrument()).set(*args, **kwargs)

    def _instrument(self) -> Any:
        instrument = self._make()
        if self._export.decided:
            self._found = instrument
        return instrument
