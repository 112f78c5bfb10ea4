"""Encodes the SDK's spans as OTLP requests, directly as bytes.

OpenTelemetry's encoder makes resource and scope, once for all spans that share them. It also encodes each span that
this module cannot encode, or whose bytes depend on the version of that encoder.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanKind, StatusCode

from flask_chest_otel._base.process import current_process
from flask_chest_otel._guard import Refusal, count_refusal, report_error
from flask_chest_otel._otlp.wire import AttributeWriter, UndecidedError, count, framed, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status

__all__ = ["SpanEncoder"]

MOST_GROUPS = 256
"""How many pairs of resource and scope are cached; when there are more, the cache is cleared."""

# Tags of fields; for fields of a fixed size, with that size:
# https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
_RESOURCE_SPANS, _SCOPE_SPANS, _SPAN = b"\x0a", b"\x12", b"\x12"
_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_TRACE_STATE, _NAME, _ATTRIBUTES, _EVENT, _LINK, _STATUS = b"\x1a", b"\x2a", b"\x4a", b"\x5a", b"\x6a", b"\x7a"
_DROPPED_ATTRIBUTES, _DROPPED_EVENTS, _DROPPED_LINKS = b"\x50", b"\x60", b"\x70"
_EVENT_NAME, _EVENT_ATTRIBUTES, _EVENT_DROPPED = b"\x12", b"\x1a", b"\x20"
_LINK_ATTRIBUTES, _LINK_DROPPED = b"\x22", b"\x28"
_STATUS_TEXT, _STATUS_CODE = b"\x12", b"\x18"
_START, _END, _EVENT_TIME = 0x39, 0x41, 0x09
_FLAGS, _LINK_FLAGS = b"\x85\x01", b"\x35"

_64_BITS = 2**64 - 1
_IDS = struct.Struct(">2sQQ2sQ").pack
_PARENT = struct.Struct(">2sQ").pack
_TIMES = struct.Struct("<BQBQ").pack
_TIME = struct.Struct("<BQ").pack

_KINDS = {
    SpanKind.INTERNAL: b"\x30\x01",
    SpanKind.SERVER: b"\x30\x02",
    SpanKind.CLIENT: b"\x30\x03",
    SpanKind.PRODUCER: b"\x30\x04",
    SpanKind.CONSUMER: b"\x30\x05",
}
_IS_LOCAL, _IS_REMOTE = b"\x00\x01\x00\x00", b"\x00\x03\x00\x00"
"""``SpanFlags`` for a parent or a link of this process, and of another one."""


class SpanEncoder:
    """Encodes spans. Its caches are bounded and contain no values of attributes.

    Args:
        name: Sets ``service.instance.id`` of the current process in a resource's message.
    """

    def __init__(self, name: Callable[[ResourceMessage], None]) -> None:
        self._name = name
        self._attributes = AttributeWriter(_ATTRIBUTES)
        self._event_attributes = AttributeWriter(_EVENT_ATTRIBUTES)
        self._link_attributes = AttributeWriter(_LINK_ATTRIBUTES)
        self._groups: dict[tuple[int, int], _Group] = {}
        self._process: object = None

    def encode(self, spans: Iterable[ReadableSpan]) -> tuple[int, bytes]:
        """Encode spans; one that cannot be encoded is reported and left out.

        Returns:
            The number of encoded spans, and the request as protobuf.
        """
        if self._process is not current_process():
            self._groups, self._process = {}, current_process()
        number, resources = 0, dict[bytes, dict[bytes, list[bytes]]]()
        for span in spans:
            try:
                group, content = self._group_of(span), self._content(span)
            except Exception as error:  # noqa: BLE001 - any instrumentation may have written anything
                report_error("encoding a span", error)
                continue
            number += 1
            scopes = resources.setdefault(group.resource_spans, {})
            scopes.setdefault(group.scope_spans, []).extend((_SPAN, varint(len(content)), content))
        return number, b"".join(framed(_RESOURCE_SPANS, _joined(*item)) for item in resources.items())

    def _group_of(self, span: ReadableSpan) -> _Group:
        resource, scope = span.resource, span.instrumentation_scope
        found = self._groups.get((id(resource), id(scope)))
        if found is None:
            if len(self._groups) >= MOST_GROUPS:
                self._groups = {}
            found = self._groups[id(resource), id(scope)] = _group(resource, scope, self._name)
        return found

    def _content(self, span: ReadableSpan) -> bytes:
        try:
            return self._written(span)
        except UndecidedError:
            pass
        except Exception as error:  # noqa: BLE001 - OpenTelemetry's encoder decides what becomes of the span
            count_refusal(Refusal.VALUE, "encoding a span", SLOW, type(error).__name__)
        request = encode_spans([span])
        content: bytes = request.resource_spans[0].scope_spans[0].spans[0].SerializeToString()
        return content

    def _written(self, span: ReadableSpan) -> bytes:
        context, parent = span.context, span.parent
        parts: list[bytes] = []
        add = parts.append
        add(_ids(context))
        if parent:
            add(_PARENT(_PARENT_ID, parent.span_id))
        if context.trace_state:
            add(framed(_TRACE_STATE, ",".join(f"{key}={value}" for key, value in context.trace_state.items()).encode()))
        add(framed(_NAME, str.encode(span.name)))
        add(_KINDS[span.kind])
        add(_TIMES(_START, span.start_time or 0, _END, span.end_time or 0))
        self._attributes.write(_plain(span.attributes), add)
        for event in span.events:
            add(framed(_EVENT, self._event(event)))
        for link in span.links:
            add(framed(_LINK, self._link(link)))
        add(_status(span.status))
        add(_FLAGS)
        add(_IS_REMOTE if parent and parent.is_remote else _IS_LOCAL)
        add(count(_DROPPED_ATTRIBUTES, span.dropped_attributes))
        add(count(_DROPPED_EVENTS, span.dropped_events))
        add(count(_DROPPED_LINKS, span.dropped_links))
        return b"".join(parts)

    def _event(self, event: Event) -> bytes:
        parts = [_TIME(_EVENT_TIME, event.timestamp), framed(_EVENT_NAME, str.encode(event.name))]
        self._event_attributes.write(_plain(event.attributes), parts.append)
        parts.append(count(_EVENT_DROPPED, event.dropped_attributes))
        return b"".join(parts)

    def _link(self, link: Link) -> bytes:
        parts = [_ids(link.context)]
        self._link_attributes.write(_plain(link.attributes), parts.append)
        parts.append(count(_LINK_DROPPED, link.dropped_attributes))
        parts += (_LINK_FLAGS, _IS_REMOTE if link.context.is_remote else _IS_LOCAL)
        return b"".join(parts)


SLOW = "a span goes through OpenTelemetry's encoder, which leaves out what OTLP has no bytes for: %s"
"""Log line about a span that this module cannot encode."""


class _Group(NamedTuple):
    """The encoded resource and scope of spans.

    Attributes:
        of: The resource and the scope. The reference keeps them alive, so that no other object gets their ``id``.
        resource_spans: Bytes of ``ResourceSpans`` without its ``ScopeSpans``.
        scope_spans: Bytes of ``ScopeSpans`` without spans.
    """

    of: tuple[object, object]
    resource_spans: bytes
    scope_spans: bytes


def _group(resource: Resource, scope: InstrumentationScope | None, name: Callable[[ResourceMessage], None]) -> _Group:
    empty = ReadableSpan("", INVALID_SPAN_CONTEXT, resource=resource, instrumentation_scope=scope)
    outer = encode_spans([empty]).resource_spans[0]
    name(outer.resource)
    inner = outer.scope_spans[0]
    del inner.spans[:]
    scope_spans = inner.SerializeToString()
    del outer.scope_spans[:]
    return _Group((resource, scope), outer.SerializeToString(), scope_spans)


def _joined(resource_spans: bytes, scopes: Mapping[bytes, list[bytes]]) -> bytes:
    return resource_spans + b"".join(
        framed(_SCOPE_SPANS, scope_spans + b"".join(spans)) for scope_spans, spans in scopes.items()
    )


def _ids(context: SpanContext) -> bytes:
    trace_id = context.trace_id
    return _IDS(_TRACE_ID, trace_id >> 64, trace_id & _64_BITS, _SPAN_ID, context.span_id)


def _status(status: Status | None) -> bytes:
    if status is None:
        return b""
    code, text = status.status_code, status.description
    if code is StatusCode.UNSET and not text:
        return _NO_STATUS
    return framed(_STATUS, (framed(_STATUS_TEXT, str.encode(text)) if text else b"") + count(_STATUS_CODE, code.value))


_NO_STATUS = framed(_STATUS, b"")


def _plain(attributes: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return attributes as a dictionary; in the SDK's own mapping each lookup is a call in Python."""
    if attributes is None:
        return {}
    found: Mapping[str, object] = attributes.copy() if hasattr(attributes, "copy") else attributes
    return found
