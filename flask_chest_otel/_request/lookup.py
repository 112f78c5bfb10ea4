"""Finding a request's record, and its server span, from where code runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flask import g, has_request_context, request
from flask import globals as flask_globals
from opentelemetry import context as otel_context
from opentelemetry import trace

from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._server_span.attributes import environ_getter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Request
    from opentelemetry.trace import Span

__all__ = [
    "ENVIRON_KEY",
    "UPSTREAM",
    "current_request",
    "find_span",
    "inside_server_span",
    "is_root",
    "is_suppressed",
    "present_context",
    "present_g",
    "present_request",
    "request_in",
    "request_of_context",
    "span_here",
    "upstream_is_disabled",
]

# Looked up once, not in every request: what the proxies stand for.
present_g = g._get_current_object
# The context of a request; Flask 3.2 has one kind of context only.
_contexts: Any = flask_globals.app_ctx if "request_ctx" not in vars(flask_globals) else flask_globals.request_ctx
present_context: Callable[[], object] = _contexts._get_current_object
present_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]  # typed as a Request

UPSTREAM = "opentelemetry.instrumentation.flask"
"""The module of upstream's functions that Flask calls; in one of them its server span begins."""

_ABSENT = object()

ENVIRON_KEY = "flask_chest_otel.request"
"""Where a request's record lives in its WSGI environment."""


def request_in(environ: Mapping[str, Any]) -> LiveRequest | None:
    """The record of the request with this WSGI environment."""
    found: LiveRequest | None = environ.get(ENVIRON_KEY)
    return found


def request_of_context() -> LiveRequest | None:
    """The record of the request whose context is here: its own, or a thread's copy, also after its end."""
    return request_in(request.environ) if has_request_context() else None


def current_request() -> LiveRequest | None:
    """The record of the request that runs here, if the present context and its ``g`` are its own.

    A thread with a copied request context, ``Response.from_app`` and an application inside an application share
    the environ: ``g`` tells them apart. A context opened inside a view, by ``test_request_context`` or a function
    with a copied one, shares ``g``: the context itself tells these apart.
    """
    present, here = present_g(), id(present_context())
    live = live_request.get()
    if live is None or live.g is not present or live.context_id != here:
        live = request.environ.get(ENVIRON_KEY)
        if live is None or live.g is not present or live.context_id != here:
            return None
    return live


def find_span(live: LiveRequest) -> None:
    """Find the server span of a request from where it runs, and the context that holds it."""
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
    """Whether the span that was current at begin is not this request's, which runs inside another one.

    A server span in between was made for this request: by an instrumentation around the inner application.
    """
    outer = live.outer
    if outer is None or outer.finished:
        return False
    return getattr(current, "kind", None) is not trace.SpanKind.SERVER or current is outer.span


def is_root(live: LiveRequest, span: Span) -> bool:
    """Whether a request's span begins its trace; one that the sampler did not want cannot tell by itself."""
    parent = getattr(span, "parent", _ABSENT)
    if parent is not _ABSENT:
        return parent is None and span.is_recording()
    if not span.get_span_context().is_valid or live.span_at_begin.get_span_context().is_valid:
        return False
    arrived = live.server_span.parent if live.server_span is not None else None
    if arrived is None:
        from opentelemetry import propagate  # noqa: PLC0415 - it loads all propagators; who made the span has used it

        arrived = propagate.extract(request.environ, otel_context.Context(), environ_getter)
    return not trace.get_current_span(arrived).get_span_context().is_valid


def is_suppressed() -> bool:
    """Whether whoever runs this code has asked that it be left out of traces; only a non-empty context can ask."""
    # Imported here: it brings asyncio, and takes longer than this package. Who suppresses has imported it.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled  # noqa: PLC0415

    return not is_instrumentation_enabled()


def inside_server_span() -> bool:
    """Whether this request has a server span already, made by an instrumentation around the application."""
    if is_suppressed():
        return True
    current = trace.get_current_span()
    outer = live_request.get()
    belongs_to_outer = outer is not None and not outer.finished and current is outer.span
    return getattr(current, "kind", None) is trace.SpanKind.SERVER and not belongs_to_outer


def upstream_is_disabled() -> bool:
    """Whether the user switched the Flask instrumentation off: server spans are not wanted then."""
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    return not {"flask", "*"}.isdisjoint(part.strip() for part in disabled.split(","))
