"""From a batch to the collector, through everything that a collector may answer."""

from __future__ import annotations

import gzip
import logging
import sqlite3
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._outbox import disk, memory
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel.errors import ChestConfigError
from tests.backends.moody import Moody
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.outbox import kept
from tests.backends.server import free_port
from tests.unit.export.batches import route_to, spans

pytestmark = pytest.mark.usefixtures("impatient")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig

    Begin = Callable[[WorkerConfig], OutboxWorker]


@pytest.fixture
def moody() -> Iterator[Moody]:
    with Moody() as running:
        yield running


def names(receiver: OtlpReceiver) -> list[str]:
    return [span["name"] for span in receiver.spans()]


def test_a_batch_arrives_and_is_forgotten(begin: Begin, worker_config: WorkerConfig, receiver: OtlpReceiver) -> None:
    """What the collector has accepted is not kept."""
    dispatch = begin(worker_config)
    dispatch.put("traces", 2, spans("a", "b"))
    assert dispatch.flush(5.0)
    assert names(receiver) == ["a", "b"]
    assert kept(worker_config.outbox.folder) == []


def test_many_batches_travel_together(begin: Begin, moody: Moody, tmp_path: Path) -> None:
    """A backlog of spans goes out in few posts, in order."""
    moody.mood = 503
    dispatch = begin(route_to(moody.url, tmp_path))
    for number in range(150):
        dispatch.put("traces", 1, spans(f"s{number}"))
    assert not dispatch.flush(5.0)
    before = len(moody.attempts)
    moody.mood = "ok"
    assert dispatch.flush(5.0)
    assert names(moody.receiver) == [f"s{number}" for number in range(150)]
    assert len(moody.attempts) - before <= 4


@pytest.mark.alone
@pytest.mark.parametrize("mood", [401, 403, 407, 408, 429, 502, 503, 504, "reset", "hang", "drip"])
def test_what_passes_is_waited_for(begin: Begin, moody: Moody, tmp_path: Path, mood: str | int) -> None:
    """A collector that is overloaded, broken or hangs, or wants another token, costs time only; all arrive once."""
    moody.mood = mood
    dispatch = begin(route_to(moody.url, tmp_path, OTEL_EXPORTER_OTLP_TIMEOUT="0.3"))
    dispatch.put("traces", 1, spans("a"))
    moody.wait_for_attempts(2)
    dispatch.put("traces", 1, spans("b"))
    moody.mood = "ok"
    moody.receiver.wait_for_spans(2)
    assert dispatch.flush(5.0)
    assert names(moody.receiver) == ["a", "b"]


