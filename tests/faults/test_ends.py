"""How processes end: killed, stopped or just done; what was served is safe, and nobody waits for a dead collector."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.store import STORE_FILENAME
from flask_chest_otel._store.wanted import Wanted
from tests.backends.moody import Moody
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.outbox import kept
from tests.backends.require import require_built
from tests.backends.server import free_port
from tests.faults.served import FarEnd, Gunicorn, Traffic, counted, get, numbers, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver


@pytest.mark.parametrize("durability", ["batch", "request"])
def test_a_worker_is_killed(tmp_path: Path, receiver: OtlpReceiver, durability: str) -> None:
    """``kill -9`` of a worker: spans older than a second are safe; with durability per request, all of them."""
    traffic = Traffic()
    arguments = ("--workers", "1", "--threads", "2")
    with Gunicorn(tmp_path, receiver.url, *arguments, FLASK_CHEST_DURABILITY=durability) as server:
        for wave in range(2):
            traffic.send(server.port, range(wave * 50, wave * 50 + 50))
            # The client has its answer before the server has closed the response, which ends the span.
            time.sleep(1.2 if durability == "batch" else 0.05)
            get(server.port, "/die")
            wait_until(lambda: get(server.port, "/ready")[0] == 404)
        wait_until(lambda: len(set(numbers(receiver))) >= len(traffic.served))
    assert len(traffic.pids) == 2
    assert traffic.served == set(range(100))
    assert set(numbers(receiver)) == traffic.served


@pytest.mark.parametrize("durability", ["batch", "request"])
def test_records_of_a_killed_worker(tmp_path: Path, durability: str) -> None:
    """The same for the records in the embedded store."""
    traffic = Traffic()
    settings = {"FAULT_EXPORT": "store", "FAULT_INSTANCE": str(tmp_path), "FLASK_CHEST_DURABILITY": durability}
    with Gunicorn(tmp_path, "", "--workers", "1", "--threads", "2", **settings) as server:
        traffic.send(server.port, range(50))
        if durability == "batch":
            time.sleep(1.2)
        get(server.port, "/die")
        wait_until(lambda: get(server.port, "/ready")[0] == 404)
    assert traffic.served == set(range(50))
    with read_store(tmp_path / STORE_FILENAME) as store:
        recorded = [request.variables.get("number") for request in store.requests(Wanted(), 1000)]
    assert sorted(number for number in recorded if number is not None) == list(range(50))


def test_only_what_is_younger_than_a_second_dies_with_a_worker(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """The named exception, measured: without durability per request what was just served may be missing."""
    traffic = Traffic()
    with Gunicorn(tmp_path, receiver.url, "--workers", "1", "--threads", "2") as server:
        traffic.send(server.port, range(100))
        time.sleep(1.2)
        for number in range(100, 120):
            traffic.send(server.port, [number], threads=1)
        get(server.port, "/die")
        wait_until(lambda: get(server.port, "/ready")[0] == 404)
    assert set(numbers(receiver)) >= set(range(100))
    assert set(numbers(receiver)) <= traffic.served


@pytest.mark.real
def test_application_and_collector_are_killed(tmp_path: Path) -> None:
    """All workers, their master and the collector killed while the collector was away: the next start delivers."""
    require_built("flask-chest-collector")
    target = FarEnd(tmp_path / "target")
    traffic = Traffic()
    server = Gunicorn(tmp_path / "app", target.otlp_http, "--workers", "2")
    target.start()
    server.start()
    traffic.send(server.port, range(50))
    target.kill9()
    traffic.send(server.port, range(50, 150))
    time.sleep(1.2)
    pids = {int(pid) for pid in traffic.pids}
    server.kill9()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    with target, server:
        wait_until(lambda: set(target.numbers()) >= traffic.served)
    assert traffic.served == set(range(150))
    assert set(target.numbers()) == traffic.served
    assert server.kept() == []


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("mood", ["hang", "nobody"])
def test_sigterm_is_obeyed_in_time(tmp_path: Path, mood: str | int) -> None:
    """A worker leaves within its budget whatever the collector does, and what it had is in the outbox."""
    with Moody(mood) as moody:
        url = moody.url if mood != "nobody" else f"http://127.0.0.1:{free_port()}"
        server = Gunicorn(tmp_path, url, "--workers", "2", FLASK_CHEST_SHUTDOWN_TIMEOUT_S="1")
        traffic = Traffic()
        server.start()
        traffic.send(server.port, range(100))
        started = time.monotonic()
        server.stop()
        took = time.monotonic() - started
    assert took < 3
    left = server.kept()
    assert sum(batch.items for batch in left if batch.signal == "traces") >= 100
    assert {batch.signal for batch in left} == {"traces", "metrics"}
    assert "Traceback" not in server.log()


ENDING = """
import logging
logging.basicConfig(level=logging.INFO)
from fault_app import app

