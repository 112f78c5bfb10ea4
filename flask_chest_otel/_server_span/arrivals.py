"""Extracts the incoming trace context from a request's headers, with OpenTelemetry's global propagator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context

from flask_chest_otel._server_span.attributes import environ_getter

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

__all__ = ["Arrivals"]

_W3C = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE", "baggage": "HTTP_BAGGAGE"}
"""Headers that the propagators of OpenTelemetry's API read, to their WSGI keys. Without them they find nothing."""


class Arrivals:
    """Extracts the OpenTelemetry context of incoming requests.

    Most requests have none of the W3C headers. The propagator is then not called, unless it may find something
    elsewhere: some propagators read other headers, and the one for AWS Lambda reads an environment variable.
    """

    __slots__ = ("_global", "_known")

    def __init__(self) -> None:
        from opentelemetry import propagate  # noqa: PLC0415 - it loads all propagators, so it is imported at the first request

        self._global: Callable[[], TextMapPropagator] = propagate.get_global_textmap
        # One tuple, so that a thread never sees the propagator of one and the keys of another.
        self._known: tuple[TextMapPropagator | None, tuple[str, ...]] = (None, ())

    def context_in(self, environ: WSGIEnvironment) -> Context:
        """The current context, extended by what the propagator extracts from a WSGI environment."""
        propagator = self._global()
        known, keys = self._known
        if known is not propagator:  # the application may set another one at any time
            keys = _keys_of(propagator)
            self._known = propagator, keys
        present = otel_context.get_current()
        if keys and environ.keys().isdisjoint(keys):
            return present
        return propagator.extract(environ, present, environ_getter)


def _keys_of(propagator: TextMapPropagator) -> tuple[str, ...]:
    """The WSGI keys of which a propagator needs at least one; an empty tuple where they are not known."""
    try:
        fields = set(propagator.fields)
    except Exception:  # noqa: BLE001 - the propagator may be the application's code
        return ()
    return tuple(_W3C[field] for field in fields) if fields <= _W3C.keys() else ()
