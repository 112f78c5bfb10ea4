"""uWSGI forks in C, where Python does not see it: what arrives equals what was served all the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.backends.require import missing
from tests.backends.server import ServerError
from tests.faults.served import BIN, Quiet, Traffic, Uwsgi, counted, numbers, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no uWSGI for Windows")


@pytest.fixture(autouse=True)
def uwsgi() -> None:
    if not (BIN / "uwsgi").exists():
        missing("uWSGI is not installed: apt-get install gcc python3-dev, then pip install --group uwsgi")


WORKERS = {
    "master": ("--workers", "2", "--enable-threads"),
    "master lazy-apps": ("--workers", "2", "--enable-threads", "--lazy-apps"),
    "master threads max-requests": ("--workers", "2", "--threads", "2", "--max-requests", "60"),
}


@pytest.mark.parametrize("kind", WORKERS)
def test_counts_equal_requests(tmp_path: Path, receiver: OtlpReceiver, kind: str) -> None:
    """Spans arrive once each, counters add up exactly; each worker has a name of its own."""
    traffic = Traffic()
    with Uwsgi(tmp_path, receiver.url, *WORKERS[kind]) as server:
        traffic.send(server.port, range(200))
    assert traffic.failed == 0
    assert sorted(numbers(receiver)) == list(range(200))
    assert counted(receiver) == 200
    instances = {point["resource"]["service.instance.id"] for point in receiver.metrics("flask.g.amount")}
    assert len(instances) == len(traffic.pids) >= 2
    assert server.kept() == []
    assert "flask_chest" not in server.log(), "nothing to say in a healthy life and a healthy shutdown"


@pytest.mark.parametrize("interval_ms", ["1000", "60000"])
@pytest.mark.parametrize("warm_up", ["early", "late"])
def test_requests_before_the_fork(tmp_path: Path, receiver: OtlpReceiver, interval_ms: str, warm_up: str) -> None:
    """Requests that the master serves while it loads the application are counted once, where Python hears of forks.

    Before `uwsgi_setup()` or after it; and however long it is to the next export, which the master does not live to.
    """
    traffic = Traffic()
    arguments = (*WORKERS["master"], "--py-call-uwsgi-fork-hooks")
    settings = {"FAULT_WARM_UP": warm_up, "OTEL_METRIC_EXPORT_INTERVAL": interval_ms}
    with Uwsgi(tmp_path, receiver.url, *arguments, **settings) as server:
        traffic.send(server.port, range(100))
    served = sorted([*range(100), *range(1_000_000, 1_000_005)])
    assert traffic.failed == 0
    assert sorted(numbers(receiver)) == served
    assert counted(receiver) == len(served)


class QuietUwsgi(Quiet, Uwsgi):
    """uWSGI that nobody asks for anything."""


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["master", "lazy-apps"])
def test_a_worker_sends_before_its_first_request(tmp_path: Path, receiver: OtlpReceiver, lazy: tuple[str, ...]) -> None:
    """What an earlier life left in the outbox arrives although nobody asks this one for anything."""
    # One worker: uWSGI does not end a second one that is still loading the application.
    arguments = ("--workers", "1", "--enable-threads", *lazy)
    receiver.status = 503
    with Uwsgi(tmp_path, receiver.url, *arguments) as server:
        Traffic().send(server.port, range(20))
    assert numbers(receiver) == []
    receiver.status = 200
    with QuietUwsgi(tmp_path, receiver.url, *arguments) as again:
        wait_until(lambda: not again.kept(), 10)
        assert sorted(numbers(receiver)) == list(range(20))
        assert counted(receiver) == 20


def test_without_threads(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """The server does not start, and its log says what to type."""
    with pytest.raises(ServerError, match="put `enable-threads = true` into its configuration"):
        Uwsgi(tmp_path, receiver.url, "--workers", "1").start()
