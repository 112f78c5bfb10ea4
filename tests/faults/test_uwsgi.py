"""uWSGI forks in C, where Python does not see it: what arrives equals what was served all the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.require import missing
from tests.backends.server import ServerError
from tests.faults.served import BIN, Traffic, Uwsgi, counted, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no uWSGI for Windows")


@pytest.fixture(autouse=True)
def uwsgi() -> None:
    if not (BIN / "uwsgi").exists():
        missing("uWSGI is not installed: apt-get install gcc python3-dev, then pip install --group uwsgi")


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


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


def test_requests_before_the_fork(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """Requests that the master serves while it loads the application are counted once, where Python hears of forks."""
    traffic = Traffic()
    arguments = (*WORKERS["master"], "--py-call-uwsgi-fork-hooks")
    with Uwsgi(tmp_path, receiver.url, *arguments, FAULT_WARM_UP="1") as server:
        traffic.send(server.port, range(100))
    served = sorted([*range(100), *range(1_000_000, 1_000_005)])
    assert traffic.failed == 0
    assert sorted(numbers(receiver)) == served
    assert counted(receiver) == len(served)


def test_without_threads(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """The server does not start, and its log says what to type."""
    with pytest.raises(ServerError, match="put `enable-threads = true` into its configuration"):
        Uwsgi(tmp_path, receiver.url, "--workers", "1").start()
