"""From a batch to a collector that speaks gRPC."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._otlp.endpoint import GRPC
from flask_chest_otel.errors import ChestConfigError
from tests.backends.certificates import certificate
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.outbox import kept
from tests.backends.server import free_port
from tests.unit.export import batches
from tests.unit.export.batches import spans

pytestmark = pytest.mark.usefixtures("impatient")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig

    Begin = Callable[[WorkerConfig], OutboxWorker]

route_to = partial(batches.route_to, protocol=GRPC)


@pytest.fixture
def moody() -> Iterator[MoodyGrpc]:
    with MoodyGrpc() as running:
        yield running


def names(moody: MoodyGrpc) -> list[str]:
    return [span["name"] for span in moody.receiver.spans()]


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_a_batch_arrives_and_is_forgotten(begin: Begin, moody: MoodyGrpc, tmp_path: Path, compression: str) -> None:
    """What the collector has accepted is not kept; headers are those of OpenTelemetry's variable."""
    dispatch = begin(
        route_to(
            moody.url,
            tmp_path,
            OTEL_EXPORTER_OTLP_HEADERS="X-Key=a%20b",
            OTEL_EXPORTER_OTLP_COMPRESSION=compression,
        )
    )
    dispatch.put("traces", 2, spans("a", "b"))
    dispatch.put("metrics", 1, b"")
    assert dispatch.flush(5.0)
    assert names(moody) == ["a", "b"]
    assert len(moody.attempts) == 2
    assert moody.headers[0]["x-key"] == "a b"
    assert moody.headers[0]["user-agent"].startswith("flask_chest_otel/")
    assert kept(tmp_path) == []


RETRYABLE = ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS", "hang"]
RETRYABLE += ["UNAUTHENTICATED", "PERMISSION_DENIED"]


@pytest.mark.slow
@pytest.mark.parametrize("mood", RETRYABLE)
def test_what_passes_is_waited_for(begin: Begin, moody: MoodyGrpc, tmp_path: Path, mood: str) -> None:
    """What OTLP calls retryable, and a token that is wrong for a while, cost time and nothing else; all arrive once."""
    moody.mood = mood
    dispatch = begin(route_to(moody.url, tmp_path, OTEL_EXPORTER_OTLP_TIMEOUT="0.3"))
    dispatch.put("traces", 1, spans("a"))
    deadline = time.monotonic() + 5
    while len(moody.attempts) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    dispatch.put("traces", 1, spans("b"))
    moody.mood = "OK"
    moody.receiver.wait_for_spans(2)
    assert dispatch.flush(5.0)
    assert names(moody) == ["a", "b"]
    assert len(moody.attempts) >= 3


