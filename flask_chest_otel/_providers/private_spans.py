"""Makes child spans for request records when the application has no global tracer provider.

Without a global provider, tracers of libraries and of the application's code are OpenTelemetry's proxies. Proxies pass
each span to a ``NoOpTracer``, which makes none. Here the class ``NoOpTracer`` is changed: inside a request whose
application has a private provider, and whose record needs child spans, it makes spans of the private provider, which
exports nothing. This also holds for tracers of a ``NoOpTracerProvider`` that was given to one library. If a
``NoOpTracerProvider`` is the global provider, nothing changes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from opentelemetry import trace

from flask_chest_otel._guard import report_error
from flask_chest_otel._request.child_spans import collecting_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

__all__ = ["change_noop_tracer"]

_METHODS = ("start_span", "start_as_current_span")
_CHANGED = "flask_chest_changed"


def change_noop_tracer() -> None:
    """Change the class ``NoOpTracer``; this affects existing proxies, too. Further calls do nothing."""
    if not hasattr(trace.NoOpTracer.start_span, _CHANGED):
        for method in _METHODS:
            setattr(trace.NoOpTracer, method, _changed(method, getattr(trace.NoOpTracer, method)))


def _changed(method: str, original: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(original)
    def start(self: Tracer, name: str, context: Context | None = None, *args: object, **kwargs: object) -> object:
        tracer = _private_tracer(context)
        if tracer is None:
            return original(self, name, context, *args, **kwargs)
        return getattr(tracer, method)(name, context, *args, **kwargs)

    setattr(start, _CHANGED, True)
    return start


def _private_tracer(context: Context | None) -> Tracer | None:
    """Return the private tracer of the request that a new span belongs to; ``None``: there is none."""
    try:
        live = collecting_request(context)
        # If a global provider was set meanwhile, the span is to be exported.
        if live is None or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return None
        found = live.span_watch.private_tracer if live.span_watch is not None else None
    except Exception as error:  # noqa: BLE001 - the guard decides
        report_error("private spans", error)
        return None
    return found
