"""From a finished span to the outbox: what is flushed, what an end leaves behind, what the variables say."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from flask_chest_otel._otlp.batching import Batching, batching_of
from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._outbox.exporters import OutboxMetricExporter, OutboxSpanExporter
from flask_chest_otel._outbox.file import FILENAME
from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from tests.backends.outbox import kept
from tests.backends.server import free_port
from tests.faults.served import wait_until
from tests.unit.export.batches import route_to

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel._outbox.worker import WorkerConfig
    from tests.backends.otlp_receiver import OtlpReceiver


@pytest.fixture
def nowhere(tmp_path: Path) -> WorkerConfig:
    """A worker whose collector is not there: what is kept stays in the outbox."""
    return route_to(f"http://127.0.0.1:{free_port()}", tmp_path / "outbox")


def on_disk(worker_config: WorkerConfig) -> list[str]:
    """Names of the spans in the outbox's file."""
    path = worker_config.outbox.folder / FILENAME
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        try:
            rows = connection.execute("SELECT body FROM outbox_batches ORDER BY batch_id").fetchall()
        except sqlite3.OperationalError:  # it is just being made
            return []
    return [
        span.name
        for (body,) in rows
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def provider_of(processor: SpanProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def large(provider: TracerProvider, count: int, attributes: int = 60) -> list[str]:
    """End spans that take long to encode."""
    tracer = provider.get_tracer("t")
    names = [f"s{number:04}" for number in range(count)]
    texts = {f"a{number}": "x" * 200 for number in range(attributes)}
    for name in names:
        tracer.start_span(name, attributes=texts).end()
    return names


def wait_until_it_encodes(processor: OutboxSpanProcessor) -> None:
    deadline = time.monotonic() + 5
    while processor._queues.get()._spans and time.monotonic() < deadline:  # noqa: SLF001 - the moment in question
        time.sleep(0.001)


@pytest.mark.alone
def test_a_flush_waits_for_the_thread(nowhere: WorkerConfig) -> None:
    """What another thread has taken and is encoding is kept, too, before a flush returns."""
    processor = OutboxSpanProcessor(OutboxSpanExporter(nowhere))
    provider = provider_of(processor)
    for round_ in range(1, 4):
        large(provider, 400)
        wait_until_it_encodes(processor)
        processor.force_flush(3_000)
        assert len(on_disk(nowhere)) == round_ * 400
    provider.shutdown()


@pytest.mark.slow
def test_an_end_waits_for_the_thread(nowhere: WorkerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that takes longer than a second to encode when the process ends is not lost."""
    exporter = OutboxSpanExporter(nowhere)
    export = exporter.export

    def slowly(spans: object) -> object:
        time.sleep(1.5)
        return export(spans)  # type: ignore[arg-type]

    monkeypatch.setattr(exporter, "export", slowly)
    processor = OutboxSpanProcessor(exporter)
    provider = provider_of(processor)
    names = large(provider, 513, 1)
    wait_until_it_encodes(processor)
    provider.shutdown()
    assert on_disk(nowhere) == names


@pytest.mark.alone
@pytest.mark.guard_on
def test_what_an_end_cannot_wait_for_is_counted(
    nowhere: WorkerConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where writing hangs, the end does not wait for ever, and says how many spans it loses."""
    monkeypatch.setattr("flask_chest_otel._outbox.span_processor.END_WAITS_S", 0.2)
    exporter = OutboxSpanExporter(nowhere)
    released = threading.Event()
    monkeypatch.setattr(exporter, "export", lambda _spans: released.wait(10.0))
    processor = OutboxSpanProcessor(exporter)
    provider = provider_of(processor)
    large(provider, 3, 1)
    wait_until_it_encodes(processor)
    large(provider, 2, 1)
    started = time.monotonic()
    assert not processor.force_flush(100)
    provider.shutdown()
    assert time.monotonic() - started < 2
    assert "5 finished spans are lost" in caplog.text
    released.set()


@pytest.mark.alone
def test_a_request_waits_for_its_inner_spans(nowhere: WorkerConfig) -> None:
    """With durability per request all its spans are on disk when its own has ended, whoever was writing them."""
    processor = OutboxSpanProcessor(OutboxSpanExporter(nowhere), each_request=True)
    provider = provider_of(processor)
    tracer = provider.get_tracer("t")
    for round_ in range(3):
        with tracer.start_as_current_span(f"request {round_}"):
            for number in range(400):
                tracer.start_span(f"inner {round_}.{number}", attributes={f"a{n}": "x" * 200 for n in range(40)}).end()
            wait_until_it_encodes(processor)
        assert len(on_disk(nowhere)) == (round_ + 1) * 401
    provider.shutdown()


def test_a_span_that_ends_while_spans_are_written(nowhere: WorkerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of a body that the garbage collector ends there: it is kept, and nobody waits for himself."""
    exporter = OutboxSpanExporter(nowhere)
    export = exporter.export
    ended: list[str] = []

    def ending(spans: object) -> object:
        if not ended:
            ended.append("inside")
            tracer.start_span("inside").end()
        return export(spans)  # type: ignore[arg-type]

    monkeypatch.setattr(exporter, "export", ending)
    provider = provider_of(OutboxSpanProcessor(exporter, each_request=True))
    tracer = provider.get_tracer("t")
    done = threading.Event()

    def request() -> None:
        tracer.start_span("request").end()
        done.set()

    threading.Thread(target=request, daemon=True).start()
    assert done.wait(5.0)
    assert on_disk(nowhere) == ["request", "inside"]
    provider.shutdown()


@pytest.mark.slow
def test_an_end_of_traces_is_none_of_metrics(
    worker_config: WorkerConfig, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics go on when the tracer provider is shut down, also much later, and their own end has its own time."""
    monkeypatch.setattr("flask_chest_otel._outbox.worker.ENDS_APART_S", 0.2)
    traces = provider_of(OutboxSpanProcessor(OutboxSpanExporter(worker_config)))
    reader = PeriodicExportingMetricReader(OutboxMetricExporter(worker_config), export_interval_millis=60_000)
    points = MeterProvider([reader], shutdown_on_exit=False)
    counter = points.get_meter("t").create_counter("c")
    counter.add(1.0)
    traces.get_tracer("t").start_span("s").end()
    assert points.force_flush()
    traces.shutdown()
    time.sleep(worker_config.shutdown_timeout_s + 0.3)
    counter.add(1.0)
    assert points.force_flush()
    assert [point["sum"] for point in receiver.metrics("c")] == [1.0, 2.0]
    counter.add(1.0)
    points.shutdown()
    assert [point["sum"] for point in receiver.metrics("c")] == [1.0, 2.0, 3.0]


@pytest.mark.slow
def test_variables_of_the_batch_processor(nowhere: WorkerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long spans gather, how many make a batch, and how many wait: as OpenTelemetry's variables say."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    processor = OutboxSpanProcessor(OutboxSpanExporter(nowhere))
    provider = provider_of(processor)
    large(provider, 3, 1)
    time.sleep(0.8)
    assert on_disk(nowhere) == [], "three neither make a batch nor have waited for a minute"
    large(provider, 1, 1)
    wait_until(lambda: len(on_disk(nowhere)) == 4)
    assert [batch.items for batch in kept(nowhere.outbox.folder)] == [4]
    provider.shutdown()


def test_the_delay_is_in_milliseconds() -> None:
    """As the specification has it."""
    assert batching_of({"OTEL_BSP_SCHEDULE_DELAY": "250"}).gather_s == 0.25


@pytest.mark.guard_on
@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "9" * 5000])
def test_variables_that_say_nothing(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A value that is no number of something leaves the default, with one line."""
    environ = {f"OTEL_BSP_{name}": text for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")}
    assert batching_of(environ) == Batching()
    assert "OTEL_BSP_MAX_QUEUE_SIZE" in caplog.text


def test_a_batch_is_no_larger_than_the_queue() -> None:
    """As the specification asks, whatever else is given."""
    assert batching_of({"OTEL_BSP_MAX_QUEUE_SIZE": "100"}).batch == 100


def test_how_long_an_export_of_spans_takes() -> None:
    """The shorter of two variables bounds one post of spans; metrics have nothing to do with it."""
    both = {"OTEL_EXPORTER_OTLP_TIMEOUT": "8", "OTEL_BSP_EXPORT_TIMEOUT": "2500"}
    assert address_of("traces", both).timeout_s == 2.5
    assert address_of("metrics", both).timeout_s == 8.0
    assert address_of("traces", {"OTEL_BSP_EXPORT_TIMEOUT": "30000"}).timeout_s == 10.0
