"""Turns the record of a finished request into an event, which is exported as an OTLP log record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._records.schema import record_key
from flask_chest_otel._values.log_event import ERROR, INFO, LogEvent
from flask_chest_otel._values.methods import metric_method
from flask_chest_otel.names import (
    CHESTS,
    EVENT_DURATION,
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
    LOG_RECORD_UID,
    MESSAGING_DESTINATION,
    OTHER_METHOD,
    REQUEST_EVENT,
    REQUEST_ID,
)

if TYPE_CHECKING:
    from flask_chest_otel._records.record import RequestRecord

__all__ = ["request_event"]


def request_event(record: RequestRecord) -> LogEvent:
    """The event ``flask_chest.request`` for a record."""
    raised = record.error is not None and not record.error.handled
    failed = raised or record.status >= SERVER_ERROR
    of_event = MESSAGING_DESTINATION in record.attributes
    return LogEvent(
        name=REQUEST_EVENT,
        time_unix_ns=record.start_unix_ns + round(record.duration_s * 1e9),
        severity=ERROR if failed else INFO,
        trace_id=record.trace_id,
        span_id=record.span_id,
        sampled=bool(record.sampled),
        body=f"{record.method} {(not of_event and record.path) or record.route or ''} {record.status}",
        attributes=_attributes(record, {} if of_event else _of_http(record), failed=failed),
    )


def _of_http(record: RequestRecord) -> dict[str, object]:
    method = metric_method(record.method)
    return {
        HTTP_REQUEST_METHOD: method,
        "http.request.method_original": record.method if method == OTHER_METHOD else None,
        HTTP_ROUTE: record.attributes.get(HTTP_ROUTE, record.route),
        HTTP_RESPONSE_STATUS_CODE: record.status,
    }


def _attributes(record: RequestRecord, of_http: dict[str, object], *, failed: bool) -> dict[str, object]:
    error_type = record.error.type if record.error is not None and not record.error.handled else str(record.status)
    found = {
        **record.attributes,
        # With this id a back end can drop duplicates: the outbox sends a batch again where it got no answer.
        LOG_RECORD_UID: record_key(record),
        REQUEST_ID: record.request_id,
        **of_http,
        "url.path": record.path or None,
        "error.type": error_type if failed else None,
        EVENT_DURATION: record.duration_s,
        CHESTS: None if record.chests is None else ",".join(sorted(set(record.chests))),
    }
    return {name: value for name, value in found.items() if value is not None}
