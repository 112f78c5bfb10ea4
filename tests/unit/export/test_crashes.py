"""The outbox's law: whatever the crash point, each batch that was put arrives, and in its process's order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_chest_otel._outbox.file import FILENAME, Outbox
from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows"),
]

LIFE = """
import os, signal, sys, time
from pathlib import Path
from flask_chest_otel._outbox import worker, file
from flask_chest_otel._outbox.worker import OutboxWorker
from tests.unit.export.batches import route_to, spans

worker.GATHER_S = 0.0


def live(url, folder, name, batches, statements):
    # SQLite tells of each statement before it runs it: at the given one the process is killed.
    left = [statements]

    def count(_statement):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    begin = file.Outbox.__init__

    def traced(self, *arguments, **options):
        begin(self, *arguments, **options)
        self.connection.set_trace_callback(count)

    file.Outbox.__init__ = traced
    dispatch = OutboxWorker(route_to(url, Path(folder)))
    for number in range(batches):
        dispatch.put("traces", 1, spans(f"{name}-{number}"))
        # Returned: from here on it must arrive. One write to a pipe is whole or not at all.
        os.write(1, f"{name}-{number}\\n".encode())
    dispatch.flush(10)
    os._exit(0)


for line in sys.stdin:
    url, folder, name, batches, statements = line.split()
    pid = os.fork()
    if pid == 0:
        live(url, folder, name, int(batches), int(statements))
    os.waitpid(pid, 0)
    os.write(1, b"dead\\n")
"""


class Lives:
    """Processes that put batches and are killed at a given statement, forked from one that has everything loaded."""

    def __init__(self) -> None:
        self._mother = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", LIFE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def live(self, *words: object) -> list[str]:
        """One life; the batches whose ``put`` had returned when it ended."""
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        print(*words, file=self._mother.stdin, flush=True)
        put = []
        while (line := self._mother.stdout.readline().strip()) != "dead":
            assert line, "the mother died"
            put.append(line)
        return put

    def end(self) -> None:
        self._mother.send_signal(signal.SIGKILL)
        self._mother.communicate()


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    made = Lives()
    yield made
    made.end()


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


@settings(max_examples=60, deadline=None)
@given(
    deaths=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 60), st.booleans()), min_size=1, max_size=3),
)
def test_whatever_the_crash_point(lives: Lives, collector: OtlpReceiver, deaths: list[tuple[int, int, bool]]) -> None:
    """Processes die one after the other at any statement, the collector there or not; the last one delivers all."""
    collector.clear()
    with tempfile.TemporaryDirectory() as folder:
        put: list[str] = []
        for life, (batches, statements, is_up) in enumerate(deaths):
            url = collector.url if is_up else "http://127.0.0.1:9"
            put += lives.live(url, folder, f"p{life}", batches, statements)
        put += lives.live(collector.url, folder, "last", 1, 10**9)
        assert not _waiting(Path(folder))
    arrived = [span["name"] for span in collector.spans()]
    assert set(put) <= set(arrived)
    for life in range(len(deaths)):
        first_arrivals = [name for name in dict.fromkeys(arrived) if name.startswith(f"p{life}-")]
        assert first_arrivals == sorted(first_arrivals)


def _waiting(folder: Path) -> int:
    outbox = Outbox(folder / FILENAME, 2**40, 1e9)
    try:
        return len(outbox.kept())
    finally:
        outbox.close()


def test_the_crashes_are_real(lives: Lives, tmp_path: Path) -> None:
    """Killed at the first statement a process has put nothing, killed late it has put everything."""
    early = lives.live("http://127.0.0.1:9", tmp_path, "early", 5, 1)
    late = lives.live("http://127.0.0.1:9", tmp_path, "late", 5, 10**9)
    assert (early, late) == ([], [f"late-{number}" for number in range(5)])
