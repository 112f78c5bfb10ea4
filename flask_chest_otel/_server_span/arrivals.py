"""The trace that a request arrives in: extracted from its headers by OpenTelemetry's global propagator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from flask_chest_otel._server_span.attributes import environ_getter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

__all__ = ["Arrivals"]

_W3C = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE", "baggage": "HTTP_BAGGAGE"}
"""Headers of the propagators of OpenTelemetry's API, which find nothing where none of them is there."""


class Arrivals:
    """Finds the context in which a request arrives.

    Most requests bring none of the W3C's headers. The propagator is not asked then, if it knows no others: some read
    further headers, and the one for AWS Lambda reads a variable of the environment.
    """

    __slots__ = ("_global", "_known")

    def __init__(self) -> None:
        from opentelemetry import propagate  # noqa: PLC0415 - it loads all propagators; at the first request

        self._global: Callable[[], TextMapPropagator] = propagate.get_global_textmap
        # One tuple, as several threads may come at once.
        self._known: tuple[TextMapPropagator | None, tuple[str, ...]] = (None, ())

    def context_in(self, environ: dict[str, Any]) -> Context:
        """The present context, with what the propagator finds in a WSGI environment."""
        propagator = self._global()
        known, keys = self._known
        if known is not propagator:  # the application may set another one at any time
            keys = _keys_of(propagator)
            self._known = propagator, keys
        present = otel_context.get_current()
        if keys:
            for key in keys:
                if key in environ:
                    break
            else:
                return present
        return propagator.extract(environ, present, environ_getter)


def _keys_of(propagator: TextMapPropagator) -> tuple[str, ...]:
    """What has to be in the environment for a propagator to find anything; nothing where that is not known."""
    try:
        fields = set(propagator.fields)
    except Exception:  # noqa: BLE001 - one of the application's own
        return ()
    return tuple(_W3C[field] for field in fields) if fields <= _W3C.keys() else ()
