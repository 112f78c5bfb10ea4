"""The steps of a Socket.IO event: Flask opens a request context for it, and dispatches no request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from flask_chest_otel._lifecycle import socketio
from flask_chest_otel._lifecycle.state import ChestState
from flask_chest_otel._request.failures import is_one_of
from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._request.lookup import (
    current_request,
    enclose,
    is_suppressed,
    present_context,
    present_g,
    present_request,
)
from flask_chest_otel._server_span.attributes import full_name, url_path
from flask_chest_otel._server_span.event import EventSpan
from flask_chest_otel.names import EVENT_METHOD

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["EventSteps"]

_OK, _REFUSED, _FAILED = 200, 403, 500


class EventSteps(ChestState):
    """Has the steps of an event up to the teardown of its context, where an event finishes as a request does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        socketio.follow(self)

    def _build(self, app: Flask) -> None:
        super()._build(app)
        socketio.follow(self)  # it may have been loaded since

    def meet(self, app: Flask) -> EventSpan | None:
        """Return a span for an event that begins; ``None``: the event is not recorded, or is recorded already."""
        http = present_request()
        excluded = self._excluded is not None and self._excluded.covers(http)
        suppressed = bool(otel_context.get_current()) and is_suppressed()
        if not self.config.enabled or excluded or suppressed or current_request() is not None:
            return None
        if not self._startup.done:
            self._startup.run(app)
        return EventSpan(self._spans or self._stand_ins, http.environ)

    def begin_event(self, span: EventSpan, event: str, namespace: str, handler: object) -> None:
        """Begin the event, with an id of its own: an id that the connection brought would be that of all its events."""
        http = present_request()
        plan = self._plans.of_event(event, namespace, handler, full_name(handler))
        live = LiveRequest(self._ids, plan, present_g(), id(present_context()), EVENT_METHOD)
        live.before = dict(live.g.__dict__) or None
        live.outer = live_request.get()
        live.status, live.server_span = _OK, span
        enclose(live, http)
        live_request.set(live)
        if plan.chests is not None:
            self._span_watch.name_destinations()
        self._ids.choose(live, {})
        if plan.event is not None:
            live.span, live.context = span.begin(plan.event.name, plan.event.attributes)
        live.dispatched = True
        if self.router.wanted:
            # After the start of the event's span, which is not one of its child spans.
            self._span_watch.begin(live)
            self._recorder.begin(live, http, url_path(http.environ))
        self._exceptions.listen(live, span)
        self.logs.begin(live)

    def event_failed(self, error: Exception, *, refused: bool) -> None:
        """Note that a handler has raised; the teardown shows whether an error handler of Flask-SocketIO answers it.

        Args:
            error: The exception.
            refused: Whether the handler refuses a connection by it.
        """
        live = current_request()
        if live is None:
            return
        live.raised, live.answered, live.status = error, True, _FAILED
        left_out = self.config.handled_exceptions
        if isinstance(left_out, tuple) and is_one_of(error, left_out):
            live.answered, live.status = False, _OK  # unless nobody answers it
        if refused and isinstance(live.server_span, EventSpan):
            live.server_span.refuse()
            live.raised, live.recovered, live.status = None, True, _REFUSED

    def event_answered(self, *, accepted: bool) -> None:
        """Note that a handler has returned; Flask-SocketIO may have called it a second time, with other arguments."""
        live = current_request()
        if live is None:
            return
        live.raised, live.answered, live.status = None, False, _OK if accepted else _REFUSED
        if self.config.raise_exceptions:
            self._reader.check(live)