@pytest.mark.slow
def test_nobody_there_yet(begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A collector that comes up later gets everything; the log has one line about the outage, however long."""
    port = free_port()
    dispatch = begin(route_to(f"http://127.0.0.1:{port}", tmp_path))
    dispatch.put("traces", 1, spans("a"))
    time.sleep(0.6)
    with OtlpReceiver(port=port) as late:
        assert late.wait_for_spans(1)[0]["name"] == "a"
    # A thread of another test may be in a post that hangs.
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    warnings = [message for message in messages if f":{port}" in message]
    assert len(warnings) == 1
    assert "ConnectionRefused" in warnings[0]
    assert "kept in the outbox" in warnings[0]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["1", "date"])
def test_retry_after_is_honoured(begin: Begin, moody: Moody, tmp_path: Path, text: str) -> None:
    """A collector that asks for a second is left alone for a second."""
    moody.mood = 429
    moody.headers = {"Retry-After": formatdate(time.time() + 2, usegmt=True) if text == "date" else text}
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    moody.wait_for_attempts(1)
    moody.mood = "ok"
    moody.receiver.wait_for_spans(1)
    first, second = moody.attempts
    assert second - first >= (0.9 if text == "date" else 1.0)


@pytest.mark.alone
def test_pauses_grow(begin: Begin, moody: Moody, tmp_path: Path) -> None:
    """Each failure makes the next pause about twice as long, with jitter."""
    moody.mood = 503
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    moody.wait_for_attempts(5)
    pauses = [later - earlier for earlier, later in zip(moody.attempts, moody.attempts[1:], strict=False)]
    assert pauses[3] > pauses[0]
    # 0.05 s doubled three times, at least half of it.
    assert pauses[3] >= 0.2
    moody.mood = "ok"
    moody.receiver.wait_for_spans(1)


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_refusals_are_put_aside(
    begin: Begin, moody: Moody, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What is refused for good is kept with the reason and not sent again; what follows is not held up."""
    moody.mood = status
    moody.headers, moody.body = {"Content-Type": "text/plain"}, f"{status} no\r\n\x1b[31mforged".encode()
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 3, spans("a", "b", "c"))
    moody.wait_for_attempts(1)
    dispatch.flush(5.0)
    moody.mood = "ok"
    dispatch.put("traces", 1, spans("d"))
    assert dispatch.flush(5.0)
    assert names(moody.receiver) == ["d"]
    (aside,) = kept(tmp_path)
    assert (aside.signal, aside.items) == ("traces", 3)
    assert aside.refused is not None
    assert aside.refused.startswith(f"{status} no")
    assert "\x1b" not in aside.refused + caplog.text
    assert "flask chest outbox" in caplog.text


def test_one_bad_batch_among_good_ones(begin: Begin, moody: Moody, tmp_path: Path) -> None:
    """When a joined post is refused each batch goes alone: the good ones arrive, the bad one is put aside."""
    moody.mood = 503
    dispatch = begin(route_to(moody.url, tmp_path))
    for body in (spans("a"), b"\xff\xff no protobuf", spans("b")):
        dispatch.put("traces", 1, body)
    dispatch.flush(5.0)
    moody.mood = "ok"
    assert dispatch.flush(5.0)
    assert names(moody.receiver) == ["a", "b"]
    (aside,) = kept(tmp_path)
    assert aside.refused is not None
    assert aside.refused.startswith("400")


