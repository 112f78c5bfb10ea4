"""Server spans of the SDK that keep usual attributes as they are given, at a lower cost.

The SDK checks, copies and counts each attribute of a span. A text, a number or a ``bool`` within the limits comes out
as it went in. While a span has no other attributes, all of them wait in one dictionary. The first other one, or who
reads them before the end, makes the SDK take them all. From then on, they are handled as in every span of the SDK.
"""

from __future__ import annotations

import os
import sys
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    Tracer,
    TracerProvider,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from flask_chest_otel._guard import report_error
from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from flask_chest_otel._request.span_processor import RequestSpanProcessor
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context

__all__ = ["OwnSpan", "OwnSpanProcessors", "OwnTracer", "OwnTracerProvider"]

_OWN_PROCESSORS = (OutboxSpanProcessor, RequestSpanProcessor)

_INTERNAL_METRICS = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
"""The variable that makes SDKs from 1.40 on count the spans that they make."""

_TEXT = frozenset({str})
_PLAIN = frozenset({str, int, float, bool})
"""Types of values that the SDK keeps as they are. Classes derived from them have values that it may change."""

_SETS_RANDOM_FLAG = hasattr(IdGenerator, "is_trace_id_random")
"""Whether this SDK says of trace ids that they are random (from 1.42 on)."""

_NO_PROCESSOR = SpanProcessor()


class OwnSpan(Span):
    """A span of the SDK that gives its attributes to the SDK only where they are not plain.

    Args:
        processors: They get the span when it ends.
        room: How many attributes may be kept here; more go to the SDK, which drops some.
        attributes: The first attributes.
        of_sdk: Arguments of the SDK's span.
    """

    def __init__(self, processors: SpanProcessor, room: int, attributes: dict[str, Any], **of_sdk: Any) -> None:
        super().__init__(span_processor=_NO_PROCESSOR, **of_sdk)
        self._own_processors = processors
        self._own_room = room
        # Held for a few steps. By its own thread it can be taken twice: a finalizer or a signal may write, too.
        self._own_lock = RLock()
        self._own_plain: dict[str, Any] | None = {}  # None: the SDK has all attributes
        self.set_attributes(attributes)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes, here or in the SDK."""
        with self._own_lock:
            plain = self._own_plain
            if plain is not None and self.is_recording() and _is_plain(attributes):
                again = plain.keys() & attributes
                if len(plain) - len(again) + len(attributes) <= self._own_room:
                    for key in again:
                        del plain[key]  # a key that is set again is the last one, as in the SDK
                    plain.update(attributes)
                    return
            self._give_all()
            super().set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        if type(key) is str:
            self.set_attributes({key: value})
            return
        with self._own_lock:
            self._give_all()
            super().set_attribute(key, value)

    def _give_all(self) -> None:
        """Give the SDK the attributes that are here, unless the span has ended. The caller holds the lock."""
        if self._own_plain is not None and self.is_recording():
            plain, self._own_plain = self._own_plain, None
            super().set_attributes(plain)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes; a view that also shows what is set later."""
        with self._own_lock:
            self._give_all()
            plain = self._own_plain
        of_sdk: Any = super().attributes
        return of_sdk if plain is None else MappingProxyType(plain)

    def to_json(self, indent: int | None = 4) -> str:
        """The span as JSON, as the SDK writes it."""
        described: str = ReadableSpan(
            self.name,
            self.context,
            self.parent,
            self.resource,
            self.attributes,
            self.events,
            self.links,
            self.kind,
            status=self.status,
            start_time=self.start_time,
            end_time=self.end_time,
        ).to_json(indent)
        return described

    def end(self, end_time: int | None = None) -> None:
        """End the span and hand it to the processors, once."""
        with self._own_lock:
            ends = self.is_recording()
            super().end(end_time)
        if ends:
            self._own_processors.on_end(self)


