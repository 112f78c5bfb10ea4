"""Log records as an application sends them, made by hand from the protocol's own classes, and what they said.

Each request logs a line, a traceback and, as an event, itself. `Line` is the part that every back end can give back.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from tests.backends.raw_otlp import post

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EVENT = "flask_chest.request"
INFO, ERROR = (9, "INFO"), (17, "ERROR")
TRACEBACK = "Traceback (most recent call last):\n  File \"shop.py\", line 7, in pay\nKeyError: 'cärd\\'\n"


class Line(NamedTuple):
    """One log record: what was said, when, how loud, in which trace, and the name of an event."""

    time_ns: int
    severity: str
    body: str
    event: str
    trace_id: str


class LogTraffic:
    """An application that sends log records to `url`; it remembers what each request has logged."""

    def __init__(self, url: str, *, service: str = "shop", resource: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._resource = {"service.name": service, "service.instance.id": "1", **(resource or {})}
        self._clock_ns = time.time_ns()
        self.logged: dict[str, list[Line]] = {}

    def serve(self, first: int, last: int) -> None:
        """Send the log records of the requests `r-FIRST` to `r-LAST`, in batches of ten requests."""
        for start in range(first, last + 1, 10):
            self.send(*(f"r-{number}" for number in range(start, min(start + 10, last + 1))))

    def send(self, *request_ids: str, chests: str | None = None, change: Callable[[Any], None] | None = None) -> None:
        """Send what these requests log in one batch; `change(record)` may do to each record what it likes."""
        message = logs_service_pb2.ExportLogsServiceRequest()
        group = message.resource_logs.add()
        for key, value in self._resource.items():
            _set(group.resource.attributes, key, value)
        scoped = group.scope_logs.add()
        scoped.scope.name = "shop.checkout"
        for request_id in request_ids:
            self._records(scoped, request_id, chests, change)
        status = post(self._url, "logs", cast("bytes", message.SerializeToString()))
        assert status == 200, f"the collector answered {status}"

    def _records(self, scoped: Any, request_id: str, chests: str | None, change: Callable[[Any], None] | None) -> None:
        trace_id, span_id = random.randbytes(16), random.randbytes(8)
        lines = [(INFO, f"paying {request_id}", ""), (ERROR, TRACEBACK, ""), (ERROR, "", EVENT)]
        for (number, text), body, event in lines:
            self._clock_ns += 1_000_001
            record = scoped.log_records.add()
            record.time_unix_nano = record.observed_time_unix_nano = self._clock_ns
            record.trace_id, record.span_id = trace_id, span_id
            record.severity_number, record.severity_text = number, text
            record.event_name = event
            if body:
                record.body.string_value = body
            _attributes(record, request_id, chests)
            if change is not None:
                change(record)
            line = Line(self._clock_ns, text, body, event, trace_id.hex())
            self.logged.setdefault(request_id, []).append(line)


def _attributes(record: Any, request_id: str, chests: str | None) -> None:
    # A line of the application's own has what `log_fields` puts on it.
    _set(record.attributes, "flask.request_id" if record.event_name else "request_id", request_id)
    _set(record.attributes, "http.route", "/cart/<id>")
    if chests is not None:
        _set(record.attributes, "flask.chests", chests)
    if record.event_name:
        _set(record.attributes, "http.request.method", "POST")
        _set(record.attributes, "http.response.status_code", 500)
        _set(record.attributes, "url.path", "/cart/7")
        _set(record.attributes, "error.type", "KeyError")
        _set(record.attributes, "flask.g.cart_total", 12.5)


def _set(pairs: Any, key: str, value: str | float) -> None:
    pair = pairs.add()
    pair.key = key
    setattr(pair.value, {str: "string_value", int: "int_value", float: "double_value"}[type(value)], value)
