"""Log records of the SDK through the exporter with an outbox, as they arrive, also where some are rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk import _logs as sdk
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from flask_chest_otel import _guard
from flask_chest_otel._outbox.logs_exporter import OutboxLogExporter
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.outbox import kept
from tests.unit.export.batches import route_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask_chest_otel._outbox.worker import WorkerConfig
    from tests.backends.otlp_receiver import OtlpReceiver


@pytest.fixture
def provider(worker_config: WorkerConfig) -> Iterator[sdk.LoggerProvider]:
    yield from provider_to(worker_config)


def provider_to(worker_config: WorkerConfig) -> Iterator[sdk.LoggerProvider]:
    made = sdk.LoggerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    made.add_log_record_processor(BatchLogRecordProcessor(OutboxLogExporter(worker_config)))
    yield made
    made.shutdown()


def emit(provider: sdk.LoggerProvider, body: Any, **attributes: Any) -> None:
    """Emit one record, of the class that the SDK's loggers take."""
    logger: Any = provider.get_logger("shop.cart", "1.2")
    if hasattr(sdk, "LogRecord"):
        fields = {"trace_id": 0, "span_id": 0, "trace_flags": None, "resource": logger.resource}
        record = sdk.LogRecord(timestamp=7, body=body, attributes=attributes, **fields)
        record.severity_number = SeverityNumber.WARN
    else:
        record = LogRecord(timestamp=7, severity_number=SeverityNumber.WARN, body=body, attributes=attributes)
    logger.emit(record)


def test_what_logs_may_hold(provider: sdk.LoggerProvider, receiver: OtlpReceiver) -> None:
    """Texts, numbers, bytes, lists and mappings arrive as they are; half characters and huge numbers as texts."""
    body = {"text": "grün", "list": [1, 2.5, True, None], "deep": {"bytes": b"\x00\xff"}}
    emit(provider, body, count=3, share=0.5, flag=True, words=["a", "b"])
    emit(provider, "half \ud800", huge="x")
    emit(provider, {"huge": 2**70, "object": _Object()})
    assert provider.force_flush()
    first, half, odd = receiver.wait_for_logs(3)
    assert first["body"] == body
    assert first["attributes"] == {"count": 3, "share": 0.5, "flag": True, "words": ["a", "b"]}
    assert (first["severity"], first["time_ns"], first["trace_id"]) == (13, 7, "")
    assert (first["scope"], first["scope_version"]) == ("shop.cart", "1.2")
    assert first["resource"]["service.name"] == "shop"
    assert first["resource"]["service.instance.id"]
    assert half["body"] == "half ?"
    assert odd["body"] == {"huge": str(2**70), "object": "an object of the application"}


class _Object:
    def __str__(self) -> str:
        return "an object of the application"


class _Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.guard_on
def test_a_record_that_cannot_be_encoded_takes_no_other_with_it(
    provider: sdk.LoggerProvider, receiver: OtlpReceiver
) -> None:
    """The broken one is counted, all others arrive."""
    for number in range(5):
        emit(provider, {"broken": _Broken()} if number == 2 else f"line {number}")
    assert provider.force_flush()
    assert [log["body"] for log in receiver.wait_for_logs(4)] == ["line 0", "line 1", "line 3", "line 4"]
    assert _guard.totals()[1] == {"encoding a log record": 1}


def test_over_grpc(tmp_path: Path) -> None:
    """The logs service of a gRPC server gets the same request."""
    with MoodyGrpc() as server:
        for provider in provider_to(route_to(f"http://127.0.0.1:{server.port}", tmp_path, protocol="grpc")):
            emit(provider, "by gRPC")
            assert provider.force_flush()
        assert [log["body"] for log in server.receiver.logs()] == ["by gRPC"]


def test_records_that_the_collector_rejects(tmp_path: Path) -> None:
    """A partial success says how many log records were not taken: the batch is put aside with those words."""
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 2
    answer.partial_success.error_message = "too old"
    with MoodyGrpc() as server:
        server.answer = answer.SerializeToString()
        for provider in provider_to(route_to(f"http://127.0.0.1:{server.port}", tmp_path, protocol="grpc")):
            emit(provider, "too old")
            provider.force_flush()
    (batch,) = kept(tmp_path)
    assert (batch.signal, batch.refused) == ("logs", "OK 2 items rejected: too old")
