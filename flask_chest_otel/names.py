"""Every name that this package sends: attributes, metrics, events and headers; each is defined only here.

``tools/wire_names.py`` has a row for each name; the reference page ``docs/reference/names.md`` is generated from them.
"""

from __future__ import annotations

__all__ = [
    "CHESTS",
    "CHEST_NAME",
    "CLOUDWATCH_NAME",
    "DEFAULT_ATTRIBUTE_PREFIX",
    "DOCTOR",
    "ERRORS",
    "EVENT_DURATION",
    "EVENT_METHOD",
    "EVENT_NAME",
    "EXCEPTION_EVENT",
    "HTTP_REQUEST_METHOD",
    "HTTP_RESPONSE_STATUS_CODE",
    "HTTP_ROUTE",
    "KNOWN_METHODS",
    "LOG_FIELDS",
    "LOG_RECORD_UID",
    "MESSAGING_DESTINATION",
    "MESSAGING_SYSTEM",
    "OTHER_METHOD",
    "OUTBOX_AGE",
    "OUTBOX_BATCHES",
    "OUTBOX_DROPPED",
    "OUTBOX_SIZE",
    "OVERFLOW",
    "REASON",
    "RECORDS_DROPPED",
    "REFUSED",
    "REQUEST_EVENT",
    "REQUEST_ID",
    "REQUEST_LOGGER",
    "SCOPE",
    "SERVER_TIMING",
    "SERVICE_INSTANCE_ID",
    "SERVICE_NAME",
    "SLO_NAME",
    "SLO_OBJECTIVE",
    "SLO_REQUESTS",
    "SLO_RESULT",
    "SOCKETIO_EVENT",
    "SPANS_DROPPED",
    "STATE",
    "STEP",
    "TAKEN_ATTRIBUTES",
    "TRACERESPONSE",
    "X_REQUEST_ID",
]

SCOPE = "flask_chest_otel"
"""Instrumentation scope of the meter, with the package's version."""

DEFAULT_ATTRIBUTE_PREFIX = "flask.g."
"""Default prefix of a variable's name, in span attributes and in metric names."""

REQUEST_ID = "flask.request_id"
"""Span attribute, string: the request's id."""

REQUEST_LOGGER = "flask_chest.request"
"""Logger of the lines that ``request_log`` writes."""

LOG_FIELDS = ("request_id", "trace_id", "span_id")
"""Attributes of log records, strings: the request id, and trace id and span id of the current span."""

CHESTS = "flask.chests"
"""Span and metric attribute, string: the names of a route's ``chests=``, sorted, joined with commas."""

CLOUDWATCH_NAME = "CloudWatch name: "
"""Begin of the description of metrics of ``add_metric``; the name that was given to ``add_metric`` follows."""

HTTP_REQUEST_METHOD = "http.request.method"
"""Metric attribute, string (semantic conventions): the method, ``_OTHER`` for unknown methods."""

HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
"""Span and metric attribute of the server span, integer (semantic conventions): the status."""

HTTP_ROUTE = "http.route"
"""Metric attribute, string (semantic conventions): application's root and matched URL rule; absent without match."""

KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""The values of ``http.request.method`` in the semantic conventions, from RFC 9110, RFC 5789 and RFC 10008."""

EVENT_METHOD = "SOCKETIO"
"""What records say in place of an HTTP method of an event of Flask-SocketIO."""

OTHER_METHOD = "_OTHER"
"""Value of ``http.request.method`` for unknown methods, as the semantic conventions require."""

MESSAGING_SYSTEM = "messaging.system"
"""Span attribute, string (semantic conventions): ``socket.io``, of an event of Flask-SocketIO."""

MESSAGING_DESTINATION = "messaging.destination.name"
"""Span and metric attribute, string (semantic conventions): an event's namespace, ``*`` for those without a name."""

SOCKETIO_EVENT = "messaging.socket.io.event_name"
"""Span and metric attribute, string: the event's name, as OpenTelemetry's instrumentation for Node.js calls it."""

OVERFLOW = "otel.metric.overflow"
"""Metric attribute, boolean (metrics SDK specification): the point for everything beyond the cardinality limit."""

