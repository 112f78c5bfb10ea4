"""Finishes requests: reads the values, describes the server span, records metrics, and makes the record."""

from __future__ import annotations

import time
from threading import get_ident
from time import thread_time
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace

from flask_chest_otel._base.process import in_greenlet
from flask_chest_otel._guard import Refusal, count_refusal, report_error
from flask_chest_otel._records.record import Measurement, RequestRecord
from flask_chest_otel._request.failures import describe_error, failure_in
from flask_chest_otel._request.reader import NO_METRIC
from flask_chest_otel._server_span.attributes import cut_path
from flask_chest_otel._tracking.secret_rules import SecretRules
from flask_chest_otel._values.convert import Refused
from flask_chest_otel._values.exceptions import status_of
from flask_chest_otel.ids import format_trace_id
from flask_chest_otel.names import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from flask import Request

    from flask_chest_otel._records.router import ChestRouter
    from flask_chest_otel._request.added_metrics import AddedMetrics
    from flask_chest_otel._request.child_spans import TakenSpans
    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._request.reader import Reading, ValueReader
    from flask_chest_otel._request.span_watch import SpanWatch
    from flask_chest_otel._tracking.plan import Plan, Planner

__all__ = ["Application", "Recorder", "begin_response"]

_PATH_CHARS = 255


class Application(NamedTuple):
    """The application, as its records name it; known at its first request.

    Attributes:
        service: The service name.
        version: The version; ``None`` where none was given.
        root: The folder of the application's own code.
        secret_rules: Its rules that have an argument with a sensitive name.
    """

    service: str = ""
    version: str | None = None
    root: str = ""
    secret_rules: SecretRules = SecretRules()


