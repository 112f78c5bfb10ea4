"""What the reference says of every name on the wire; a test looks for each in ``docs/reference/names.md``."""

from __future__ import annotations

from typing import NamedTuple

from flask_chest_otel.names import (
    CHEST_NAME,
    CHESTS,
    CLOUDWATCH_NAME,
    DEFAULT_ATTRIBUTE_PREFIX,
    DOCTOR,
    ERRORS,
    EVENT_DURATION,
    EVENT_METHOD,
    EVENT_NAME,
    EXCEPTION_EVENT,
    HTTP_REQUEST_METHOD,
    HTTP_ROUTE,
    LOG_RECORD_UID,
    MESSAGING_DESTINATION,
    MESSAGING_SYSTEM,
    OUTBOX_AGE,
    OUTBOX_BATCHES,
    OUTBOX_DROPPED,
    OUTBOX_SIZE,
    OVERFLOW,
    REASON,
    RECORDS_DROPPED,
    REFUSED,
    REQUEST_EVENT,
    REQUEST_ID,
    SERVER_TIMING,
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SLO_NAME,
    SLO_OBJECTIVE,
    SLO_REQUESTS,
    SLO_RESULT,
    SOCKETIO_EVENT,
    SPANS_DROPPED,
    STATE,
    STEP,
    TRACERESPONSE,
    X_REQUEST_ID,
)

__all__ = ["REFERENCE", "WireName"]


class WireName(NamedTuple):
    """One row of the reference.

    Attributes:
        name: What stands on the wire.
        where: Signal and place.
        type: OTLP type, or the header's form.
        unit: UCUM unit, empty where there is none.
        sentence: What it holds, and when it is there.
    """

    name: str
    where: str
    type: str
    unit: str
    sentence: str


