"""A server span of our own: from the WSGI entry to the last byte of the body.

One :class:`ServerSpan` per request. It starts its clock at the WSGI entry, its span when the URL is matched and the
request id is known (with the entry's time), and ends both with the body.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.trace import SpanKind, Status, StatusCode

from flask_chest_otel._guard import guarded, report_error
from flask_chest_otel._server_span.attributes import (
    LONGEST_TEXT,
    HeaderCapture,
    LegacyNames,
    SpanTemplate,
    environ_getter,
    header_setter,
    request_attributes,
)
from flask_chest_otel._server_span.body import Body
from flask_chest_otel._values.attribute_sets import OVERFLOW_ATTRIBUTES, AttributeSets
from flask_chest_otel._values.exceptions import record_exception, status_of, type_name, words_of
from flask_chest_otel.names import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from flask_chest_otel.tracked import SECONDS_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

    from flask_chest_otel._server_span.active_requests import ActiveRequests
    from flask_chest_otel._server_span.served import ServedRequest

    RequestHook = Callable[[Span, dict[str, Any]], None]
    ResponseHook = Callable[[Span, str, list[tuple[str, str]]], None]

__all__ = ["SERVER_SPAN_KEY", "ServerSpan", "ServerSpanFactory"]

SERVER_SPAN_KEY = "flask_chest_otel.exchange"
"""Where a request's exchange lives in its WSGI environment."""

_SERVER_ERROR = 500
_MOST_SITES = 2000
# How flask-sock tells gunicorn and Werkzeug, in place of start_response(), that it has used the connection itself:
# https://github.com/miguelgrinberg/flask-sock
_SOCKET_ENDS = (StopIteration, ConnectionError)


class ServerSpanFactory:
    """What the server spans of one application have in common.

    Args:
        tracer: Makes them.
        meter: Makes ``http.server.request.duration``.
        active: Counts ``http.server.active_requests``.
        limit: Attribute sets of the duration, the overflow point included.
        text_chars: Longest text of an exception, in characters.
        request_hook: Called with the span and the WSGI environment when the span has started.
        response_hook: Called with the span, the status line and the headers when the response starts.
    """

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter,
        active: ActiveRequests,
        limit: int,
        text_chars: int,
        request_hook: RequestHook | None = None,
        response_hook: ResponseHook | None = None,
    ) -> None:
        self.tracer = tracer
        self.text_chars = text_chars
        self.request_hook = request_hook
        self.response_hook = response_hook
        self.capture = HeaderCapture()
        self.legacy = LegacyNames.wanted()
        self.active = active
        self._durations = AttributeSets(limit)
        self._templates: dict[tuple[Any, ...], SpanTemplate] = {}
        self.duration = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=SECONDS_BUCKETS,
        )
        self.legacy_duration = (
            meter.create_histogram("http.server.duration", "ms", "Measures the duration of inbound HTTP requests.")
            if self.legacy
            else None
        )

    def template(self, environ: dict[str, Any], live: ServedRequest) -> SpanTemplate:
        """What is known beforehand of a request like this one.

        Clients choose the host, the method and the protocol: only so many are kept, and only short ones.
        """
        get = environ.get
        method, route, chests = live.method, live.plan.route, live.plan.chests_text
        host, protocol = get("HTTP_HOST"), get("SERVER_PROTOCOL")
        place = (method, route, chests, host, get("SERVER_PORT"), get("wsgi.url_scheme"), protocol)
        found = self._templates.get(place)
        if found is None:
            found = SpanTemplate(environ, method, route, chests)
            is_short = all(len(text) <= LONGEST_TEXT for text in (method, host, protocol) if text)
            if is_short and len(self._templates) < _MOST_SITES:
                self._templates[place] = found
        return found

    def duration_attributes(self, template: SpanTemplate, status: int, error_type: str | None) -> Mapping[str, Any]:
        """What the duration is recorded under, within the limit."""
        end = status, error_type
        found = template.durations.get(end)
        if found is None:
            attributes = template.duration_attributes(status, error_type)
            found = self._durations.admit(tuple(attributes.items()), attributes)
            # Not the overflow point: an application that makes up types of exceptions would fill the memory.
            if found is not OVERFLOW_ATTRIBUTES:
                template.durations[end] = found
        return found

    def stand_in(self, live: ServedRequest, environ: dict[str, Any]) -> None:
        """Start the server span of a request that ended before upstream began one; its duration upstream measures."""
        template = self.template(environ, live)
        parent = propagate.extract(environ, otel_context.get_current(), environ_getter)
        attributes = request_attributes(environ, template)
        live.span = self.tracer.start_span(
            template.name, parent, SpanKind.SERVER, attributes, start_time=live.start_unix_ns
        )
        live.context = trace.set_span_in_context(live.span, parent)
        live.stands_in = True

    def end_stand_in(self, live: ServedRequest, error: BaseException | None) -> None:
        """End it with the request."""
        failed = str(live.status) if live.status >= _SERVER_ERROR else None
        error_type = type_name(error) if error is not None else failed
        live.span.set_attribute(HTTP_RESPONSE_STATUS_CODE, live.status)
        describe_failure(live.span, error_type, error, self.text_chars)
        live.span.end(live.start_unix_ns + int((time.perf_counter() - live.start_s) * 1e9))