class Recorder:
    """Finishes the requests of one application.

    Args:
        reader: Reads what a request left on ``g``.
        planner: Makes instruments.
        added: Records the values of ``add_metric``.
        router: Knows whether any chest wants records.
        span_watch: Collects child spans.
        chars: Longest text of an exception, in characters.
        quiet: Whether to leave requests that track nothing unchanged.

    Attributes:
        application: The application, as records name it.
    """

    def __init__(
        self,
        reader: ValueReader,
        planner: Planner,
        added: AddedMetrics,
        router: ChestRouter,
        span_watch: SpanWatch,
        chars: int,
        *,
        quiet: bool,
    ) -> None:
        self.application = Application()
        self._reader = reader
        self._planner = planner
        self._added = added
        self._router = router
        self._span_watch = span_watch
        self._chars = chars
        self._quiet = quiet

    def begin(self, live: LiveRequest, http: Request, path: str) -> None:
        """Note what can only be measured at the begin, where a chest wants records."""
        live.secret_rule = secret = self.application.secret_rules.in_place_of_path(live.plan, http)
        live.path = secret if secret is not None else cut_path(path, _PATH_CHARS)
        if self._router.keeps_timings and not in_greenlet():
            live.thread, live.cpu_s = get_ident(), thread_time()

    def fail(
        self,
        live: LiveRequest,
        error: BaseException | None,
        *,
        handled: bool = False,
        is_answer: bool = True,
        with_stack: bool = True,
    ) -> str | None:
        """Note the exception of a request, where it is a failure and a chest wants records.

        Args:
            live: The request.
            error: The exception.
            handled: Whether an error handler of the application has answered it.
            is_answer: Whether an exception that stands for a response was the response.
            with_stack: Whether to note and return its stack trace.
        """
        if not self._router.wanted:
            return None
        failed = failure_in(error)
        if failed is None and not is_answer:
            failed = error
        if failed is None:
            return None
        root = self.application.root
        live.error = describe_error(failed, root, self._chars, handled=handled, with_stack=with_stack)
        return live.error.stack if live.error is not None and failed is error else None

    def finish(self, live: LiveRequest) -> RequestRecord | None:
        """Read, describe, measure and record one request, once. Return its record; ``None`` where no chest wants it."""
        reading = self._reader.read(live)
        if reading.dimensions and live.server_span is not None:
            live.server_span.dimensions = reading.dimensions
        self._describe(live, reading.attributes)
        measurements = self._measure(live, reading)
        if reading.refused:
            _count_refused(reading.refused)
        taken = self._span_watch.finish(live)
        record = self._record(live, reading, measurements, taken) if self._router.wanted else None
        # A thread's context may keep the live request for long: it must not keep other requests or the response.
        live.before = live.outer = live.displaced = live.server_span = None
        return record

    def hand_over(
        self,
        live: LiveRequest,
        record: RequestRecord,
        known: BaseException | None,
        error: BaseException | None,
        status: int,
    ) -> None:
        """Pass the record of a finished request to the chests, once the application has returned.

        Args:
            live: The request.
            record: Its record, as it was at the end of the request.
            known: The exception with which the request was finished.
            error: An exception raised since, in a teardown function or while the body was sent.
            status: The status that was sent, or 0.
        """
        if error is not None and error is not known and (failed := failure_in(error)) is not None:
            told = describe_error(failed, self.application.root, self._chars, handled=False)
            record = record._replace(error=told, status=status or status_of(error))
        self._router.put(_with_late_lines(record, live))

    def finish_streamed(self, live: LiveRequest, error: BaseException | None, status: int) -> None:
        """Finish a request whose body was made while it was sent, after the body has ended or failed."""
        if error is not None:
            self.fail(live, error)
            live.status = status or status_of(error)
        record = self.finish(live)
        if record is not None:
            self._router.put(record)

    def _describe(self, live: LiveRequest, attributes: dict[str, Any]) -> None:
        """Set the attributes on the server span."""
        span = live.span
        # Guard each part on its own: a provider that raises must not affect the other parts.
        try:
            if span is None or not span.is_recording():
                return
            if live.request_id is None:
                if self._quiet and not attributes:
                    return
                live.ids.decide(live)
            attributes[REQUEST_ID] = live.request_id
            if live.server_span is not None and live.server_span.is_own:
                live.server_span.describe(attributes, live.status)
            else:
                span.set_attributes(attributes)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("span", error)

    def _measure(self, live: LiveRequest, reading: Reading) -> list[Measurement]:
        """Record the numbers with their instruments; return the measurements where a chest wants them."""
        measurements: list[Measurement] = []
        if reading.numbers:
            try:
                measurements = self._give(live, reading)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("metrics", error)
        if live.added or live.plan.counts:
            return [*(self._added.finish(live) or ()), *measurements]
        return measurements

    def _give(self, live: LiveRequest, reading: Reading) -> list[Measurement]:
        plan, wanted = live.plan, self._router.wanted
        context = live.context or otel_context.get_current()  # exemplars take the server span from it
        attributes, key = plan.metric_attributes, plan.key
        if reading.dimensions:
            attributes, key = _point(plan, reading.dimensions)
        measurements: list[Measurement] = []
        for planned, number in reading.numbers:
            instrument = planned.instrument or self._planner.instrument(planned)
            try:
                used = instrument.record(number, key, attributes, context)
            except Refused as refusal:
                reading.refused[planned.name] = NO_METRIC + refusal.reason
                continue
            if wanted:
                measurements.append(Measurement(instrument.name, instrument.kind, number, instrument.unit, used))
        return measurements

    def _record(self, live: LiveRequest, reading: Reading, used: list[Measurement], taken: TakenSpans) -> RequestRecord:
        span_context = live.span.get_span_context() if live.span is not None else trace.INVALID_SPAN_CONTEXT
        valid, attributes = span_context.is_valid, reading.attributes
        attributes.update(live.plan.place)
        logs, logs_dropped = live.log_lines.finish() if live.log_lines is not None else ((), 0)
        return RequestRecord(
            start_unix_ns=live.start_unix_ns,
            duration_s=time.perf_counter() - live.start_s,
            service=self.application.service,
            request_id=live.request_id or live.ids.decide(live),
            trace_id=format_trace_id(span_context.trace_id) if valid else None,
            span_id=f"{span_context.span_id:016x}" if valid else None,
            method=live.method,
            route=live.plan.rule,
            status=live.status,
            variables=self._reader.variables(live, attributes),
            chests=live.plan.chests,
            metrics=tuple(used),
            refused=reading.refused,
            sampled=span_context.trace_flags.sampled if valid else None,
            attributes=attributes,
            timings=taken.timings,
            spans=taken.spans,
            spans_dropped=taken.dropped,
            spans_complete=self._span_watch.sees(live),
            logs=logs,
            logs_dropped=logs_dropped,
            path=live.path,
            error=live.error,
            version=self.application.version,
            cpu_s=thread_time() - live.cpu_s if live.cpu_s is not None and live.thread == get_ident() else None,
            first_byte_s=live.first_byte_s - live.start_s if live.first_byte_s is not None else None,
        )


def begin_response(live: LiveRequest) -> None:
    """Note the time at which the response begins."""
    live.first_byte_s = time.perf_counter()


def _with_late_lines(record: RequestRecord, live: LiveRequest) -> RequestRecord:
    """The record with the log lines of teardown functions, which came after it was made."""
    lines = live.log_lines
    if lines is None or lines.count == len(record.logs) + record.logs_dropped:
        return record
    logs, dropped = lines.finish()
    return record._replace(logs=logs, logs_dropped=dropped)


def _count_refused(refused: Mapping[str, str]) -> None:
    for name, reason in refused.items():
        how = "has" if reason.startswith(NO_METRIC) else "is not recorded:"
        count_refusal(Refusal.VALUE, f"{name}: {reason}", "g.%s %s %s", name, how, reason)


def _point(plan: Plan, dimensions: dict[str, object]) -> tuple[Mapping[str, object], Hashable]:
    """The attribute set of a request's metrics with its dimensions, and its key."""
    # The types belong to the key: True, 1 and 1.0 are equal in Python, but make three attribute sets.
    key = (plan.key, *((name, type(value), value) for name, value in dimensions.items()))
    return {**plan.metric_attributes, **dimensions}, key