REFUSED = "flask_chest.refused"
"""Metric, counter, ``{value}``: values from the application or a client that this package refused."""

REASON = "flask_chest.reason"
"""Metric attribute, string: ``value``, ``limit``, ``request_id``, ``chest``, ``setting`` or ``baggage``."""

ERRORS = "flask_chest.errors"
"""Metric, counter, ``{error}``: errors of this package, which were not raised into the application."""

STEP = "flask_chest.step"
"""Metric attribute, string: the step in which the error occurred."""

RECORDS_DROPPED = "flask_chest.records.dropped"
"""Metric, counter, ``{record}``: request records that the store or a direct chest did not take."""

CHEST_NAME = "flask_chest.chest"
"""Metric attribute, string: the chest's name, ``store`` for the embedded one."""

SPANS_DROPPED = "flask_chest.spans.dropped"
"""Metric, counter, ``{span}``: finished spans that were dropped: they came too fast, or could not be written."""

OUTBOX_DROPPED = "flask_chest.outbox.dropped"
"""Metric, counter, ``{item}``: spans, data points and log records given up because of the outbox's bounds."""

OUTBOX_BATCHES = "flask_chest.outbox.batches"
"""Metric, gauge, ``{batch}``: batches in the outbox."""

STATE = "flask_chest.state"
"""Metric attribute, string: ``waiting``, or ``refused`` by the collector for good."""

OUTBOX_SIZE = "flask_chest.outbox.size"
"""Metric, gauge, bytes: size of the outbox's batches on disk and in memory."""

OUTBOX_AGE = "flask_chest.outbox.age"
"""Metric, gauge, seconds: how long the oldest batch has been waiting."""

SLO_REQUESTS = "flask_chest.slo.requests"
"""Metric, counter, ``{request}``: requests that belong to an objective, by its name and result."""

SLO_OBJECTIVE = "flask_chest.slo.objective"
"""Metric, gauge, ``1``: the share of requests that have to be good, 0.999 of an objective of 99.9 percent."""

SLO_NAME = "flask_chest.slo.name"
"""Attribute of both metrics, string: the objective's name."""

SLO_RESULT = "flask_chest.slo.result"
"""Metric attribute, string: ``good`` or ``bad``."""

DOCTOR = "flask_chest.doctor"
"""Metric, counter, ``{probe}``: sent by ``flask chest doctor``, together with a span named after the command."""

REQUEST_EVENT = "flask_chest.request"
"""Event name of a log record: one request, at its finish."""

EXCEPTION_EVENT = "http.server.request.exception"
"""Event name of a log record (semantic conventions): an exception in a request."""

EVENT_NAME = "event.name"
"""Log attribute, string: the event's name, for versions of OTLP without a field for it."""

EVENT_DURATION = "http.server.request.duration"
"""Log attribute, double, seconds: the duration of the request; the metric of that name has those of all requests."""

LOG_RECORD_UID = "log.record.uid"
"""Log attribute, string (semantic conventions): 32 hex digits, the same for each copy of one log record."""

SERVICE_NAME = "service.name"
"""Resource attribute, string: the Flask application's name unless ``OTEL_SERVICE_NAME`` says otherwise."""

SERVICE_INSTANCE_ID = "service.instance.id"
"""Resource attribute, string: different for each process, as their series would otherwise overwrite each other."""

X_REQUEST_ID = "X-Request-ID"
"""HTTP header, both ways: the request id."""

TRACERESPONSE = "traceresponse"
"""HTTP response header (W3C trace context level 2 draft): trace id and span id of the server span."""

SERVER_TIMING = "Server-Timing"
"""HTTP response header: ``traceparent;desc="00-…"``, the only form that JavaScript of a page load can read."""


TAKEN_ATTRIBUTES = frozenset(
    {
        REQUEST_ID,
        CHESTS,
        OVERFLOW,
        HTTP_REQUEST_METHOD,
        HTTP_RESPONSE_STATUS_CODE,
        HTTP_ROUTE,
        MESSAGING_DESTINATION,
        MESSAGING_SYSTEM,
        SOCKETIO_EVENT,
        "error.type",
        "url.path",
        "url.query",
        "url.scheme",
    }
)
"""Names that describe the request itself: a variable with such a name would falsify the span or a series."""
