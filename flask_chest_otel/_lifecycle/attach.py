"""The only place where an application, or Flask's class, is changed, and changed back.

Public, overridable methods are wrapped: on one application (the extension) or on ``flask.app.Flask`` (zero code), so
that applications made through an early ``from flask import Flask`` are reached too.
"""

from __future__ import annotations

import functools
from types import MethodType
from typing import TYPE_CHECKING, Any

from flask import has_request_context

from flask_chest_otel._guard import report_error
from flask_chest_otel._request.live import live_request
from flask_chest_otel._request.lookup import UPSTREAM, current_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from flask_chest_otel._lifecycle.steps import Lifecycle

    Find = Callable[[Flask], Lifecycle | None]
    Method = Callable[..., Any]

__all__ = ["Attachment", "attach"]


class Attachment:
    """What was put on one target; :meth:`remove` takes it off."""

    def __init__(self, target: object, fixed: Lifecycle | None, find: Find | None) -> None:
        """Remember; :func:`attach` does the work."""
        self.target = target
        self.fixed = fixed
        self.find = find or _nobody
        self._replaced: dict[str, tuple[object, object]] = {}

    def wrap(self, name: str, around: Callable[[Attachment, Method], Method]) -> None:
        """Replace one method by what ``around`` makes of it."""
        original = getattr(self.target, name)
        on_instance = not isinstance(self.target, type)
        function = original.__func__ if isinstance(original, MethodType) and on_instance else original
        if on_instance and name in vars(self.target):
            # Somebody put a plain callable on the instance: it takes no self.
            function = _without_self(original)
        wrapper = functools.wraps(original)(around(self, function))
        installed = MethodType(wrapper, self.target) if on_instance else wrapper
        self._replaced[name] = (vars(self.target).get(name, _MISSING), installed)
        setattr(self.target, name, installed)

    def unwrap(self, name: str) -> None:
        """Restore one method that is still ours; what others have wrapped meanwhile stays, and passes through."""
        # One step: of several threads that come past here together, one has something to restore.
        previous, installed = self._replaced.pop(name, (_MISSING, _MISSING))
        if vars(self.target).get(name, self) is not installed:
            return
        if previous is _MISSING:
            delattr(self.target, name)
        else:
            setattr(self.target, name, previous)

    def remove(self) -> None:
        """Restore what is still ours, and record nothing any more where others have wrapped it."""
        self.find = _nobody
        self.fixed = None
        for name in tuple(self._replaced):
            self.unwrap(name)


_MISSING = object()


def attach(target: Flask | type[Flask], lifecycle: Lifecycle | None = None, *, find: Find | None = None) -> Attachment:
    """Put the steps of a request on ``target``.

    Args:
        target: One application, or the class of all.
        lifecycle: What the requests of one application belong to.
        find: The same for the class: what an application's requests belong to, or ``None`` to leave it alone. It must
            not raise: it runs in every request, outside of the guard.
    """
    attachment = Attachment(target, lifecycle, find)
    if isinstance(target, type):
        # It is reached whatever stands in an application's wsgi_app by now; an instance has none. The other one is for
        # middleware that was put around an application's wsgi_app, and not in its place.
        attachment.wrap("__call__", _around_wsgi)
    attachment.wrap("wsgi_app", _around_wsgi)
    attachment.wrap("full_dispatch_request", _around_request)
    attachment.wrap("ensure_sync", _around_call)
    attachment.wrap("dispatch_request", _around_view)
    attachment.wrap("handle_user_exception", _around_handler)
    attachment.wrap("handle_exception", _around_failure)
    attachment.wrap("process_response", _around_response)
    attachment.wrap("do_teardown_request", _around_teardown)
    return attachment


def _nobody(_app: Flask) -> None:
    """Whose request it is, once the attachment is removed."""


def _without_self(function: Method) -> Method:
    return lambda _self, *args, **kwargs: function(*args, **kwargs)


# __traceback_hide__ leaves a frame out of tracebacks in Werkzeug's debugger.
# Flask 3.2 gives these methods the context as a further argument: whatever comes is passed on.
# The guard is written out here, where Flask calls us: a decorator around each step would be one more call in each.