REFERENCE: tuple[WireName, ...] = (
    WireName(
        DEFAULT_ATTRIBUTE_PREFIX + "<variable>",
        "span attribute",
        "string, boolean, int, double or array of one of them",
        "",
        "A tracked variable of `flask.g`; `attribute=` renames it, `attribute_prefix` changes what stands before.",
    ),
    WireName(
        DEFAULT_ATTRIBUTE_PREFIX + "<variable>",
        "metric",
        "histogram, counter, up-down counter or gauge of doubles",
        "`unit=` of the variable",
        "The same variable where it is a number; `metric_name=` renames it.",
    ),
    WireName(
        CLOUDWATCH_NAME + "<name>",
        "metric description",
        "string",
        "",
        "Of a metric that `add_metric` or a counting decorator made: the name as it was given.",
    ),
    WireName(
        REQUEST_EVENT,
        "event name of a log record",
        "log record",
        "",
        "One request, at its finish, where the setting `events` says so; severity ERROR for 5xx and exceptions, else "
        "INFO. Its attributes are those of the server span, and the two below.",
    ),
    WireName(
        EXCEPTION_EVENT,
        "event name of a log record",
        "log record",
        "",
        "An exception in a request (semantic conventions), where `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` is `logs` or "
        "`logs/dup`; severity ERROR, with `exception.type`, `exception.message`, `exception.stacktrace`.",
    ),
    WireName(
        EVENT_DURATION,
        "log attribute",
        "double",
        "s",
        "How long the request took, on `flask_chest.request`.",
    ),
    WireName(
        LOG_RECORD_UID,
        "log attribute",
        "string",
        "",
        "32 hex digits on `flask_chest.request`, the same for each copy of one log record: what is sent again after an "
        "answer was lost can be told from what is new.",
    ),
    WireName(
        EVENT_NAME,
        "log attribute",
        "string",
        "",
        "The event's name, only where opentelemetry-proto is so old that its log records have no field for it.",
    ),
    WireName(REQUEST_ID, "span attribute", "string", "", "The request's id; never on a metric."),
    WireName(
        CHESTS,
        "span and metric attribute",
        "string",
        "",
        "Destinations of a route with `chests=`, sorted, joined with commas; absent elsewhere.",
    ),
    WireName(HTTP_REQUEST_METHOD, "metric attribute", "string", "", "The method, `_OTHER` if unknown."),
    WireName(
        HTTP_ROUTE,
        "metric attribute",
        "string",
        "",
        "The matched URL rule, behind the root at which the application is mounted; absent if none matched.",
    ),
    WireName(
        EVENT_METHOD,
        "`method` of a record",
        "string",
        "",
        "In place of an HTTP method, of an event of Flask-SocketIO.",
    ),
    WireName(
        MESSAGING_SYSTEM,
        "span attribute",
        "string",
        "",
        "`socket.io`, on the span of an event of Flask-SocketIO.",
    ),
    WireName(
        MESSAGING_DESTINATION,
        "span and metric attribute",
        "string",
        "",
        "An event's namespace, in place of method and route; `*` for those that have no handler of their own.",
    ),
    WireName(
        SOCKETIO_EVENT,
        "span and metric attribute",
        "string",
        "",
        "An event's name; `*` where the default handler took it, `(callback)` where an acknowledgement was.",
    ),
    WireName(
        OVERFLOW,
        "metric attribute",
        "boolean",
        "",
        "`true` on the one point that takes everything beyond the cardinality limit.",
    ),
    WireName(
        REFUSED,
        "metric",
        "counter",
        "{value}",
        "What was not taken: values, inbound ids, unknown chests, settings. The log names the first of each kind.",
    ),
    WireName(
        REASON,
        "attribute of that metric",
        "string",
        "",
        "`value`, `limit`, `request_id`, `chest`, `setting`, `baggage`.",
    ),
    WireName(ERRORS, "metric", "counter", "{error}", "Errors of this package's own, kept away from the application."),
    WireName(STEP, "attribute of that metric", "string", "", "What was being done: `begin`, `finish`, `export`, …"),
    WireName(
        RECORDS_DROPPED,
        "metric",
        "counter",
        "{record}",
        "Request records that a chest did not take: its queue was full or closed, or its back end refused them.",
    ),
    WireName(CHEST_NAME, "attribute of that metric", "string", "", "The chest's name, `store` for the embedded one."),
    WireName(
        SPANS_DROPPED,
        "metric",
        "counter",
        "{span}",
        "Finished spans that came too fast, or could not be written into the outbox.",
    ),
    WireName(
        OUTBOX_DROPPED,
        "metric",
        "counter",
        "{item}",
        "Spans, data points and log records given up because the outbox was full or they were too old.",
    ),
    WireName(
        OUTBOX_BATCHES,
        "metric",
        "gauge",
        "{batch}",
        "Batches in the outbox, which workers share: take the largest of them, not the sum.",
    ),
    WireName(STATE, "attribute of that metric", "string", "", "`waiting`, or `refused` by the collector for good."),
    WireName(OUTBOX_SIZE, "metric", "gauge", "By", "What the outbox takes; shared by the workers."),
    WireName(OUTBOX_AGE, "metric", "gauge", "s", "How long the oldest batch has waited; shared by the workers."),
    WireName(
        SLO_REQUESTS,
        "metric",
        "counter",
        "{request}",
        "Requests that belong to an objective of `slos`. Both results begin at 0 in each process; `by=` adds the "
        "attribute of one tracked variable.",
    ),
    WireName(SLO_NAME, "attribute of both metrics of objectives", "string", "", "The objective's name."),
    WireName(SLO_RESULT, "attribute of that metric", "string", "", "`good` or `bad`."),
    WireName(
        SLO_OBJECTIVE,
        "metric",
        "gauge",
        "1",
        "The share of requests that have to be good: 0.999 of an objective of 99.9 percent.",
    ),
    WireName(DOCTOR, "metric", "counter", "{probe}", "What `flask chest doctor` sends."),
    WireName(
        SERVICE_NAME,
        "resource attribute",
        "string",
        "",
        "The application's name unless the environment gives one; only with providers of ours.",
    ),
    WireName(
        SERVICE_INSTANCE_ID,
        "resource attribute",
        "string",
        "",
        "A fresh UUID for each process, or yours and eight characters of it; only with providers of ours.",
    ),
    WireName(
        X_REQUEST_ID, "request and response header", "1 to 255 of `A-Z a-z 0-9 . _ : = / + @ -`", "", "The request id."
    ),
    WireName(
        TRACERESPONSE, "response header", "`00-<trace id>-<span id>-<flags>`", "", "The server span, where asked for."
    ),
    WireName(
        SERVER_TIMING,
        "response header",
        '`traceparent;desc="00-…"`',
        "",
        "The same for JavaScript, where asked for.",
    ),
)
