"""Batches that are too large, for us or for the collector: in parts, and what is too large alone is put aside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from flask_chest_otel._otlp.endpoint import GRPC
from flask_chest_otel._outbox.exporters import OutboxSpanExporter
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from flask_chest_otel.config import resolve
from tests.backends.moody import Moody
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.outbox import kept
from tests.unit.export.batches import route_to, spans

pytestmark = pytest.mark.usefixtures("impatient")

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig

    Begin = Callable[[WorkerConfig], OutboxWorker]

MIB = 1024 * 1024


def names(moody: Any) -> list[str]:
    return [span["name"].strip("x") for span in moody.receiver.spans()]


def many(count: int, size: int, first: int = 0) -> list[str]:
    return [f"{number:04}" + "x" * size for number in range(first, first + count)]


@pytest.mark.slow
def test_every_post_is_bounded(begin: Begin, tmp_path: Path) -> None:
    """A batch of 9 MiB goes in posts of at most 4 MiB, each span once and in order; so does one of an older outbox."""
    sent = many(900, 10_000)
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.put("somebody who is no more", [("traces", 900, spans(*sent))])
    outbox.close()
    with Moody() as moody:
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.start()
        moody.receiver.wait_for_spans(900)
        dispatch.put("traces", 900, spans(*many(900, 10_000, 900)))
        assert dispatch.flush(10.0)
        assert names(moody) == [f"{number:04}" for number in range(1800)]
        assert max(moody.sizes) <= 4 * MIB
        assert len(moody.sizes) <= 8
    assert kept(tmp_path) == []


def test_a_collector_that_takes_less(begin: Begin, tmp_path: Path) -> None:
    """Batches are halved until they are taken, each span arrives once, and what follows does not ask again."""
    with Moody() as moody:
        moody.most_bytes = 100_000
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.put("traces", 100, spans(*many(100, 10_000)))
        assert dispatch.flush(10.0)
        assert names(moody) == [f"{number:04}" for number in range(100)]
        refused = len([size for size in moody.sizes if size > moody.most_bytes])
        assert refused <= 4
        dispatch.put("traces", 100, spans(*many(100, 10_000, 100)))
        assert dispatch.flush(10.0)
        assert names(moody) == [f"{number:04}" for number in range(200)]
        assert len([size for size in moody.sizes if size > moody.most_bytes]) == refused
    assert kept(tmp_path) == []


def test_one_span_that_is_too_large(begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It alone is put aside, with its name; those around it and behind it arrive, and so does it when it is resent."""
    with Moody() as moody:
        moody.most_bytes = 100_000
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.put("traces", 21, spans(*many(10, 1000), "GET /large" + "y" * 200_000, *many(10, 1000, 10)))
        dispatch.put("traces", 1, spans("behind"))
        assert dispatch.flush(10.0)
        assert names(moody) == [*(f"{number:04}" for number in range(20)), "behind"]
        (aside,) = kept(tmp_path)
        assert aside.items == 1
        assert aside.refused is not None
        assert "413" in aside.refused
        assert "too large alone: 'GET /largeyyy" in aside.refused
        assert "GET /large" in caplog.text
        moody.most_bytes = None
        _resend(tmp_path)
        moody.receiver.wait_for_spans(22)


def _resend(folder: Path) -> None:
    outbox = Outbox(folder / FILENAME, 2**28, 3600.0)
    outbox.resend()
    outbox.close()


def test_resending_a_large_batch(begin: Begin, tmp_path: Path) -> None:
    """What an earlier version has put aside whole goes in parts when it is sent again."""
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.put("nobody", [("traces", 100, spans(*many(100, 1000)))])
    outbox.settle([], {outbox.kept()[0].batch_id: "413 too large"})
    outbox.resend()
    outbox.close()
    with Moody() as moody:
        moody.most_bytes = 30_000
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.start()
        moody.receiver.wait_for_spans(100)
        assert dispatch.flush(5.0)
        assert names(moody) == [f"{number:04}" for number in range(100)]
    assert kept(tmp_path) == []


