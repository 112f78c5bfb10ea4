"""The context of a span that is over, for log records about its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, TraceFlags

if TYPE_CHECKING:
    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel._values.log_event import LogEvent

__all__ = ["span_context_of"]


def span_context_of(about: RequestRecord | LogEvent) -> SpanContext:
    """The span context that a record or an event names; an invalid one where it names none."""
    if about.trace_id is None or about.span_id is None:
        return INVALID_SPAN_CONTEXT
    flags = TraceFlags(TraceFlags.SAMPLED if about.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(about.trace_id, 16), int(about.span_id, 16), is_remote=False, trace_flags=flags)
