"""A chest that turns finished requests into events and emits them as log records."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal, guarded
from flask_chest_otel._providers.log_outlets import outlet_for
from flask_chest_otel._records.event import request_event
from flask_chest_otel._records.queue import EXIT_BUDGET_S, RecordQueue
from flask_chest_otel._records.queued import QueuedChest
from flask_chest_otel._values.exceptions import EXCEPTION_OPT_IN, exception_signals
from flask_chest_otel._values.log_event import LogEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_chest_otel._providers.log_outlets import LogOutlet
    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel.config import ChestConfig

__all__ = ["LOGS_GO_NOWHERE", "RequestEvents", "asked_for", "events_for"]

EACH_REQUEST_S = 1.0
"""How long a request with ``durability='request'`` waits for its event to be written, seconds; a disk may hang."""

LOGS_GO_NOWHERE = (
    "%s goes nowhere: nobody takes log records; type OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318, "
    "beside the store or in place of OTEL_LOGS_EXPORTER=none also OTEL_LOGS_EXPORTER=otlp, "
    "or opentelemetry._logs.set_logger_provider(…) in the application"
)
"""Message of the log and of the doctor in that case."""


def asked_for(config: ChestConfig) -> list[str]:
    """Return the settings, with values, that make this package emit log records."""
    events = [] if config.events == "none" else [f"events={config.events!r}"]
    as_log = exception_signals(os.environ).as_log
    return events + ([f"{EXCEPTION_OPT_IN}={os.environ[EXCEPTION_OPT_IN]}"] if as_log else [])


@guarded("log records")
def events_for(app_name: str, config: ChestConfig, mode: str | None) -> RequestEvents | None:
    """Return the chest for an application's events; ``None``: nothing takes log records, and a warning says so.

    Args:
        app_name: The application's name.
        config: Its settings.
        mode: The decision about ``export=``; ``None`` also if nothing may be built.
    """
    outlet = outlet_for(app_name, config, mode)
    if outlet is None:
        for what in asked_for(config):
            count_refusal(Refusal.SETTING, f"{what} nowhere", LOGS_GO_NOWHERE, what)
        return None
    return RequestEvents(outlet, config.events, each_request=config.durability == "request")


class RequestEvents(QueuedChest):
    """Turns request records into events, outside of the request.

    Args:
        outlet: Takes the events.
        mode: ``all``; ``unsampled``: only requests whose server span is not exported; ``none``: only exceptions.
        each_request: Whether ``put`` returns only after the event is handed over, at most ``EACH_REQUEST_S`` later.

    Attributes:
        name: The name of this chest in metrics.
        keeps_timings: Whether it uses processor time and child spans of a record.
        outlet: The argument ``outlet``.
    """

    keeps_timings = False

    def __init__(self, outlet: LogOutlet, mode: str, *, each_request: bool = False) -> None:
        super().__init__("events", RecordQueue("events", partial(_Writer, outlet)))
        self.outlet = outlet
        self._mode = mode
        self._each_request = each_request
        if mode != "all" or each_request:
            self.put = self._put_one

    def _put_one(self, record: RequestRecord) -> None:
        """Take one request record if ``mode`` makes it an event."""
        if self._mode == "all" or (self._mode == "unsampled" and not record.sampled):
            self.put_event(record)

    def put_event(self, event: RequestRecord | LogEvent) -> None:
        """Take one event, or one request record that becomes an event."""
        self._queue.put(event)  # type: ignore[arg-type]  # the queue does not look at what it carries
        if self._each_request:
            self._queue.flush(EACH_REQUEST_S)

    def flush(self, timeout_s: float = EXIT_BUDGET_S) -> bool:
        """Wait until all events are sent, at most ``timeout_s`` seconds; returns whether they are."""
        return super().flush(timeout_s) and self.outlet.flush(timeout_s)


class _Writer:
    def __init__(self, outlet: LogOutlet) -> None:
        self._outlet = outlet

    def write(self, records: Sequence[RequestRecord | LogEvent]) -> None:
        self._outlet.emit([one if isinstance(one, LogEvent) else request_event(one) for one in records])

    def close(self) -> None:
        self._outlet.close()
