"""A tracer provider that is not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from flask_chest_otel._providers.decision import Export

__all__ = ["DeferredTracerProvider"]


class DeferredTracerProvider(trace.TracerProvider):
    """Hands out tracers that ask ``export`` for the real provider once it is decided."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """A tracer with the scope of the arguments, as ``TracerProvider.get_tracer`` takes them."""
        return _DeferredTracer(self._export, args, kwargs)


class _DeferredTracer(trace.Tracer):
    """Passes everything to the real tracer, which it looks up once."""

    def __init__(self, export: Export, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
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
