"""Spans of libraries and of the application's own code, where no global provider is set.

Their tracers are OpenTelemetry's stand-ins then, which pass every span on to a tracer that makes none. Inside a request
whose application has a private provider, and whose record wants child spans, that tracer makes spans of the private
provider, which exports nothing. So does a tracer of a ``NoOpTracerProvider`` that was given to one library; where it is
the global provider, nothing changes.
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

__all__ = ["reach_stand_ins"]

_METHODS = ("start_span", "start_as_current_span")
_TAUGHT = "flask_chest_taught"


def reach_stand_ins() -> None:
    """Teach the tracer behind the stand-ins, those that were handed out before, too; again and again is harmless."""
    if not hasattr(trace.NoOpTracer.start_span, _TAUGHT):
        for method in _METHODS:
            setattr(trace.NoOpTracer, method, _taught(method, getattr(trace.NoOpTracer, method)))


def _taught(method: str, original: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(original)
    def start(self: Tracer, name: str, context: Context | None = None, *args: object, **kwargs: object) -> object:
        tracer = _private_tracer(context)
        if tracer is None:
            return original(self, name, context, *args, **kwargs)
        return getattr(tracer, method)(name, context, *args, **kwargs)

    setattr(start, _TAUGHT, True)
    return start


def _private_tracer(context: Context | None) -> Tracer | None:
    """The tracer of the private provider of the request that a span would belong to, if there is one."""
    try:
        live = collecting_request(context)
        # Set meanwhile: the span is to be exported.
        if live is None or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return None
        found = live.span_watch.private_tracer if live.span_watch is not None else None
    except Exception as error:  # noqa: BLE001 - the guard decides
        report_error("private spans", error)
        return None
    return found
