"""Finds the state of the running request, and its server span."""

from __future__ import annotations

import os
from contextvars import Context as ContextVars
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flask import g, has_request_context, request
from flask import globals as flask_globals
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context as OTelContext

from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._server_span.attributes import environ_getter

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Request
    from opentelemetry.trace import Span

__all__ = [
    "ENVIRON_KEY",
    "UPSTREAM",
    "context_getter",
    "current_request",
    "enclose",
    "find_span",
    "flask_value",
    "inside_server_span",
    "is_root",
    "is_suppressed",
    "present_context",
    "present_g",
    "present_request",
    "request_of",
    "request_of_context",
    "span_here",
    "upstream_is_disabled",
]

# The methods that return the objects behind Flask's proxies, looked up once and not in every request.
present_g = g._get_current_object
# The proxy for the request's context. Flask 3.2 has only one kind of context.
_contexts: Any = flask_globals.app_ctx if "request_ctx" not in vars(flask_globals) else flask_globals.request_ctx
present_context: Callable[[], object] = _contexts._get_current_object
present_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]  # typed as a Request

UPSTREAM = "opentelemetry.instrumentation.flask"
"""The module of OpenTelemetry's Flask instrumentation. Flask calls functions of it; one begins the server span."""

_ABSENT = object()

ENVIRON_KEY = "flask_chest_otel.request"
"""Key of the WSGI environment under which the state of a request is kept."""


_EVENT_KEY = "flask_chest_otel_event"


def context_getter() -> Callable[[], OTelContext]:
    """A function like OpenTelemetry's ``get_current``; where its variable can be had, one without a call of Python."""
    probe = OTelContext()
    token = otel_context.attach(probe)
    try:
        variable: object = getattr(token, "var", None)
        if isinstance(variable, ContextVar) and variable.get(None) is probe:
            return variable.get
        return otel_context.get_current
    finally:
        otel_context.detach(token)


def flask_value() -> Callable[[None], object]:
    """A function that tells by ``None``, faster than ``has_request_context``, that Flask has no request here.

    It is the getter of the variable behind the proxy ``request``, which is a ``ContextVar``. In Flask 3.2 the variable
    also has a value in an application context without a request.
    """
    variable: object = ContextVars().run(
        getattr, request, "__wrapped__", None
    )  # only an unbound proxy gives its variable
    return variable.get if isinstance(variable, ContextVar) else lambda _: has_request_context() or None


def enclose(live: LiveRequest, http: Request) -> None:
    """Let the state of an event be found by its request object: all events of one connection share the environ."""
    setattr(http, _EVENT_KEY, live)


def request_of(http: Request) -> LiveRequest | None:
    """The state of a request, or of an event, by its request object."""
    found: LiveRequest | None = getattr(http, _EVENT_KEY, None) or http.environ.get(ENVIRON_KEY)
    return found


def request_of_context() -> LiveRequest | None:
    """The state of the request whose Flask context is active: its own, or a copy in a thread, also after its end."""
    return request_of(present_request()) if has_request_context() else None


def current_request() -> LiveRequest | None:
    """The state of the running request, if the active context and its ``g`` are those with which it began.

    A thread with a copied request context, ``Response.from_app`` and an application inside an application share the
    environ; ``g`` differs. A context opened inside a view, by ``test_request_context`` or by a function with a copied
    context, shares ``g``; the context itself differs.
    """
    present, here = present_g(), id(present_context())
    live = live_request.get()
    if live is None or live.g is not present or live.context_id != here:
        live = request_of(present_request())
        if live is None or live.g is not present or live.context_id != here:
            return None
    return live


def find_span(live: LiveRequest) -> None:
    """Store the current span and context as those of the request, unless the span belongs to an outer request."""
    context = otel_context.get_current()
    current = trace.get_current_span(context)
    if _is_own(live, current):
        live.span = current
        live.context = context


def span_here(live: LiveRequest) -> Span | None:
    """The current span, if it belongs to this request."""
    current = trace.get_current_span()
    return current if _is_own(live, current) else None


def _is_own(live: LiveRequest, current: Span) -> bool:
    """Whether a current span belongs to this request."""
    return current is not trace.INVALID_SPAN and not (
        current is live.span_at_begin and _belongs_to_outer(live, current)
    )


def _belongs_to_outer(live: LiveRequest, current: Span) -> bool:
    """Whether a request runs inside another one and the span at its begin belongs to the outer one.

    A different server span at the begin belongs to this request: an instrumentation around the inner application
    made it.
    """
    outer = live.outer
    if outer is None or outer.finished:
        return False
    return getattr(current, "kind", None) is not trace.SpanKind.SERVER or current is outer.span


def is_root(live: LiveRequest, span: Span) -> bool:
    """Whether a request's span begins its trace. A span that is not sampled does not know its parent."""
    parent = getattr(span, "parent", _ABSENT)
    if parent is not _ABSENT:
        return parent is None and span.is_recording()
    if not span.get_span_context().is_valid or live.span_at_begin.get_span_context().is_valid:
        return False
    arrived = live.server_span.parent if live.server_span is not None else None
    if arrived is not None and not arrived:
        return True  # an empty context holds no parent
    if arrived is None:
        from opentelemetry import propagate  # noqa: PLC0415 - it loads all propagators; the maker of the span has loaded it

        arrived = propagate.extract(request.environ, otel_context.Context(), environ_getter)
    return not trace.get_current_span(arrived).get_span_context().is_valid


def is_suppressed() -> bool:
    """Whether tracing is suppressed in the current context. In an empty context it never is."""
    # Imported here: it imports asyncio and takes longer than this package. Code that suppresses has imported it.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled  # noqa: PLC0415

    return not is_instrumentation_enabled()


def inside_server_span() -> bool:
    """Whether an instrumentation around the application has made a server span for this request."""
    if is_suppressed():
        return True
    current = trace.get_current_span()
    outer = live_request.get()
    belongs_to_outer = outer is not None and not outer.finished and current is outer.span
    return getattr(current, "kind", None) is trace.SpanKind.SERVER and not belongs_to_outer


def upstream_is_disabled() -> bool:
    """Whether ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` disables the Flask instrumentation: no server spans then."""
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    return not {"flask", "*"}.isdisjoint(part.strip() for part in disabled.split(","))
