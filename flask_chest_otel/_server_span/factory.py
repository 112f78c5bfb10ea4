"""Makes the server spans of one application: holds their tracer, instruments, hooks and templates."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.trace import SpanKind, Status, StatusCode

from flask_chest_otel._base.statuses import SERVER_ERROR, SWITCHING_PROTOCOLS
from flask_chest_otel._guard import guarded
from flask_chest_otel._server_span.arrivals import Arrivals
from flask_chest_otel._server_span.attributes import (
    LONGEST_TEXT,
    HeaderCapture,
    LegacyNames,
    SpanTemplate,
    full_name,
    header_setter,
    request_attributes,
    url_path,
)
from flask_chest_otel._values.attribute_sets import OVERFLOW_ATTRIBUTES, AttributeSets
from flask_chest_otel._values.exceptions import exception_signals, record_exception, type_name, words_of
from flask_chest_otel.names import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from flask_chest_otel.tracked import SECONDS_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer
    from werkzeug.routing import Rule

    from flask_chest_otel._server_span.active_requests import ActiveRequests
    from flask_chest_otel._server_span.caller_options import CallerOptions
    from flask_chest_otel.config import ChestConfig

    End = tuple[int, str | None]

__all__ = ["ServerSpanFactory", "error_type_of"]


_MOST_TEMPLATES = 2000


class ServerSpanFactory:
    """Makes the server spans of one application, and records their metrics.

    Args:
        tracer: Makes the spans.
        meter: Makes ``http.server.request.duration``.
        active: Counts ``http.server.active_requests``.
        config: The application's settings.
        options: The response hook and the options for SQL comments of the instrumentor's caller.
        views: The application's view functions by endpoint. It is the live dict: routes may be added later.
    """

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter,
        active: ActiveRequests,
        config: ChestConfig,
        options: CallerOptions,
        views: Mapping[str, object],
    ) -> None:
        self.tracer = tracer
        self._views = views
        self._text_chars = config.value_limit_chars
        self._events = exception_signals(os.environ).on_span
        self._request_hook = config.request_hook
        self.response_hook = options.response_hook
        self.sql_comments = options.sql_comments()
        self.capture = HeaderCapture()
        self.legacy = LegacyNames.wanted()
        self.active = active
        self.arrivals = Arrivals()
        self._durations = AttributeSets(config.cardinality_limit)
        self._templates: dict[tuple[object, ...], SpanTemplate] = {}
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

    def template(
        self, environ: WSGIEnvironment, method: str, route: str | None, chests: str | None, rule: Rule | None = None
    ) -> SpanTemplate:
        """The template for requests like this one.

        Clients choose the host, the method and the protocol, so the number of stored templates and the length of these
        texts are bounded.
        """
        get = environ.get
        host, protocol = get("HTTP_HOST"), get("SERVER_PROTOCOL")
        endpoint = rule.endpoint if rule is not None else None
        place = (method, route, chests, endpoint, host, get("SERVER_PORT"), get("wsgi.url_scheme"), protocol)
        found = self._templates.get(place)
        if found is None:
            view = self._views.get(endpoint) if endpoint is not None else None
            found = SpanTemplate(environ, method, route, chests, full_name(view))
            is_short = all(len(text) <= LONGEST_TEXT for text in (method, host, protocol) if text)
            if is_short and len(self._templates) < _MOST_TEMPLATES:
                self._templates[place] = found
        return found

    def start(
        self, environ: dict[str, object], template: SpanTemplate, path: str, start_unix_ns: int
    ) -> tuple[Span, Context]:
        """Start a server span of our own; return it with the context of its parent."""
        attributes = request_attributes(environ, template, path)
        if self.capture.request is not None:
            attributes.update(self.capture.of_request(environ))
        given = self.legacy.add_to(attributes, environ) if self.legacy is not None else attributes
        parent = self.arrivals.context_in(environ)
        span = self.tracer.start_span(template.name, parent, SpanKind.SERVER, given, start_time=start_unix_ns)
        return span, parent

    def call_request_hook(self, span: Span, environ: dict[str, object]) -> None:
        """Call the application's hook with a server span that has started and is current."""
        if self._request_hook is not None:
            with guarded("request_hook"):
                self._request_hook(span, environ)

    def start_inside(self, server: Span, template: SpanTemplate, route: str | None, start_unix_ns: int) -> Span:
        """Set the route on a server span that another instrumentation made.

        Where that span has another route already, start a span of our own inside it, with our route.

        Returns:
            ``server``, or our own span inside it.
        """
        if route is None or not server.is_recording():
            return server
        if HTTP_ROUTE not in (getattr(server, "attributes", None) or ()):
            server.set_attribute(HTTP_ROUTE, route)
            return server
        attributes = {HTTP_REQUEST_METHOD: template.method, HTTP_ROUTE: route}
        return self.tracer.start_span(template.name, attributes=attributes, start_time=start_unix_ns)

    def respond(self, span: Span, context: Context, status: str, headers: list[tuple[str, str]]) -> None:
        """At the begin of the response: call the global response propagator, capture headers, call the hook."""
        propagator = get_global_response_propagator()  # type: ignore[no-untyped-call]
        if propagator is not None:
            propagator.inject(headers, context, header_setter)
        if self.capture.response is not None and span.is_recording():
            span.set_attributes(self.capture.of_response(headers))
        if self.response_hook is not None:
            with guarded("response_hook"):
                self.response_hook(span, status, headers)

    def measure(
        self, template: SpanTemplate, duration_s: float, end: End, context: Context, dimensions: Mapping[str, object]
    ) -> None:
        """Record the duration of a request; nothing is recorded for a web socket.

        Args:
            template: The template of the request.
            duration_s: The duration, seconds.
            end: The status, and the error type where the request failed.
            context: The OpenTelemetry context with the span, for exemplars.
            dimensions: Further attributes: values of the application's variables.
        """
        if end[0] == SWITCHING_PROTOCOLS:
            return
        if dimensions:
            attributes = template.told_apart(self._durations, end, dimensions)
        else:
            attributes = template.durations.get(end) or self._duration_attributes(template, end)
        self.duration.record(duration_s, attributes, context)
        if self.legacy_duration is not None and self.legacy is not None:
            under_old_names = self.legacy.of_metric(attributes)
            if attributes is not OVERFLOW_ATTRIBUTES:
                under_old_names.update(dimensions)
            self.legacy_duration.record(duration_s * 1000, under_old_names, context)

    def _duration_attributes(self, template: SpanTemplate, end: End) -> Mapping[str, Any]:
        """The attribute set of the duration, within the cardinality limit; one that the template has not met yet."""
        attributes = template.duration_attributes(*end)
        found = self._durations.admit(tuple(attributes.items()), attributes)
        # Do not store the overflow point: an application that invents exception types would fill the memory.
        if found is not OVERFLOW_ATTRIBUTES:
            template.durations[end] = found
        return found

    def start_stand_in(
        self, environ: dict[str, object], method: str, route: str | None, chests: str | None, start_unix_ns: int
    ) -> tuple[Span, Context]:
        """Start the server span of a request that ended before upstream began one. Upstream records its duration."""
        template = self.template(environ, method, route, chests)
        parent = self.arrivals.context_in(environ)
        attributes = request_attributes(environ, template, url_path(environ))
        span = self.tracer.start_span(template.name, parent, SpanKind.SERVER, attributes, start_time=start_unix_ns)
        return span, trace.set_span_in_context(span, parent)

    def end_stand_in(self, span: Span, status: int, error: BaseException | None, end_unix_ns: int) -> None:
        """End a stand-in span with its request."""
        error_type = error_type_of(error, status)
        span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        self.describe_failure(span, error_type, error)
        span.end(end_unix_ns)

    def describe_end(
        self,
        span: Span,
        status: int,
        described: int,
        error_type: str | None,
        error: BaseException | None,
        stack: str | None,
    ) -> None:
        """Set the status and the failure on our own span at its end; ``described`` is the status set on it before."""
        if described != status:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if self.legacy is not None:
            span.set_attribute("http.status_code", status)
        if error_type is not None:
            self.describe_failure(span, error_type, error, stack)

    def describe_failure(
        self, span: Span, error_type: str | None, error: BaseException | None, stack: str | None = None
    ) -> None:
        """Set ``error.type``, the span status and the exception of a failed request; ``error_type=None``: nothing."""
        if error_type is None:
            return
        span.set_attribute("error.type", error_type)
        if error is None:
            span.set_status(Status(StatusCode.ERROR))
            return
        span.set_status(Status(StatusCode.ERROR, f"{error_type}: {words_of(error, self._text_chars)}"))
        self.record_exception(span, error, stack)

    def record_exception(self, span: Span, error: BaseException, stack: str | None = None) -> None:
        """Add an exception to a span as an event, unless exceptions become log records only."""
        if self._events:
            record_exception(span, error, self._text_chars, stack)


def error_type_of(error: BaseException | None, status: int) -> str | None:
    """The value of ``error.type`` for a request; ``None`` where it did not fail."""
    if error is not None:
        return type_name(error)
    return str(status) if status >= SERVER_ERROR else None
