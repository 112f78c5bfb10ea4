"""A request at the WSGI entry of an application: the call, ``start_response``, and the body that is returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context

from flask_chest_otel._base.statuses import SWITCHING_PROTOCOLS
from flask_chest_otel._guard import guarded, report_error
from flask_chest_otel._server_span.body import Body
from flask_chest_otel._server_span.span import NO_STATUS, ServerSpan

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._server_span.factory import ServerSpanFactory

    Headers = list[tuple[str, str]]

__all__ = ["SERVED_KEY", "ServedRequest"]

SERVED_KEY = "flask_chest_otel.served"
"""Key of the WSGI environment under which the request is kept until the application returns."""

# flask-sock raises these to tell gunicorn and Werkzeug that it has used the connection itself, without start_response:
# https://github.com/miguelgrinberg/flask-sock
_SOCKET_ENDS = (StopIteration, ConnectionError)


class ServedRequest(ServerSpan):
    """One request at the WSGI entry of an application, with its server span.

    Args:
        key: Identifies the application; see :meth:`waits_for`.
        spans: Makes the server span; ``None``: no server span is wanted.
        environ: The WSGI environment.
    """

    __slots__ = ("_add_headers", "_displaced", "_key")

    def __init__(self, key: object, spans: ServerSpanFactory | None, environ: dict[str, object]) -> None:
        super().__init__(spans, environ)
        self._key = key
        self._add_headers: Callable[[Headers], Headers] | None = None
        self._displaced = environ.get(SERVED_KEY)
        environ[SERVED_KEY] = self

    def waits_for(self, key: object) -> bool:
        """Whether this request entered the application with this key, and Flask has not begun to dispatch it."""
        return self._key is key and not self._opened

    def adding(self, add_headers: Callable[[Headers], Headers]) -> None:
        """Send the headers that ``add_headers`` returns for the application's headers."""
        self._add_headers = add_headers

    def starting(self, start_response: Callable[..., object]) -> Callable[..., object]:
        """Wrap ``start_response`` to see the status and to add headers."""

        def listening(status: str, headers: Headers, *exc_info: object) -> object:
            try:
                headers = self._started(status, headers)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("start_response", error)
            return start_response(status, headers, *exc_info)

        return listening

    def _started(self, status: str, headers: Headers) -> Headers:
        """The headers for the server. ``headers`` may belong to the application, so the list is not changed."""
        code = status[:3]
        if code.isdecimal() and self._answered != SWITCHING_PROTOCOLS:
            self._status = int(code)
        if self._opened:
            headers = self._add_headers(headers) if self._add_headers is not None else [*headers]
        if self._span is not None and self._counted and self._environ.get(SERVED_KEY) is self:
            self._spans.respond(self._span, self._context, status, headers)
        return headers

    def returned(self, body: object) -> object:
        """Take the body that the application has returned; wrap it where it is made while it is sent."""
        try:
            return self._returned(body)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("body", error)
            self.end()
            return body

    def _returned(self, body: object) -> object:
        self._step_out()
        wrapper = self._environ.get("wsgi.file_wrapper")
        if self._span is None or not self._streamed or (isinstance(wrapper, type) and isinstance(body, wrapper)):
            # The body is in memory, or it is a file that the server sends itself, which needs the original object.
            self.end()
            return body
        return Body(body, self, self._context)

    def unsent(self) -> None:
        """Forget the status: servers send it with the first piece of a body, and answer 500 if there comes none."""
        self._status = self._answered = NO_STATUS

    def raised(self, error: BaseException) -> None:
        """End the request with an exception that has left the application."""
        ends_socket = isinstance(error, _SOCKET_ENDS)
        if not ends_socket:
            # Nothing was sent yet, so the server answers 500, even if start_response was called before.
            self._status = NO_STATUS
        if self._status or not self._answered or not ends_socket:
            self._answered = NO_STATUS
            self.fail(error)
        with guarded("exception"):
            self._step_out()
        self.end()

    def _step_out(self) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        if self._displaced is not None:
            self._environ[SERVED_KEY] = self._displaced
        else:
            self._environ.pop(SERVED_KEY, None)
