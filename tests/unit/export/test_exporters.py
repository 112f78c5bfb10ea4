"""What exporters put into the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Status, StatusCode

from flask_chest_otel import _guard
from flask_chest_otel._outbox.exporters import OutboxSpanExporter

if TYPE_CHECKING:
    from flask_chest_otel._outbox.worker import WorkerConfig
    from tests.backends.otlp_receiver import OtlpReceiver
    from tests.conftest import Rig


@pytest.mark.guard_on
def test_a_span_that_cannot_be_encoded_takes_no_other_with_it(
    rig: Rig, worker_config: WorkerConfig, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a batch, only spans with a text that is no UTF-8 are dropped: each counted, one log line."""
    tracer = rig.tracer_provider.get_tracer("another instrumentation")
    for number in range(6):
        with tracer.start_as_current_span(f"span {number}") as span:
            if number in {2, 4}:
                span.set_status(Status(StatusCode.ERROR, "no row for \ud800"))
    exporter = OutboxSpanExporter(worker_config)
    assert exporter.export(rig.spans) is SpanExportResult.SUCCESS
    assert exporter.export(rig.spans[2:3]) is SpanExportResult.SUCCESS, "nothing is left of it"
    assert exporter.force_flush(5000)
    exporter.shutdown()
    assert [span["name"] for span in receiver.spans()] == ["span 0", "span 1", "span 3", "span 5"]
    assert _guard.totals()[1] == {"encoding a span": 3}
    assert len([line for line in caplog.messages if "encoding a span" in line]) == 1
