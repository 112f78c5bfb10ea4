"""Encodes this package's log events as OTLP requests: directly as bytes, or as protobuf messages if that fails."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from flask_chest_otel._base.process import current_process
from flask_chest_otel._otlp.logs import NAMES_EVENTS, event_message, no_events
from flask_chest_otel._otlp.wire import AttributeWriter, any_value, framed, varint
from flask_chest_otel.names import EVENT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
    from opentelemetry.sdk.resources import Resource

    from flask_chest_otel._values.log_event import LogEvent

__all__ = ["EventEncoder"]

# Tags of fields; for fields of a fixed size, with that size:
# https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/logs/v1/logs.proto
_RESOURCE_LOGS, _SCOPE_LOGS, _LOG_RECORD = b"\x0a", b"\x12", b"\x12"
_SEVERITY, _SEVERITY_TEXT, _BODY, _ATTRIBUTES, _EVENT_NAME = b"\x10", b"\x1a", b"\x2a", b"\x32", b"\x62"
_TRACE_ID, _SPAN_ID = b"\x4a\x10", b"\x52\x08"
_SAMPLED = b"\x45\x01\x00\x00\x00"
_TIME, _OBSERVED = 0x09, 0x59
_TIMES = struct.Struct("<BQBQ").pack


class EventEncoder:
    """Encodes the events of one application.

    Args:
        resource: The SDK's resource of the application.
        name: Sets ``service.instance.id`` of the current process in a resource's message.
    """

    def __init__(self, resource: Resource, name: Callable[[ResourceMessage], None]) -> None:
        self._resource = resource
        self._name = name
        self._attributes = AttributeWriter(_ATTRIBUTES)
        self._around: tuple[object, bytes, bytes] | None = None

    def encode(self, events: Iterable[LogEvent]) -> tuple[int, bytes]:
        """Return the number of events, and the request as protobuf."""
        records = [framed(_LOG_RECORD, self._content(event)) for event in events]
        resource_logs, scope_logs = self._surroundings()
        scope = framed(_SCOPE_LOGS, scope_logs + b"".join(records))
        return len(records), framed(_RESOURCE_LOGS, resource_logs + scope)

    def _surroundings(self) -> tuple[bytes, bytes]:
        """Return resource and scope as bytes of ``ResourceLogs`` and ``ScopeLogs``; made once per process."""
        if self._around is None or self._around[0] is not current_process():
            outer, inner = no_events(self._resource)
            self._name(outer.resource)
            self._around = current_process(), outer.SerializeToString(), inner.SerializeToString()
        return self._around[1:]

    def _content(self, event: LogEvent) -> bytes:
        try:
            return self._written(event)
        except Exception:  # noqa: BLE001 - `event_message` can encode every value
            return bytes(event_message(event).SerializeToString())

    def _written(self, event: LogEvent) -> bytes:
        parts = [
            _TIMES(_TIME, event.time_unix_ns, _OBSERVED, event.time_unix_ns),
            _SEVERITY,
            varint(event.severity),
            framed(_SEVERITY_TEXT, event.severity_text.encode()),
            framed(_BODY, any_value(event.body)),
        ]
        if event.trace_id:
            parts += _TRACE_ID, _id(event.trace_id, 16)
        if event.span_id:
            parts += _SPAN_ID, _id(event.span_id, 8)
        if event.sampled:
            parts.append(_SAMPLED)
        attributes = event.attributes
        if NAMES_EVENTS:
            parts.append(framed(_EVENT_NAME, event.name.encode()))
        elif event.name:
            attributes = {EVENT_NAME: event.name, **attributes}
        self._attributes.write(attributes, parts.append)
        return b"".join(parts)


def _id(digits: str, size: int) -> bytes:
    found = bytes.fromhex(digits)
    if len(found) != size:
        raise ValueError(digits)
    return found
