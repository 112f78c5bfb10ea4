"""Encodes log records as OTLP requests: events of this package, and log records of every version of the SDK."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from flask_chest_otel._guard import report_error
from flask_chest_otel._otlp.wire import DEEPEST, INTS_BELOW
from flask_chest_otel._version import __version__
from flask_chest_otel.names import EVENT_NAME, SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.sdk.resources import Resource as SdkResource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope as SdkScope

    from flask_chest_otel._values.log_event import LogEvent

__all__ = ["NAMES_EVENTS", "encode_records", "event_message", "no_events"]

NAMES_EVENTS = "event_name" in LogRecord.DESCRIPTOR.fields_by_name
"""Whether the installed OTLP messages have the field ``event_name``; else an attribute has the event's name."""


def no_events(resource: SdkResource) -> tuple[ResourceLogs, ScopeLogs]:
    """Return the messages that surround this package's events, without events.

    Args:
        resource: The SDK's resource of the application.
    """
    return _resource_logs(resource, []), ScopeLogs(scope=InstrumentationScope(name=SCOPE, version=__version__))


def encode_records(batch: Iterable[Any]) -> tuple[int, ExportLogsServiceRequest]:
    """Encode log records of the SDK; one that cannot be encoded is reported and left out.

    Args:
        batch: The objects that the SDK gives to an exporter. Each has a log record and a scope. The resource is an
            attribute of the object since SDK 1.39, of its log record before.

    Returns:
        The number of encoded log records, and the request.
    """
    groups: dict[SdkResource, dict[SdkScope | None, list[LogRecord]]] = defaultdict(lambda: defaultdict(list))
    count = 0
    for item in batch:
        try:
            encoded = _record(item)
        except Exception as error:  # noqa: BLE001 - any handler may have written anything
            report_error("encoding a log record", error)
            continue
        resource = getattr(item, "resource", None) or item.log_record.resource
        groups[resource][item.instrumentation_scope].append(encoded)
        count += 1
    return count, ExportLogsServiceRequest(
        resource_logs=[
            _resource_logs(resource, [_scope_logs(scope, records) for scope, records in scopes.items()])
            for resource, scopes in groups.items()
        ]
    )


def event_message(event: LogEvent) -> LogRecord:
    """Return an event of this package as a message."""
    return LogRecord(
        time_unix_nano=event.time_unix_ns,
        observed_time_unix_nano=event.time_unix_ns,
        severity_number=SeverityNumber.ValueType(event.severity),
        severity_text=event.severity_text,
        body=_any_value(event.body),
        trace_id=bytes.fromhex(event.trace_id or ""),
        span_id=bytes.fromhex(event.span_id or ""),
        flags=int(event.sampled),
        **_named(event.name, event.attributes),
    )


def _record(item: Any) -> LogRecord:
    record = item.log_record
    return LogRecord(
        time_unix_nano=record.timestamp or 0,
        observed_time_unix_nano=record.observed_timestamp or 0,
        severity_number=SeverityNumber.ValueType(getattr(record.severity_number, "value", 0)),
        severity_text=_clean(record.severity_text or ""),
        body=_any_value(record.body),
        trace_id=record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
        span_id=record.span_id.to_bytes(8, "big") if record.span_id else b"",
        flags=int(record.trace_flags or 0),
        dropped_attributes_count=getattr(item, "dropped_attributes", 0) or getattr(record, "dropped_attributes", 0),
        **_named(getattr(record, "event_name", None), record.attributes or {}),
    )


class _Named(TypedDict, total=False):
    attributes: list[KeyValue]
    event_name: str


def _named(name: str | None, attributes: Mapping[str, object]) -> _Named:
    """Return attributes and, for an event, its name as fields of a ``LogRecord``."""
    if not name:
        return {"attributes": list(_key_values(attributes))}
    if NAMES_EVENTS:
        return {"attributes": list(_key_values(attributes)), "event_name": _clean(name)}
    return {"attributes": list(_key_values({EVENT_NAME: name, **attributes}))}


def _resource_logs(resource: SdkResource, scopes: list[ScopeLogs]) -> ResourceLogs:
    return ResourceLogs(
        resource=Resource(attributes=_key_values(resource.attributes)),
        scope_logs=scopes,
        schema_url=getattr(resource, "schema_url", None) or "",
    )


def _scope_logs(scope: SdkScope | None, records: list[LogRecord]) -> ScopeLogs:
    if scope is None:
        return ScopeLogs(log_records=records)
    named = InstrumentationScope(
        name=scope.name,
        version=scope.version or "",
        attributes=_key_values(getattr(scope, "attributes", None) or {}),
    )
    return ScopeLogs(scope=named, log_records=records, schema_url=scope.schema_url or "")


def _key_values(attributes: Mapping[str, object], depth: int = 0) -> Iterator[KeyValue]:
    for name, value in attributes.items():
        yield KeyValue(key=_clean(str(name)), value=_any_value(value, depth))


def _any_value(value: object, depth: int = 0) -> AnyValue:  # noqa: PLR0911 - one line for each kind
    # bool comes first, as it is a subclass of int.
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=_clean(value))
    if isinstance(value, int) and -INTS_BELOW <= value < INTS_BELOW:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if value is None:
        return AnyValue()
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=_key_values(value, depth + 1)))
    if depth < DEEPEST and isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=(_any_value(one, depth + 1) for one in value)))
    return AnyValue(string_value=_clean(str(value)))


def _clean(text: str) -> str:
    # Protobuf accepts only texts that UTF-8 can encode; lone surrogates it cannot.
    return text if text.isascii() else text.encode(errors="replace").decode()
