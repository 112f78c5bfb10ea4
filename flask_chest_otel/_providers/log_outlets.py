"""Outlets for this package's log records: the outbox, or the application's logger provider."""

from __future__ import annotations

import inspect
import os
from functools import partial
from typing import TYPE_CHECKING, Protocol

# OpenTelemetry has no public name for its logs: https://opentelemetry-python.readthedocs.io/en/latest/api/_logs.html
from opentelemetry import _logs as logs_api
from opentelemetry import trace
from opentelemetry.context import Context

from flask_chest_otel._guard import report_error
from flask_chest_otel._otlp.endpoint import EXPORTER, exporters_of
from flask_chest_otel._request.span_context import span_context_of
from flask_chest_otel._version import __version__
from flask_chest_otel.names import EVENT_NAME, SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource

    from flask_chest_otel._outbox.exporters import Outgoing
    from flask_chest_otel._values.log_event import LogEvent
    from flask_chest_otel.config import ChestConfig

__all__ = ["LogOutlet", "outlet_for"]


class LogOutlet(Protocol):
    """Takes events in the thread of the queue, never in a request.

    Attributes:
        where: Text for users that says where events go.
    """

    where: str

    def emit(self, events: Sequence[LogEvent]) -> None:
        """Hand events over. From then on the receiver is responsible for them."""

    def flush(self, timeout_s: float) -> bool:
        """Try to send everything; returns whether nothing is left."""

    def close(self) -> None:
        """Release everything; no more events come."""


def outlet_for(app_name: str, config: ChestConfig, mode: str | None) -> LogOutlet | None:
    """Return the outlet of an application's events; ``None``: nothing takes log records.

    Args:
        app_name: The application's name.
        config: Its settings.
        mode: The decision about ``export=``; ``None`` also if nothing may be built.
    """
    provider = logs_api.get_logger_provider()
    if hasattr(provider, "shutdown"):  # OpenTelemetry's proxy, before a provider is set, has none
        return _ProviderOutlet(provider)
    if mode is None or not _are_wanted(by_name=mode == "store"):
        return None
    # Imported here: importing exporters takes a tenth of a second.
    from flask_chest_otel._providers import build  # noqa: PLC0415

    return _OutboxOutlet(*build.logs_for(app_name, config))


def _are_wanted(*, by_name: bool) -> bool:
    """Whether OpenTelemetry's variables export logs by OTLP; with ``by_name`` one of them has to name logs."""
    named = any(os.environ.get(name) for name in ("OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"))
    return (named or not by_name) and bool({"otlp", EXPORTER}.intersection(exporters_of("logs", os.environ)))


class _OutboxOutlet:
    """Puts events into the outbox.

    Args:
        outgoing: Puts requests into the outbox.
        resource: The SDK's resource of the application.
    """

    where = "the outbox, and by OTLP to the collector"

    def __init__(self, outgoing: Outgoing, resource: Resource) -> None:
        from flask_chest_otel._otlp.events import EventEncoder  # noqa: PLC0415 - as above

        self._outgoing = outgoing
        self._encoder = EventEncoder(resource, outgoing.name)

    def emit(self, events: Sequence[LogEvent]) -> None:
        self._outgoing.export("logs", partial(self._encoder.encode, events))

    def flush(self, timeout_s: float) -> bool:
        return bool(self._outgoing.flush(timeout_s * 1000))

    def close(self) -> None:
        self._outgoing.shut_down()


class _ProviderOutlet:
    """Emits events with the application's logger provider.

    Args:
        provider: The logger provider.
    """

    where = "the application's logger provider"

    def __init__(self, provider: logs_api.LoggerProvider) -> None:
        self._provider = provider
        self._logger = provider.get_logger(SCOPE, __version__)
        self._record = _record_class()
        self._takes = frozenset(inspect.signature(self._record).parameters)

    def emit(self, events: Sequence[LogEvent]) -> None:
        for event in events:
            try:
                self._logger.emit(self._record(**self._fields(event)))
            except Exception as error:  # noqa: BLE001 - the application's log processors may raise anything
                report_error("log record", error)

    def flush(self, timeout_s: float) -> bool:
        flush = getattr(self._provider, "force_flush", None)
        return flush is None or flush(int(timeout_s * 1000)) is not False

    def close(self) -> None:
        pass  # the application ends its provider itself

    def _fields(self, event: LogEvent) -> dict[str, object]:
        attributes = dict(event.attributes)
        fields: dict[str, object] = {
            "timestamp": event.time_unix_ns,
            "observed_timestamp": event.time_unix_ns,
            "severity_number": logs_api.SeverityNumber(event.severity),
            "severity_text": event.severity_text,
            "body": event.body,
            "attributes": attributes,
        }
        if "event_name" in self._takes:
            fields["event_name"] = event.name
        else:
            attributes[EVENT_NAME] = event.name
        if "resource" in self._takes:
            fields["resource"] = getattr(self._logger, "resource", None)
        span = span_context_of(event)
        if "context" in self._takes:
            return {**fields, "context": trace.set_span_in_context(trace.NonRecordingSpan(span), Context())}
        return {**fields, "trace_id": span.trace_id, "span_id": span.span_id, "trace_flags": span.trace_flags}


def _record_class() -> Callable[..., logs_api.LogRecord]:
    """Return the class of log records that the SDK's loggers take.

    Until SDK 1.38 it is a class of the SDK, as only that has a resource; since then it is the API's.
    """
    from opentelemetry.sdk import _logs as sdk  # noqa: PLC0415 - only where there is a provider

    found: type[logs_api.LogRecord] = getattr(sdk, "LogRecord", logs_api.LogRecord)
    return found
