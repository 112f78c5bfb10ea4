"""What code inside a request can ask."""

from __future__ import annotations

from typing import Any

from flask import has_request_context, request
from werkzeug.local import LocalProxy

from flask_chest_otel._lifecycle.state import current_typed_context, state_here
from flask_chest_otel._request.lookup import request_in
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.ids import format_trace_id, legalise, map_request_id

__all__ = ["current_context", "current_request_id", "trace_id_for"]

current_context: Any = LocalProxy(current_typed_context)
"""The typed context of the running request (``FlaskChest(app, context=MyContext)``), from anywhere in it."""


def current_request_id() -> str | None:
    """The id of the running request; ``None`` outside of one, or where no chest records it.

    Also in threads with a copied request context, in ``after_request`` and in teardown functions.
    """
    if not has_request_context():
        return None
    live = request_in(request.environ)
    return None if live is None else live.request_id or live.ids.decide(live)


def trace_id_for(request_id: str, *, secret: str | None = None) -> str:
    """The trace id of a request that brought or generated ``request_id``: 32 lower-case hex digits.

    Args:
        request_id: The id, as it came or as a generator made it.
        secret: ``request_id_secret`` of the application; inside an application its own is the default.

    A request that came with a ``traceparent`` belongs to its caller's trace instead.

    Raises:
        ChestConfigError: There is no id: ``None`` or an empty text identifies nothing.
    """
    if not (request_id and legalise(request_id)):
        raise ChestConfigError("request_id", request_id, "the id of a request: a text that is not empty")
    if secret is None:
        state = state_here()
        secret = state.config.request_id_secret if state is not None else None
    return format_trace_id(map_request_id(legalise(request_id), secret))
