"""A disk that is full, and more requests than usual."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.backends.moody import Moody
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.require import missing
from tests.faults.served import Gunicorn, Traffic, counted, get, numbers, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        missing("only root can mount a small tmpfs here")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_the_disk_is_full(tmp_path: Path, small_disk: Path) -> None:
    """Batches wait in memory, which is said once; requests are served as ever, and all arrive."""
    ballast = small_disk / "ballast"
    traffic = Traffic()
    with Moody(503) as moody:
        settings = {"FLASK_CHEST_OUTBOX_DIR": str(small_disk / "outbox")}
        with Gunicorn(tmp_path / "app", moody.url, "--threads", "4", **settings) as server:
            traffic.send(server.port, range(50))
            wait_until(lambda: len(moody.attempts) >= 1)
            fill(ballast)
            for wave in range(50, 250, 50):
                traffic.send(server.port, range(wave, wave + 50))
                time.sleep(0.6)
            assert server.log().count("batches wait in memory") == 1
            moody.mood = "ok"
            wait_until(lambda: len(numbers(moody.receiver)) >= 250)
            ballast.unlink()
    assert traffic.failed == 0
    assert sorted(numbers(moody.receiver)) == list(range(250))
    assert "Traceback" not in server.log()


def test_a_clock_that_is_stepped_back(tmp_path: Path) -> None:
    """An hour back in the middle of an outage: what was served before and after arrives, once."""
    traffic = Traffic()
    with Moody(503) as moody, Gunicorn(tmp_path, moody.url, "--threads", "4") as server:
        traffic.send(server.port, range(50))
        moody.wait_for_attempts(1)
        assert get(server.port, "/step/3600") == (200, "stepped")
        traffic.send(server.port, range(50, 100))
        moody.mood = "ok"
        wait_until(lambda: len(numbers(moody.receiver)) >= 100)
    assert sorted(numbers(moody.receiver)) == list(range(100))
    assert counted(moody.receiver) == 100


LOAD = """
import json, sys, threading, time
from fault_app import app
from werkzeug.test import EnvironBuilder, run_wsgi_app

def work(first):
    for number in range(first, 10_000, 8):
        run_wsgi_app(app, EnvironBuilder(path=f"/buy/{number}").get_environ())

started = time.monotonic()
threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(time.monotonic() - started))
"""


@pytest.mark.usefixtures("untraced")
def test_ten_thousand_requests_on_eight_threads(tmp_path: Path, run_python: Callable[..., str]) -> None:
    """As fast as the machine serves them; every single one arrives, once, and the counter says the same."""
    with OtlpReceiver() as receiver:
        server = Gunicorn(tmp_path, receiver.url)
        took = json.loads(run_python(LOAD, server.env))
        assert sorted(numbers(receiver)) == list(range(10_000))
        assert counted(receiver) == 10_000
    assert server.kept() == []
    # Ten seconds on an idle machine of two cores are three; others may be at work beside this.
    assert took < 40