def describe_failure(span: Span, error_type: str | None, error: BaseException | None, chars: int) -> None:
    """What a server span says of a request that failed; nothing where ``error_type`` is ``None``."""
    if error_type is None:
        return
    span.set_attribute("error.type", error_type)
    if error is None:
        span.set_status(Status(StatusCode.ERROR))
        return
    span.set_status(Status(StatusCode.ERROR, f"{error_type}: {words_of(error, chars)}"))
    record_exception(span, error, chars)


class ServerSpan:
    """One request and its response, as the WSGI server sees them.

    Attributes:
        live: The request's record, once the URL is matched.
        parent: The OpenTelemetry context in which a server span of our own was started.
        span: What the end is described on, once the URL is matched: the server span of our own or of an
            instrumentation around the application, or a span inside that; ``None`` where neither is wanted.
        streamed: Whether the body is made while it is sent.
        has_page: Whether an ``HTTPException`` is the answer, whose body is complete.
        complete: What is to be done before the span ends, when the body has been sent.
        ended: Whether the span has ended and was measured.
        described: The status that is on the span already, written together with the variables.
        answered: The status of the application's response, once it has one.
    """

    __slots__ = (
        "__weakref__",
        "_context",
        "_counted",
        "_displaced",
        "_ends",
        "_environ",
        "_error",
        "_owner",
        "_spans",
        "_start_ns",
        "_start_s",
        "_status",
        "_template",
        "_token",
        "answered",
        "complete",
        "described",
        "ended",
        "has_page",
        "live",
        "parent",
        "span",
        "streamed",
    )

    def __init__(self, owner: Any, spans: ServerSpanFactory | None, environ: dict[str, Any]) -> None:
        self._start_ns = time.time_ns()
        self._start_s = time.perf_counter()
        self._owner = owner
        self._spans: Any = spans
        self._environ = environ
        self._displaced = environ.get(SERVER_SPAN_KEY)
        environ[SERVER_SPAN_KEY] = self
        self.parent: Any = None
        self.live: ServedRequest | None = None
        self.span: Span | None = None
        self._ends = self._counted = False
        self.streamed = False
        self.has_page = False
        self.complete: Callable[[], None] | None = None
        self.described: int | None = None
        self.answered: int | None = None
        self._context: Any = None
        self._token: Any = None
        self._error: BaseException | None = None
        self._status: int | None = None
        self.ended = False

    # In the order of a request

    def waits_for(self, owner: Any) -> bool:
        """Whether this is the entry to an application (its lifecycle), whose dispatch has not been reached."""
        return self.live is None and self._owner is owner

    @property
    def is_own(self) -> bool:
        """Whether the server span is our own."""
        return self._counted

    def open(self, live: ServedRequest, *, inside: bool) -> None:
        """The URL is matched, the request id chosen: start the span and make it current.

        Args:
            live: The request's record.
            inside: Whether an instrumentation around the application has made a server span.
        """
        self.live = live
        live.at_border = True
        if self._spans is None:
            return
        live.server_span = self
        if inside:
            self._open_inside(live)
        else:
            self._open_server(live)

    def _open_inside(self, live: ServedRequest) -> None:
        """Say the route on the server span; where it says another one already, on a span of our own inside it."""
        spans, route = self._spans, live.plan.route
        template = self._template = spans.template(self._environ, live)
        self.span = live.span = server = trace.get_current_span()
        self._context = live.context = otel_context.get_current()
        if route is None or not server.is_recording():
            return
        if getattr(server, "attributes", None) is None or HTTP_ROUTE not in server.attributes:  # type: ignore[attr-defined]  # the SDK's
            server.set_attribute(HTTP_ROUTE, route)
            return
        attributes = {HTTP_REQUEST_METHOD: template.method, HTTP_ROUTE: route}
        self.span = spans.tracer.start_span(template.name, attributes=attributes, start_time=self._start_ns)
        self._ends = True
        self._context = trace.set_span_in_context(self.span)
        self._token = otel_context.attach(self._context)

    def _open_server(self, live: ServedRequest) -> None:
        spans, environ = self._spans, self._environ
        template = self._template = spans.template(environ, live)
        attributes = request_attributes(environ, template)
        if spans.capture.request is not None:
            attributes.update(spans.capture.of_request(environ))
        given = spans.legacy.add_to(attributes) if spans.legacy is not None else attributes
        parent = self.parent = propagate.extract(environ, otel_context.get_current(), environ_getter)
        span = spans.tracer.start_span(template.name, parent, SpanKind.SERVER, given, start_time=self._start_ns)
        self.span = live.span = span
        self._ends = self._counted = True
        self._context = live.context = trace.set_span_in_context(span, parent)
        self._token = otel_context.attach(self._context)
        spans.active.enter((template.method, template.scheme), self)
        if spans.request_hook is not None:
            with guarded("request_hook"):
                spans.request_hook(span, environ)

    def starting(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """``start_response``, listened to."""

        def listening(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            try:
                headers = self._started(status, headers)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("start_response", error)
            return start_response(status, headers, *exc_info)

        return listening

    def _started(self, status: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """What goes to the server in place of ``headers``, which may be an object of the application's."""
        code = status[:3]
        if code.isdecimal():
            self._status = int(code)
        span, spans, live = self.span, self._spans, self.live
        if live is not None:
            headers = self._owner.headers_of(live, headers)
        if span is None or not self._counted or self._environ.get(SERVER_SPAN_KEY) is not self:
            return headers
        propagator = get_global_response_propagator()  # type: ignore[no-untyped-call]
        if propagator is not None:
            propagator.inject(headers, self._context, header_setter)
        if spans.capture.response is not None and span.is_recording():
            span.set_attributes(spans.capture.of_response(headers))
        if spans.response_hook is not None:
            with guarded("response_hook"):
                spans.response_hook(span, status, headers)
        return headers

    def fail(self, error: BaseException | None) -> None:
        """Remember the exception that ends this request."""
        if error is not None:
            self._error = error

    def returned(self, body: Any) -> Any:
        """The application has returned: what is left is the body."""
        try:
            return self._returned(body)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("body", error)
            return body

    def _returned(self, body: Any) -> Any:
        self._step_out()
        if self.span is None:
            return body
        wrapper = self._environ.get("wsgi.file_wrapper")
        if not self.streamed or (isinstance(wrapper, type) and isinstance(body, wrapper)):
            # In memory, or a file that the server sends by itself if it is handed over unwrapped.
            self.end()
            return body
        return Body(body, self)

    def raised(self, error: BaseException) -> None:
        """The application has let an exception out."""
        ends_socket = isinstance(error, _SOCKET_ENDS)
        if not ends_socket:
            # A teardown function, perhaps: no byte has left yet, and the server says 500 whatever was begun.
            self._status = None
        if self._status is not None or self.answered is None or not ends_socket:
            self.answered = None
            self.fail(error)
        with guarded("exception"):
            self._step_out()
        self.end()

    def end(self, ended_s: float | None = None) -> None:
        """End the span and measure it; once.

        Args:
            ended_s: When it was over, on the monotonic clock; ``None``: now.
        """
        if self.ended or self.span is None:
            return
        self.ended = True
        try:
            self._end(self.span, ended_s)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("end", error)
        finally:
            self.complete = None

    # Parts

    def resume(self) -> Any:
        """Make the span current while a piece of the body is made; give the result to :meth:`pause`."""
        return otel_context.attach(self._context)

    def pause(self, token: Any) -> None:
        """Undo :meth:`resume`."""
        otel_context.detach(token)

    def _step_out(self) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        if self._displaced is not None:
            self._environ[SERVER_SPAN_KEY] = self._displaced
        else:
            self._environ.pop(SERVER_SPAN_KEY, None)

    def _end(self, span: Span, ended_s: float | None) -> None:
        duration_s = (time.perf_counter() if ended_s is None else ended_s) - self._start_s
        if self._counted:
            self._spans.active.leave((self._template.method, self._template.scheme), self)
        if self.complete is not None:
            self.complete()
        status = self._status or self.answered or self._status_of_error()
        error_type = self._error_type(status)
        if span.is_recording():
            try:
                self._describe(span, status, error_type)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("describe", error)
        try:
            if self._ends:
                # Not what the clock says now: that may have been set meanwhile, and put the end before the beginning.
                span.end(self._start_ns + int(duration_s * 1e9))
        except Exception as error:  # noqa: BLE001 - a span processor of the application's, and the guard decides
            report_error("span processor", error)
        self._measure(duration_s, status, error_type)

    def _status_of_error(self) -> int:
        status = status_of(self._error)
        if status < _SERVER_ERROR:
            self._error = None  # an answer, which is given further out
        return status

    def _error_type(self, status: int) -> str | None:
        if self._error is not None:
            return type_name(self._error)
        return str(status) if status >= _SERVER_ERROR else None

    def _describe(self, span: Span, status: int, error_type: str | None) -> None:
        if not self._ends:
            # Its own instrumentation says the rest, and cannot see what Flask has answered with a 500.
            if self._error is not None:
                record_exception(span, self._error, self._spans.text_chars)
            return
        if self.described != status:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if self._spans.legacy is not None:
            span.set_attribute("http.status_code", status)
        describe_failure(span, error_type, self._error, self._spans.text_chars)

    def _measure(self, duration_s: float, status: int, error_type: str | None) -> None:
        spans = self._spans
        attributes = spans.duration_attributes(self._template, status, error_type)
        spans.duration.record(duration_s, attributes, self._context)
        if spans.legacy_duration is not None and spans.legacy is not None:
            spans.legacy_duration.record(duration_s * 1000, spans.legacy.of_metric(attributes), self._context)
