"""Starts an application under `opentelemetry-instrument`, as a user would, and talks to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.backends.server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
DEADLINE_S = 30.0


def environment(otlp_url: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user who exports by OTLP/HTTP and tracks two variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "FLASK_"))}
    return kept | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(HERE),
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_SERVICE_NAME": "zero-code",
        "FLASK_CHEST_TRACKED_VARS": "user_id,cart_total",
        **settings,
    }


@contextmanager
def serve(command: Sequence[str], otlp_url: str, **settings: str) -> Iterator[str]:
    """Run `command` with `{port}` filled in; yields the base URL, and stops it as a supervisor would."""
    port = free_port()
    filled = [part.format(port=port) for part in command]
    process = subprocess.Popen(
        filled,
        cwd=HERE,
        env=environment(otlp_url, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until_up(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            output, _ = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        sys.stdout.write(output)


def wait_until_up(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    raise RuntimeError(f"the server did not come up: {process.communicate(timeout=5)[0]}")


def get(url: str, **headers: str) -> int:
    """The status that a GET is answered with."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