client = app.test_client()
for number in range(20):
    client.get(f"/buy/{number}")
"""


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("mood", ["ok", "hang", "nobody"])
def test_the_interpreter_ends(tmp_path: Path, run_python: Callable[..., str], mood: str) -> None:
    """A script that is done ends at once or within the budget, without a word; the rest is for the next start."""
    with Moody(mood) as moody:
        url = moody.url if mood != "nobody" else f"http://127.0.0.1:{free_port()}"
        server = Gunicorn(tmp_path, url, FLASK_CHEST_SHUTDOWN_TIMEOUT_S="1")
        started = time.monotonic()
        run_python(ENDING + "import sys; sys.stderr = sys.stdout", server.env)
        took = time.monotonic() - started
        # The start of an interpreter with everything that is imported takes a second here.
        assert took < (4 if mood != "ok" else 3)
        if mood == "ok":
            assert sorted(numbers(moody.receiver)) == list(range(20))
            assert kept(server.outbox) == []
        else:
            assert sum(batch.items for batch in kept(server.outbox) if batch.signal == "traces") >= 20
        moody.mood = "ok"
        if mood == "hang":
            moody.released.set()
            run_python(ENDING.replace("range(20)", "range(20, 21)"), server.env)
            assert set(numbers(moody.receiver)) == set(range(21))


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("mood", ["hang", "nobody"])
def test_the_interpreter_ends_with_grpc(tmp_path: Path, run_python: Callable[..., str], mood: str) -> None:
    """The same where gRPC is spoken, whose own end would take half a minute."""
    with MoodyGrpc(mood) as moody:
        url = moody.url if mood != "nobody" else f"http://127.0.0.1:{free_port()}"
        server = Gunicorn(tmp_path, url, FLASK_CHEST_SHUTDOWN_TIMEOUT_S="1", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        started = time.monotonic()
        run_python(ENDING + "import sys; sys.stderr = sys.stdout", server.env)
        assert time.monotonic() - started < 4
    assert sum(batch.items for batch in kept(server.outbox) if batch.signal == "traces") >= 20
    with MoodyGrpc() as moody:
        server.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = moody.url
        run_python(ENDING.replace("range(20)", "range(20, 21)"), server.env)
        assert set(numbers(moody.receiver)) == set(range(21))


LATE = """
import threading
from fault_app import app

def serve():
    threading.main_thread().join()
    for number in range(3):
        app.test_client().get(f"/buy/{number}")

threading.Thread(target=serve).start()
"""


@pytest.mark.usefixtures("untraced")
def test_the_first_request_while_the_interpreter_ends(
    tmp_path: Path, run_python: Callable[..., str], receiver: OtlpReceiver
) -> None:
    """A worker that is told to stop before its first request serves in its threads: these requests are kept, too."""
    server = Gunicorn(tmp_path, receiver.url)
    said = run_python("import sys; sys.stderr = sys.stdout" + LATE, server.env)
    assert said == ""
    receiver.wait_for_spans(3)
    assert sorted(numbers(receiver)) == [0, 1, 2]
    assert counted(receiver, "faulty") == 3


@pytest.mark.usefixtures("untraced")
def test_the_first_record_while_the_interpreter_ends(tmp_path: Path, run_python: Callable[..., str]) -> None:
    """So are the records of the embedded store."""
    store = {"FAULT_EXPORT": "store", "FAULT_INSTANCE": str(tmp_path / "instance")}
    server = Gunicorn(tmp_path, "http://127.0.0.1:1", **store)
    run_python(LATE, server.env)
    with read_store(tmp_path / "instance" / STORE_FILENAME) as reader:
        assert [one.variables["number"] for one in reader.requests(Wanted(), 9)] == [0, 1, 2]
