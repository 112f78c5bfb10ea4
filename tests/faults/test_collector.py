"""What happens at the collector's end, done to a served application: in the end everything has arrived."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.backends.certificates import certificate
from tests.backends.moody import Moody
from tests.backends.require import require_built
from tests.faults.served import FarEnd, Gunicorn, Traffic, numbers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKERS = ("--workers", "2", "--threads", "2")


@pytest.fixture
def moody() -> Iterator[Moody]:
    with Moody() as running:
        yield running


@pytest.mark.real
def test_down_at_the_start(tmp_path: Path) -> None:
    """A collector that comes up after the application gets what was served before it, once."""
    require_built("flask-chest-collector")
    collector = FarEnd(tmp_path / "collector")
    traffic = Traffic()
    with Gunicorn(tmp_path / "app", collector.otlp_http, *WORKERS) as server:
        traffic.send(server.port, range(100))
        wait_until(lambda: server.log().count("does not take traces") == len(traffic.pids))
        with collector:
            wait_until(lambda: len(collector.numbers()) >= 100)
    assert traffic.served == set(range(100))
    assert sorted(collector.numbers()) == list(range(100))
    assert server.log().count("does not take traces") <= 2, "one line per worker"


@pytest.mark.real
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_killed_in_the_middle(tmp_path: Path, protocol: str) -> None:
    """``kill -9`` of the collector under traffic, twice: each request arrives, at least once."""
    require_built("flask-chest-collector")
    collector = FarEnd(tmp_path / "collector")
    traffic = Traffic()
    collector.start()
    url = collector.otlp_http if protocol != "grpc" else f"http://{collector.otlp_grpc}"
    with Gunicorn(tmp_path / "app", url, *WORKERS, OTEL_EXPORTER_OTLP_PROTOCOL=protocol) as server:
        sending = threading.Thread(target=traffic.send, args=(server.port, range(600)))
        sending.start()
        for _ in range(2):
            before = len(collector.numbers())
            wait_until(lambda: len(collector.numbers()) > before)  # noqa: B023 - waited for within the loop
            collector.kill9()
            time.sleep(0.5)
            collector.start()
        sending.join()
        wait_until(lambda: set(collector.numbers()) >= traffic.served)
    collector.stop()
    assert traffic.served == set(range(600))
    assert set(collector.numbers()) == traffic.served
    times = Counter(collector.numbers())
    assert max(times.values()) <= 4, "at a kill a span is on one of two ways, and comes twice from there at most"


def test_in_a_mood(tmp_path: Path, moody: Moody) -> None:
    """Overloaded, broken, hanging, dripping: requests are served as ever, and all arrive once it is well again."""
    moody.headers = {"Retry-After": "1"}
    traffic = Traffic()
    moods: list[str | int] = [429, 503, "hang", "reset", "drip"]
    with Gunicorn(tmp_path, moody.url, "--threads", "4", OTEL_EXPORTER_OTLP_TIMEOUT="0.5") as server:
        for count, mood in enumerate(moods):
            moody.mood = mood
            before = len(moody.attempts)
            started = time.monotonic()
            traffic.send(server.port, range(count * 40, count * 40 + 40))
            assert time.monotonic() - started < 5
            moody.wait_for_attempts(before + 2)
            assert len(numbers(moody.receiver)) == count * 40
            moody.mood = "ok"
            wait_until(lambda: len(numbers(moody.receiver)) >= count * 40 + 40)  # noqa: B023 - waited for in the loop
            assert sorted(numbers(moody.receiver)) == list(range(count * 40 + 40))
    assert traffic.failed == 0


def test_refused_for_good(tmp_path: Path, moody: Moody) -> None:
    """What was refused with 400 waits aside, does not hold up the rest, and arrives when it is sent again."""
    moody.mood = 400
    traffic = Traffic()
    with Gunicorn(tmp_path, moody.url, *WORKERS) as server:
        traffic.send(server.port, range(50))
        wait_until(
            lambda: sum(batch.items for batch in server.kept() if batch.signal == "traces" and batch.refused) >= 50
        )
        moody.mood = "ok"
        traffic.send(server.port, range(50, 100))
        wait_until(lambda: len(numbers(moody.receiver)) >= 50)
        assert set(numbers(moody.receiver)) == set(range(50, 100))
        done = subprocess.run(
            [server.command()[0].replace("gunicorn", "flask"), "chest", "outbox", "resend", "--outbox", server.outbox],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wait_until(lambda: len(numbers(moody.receiver)) >= 100)
    assert sorted(numbers(moody.receiver)) == list(range(100))


def test_somebody_else_by_its_certificate(tmp_path: Path) -> None:
    """A collector with the wrong name gets nothing; with the right one on the same port it gets everything."""
    wrong, right = certificate(tmp_path, "DNS:elsewhere.test"), certificate(tmp_path, "IP:127.0.0.1")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(wrong.read_text() + right.read_text())
    traffic = Traffic()
    with Moody(certificate=wrong) as impostor:
        # As the documentation has it, variables of other clients mean nothing here.
        others = {"REQUESTS_CA_BUNDLE": str(wrong), "CURL_CA_BUNDLE": str(wrong)}
        server = Gunicorn(tmp_path / "app", impostor.url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(trusted), **others)
        server.start()
        traffic.send(server.port, range(30))
        wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in server.log())
        assert impostor.attempts == []
    with Moody(certificate=right, port=impostor.port) as collector:
        wait_until(lambda: len(numbers(collector.receiver)) >= 30)
        server.stop()
        assert sorted(numbers(collector.receiver)) == list(range(30))
    assert "CERTIFICATE_VERIFY_FAILED" in server.log()
