"""The exporter of logs with an outbox: ``OTEL_LOGS_EXPORTER=flask_chest_otlp`` selects it in any application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

# The SDK has no public name for its logs: https://opentelemetry-python.readthedocs.io/en/latest/sdk/_logs.html
from opentelemetry.sdk._logs import export as sdk

from flask_chest_otel._otlp.logs import encode_records
from flask_chest_otel._outbox.exporters import Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs.export import LogRecordExporter as Base
    from opentelemetry.sdk._logs.export import LogRecordExportResult as Result

    from flask_chest_otel._outbox.worker import WorkerConfig
else:
    # SDK 1.39 renamed the classes; newer versions warn when the old names are used.
    Base = getattr(sdk, "LogRecordExporter", None) or sdk.LogExporter
    Result = getattr(sdk, "LogRecordExportResult", None) or sdk.LogExportResult

__all__ = ["OutboxLogExporter"]


class OutboxLogExporter(Base):
    """Puts log records into the outbox as OTLP requests.

    Args:
        worker_config: Where batches are kept and where they are sent; ``None``: as the environment variables say.
    """

    def __init__(self, worker_config: WorkerConfig | None = None) -> None:
        self._outgoing = Outgoing(worker_config)

    def export(self, batch: Sequence[object]) -> Result:
        """Keep a batch. Success means that the batch is in the outbox; it may not be sent yet."""
        return Result.SUCCESS if self._outgoing.export("logs", partial(self._encoded, batch)) else Result.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Try to send everything; returns whether nothing is left."""
        return self._outgoing.flush(timeout_millis)

    def shutdown(self) -> None:
        """Send what can be sent within the setting ``shutdown_timeout_s``; the rest stays in the outbox."""
        self._outgoing.shut_down()

    def _encoded(self, batch: Sequence[object]) -> tuple[int, bytes]:
        count, request = encode_records(batch)
        return count, self._outgoing.serialized("logs", request)