def test_a_wrong_token_is_said_once(
    begin: Begin, moody: Moody, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is tried, one line says which status it is and that nothing is lost; nothing is put aside."""
    moody.mood = 401
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    moody.wait_for_attempts(6)
    (line,) = [record.getMessage() for record in caplog.records if moody.url in record.getMessage()]
    assert "does not take traces (401 Unauthorized): kept in the outbox and tried again" in line
    assert [batch.refused for batch in kept(tmp_path)] == [None]


def test_a_firewall_that_dislikes_one_batch(begin: Begin, moody: Moody, tmp_path: Path) -> None:
    """A 403 for what is in one batch, while the caller is let in, holds nothing up: that batch is put aside."""
    moody.disliked = b"<script>"
    dispatch = begin(route_to(moody.url, tmp_path))
    for name in ("a", "<script>", "b"):
        dispatch.put("traces", 1, spans(name))
    assert dispatch.flush(5.0)
    assert names(moody.receiver) == ["a", "b"]
    (aside,) = kept(tmp_path)
    assert aside.refused is not None
    assert aside.refused.startswith("403")


def test_partial_success_is_put_aside(begin: Begin, moody: Moody, tmp_path: Path) -> None:
    """A batch of which the collector took a part is not sent again by itself: that would double the part."""
    moody.mood = "partial"
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "too long a name"
    moody.body = answer.SerializeToString()
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 2, spans("a", "b"))
    assert dispatch.flush(5.0)
    assert len(moody.attempts) == 1
    (aside,) = kept(tmp_path)
    assert aside.refused == "200 1 items rejected: too long a name"


def test_a_dead_end_for_traces_is_none_for_metrics(begin: Begin, moody: Moody, tmp_path: Path) -> None:
    """Each signal has its own address and its own pauses."""
    worker_config = route_to(
        moody.url, tmp_path, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{free_port()}/v1/traces"
    )
    dispatch = begin(worker_config)
    dispatch.put("traces", 1, spans("a"))
    dispatch.put("metrics", 1, b"")
    moody.wait_for_attempts(1)
    assert not dispatch.flush(5.0)
    assert [kept_.signal for kept_ in kept(tmp_path)] == ["traces"]


def test_what_the_dead_left_is_sent(begin: Begin, worker_config: WorkerConfig, receiver: OtlpReceiver) -> None:
    """The next start sends what lies there, though it has nothing of its own."""
    outbox = Outbox(worker_config.outbox.folder / FILENAME, 2**28, 3600.0)
    outbox.put("somebody who is no more", [("traces", 1, spans("left"))])
    outbox.close()
    begin(worker_config).start()
    assert receiver.wait_for_spans(1)[0]["name"] == "left"


@pytest.mark.slow
def test_what_the_living_have_is_left(begin: Begin, tmp_path: Path, moody: Moody) -> None:
    """Two processes on one outbox send each their own, and nothing twice."""
    moody.mood = 503
    first, second = begin(route_to(moody.url, tmp_path)), begin(route_to(moody.url, tmp_path))
    for number in range(20):
        (first, second)[number % 2].put("traces", 1, spans(f"s{number}"))
    time.sleep(0.5)
    moody.mood = "ok"
    moody.receiver.wait_for_spans(20)
    assert first.flush(5.0)
    assert second.flush(5.0)
    assert sorted(names(moody.receiver)) == sorted(f"s{number}" for number in range(20))


def test_standard_variables(begin: Begin, receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Headers and compression are those of OpenTelemetry's variables; the signal's own beat the general ones."""
    worker_config = route_to(
        "http://127.0.0.1:1",
        tmp_path,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.url}/v1/traces",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=general",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-key=a%20b,x-other=2",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    dispatch = begin(worker_config)
    dispatch.put("traces", 1, spans("a"))
    assert dispatch.flush(5.0)
    assert names(receiver) == ["a"]
    (headers,) = receiver.headers
    assert (headers["x-key"], headers["x-other"], headers["content-encoding"]) == ("a b", "2", "gzip")
    assert "a b" not in repr(worker_config)
    assert len(gzip.compress(spans("a"))) == int(headers["content-length"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [("", "Basic YSBiOmNAZA=="), ("Authorization=Bearer x", "Bearer x")],
    ids=["alone", "beside"],
)
def test_a_user_in_the_address(
    begin: Begin, receiver: OtlpReceiver, tmp_path: Path, headers: str, expected: str
) -> None:
    """Is sent as OpenTelemetry's own exporter does; a header that the environment gives is stronger."""
    url = receiver.url.replace("//", "//a%20b:c%40d@")
    dispatch = begin(route_to(url, tmp_path, OTEL_EXPORTER_OTLP_HEADERS=headers))
    dispatch.put("traces", 1, spans("a"))
    assert dispatch.flush(5.0)
    assert [headers["authorization"] for headers in receiver.headers] == [expected]


@pytest.mark.parametrize("value", ["secret%0A1", "secret%E2%82%AC"], ids=["line end", "not Latin-1"])
def test_headers_that_http_does_not_take(
    begin: Begin, receiver: OtlpReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    """They cost no batch: it is kept, and the log says which variable is to blame, without the key in it."""
    dispatch = begin(route_to(receiver.url, tmp_path, OTEL_EXPORTER_OTLP_HEADERS=f"x-key={value}"))
    dispatch.put("traces", 1, spans("a"))
    assert not dispatch.flush(5.0)
    assert names(receiver) == []
    assert len(kept(tmp_path)) == 1
    assert "a value in OTEL_EXPORTER_OTLP_HEADERS cannot be sent" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ENDPOINT", "collector:4318"), ("TIMEOUT", "soon"), ("TIMEOUT", "-1"), ("COMPRESSION", "zstd")],
)
def test_variables_that_cannot_be_used(variable: str, value: str) -> None:
    """They are refused by name, with what to give instead."""
    with pytest.raises(ChestConfigError, match=variable):
        address_of("traces", {f"OTEL_EXPORTER_OTLP_{variable}": value})


def test_paths_of_endpoints() -> None:
    """The general endpoint is a base, a signal's own is taken as it is, the default is this machine."""
    assert address_of("traces", {}).url == "http://localhost:4318/v1/traces"
    assert address_of("metrics", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/x/"}).url == "http://c:1/x/v1/metrics"
    own = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:1/m", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d"}
    assert address_of("metrics", own).url == "http://c:1/m"
    assert address_of("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:p@c:1"}).shown == "http://c:1/v1/traces"


def test_a_broken_file_is_set_aside(
    begin: Begin, worker_config: WorkerConfig, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged outbox is kept under another name, which is logged, and a new one is begun: nothing new is lost."""
    folder = worker_config.outbox.folder
    folder.mkdir()
    (folder / FILENAME).write_bytes(b"no database at all" * 1000)
    dispatch = begin(worker_config)
    dispatch.put("traces", 1, spans("a"))
    assert dispatch.flush(5.0)
    assert names(receiver) == ["a"]
    (aside,) = folder.glob("*.corrupt-*")
    assert str(aside) in caplog.text


def test_a_file_that_is_emptied_while_it_is_used(begin: Begin, tmp_path: Path, moody: Moody) -> None:
    """It is set aside like a broken one: what comes afterwards arrives."""
    moody.mood = 503
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("before"))
    (tmp_path / FILENAME).write_bytes(b"")
    moody.mood = "ok"
    dispatch.put("traces", 1, spans("after"))
    moody.receiver.wait_for_spans(1, name="after")
    assert list(tmp_path.glob("*.corrupt-*"))


def test_a_file_that_breaks_while_it_is_used(begin: Begin, tmp_path: Path, moody: Moody) -> None:
    """The same in the middle: what comes afterwards arrives."""
    moody.mood = 503
    dispatch = begin(route_to(moody.url, tmp_path))
    for number in range(50):
        dispatch.put("traces", 1, spans(f"s{number}") * 50)
    with sqlite3.connect(tmp_path / FILENAME) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    content = bytearray((tmp_path / FILENAME).read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    (tmp_path / FILENAME).write_bytes(content)
    moody.mood = "ok"
    dispatch.put("traces", 1, spans("after"))
    moody.receiver.wait_for_spans(1)
    assert "after" in names(moody.receiver)
    assert len(list(tmp_path.glob("*.corrupt-*"))) >= 1


def test_a_file_that_is_deleted_while_it_is_used(begin: Begin, tmp_path: Path, moody: Moody) -> None:
    """What comes afterwards goes to a new file, not to one that nobody would find again."""
    moody.mood = 503
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    for path in tmp_path.iterdir():
        path.unlink()
    dispatch.put("traces", 1, spans("b"))
    assert len(kept(tmp_path)) == 1
    moody.mood = "ok"
    moody.receiver.wait_for_spans(1)
    assert names(moody.receiver) == ["b"]


@pytest.mark.alone
def test_a_file_that_is_replaced_during_a_post(begin: Begin, tmp_path: Path, receiver: OtlpReceiver) -> None:
    """What was sent out of the file before takes nothing out of the new one, whose first batch is another."""
    receiver.delay_s = 0.8
    dispatch = begin(route_to(receiver.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    time.sleep(0.4)
    for path in tmp_path.glob(f"{FILENAME}*"):
        path.unlink()
    dispatch.put("traces", 1, spans("b"))
    assert "b" in [span["name"] for span in receiver.wait_for_spans(2)]


@pytest.mark.slow
def test_without_a_disk_batches_wait_in_memory(
    begin: Begin, tmp_path: Path, moody: Moody, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, in order; and as soon as the disk is there what waits is put on it."""
    monkeypatch.setattr(disk, "DISK_AGAIN_S", 0.1)
    folder = tmp_path / "outbox"
    folder.write_text("a file where the folder should be")
    moody.mood = 503
    dispatch = begin(route_to(moody.url, folder))
    for number in range(3):
        dispatch.put("traces", 1, spans(f"s{number}"))
    time.sleep(0.3)
    said = [record.getMessage() for record in caplog.records if "in memory" in record.getMessage()]
    assert len(said) == 1
    assert "FLASK_CHEST_OUTBOX_DIR" in said[0]
    folder.unlink()
    time.sleep(0.2)
    dispatch.put("traces", 1, spans("s3"))
    assert len(kept(folder)) == 4
    moody.mood = "ok"
    moody.receiver.wait_for_spans(4)
    assert names(moody.receiver) == ["s0", "s1", "s2", "s3"]


def test_memory_is_sent_and_bounded(
    begin: Begin, tmp_path: Path, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any disk batches arrive all the same; when there are too many the oldest go and are counted."""
    monkeypatch.setattr(memory, "MEMORY_BYTES", 10 * len(spans("s00")))
    folder = tmp_path / "outbox"
    folder.write_text("")
    moody.mood = 503
    dispatch = begin(route_to(moody.url, folder))
    for number in range(25):
        dispatch.put("traces", 1, spans(f"s{number:02}"))
    assert dispatch.buffer.dropped == 15
    moody.mood = "ok"
    assert dispatch.flush(5.0)
    # The first may have been on its way while it was dropped.
    assert [name for name in names(moody.receiver) if name != "s00"] == [f"s{number}" for number in range(15, 25)]


@pytest.mark.alone
@pytest.mark.parametrize("mood", ["hang", "drip", 503, "nobody"])
def test_shutdown_keeps_its_time(begin: Begin, tmp_path: Path, moody: Moody, mood: str | int) -> None:
    """Within the budget (here 1 s for all exporters together) whatever the collector does; the rest is kept."""
    moody.mood = mood if mood != "nobody" else "ok"
    url = moody.url if mood != "nobody" else f"http://127.0.0.1:{free_port()}"
    dispatch = begin(route_to(url, tmp_path))
    other = object()
    dispatch.join(other)
    for number in range(30):
        dispatch.put("traces", 1, spans(f"s{number}"))
    started = time.monotonic()
    dispatch.leave(other)
    dispatch.leave(begin)
    assert time.monotonic() - started < 1.5
    assert sum(batch.items for batch in kept(tmp_path)) == 30


@pytest.mark.slow
def test_a_post_that_hangs_lets_go_in_the_end(begin: Begin, tmp_path: Path, moody: Moody) -> None:
    """The file that nobody waited for is closed as soon as the post ends: no lock file stays beside it."""
    moody.mood = "hang"
    dispatch = begin(route_to(moody.url, tmp_path))
    dispatch.put("traces", 1, spans("a"))
    moody.wait_for_attempts(1)
    dispatch.leave(begin)
    assert list(tmp_path.glob("*.owner"))
    moody.released.set()
    deadline = time.monotonic() + 5
    while list(tmp_path.glob("*.owner")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [path.name for path in tmp_path.iterdir()] == [FILENAME]


@pytest.mark.alone
def test_shutdown_sends_what_it_can(begin: Begin, worker_config: WorkerConfig, receiver: OtlpReceiver) -> None:
    """With a healthy collector nothing is left, and nobody waits."""
    dispatch = begin(worker_config)
    for number in range(100):
        dispatch.put("traces", 1, spans(f"s{number}"))
    started = time.monotonic()
    dispatch.leave(begin)
    assert time.monotonic() - started < 0.9
    assert len(receiver.spans()) == 100
    assert [path.name for path in worker_config.outbox.folder.iterdir()] == [FILENAME]