@pytest.mark.slow
def test_away_between_two_parts(begin: Begin, tmp_path: Path) -> None:
    """A collector that goes away in the middle gets the rest when it is back, and no part twice."""
    with Moody() as moody:
        dispatch = begin(route_to(moody.url, tmp_path))
        take = moody.receiver.take

        def once(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            moody.mood = 503
            return take(path, headers, body)

        moody.receiver.take = once  # type: ignore[method-assign]
        moody.most_bytes = 300_000
        dispatch.put("traces", 900, spans(*many(900, 1000)))
        dispatch.flush(5.0)
        moody.wait_for_attempts(6)
        moody.receiver.take = take  # type: ignore[method-assign]
        moody.mood = "ok"
        moody.receiver.wait_for_spans(900)
        assert dispatch.flush(5.0)
        assert names(moody) == [f"{number:04}" for number in range(900)]


@pytest.mark.slow
def test_grpc(begin: Begin, tmp_path: Path) -> None:
    """The same where gRPC's own bound refuses a message, with one span that is too large alone."""
    with MoodyGrpc(most_bytes=MIB) as moody:
        dispatch = begin(route_to(moody.url, tmp_path, protocol=GRPC))
        dispatch.put("traces", 301, spans(*many(150, 10_000), "large" + "y" * 2 * MIB, *many(150, 10_000, 150)))
        dispatch.put("traces", 1, spans("behind"))
        assert dispatch.flush(10.0)
        assert names(moody) == [*(f"{number:04}" for number in range(300)), "behind"]
    (aside,) = kept(tmp_path)
    assert aside.items == 1
    assert aside.refused is not None
    assert aside.refused.startswith("RESOURCE_EXHAUSTED")
    assert "too large alone: 'largeyyy" in aside.refused


def test_grpc_of_other_servers(begin: Begin, tmp_path: Path) -> None:
    """A server that calls it out of range, as those in Rust do, is not asked the same for ever."""
    with MoodyGrpc("OUT_OF_RANGE") as moody:
        moody.says = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes"
        dispatch = begin(route_to(moody.url, tmp_path, protocol=GRPC))
        dispatch.put("traces", 2, spans("a", "b"))
        assert dispatch.flush(5.0)
        assert len(moody.attempts) == 3
    assert [aside.items for aside in kept(tmp_path)] == [1, 1]


def test_a_quota_is_no_size(begin: Begin, tmp_path: Path) -> None:
    """A small request that exhausts something is put aside whole: in parts it would exhaust more of it."""
    with MoodyGrpc("RESOURCE_EXHAUSTED") as moody:
        dispatch = begin(route_to(moody.url, tmp_path, protocol=GRPC))
        dispatch.put("traces", 100, spans(*many(100, 1)))
        dispatch.flush(5.0)
        assert len(moody.attempts) == 1
    assert [aside.items for aside in kept(tmp_path)] == [100]


def test_metrics(begin: Begin, tmp_path: Path) -> None:
    """Data points of one metric go in parts, too, each part under the metric's name and kind."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="s")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = 2
    for number in range(1000):
        point = metric.sum.data_points.add(as_double=number, time_unix_nano=1)
        point.attributes.add(key="k").value.string_value = "x" * 200
    with Moody() as moody:
        dispatch = begin(route_to(moody.url, tmp_path, batch_bytes=65536))
        dispatch.put("metrics", 1000, request.SerializeToString())
        assert dispatch.flush(5.0)
        points = moody.receiver.metrics("m")
        assert [point["sum"] for point in points] == list(range(1000))
        assert {(point["unit"], point["monotonic"], point["temporality"]) for point in points} == {
            ("s", True, "cumulative")
        }
        assert max(moody.sizes) <= 65536


@pytest.mark.slow
def test_from_real_spans(tmp_path: Path) -> None:
    """512 spans of 64 KiB, the largest batch that requests make, arrive in posts of 4 MiB."""
    with Moody() as moody:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(OutboxSpanProcessor(OutboxSpanExporter(route_to(moody.url, tmp_path))))
        tracer = provider.get_tracer("t")
        texts = {f"flask.g.v{number}": "x" * 1024 for number in range(64)}
        for _ in range(512):
            tracer.start_span("s", attributes=texts).end()
        provider.force_flush(20_000)
        assert len(moody.receiver.wait_for_spans(512, 20.0)) == 512
        assert max(moody.sizes) <= 4 * MIB
        provider.shutdown()


def test_the_bundled_collector_takes_more() -> None:
    """The largest batch that a setting allows is below what base.yaml takes, over HTTP and gRPC."""
    base = Path(__file__).parents[3] / "collector-config" / "base.yaml"
    protocols = yaml.safe_load(base.read_text())["receivers"]["otlp"]["protocols"]
    largest = resolve({}, {}, {"FLASK_CHEST_EXPORT_BATCH_BYTES": str(2**25)}).export_batch_bytes
    assert largest < protocols["http"]["max_request_body_size"]
    assert largest < protocols["grpc"]["max_recv_msg_size_mib"] * MIB
    assert resolve({}, {}, {}).export_batch_bytes == 4 * MIB