def _around_wsgi(attachment: Attachment, original: Method) -> Method:
    def wsgi_app(self: Flask, environ: dict[str, object], start_response: Method) -> object:
        __traceback_hide__ = True
        lifecycle = attachment.fixed or attachment.find(self)
        server_span = None
        if lifecycle is not None and lifecycle.borderless:
            if attachment.fixed is not None:
                attachment.unwrap("wsgi_app")
        elif lifecycle is not None:
            try:
                server_span = lifecycle.enter(self, environ)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("enter", error)
        if server_span is None:
            return original(self, environ, start_response)
        try:
            body = original(self, environ, server_span.starting(start_response))
        except BaseException as error:
            server_span.raised(error)
            raise
        return server_span.returned(body)

    return wsgi_app


def _around_request(attachment: Attachment, original: Method) -> Method:
    def full_dispatch_request(self: Flask, *args: object, **kwargs: object) -> object:
        __traceback_hide__ = True
        lifecycle = attachment.fixed or attachment.find(self)
        if lifecycle is not None:
            try:
                lifecycle.begin(self)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("begin", error)
        return original(self, *args, **kwargs)

    return full_dispatch_request


def _around_call(attachment: Attachment, original: Method) -> Method:
    def ensure_sync(self: Flask, func: Method, *args: object, **kwargs: object) -> object:
        live = live_request.get()
        # Several times in a request: nothing is asked any more once upstream was reached.
        if live is not None and not live.reached_upstream:
            live.reached_upstream = getattr(func, "__module__", None) == UPSTREAM
            if attachment.fixed is not None and attachment.fixed.alone:
                attachment.unwrap("ensure_sync")
        return original(self, func, *args, **kwargs)

    return ensure_sync


def _around_view(attachment: Attachment, original: Method) -> Method:
    def dispatch_request(self: Flask, *args: object, **kwargs: object) -> object:
        __traceback_hide__ = True
        lifecycle = attachment.fixed or attachment.find(self)
        if lifecycle is None:
            return original(self, *args, **kwargs)
        try:
            lifecycle.dispatch()
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("dispatch", error)
        try:
            result = original(self, *args, **kwargs)
        except Exception as error:
            # Who answers it may come past none of the steps that follow.
            live = live_request.get()
            if live is not None:
                live.raised = error
            raise
        if lifecycle.config.raise_exceptions:
            lifecycle.viewed()
        return result

    return dispatch_request


def _around_handler(attachment: Attachment, original: Method) -> Method:
    def handle_user_exception(self: Flask, *args: object, **kwargs: object) -> object:
        __traceback_hide__ = True
        answer = original(self, *args, **kwargs)  # raises again where no handler takes the exception
        lifecycle = attachment.fixed or attachment.find(self)
        if lifecycle is not None:
            try:
                lifecycle.handled(_exception_in(args), answer)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("handled exception", error)
        return answer

    return handle_user_exception


def _around_failure(attachment: Attachment, original: Method) -> Method:
    def handle_exception(self: Flask, *args: object, **kwargs: object) -> object:
        __traceback_hide__ = True
        lifecycle = attachment.fixed or attachment.find(self)
        if lifecycle is not None:
            try:
                # Not dispatched by Flask: its session could not be opened, or a converter of its URL raised.
                if has_request_context() and current_request() is None:
                    lifecycle.begin(self)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("begin", error)
        answer = original(self, *args, **kwargs)  # raises again where exceptions are propagated
        if lifecycle is not None:
            try:
                answer = lifecycle.recover(self, answer)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("recovered exception", error)
        return answer

    return handle_exception


def _exception_in(args: tuple[object, ...]) -> BaseException | None:
    for one in args:  # a generator would take as long as all else here
        if isinstance(one, BaseException):
            return one
    return None


def _around_response(attachment: Attachment, original: Method) -> Method:
    def process_response(self: Flask, *args: object, **kwargs: object) -> object:
        __traceback_hide__ = True
        response = original(self, *args, **kwargs)
        lifecycle = attachment.fixed or attachment.find(self)
        if lifecycle is not None:
            try:
                response = lifecycle.respond(response)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("response", error)
        return response

    return process_response


def _around_teardown(attachment: Attachment, original: Method) -> Method:
    def do_teardown_request(self: Flask, *args: object, **kwargs: object) -> object:
        __traceback_hide__ = True
        lifecycle = attachment.fixed or attachment.find(self)
        if lifecycle is not None:
            try:
                lifecycle.finish(_exception_in(args))
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("finish", error)
        return original(self, *args, **kwargs)

    return do_teardown_request
