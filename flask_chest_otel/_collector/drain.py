"""Sends what waits for a target that is no longer chosen: a second collector runs until its queues are empty."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask_chest_otel._collector.fragments import variables_of
from flask_chest_otel._collector.queues import queues_of, waiting
from flask_chest_otel._collector.requests import FAILURES, send
from flask_chest_otel._collector.room import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["drain", "left"]

PAUSE_S = 0.5
STOP_S = 30.0
ENOUGH = 4
"""How many times in a row the collector has to report empty queues."""


def left(text: str, environ: Mapping[str, str]) -> int:
    """Count the batches that wait in the queues of a configuration."""
    return sum(waiting(folder_of(environ) / queue.file) for queue in queues_of(text, environ))


def drain(binary: Path, text: str, environ: Mapping[str, str], *, within_s: float) -> int:
    """Run a collector on free ports of this machine until nothing waits, or the time is over.

    Args:
        binary: The collector.
        text: The configuration.
        environ: The environment with the targets' variables.
        within_s: How long it may take, seconds.

    Returns:
        How many batches still wait.
    """
    deadline = time.monotonic() + within_s
    # After a start, a collector's metrics leave out batches that were being sent when it stopped; the files count them.
    while left(text, environ) and time.monotonic() < deadline:
        with _running(binary, text, _on_free_ports(text, environ)) as (process, metrics):
            _wait(process, metrics, deadline)
        if process.returncode:
            break
    return left(text, environ)


def _wait(process: subprocess.Popen[bytes], metrics: str, deadline: float) -> None:
    """Wait until the collector reports empty queues, ends, or the time is over."""
    empty = 0
    # A batch that moves from one queue to another is in neither for a moment.
    while empty < ENOUGH and process.poll() is None and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
        empty = empty + 1 if _size(metrics) == 0 else 0


def _on_free_ports(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with free ports on the loopback address, so that another collector is not disturbed."""
    names = variables_of(text)
    ports = {name: str(_free_port()) for name in names if name.endswith("_PORT")}
    hosts = {name: "127.0.0.1" for name in names if name.startswith("CHEST_") and name.endswith("_HOST")}
    # Its log goes to the user's terminal, where only warnings are of interest.
    return {"CHEST_LOG_LEVEL": "warn", **environ, **hosts, **ports}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(binary: Path, text: str, environ: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = [str(binary), "--config", file.name]
        with subprocess.Popen(command, env=dict(environ)) as process:  # noqa: S603 - no shell
            try:
                yield process, f"http://127.0.0.1:{environ['CHEST_METRICS_PORT']}/metrics"
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_S)


def _size(url: str) -> float | None:
    """Return the size of all queues from the collector's metrics; ``None`` while it does not report one."""
    try:
        with send(url, timeout_s=PAUSE_S) as answer:
            lines = answer.read().decode().splitlines()
    except FAILURES:
        return None
    sizes = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("otelcol_exporter_queue_size")]
    return sum(sizes) if sizes else None
