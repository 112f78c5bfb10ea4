"""Follows the events of Flask-SocketIO; this module alone changes its class, and changes it back.

All handlers run in ``SocketIO._handle_event``, those of namespaces and callbacks too, in a request context for which
Flask dispatches no request. The method is private, but the same since version 2.0. Public methods would reach only
handlers that are registered later. This module never imports the library.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from flask import current_app

from flask_chest_otel._guard import guarded, report_error
from flask_chest_otel._lifecycle.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._lifecycle.events import EventSteps
    from flask_chest_otel._server_span.event import EventSpan

    Handler = Callable[..., Any]

__all__ = ["follow", "leave"]

_LIBRARY = "flask_socketio"
_METHOD = "_handle_event"
_OURS = "__flask_chest_follows__"

_KNOWN_ARGUMENTS = 3
"""The handler, the event's name, its namespace."""

_ANY = "*"
"""Stands for namespaces without a handler, whose names clients choose; Flask-SocketIO's name for such events."""

_CALLBACK = "(callback)"
"""Stands for the function that the application passed to ``emit``, to be called when a client acknowledges."""

_CALLED_AGAIN = frozenset({"connect", "disconnect"})
"""Events whose handlers are called once more with fewer arguments, after a TypeError."""

_followers: WeakSet[object] = WeakSet()


@guarded("socketio")
def follow(owner: object) -> None:
    """Follow the events of Flask-SocketIO, if the application has imported it; further calls do nothing."""
    cls: Any = getattr(sys.modules.get(_LIBRARY), "SocketIO", None)
    original = getattr(cls, _METHOD, None)
    if original is None:
        return
    _followers.add(owner)
    if not hasattr(original, _OURS):
        setattr(cls, _METHOD, _around_event(original))


@guarded("socketio")
def leave(owner: object) -> None:
    """Follow them no longer; after the last owner has left, the class is as it was."""
    _followers.discard(owner)
    cls: Any = getattr(sys.modules.get(_LIBRARY), "SocketIO", None)
    ours: Any = getattr(cls, _METHOD, None)
    if _is_outermost(ours) and not _followers:
        setattr(cls, _METHOD, ours.__wrapped__)


def _is_outermost(method: object) -> bool:
    """Whether our wrapper is the outermost. Another library's wrapper may have copied the attribute, and stays."""
    return method is not None and getattr(method, _OURS, None) is method


def _refusals() -> tuple[type[BaseException], ...]:
    """Return the class of the exception by which a handler refuses a connection."""
    found = getattr(sys.modules.get(_LIBRARY), "ConnectionRefusedError", None)
    return (found,) if isinstance(found, type) else ()


def _around_event(original: Handler) -> Handler:
    @functools.wraps(original)
    def _handle_event(self: Any, *args: Any, **kwargs: Any) -> Any:
        __traceback_hide__ = True
        if len(args) < _KNOWN_ARGUMENTS:
            return original(self, *args, **kwargs)  # another version of the library calls it
        handler, message, namespace, *rest = args
        event = _Event(self, handler, message, namespace)
        try:
            return original(self, event.call, message, namespace, *rest, **kwargs)
        except BaseException as error:
            event.raised(error)
            raise
        finally:
            event.end()

    setattr(_handle_event, _OURS, _handle_event)
    return _handle_event


class _Event:
    """One event, from the call of ``_handle_event`` to its return."""

    def __init__(self, sockets: Any, handler: Handler, message: str | None, namespace: str) -> None:
        self._sockets = sockets
        self._handler = handler
        self._message = message
        self._namespace = namespace
        self._steps: EventSteps | None = None
        self._span: EventSpan | None = None

    def call(self, *args: Any) -> Any:
        """Call the handler as one event; Flask-SocketIO calls this method instead of the handler."""
        __traceback_hide__ = True
        if not self._takes(args):
            return self._handler(*args)  # it raises a TypeError, and the library calls it again
        self._begin()
        steps = self._steps
        if steps is None:
            return self._handler(*args)
        try:
            answer = self._handler(*args)
        except Exception as error:
            with guarded("event"):
                steps.event_failed(error, refused=self._message == "connect" and isinstance(error, _refusals()))
            raise
        steps.event_answered(accepted=self._message != "connect" or answer is not False)
        return answer

    def raised(self, error: BaseException) -> None:
        """Note that the event ends with an exception of the handler, or of code behind it."""
        if self._span is not None:
            self._span.fail(error)

    def end(self) -> None:
        """End the span of the event."""
        if self._span is not None:
            self._span.end()

    def _begin(self) -> None:
        if self._span is not None:
            return
        try:
            app = current_app._get_current_object()  # type: ignore[attr-defined]  # typed as a Flask
            steps: Any = state_of(app)
            self._span = steps.meet(app) if steps is not None else None
            if self._span is not None:
                self._steps = steps
                steps.begin_event(self._span, *self._place(), self._handler)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("begin event", error)

    def _place(self) -> tuple[str, str]:
        """Return names of event and namespace, of which there are only as many as the application has registered."""
        server = self._sockets.server
        known = self._namespace in server.handlers or self._namespace in server.namespace_handlers
        return _CALLBACK if self._message is None else self._message, self._namespace if known else _ANY

    def _takes(self, args: tuple[Any, ...]) -> bool:
        if self._message not in _CALLED_AGAIN:
            return True
        try:
            inspect.signature(self._handler).bind(*args)
        except TypeError:
            return False
        except ValueError:  # it has no signature
            return True
        return True
