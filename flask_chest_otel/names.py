"""Every name that this package puts on the wire, once.

``tools/wire_names.py`` has a row for each, from which the reference page ``docs/reference/names.md`` is made.
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
    "EVENT_NAME",
    "EXCEPTION_EVENT",
    "HTTP_REQUEST_METHOD",
    "HTTP_RESPONSE_STATUS_CODE",
    "HTTP_ROUTE",
    "KNOWN_METHODS",
    "LOG_FIELDS",
    "LOG_RECORD_UID",
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
"""What stands before a variable's name, in span attributes and metric names alike."""

REQUEST_ID = "flask.request_id"
"""Span attribute, string: the request's id."""

REQUEST_LOGGER = "flask_chest.request"
"""Logger of the lines that ``request_log`` writes."""

LOG_FIELDS = ("request_id", "trace_id", "span_id")
"""Attributes of log records, strings: the request's id, and those of the span that is current."""

CHESTS = "flask.chests"
"""Span and metric attribute, string: the names of a route's ``chests=``, sorted, joined with commas."""

CLOUDWATCH_NAME = "CloudWatch name: "
"""Beginning of the description of metrics by ``add_metric``; then comes the name as it was given."""

HTTP_REQUEST_METHOD = "http.request.method"
"""Metric attribute, string (semantic conventions): the method, ``_OTHER`` where it is none of the known."""

HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
"""Span and metric attribute of the server span, integer (semantic conventions): the status."""

HTTP_ROUTE = "http.route"
"""Metric attribute, string (semantic conventions): matched URL rule behind the application's root; absent if none."""

KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""The values of ``http.request.method`` in the semantic conventions, from RFC 9110, RFC 5789 and RFC 10008."""

OTHER_METHOD = "_OTHER"
"""Value of ``http.request.method`` for unknown methods, as the semantic conventions demand."""

OVERFLOW = "otel.metric.overflow"
"""Metric attribute, boolean (metrics SDK specification): the one point beyond the cardinality limit."""

REFUSED = "flask_chest.refused"
"""Metric, counter, ``{value}``: what the application or a client gave and this package did not take."""

REASON = "flask_chest.reason"
"""Metric attribute, string: ``value``, ``limit``, ``request_id``, ``chest``, ``setting`` or ``baggage``."""

ERRORS = "flask_chest.errors"
"""Metric, counter, ``{error}``: errors of this package's own, kept away from the application."""

STEP = "flask_chest.step"
"""Metric attribute, string: what was being done."""

RECORDS_DROPPED = "flask_chest.records.dropped"
"""Metric, counter, ``{record}``: request records that the store or a direct chest did not take."""

CHEST_NAME = "flask_chest.chest"
"""Metric attribute, string: the chest's name, ``store`` for the embedded one."""

SPANS_DROPPED = "flask_chest.spans.dropped"
"""Metric, counter, ``{span}``: finished spans that came too fast, or could not be written."""

OUTBOX_DROPPED = "flask_chest.outbox.dropped"
"""Metric, counter, ``{item}``: spans, data points and log records given up because of the outbox's bounds."""

OUTBOX_BATCHES = "flask_chest.outbox.batches"
"""Metric, gauge, ``{batch}``: batches in the outbox."""

STATE = "flask_chest.state"
"""Metric attribute, string: ``waiting``, or ``refused`` by the collector for good."""

OUTBOX_SIZE = "flask_chest.outbox.size"
"""Metric, gauge, bytes: what the outbox's batches take on disk and in memory."""

OUTBOX_AGE = "flask_chest.outbox.age"
"""Metric, gauge, seconds: how long the oldest batch has been waiting."""

SLO_REQUESTS = "flask_chest.slo.requests"
"""Metric, counter, ``{request}``: requests that belong to an objective, by its name and whether they were good."""

SLO_OBJECTIVE = "flask_chest.slo.objective"
"""Metric, gauge, ``1``: the share of requests that have to be good, 0.999 of an objective of 99.9 percent."""

SLO_NAME = "flask_chest.slo.name"
"""Attribute of both metrics, string: the objective's name."""

SLO_RESULT = "flask_chest.slo.result"
"""Metric attribute, string: ``good`` or ``bad``."""

DOCTOR = "flask_chest.doctor"
"""Metric, counter, ``{probe}``: what ``flask chest doctor`` sends; a span of the command's name goes with it."""

REQUEST_EVENT = "flask_chest.request"
"""Event name of a log record: one request, at its finish."""

EXCEPTION_EVENT = "http.server.request.exception"
"""Event name of a log record (semantic conventions): an exception in a request."""

EVENT_NAME = "event.name"
"""Log attribute, string: the event's name, where OTLP's messages are so old that they have no field for it."""

EVENT_DURATION = "http.server.request.duration"
"""Log attribute, double, seconds: how long the request took; the metric of that name has it for all requests."""

LOG_RECORD_UID = "log.record.uid"
"""Log attribute, string (semantic conventions): 32 hex digits, the same for each copy of one log record."""

SERVICE_NAME = "service.name"
"""Resource attribute, string: the Flask application's name unless ``OTEL_SERVICE_NAME`` says otherwise."""

SERVICE_INSTANCE_ID = "service.instance.id"
"""Resource attribute, string: distinct for each process, or their series overwrite each other."""

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
        "error.type",
        "url.path",
        "url.query",
        "url.scheme",
    }
)
"""What says how the request went: a variable under one of these names would make the span, or a series, tell lies."""
