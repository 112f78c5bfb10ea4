"""Functions for code inside a request: its id, its trace id, its typed context."""

from __future__ import annotations

from typing import Any

from werkzeug.local import LocalProxy

from flask_chest_otel._lifecycle.state import current_typed_context, state_here
from flask_chest_otel._request.lookup import request_of_context
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.ids import format_trace_id, legalise, map_request_id

__all__ = ["current_context", "current_request_id", "trace_id_for"]

current_context: Any = LocalProxy(current_typed_context)
"""Proxy for the typed context of the running request (``FlaskChest(app, context=MyContext)``)."""


def current_request_id() -> str | None:
    """The id of the running request; ``None`` outside of a request, or where the application is not recorded.

    It also works in threads with a copied request context, in ``after_request`` and in teardown functions.
    """
    live = request_of_context()
    return None if live is None else live.request_id or live.ids.decide(live)


def trace_id_for(request_id: str, *, secret: str | None = None) -> str:
    """The trace id that belongs to a request id: 32 lower-case hex digits.

    A request that arrived with a ``traceparent`` header has the trace id of its caller instead.

    Args:
        request_id: The id that the client sent or that a generator made.
        secret: ``request_id_secret`` of the application; by default that of the current application.

    Raises:
        ChestConfigError: ``request_id`` is ``None`` or empty.
    """
    if not (request_id and legalise(request_id)):
        raise ChestConfigError("request_id", request_id, "the id of a request: a text that is not empty")
    if secret is None:
        state = state_here()
        secret = state.config.request_id_secret if state is not None else None
    return format_trace_id(map_request_id(legalise(request_id), secret))