def _is_plain(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK would keep all attributes as they are, but for limits."""
    return (
        type(attributes) is dict
        and _PLAIN.issuperset(map(type, attributes.values()))
        and _TEXT.issuperset(map(type, attributes))
        and "" not in attributes
    )


class OwnSpanProcessors(SynchronousMultiSpanProcessor):
    """The span processors of one or more providers.

    Attributes:
        only_own: Whether this package made all of them. Others may want hooks that only the SDK itself calls.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the SDK's
        self.only_own = True

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor."""
        self.only_own = self.only_own and type(span_processor) in _OWN_PROCESSORS
        super().add_span_processor(span_processor)


class OwnTracerProvider(TracerProvider):
    """Hands out the SDK's tracers, and an :class:`OwnTracer` for this package's scope.

    Args:
        processors: Its span processors; several providers may share them.
        limits: The limits of its spans.
        of_sdk: Further arguments of the SDK's provider.
    """

    def __init__(self, processors: OwnSpanProcessors, limits: SpanLimits, **of_sdk: Any) -> None:
        super().__init__(active_span_processor=processors, span_limits=limits, **of_sdk)
        self._own_processors = processors
        self._own_limits = limits

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        """Return a tracer of the SDK, or for this package's scope one of its own."""
        named = (instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        tracer = super().get_tracer(*named)
        # It is no tracer of the SDK where the SDK is switched off.
        if instrumenting_module_name != SCOPE or not isinstance(tracer, Tracer):
            return tracer
        if os.environ.get(_INTERNAL_METRICS, "").strip():
            return tracer
        own = OwnTracer(tracer, self._own_processors, self._own_limits, InstrumentationScope(*named))
        return own if own.is_possible() else tracer


class OwnTracer(trace.Tracer):
    """Starts server spans as the SDK does, as :class:`OwnSpan`; all others are the SDK's.

    Args:
        tracer: The SDK's tracer for the same scope.
        processors: The span processors of its provider.
        limits: The limits of its spans.
        scope: The scope of its spans.
    """

    def __init__(
        self, tracer: Tracer, processors: OwnSpanProcessors, limits: SpanLimits, scope: InstrumentationScope
    ) -> None:
        self._sdk = tracer
        self._processors = processors
        self._limits = limits
        self._scope = scope
        most = sys.maxsize if limits.max_span_attributes is None else limits.max_span_attributes
        self._room = most if limits.max_span_attribute_length is None else -1

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        *options: Any,
        **named_options: Any,
    ) -> trace.Span:
        """Start a span."""
        sdk = self._sdk
        if kind is not SpanKind.SERVER or links or options or named_options or not self._processors.only_own:
            return sdk.start_span(name, context, kind, attributes, links, start_time, *options, **named_options)
        above = trace.get_current_span(context).get_span_context()
        parent = above if above.is_valid else None
        trace_id = sdk.id_generator.generate_trace_id() if parent is None else parent.trace_id
        result = sdk.sampler.should_sample(context, trace_id, name, kind, attributes, ())
        decision: Any = result.decision
        flags = self._flags(parent, sampled=decision.is_sampled())
        span_id, state = sdk.id_generator.generate_span_id(), result.trace_state
        made = SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=state)
        if not decision.is_recording():
            return NonRecordingSpan(made)
        span = self._made(name, made, parent, dict(result.attributes or {}))
        span.start(start_time, context)
        self._processors.on_start(span, parent_context=context)
        return span

    def is_possible(self) -> bool:
        """Whether the installed SDK takes such spans; it is asked once, with a span that nobody gets."""
        try:
            span = self._made("", INVALID_SPAN_CONTEXT, None, {"tried": True})
            return span.is_recording() and span.attributes is not None
        except Exception as error:  # noqa: BLE001 - the SDK may have changed
            report_error("own spans", error)
            return False

    def _made(self, name: str, context: SpanContext, parent: SpanContext | None, attributes: dict[str, Any]) -> OwnSpan:
        return OwnSpan(
            self._processors,
            self._room,
            attributes,
            name=name,
            context=context,
            parent=parent,
            sampler=self._sdk.sampler,
            resource=self._sdk.resource,
            kind=SpanKind.SERVER,
            limits=self._limits,
            instrumentation_scope=self._scope,
        )

    def _flags(self, parent: SpanContext | None, *, sampled: bool) -> TraceFlags:
        flags = TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT
        if not _SETS_RANDOM_FLAG:
            return TraceFlags(flags)
        generator: Any = self._sdk.id_generator
        is_random = generator.is_trace_id_random() if parent is None else parent.trace_flags.random_trace_id
        return TraceFlags(flags | TraceFlags.RANDOM_TRACE_ID if is_random else flags)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Start a span of the SDK and make it current."""
        return self._sdk.start_as_current_span(*args, **kwargs)