REFUSED = ["INVALID_ARGUMENT", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"]


@pytest.mark.parametrize("mood", REFUSED)
def test_refusals_are_put_aside(
    begin: Begin, moody: MoodyGrpc, tmp_path: Path, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is refused for good is kept with the reason and not sent again; what follows is not held up."""
    moody.mood, moody.says = mood, "no\r\n\x1b[31mforged"
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    dispatch.flush(5.0)
    assert len(moody.attempts) == 1
    moody.mood = "OK"
    dispatch.put("traces", 1, spans("b"))
    assert dispatch.flush(5.0)
    assert names(moody) == ["b"]
    (aside,) = kept(tmp_path)
    assert aside.refused is not None
    assert aside.refused.startswith(f"{mood} no")
    assert "\x1b" not in aside.refused + caplog.text
    assert "flask chest outbox" in caplog.text


@pytest.mark.slow
def test_a_time_to_wait_is_honoured(begin: Begin, moody: MoodyGrpc, tmp_path: Path) -> None:
    """A collector that is exhausted and says for how long is left alone for so long, and nothing is lost."""
    moody.mood, moody.retry_after_s = "RESOURCE_EXHAUSTED", 1.0
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    deadline = time.monotonic() + 5
    while not moody.attempts and time.monotonic() < deadline:
        time.sleep(0.01)
    moody.mood = "OK"
    moody.receiver.wait_for_spans(1)
    first, second = moody.attempts
    assert second - first >= 1.0


def test_partial_success_is_put_aside(begin: Begin, moody: MoodyGrpc, tmp_path: Path) -> None:
    """A batch of which the collector took a part is not sent again by itself: that would double the part."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "too long a name"
    moody.answer = answer.SerializeToString()
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 2, spans("a", "b"))
    assert dispatch.flush(5.0)
    assert len(moody.attempts) == 1
    (aside,) = kept(tmp_path)
    assert aside.refused == "OK 1 items rejected: too long a name"


@pytest.mark.slow
def test_nobody_there_yet(begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A collector that comes up later gets everything soon; the log has one line about the outage, however long."""
    port = free_port()
    dispatch = begin(route_to(f"http://127.0.0.1:{port}", tmp_path))
    dispatch.put("traces", 1, spans("a"))
    time.sleep(1.0)
    with MoodyGrpc(address=f"127.0.0.1:{port}") as late:
        assert late.receiver.wait_for_spans(1, 5.0)[0]["name"] == "a"
    # A thread of another test may be in a post that hangs.
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    warnings = [message for message in messages if f":{port}" in message]
    assert len(warnings) == 1
    assert "UNAVAILABLE" in warnings[0]
    assert "kept in the outbox" in warnings[0]


def test_a_socket(begin: Begin, tmp_path: Path) -> None:
    """An address as gRPC has them, without a scheme of the web: without TLS where that is said."""
    address = f"unix:{tmp_path / 'c.sock'}"
    with MoodyGrpc(address=address) as moody:
        dispatch = begin(route_to(address, tmp_path, OTEL_EXPORTER_OTLP_INSECURE="true"))
        dispatch.put("traces", 1, spans("a"))
        assert dispatch.flush(5.0)
        assert names(moody) == ["a"]


@pytest.mark.process
def test_tls(begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A collector is spoken to where its certificate is its own and known; else the batch waits."""
    right, wrong = certificate(tmp_path, "IP:127.0.0.1"), certificate(tmp_path, "DNS:elsewhere.example")
    with MoodyGrpc(certificate=right) as moody:
        dispatch = begin(route_to(moody.url, tmp_path / "a", OTEL_EXPORTER_OTLP_CERTIFICATE=f"{right}"))
        dispatch.put("traces", 1, spans("a"))
        assert dispatch.flush(5.0)
        assert names(moody) == ["a"]
    for server, known in ((wrong, wrong), (right, wrong), (right, tmp_path / "nowhere.pem")):
        caplog.clear()
        with MoodyGrpc(certificate=server) as moody:
            folder = tmp_path / f"{server.name}-{known.name}"
            dispatch = begin(route_to(moody.url, folder, OTEL_EXPORTER_OTLP_CERTIFICATE=f"{known}"))
            dispatch.put("traces", 1, spans("a"))
            assert not dispatch.flush(5.0)
            assert (names(moody), len(kept(folder))) == ([], 1)
        assert "does not take traces" in caplog.text


def test_headers_that_grpc_does_not_take(
    begin: Begin, moody: MoodyGrpc, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A header with a line end costs no batch: it is kept, and the log says why, without the key."""
    dispatch = begin(route_to(moody.url, tmp_path, OTEL_EXPORTER_OTLP_HEADERS="x-key=hunter2%0Ab"))
    dispatch.put("traces", 1, spans("a"))
    dispatch.flush(5.0)
    assert moody.attempts == []
    assert len(kept(tmp_path)) == 1
    assert "etadata" in caplog.text
    assert "hunter2" not in caplog.text


def test_addresses() -> None:
    """The general endpoint and a signal's own are taken alike; ``INSECURE`` counts where no scheme says more."""
    general, own = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

    def of(**environ: str) -> tuple[str, bool]:
        address = address_of("traces", environ, GRPC)
        return address.url, address.encrypted

    assert of() == ("localhost:4317", False)
    assert of(**{general: "https://u:p@c:1/x"}) == ("c:1", True)
    assert of(**{general: "https://c:1", own: "http://d:2"}) == ("d:2", False)
    assert of(**{general: "c:1"}) == ("c:1", True)
    assert of(**{general: "c:1", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "True"}) == ("c:1", False)
    assert of(**{general: "https://c:1", "OTEL_EXPORTER_OTLP_INSECURE": "true"}) == ("c:1", True)
    assert address_of("metrics", {general: "https://u:p@c:1"}, GRPC).shown == "c:1"
    with pytest.raises(ChestConfigError, match=general):
        of(**{general: "http://:4317"})
