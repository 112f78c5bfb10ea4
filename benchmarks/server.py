"""Requests per second behind a real server, gunicorn with four threads: ``make bench-server``.

Spans and metrics are exported to a sink in another process. Server and clients have a core each; the variants take
turns, and each turn starts a fresh server.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cores import LAST, on_core
from benchmarks.load import load
from benchmarks.sink import Sink
from benchmarks.whole import Started, by_hand, chest, untraced
from tests.backends.require import REPOSITORY
from tests.backends.server import Server, free_port, request

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 4
PATH = "/cart/7?page=2"
GOAL = 1.7

VARIANTS: dict[str, Callable[[], Started]] = {
    "bare": untraced,
    "upstream_and_by_hand": by_hand,
    "chest": chest,
}


def app(variant: str) -> object:
    """What gunicorn serves."""
    return VARIANTS[variant]().app


class Gunicorn(Server):
    """One worker with four threads."""

    def __init__(self, variant: str, folder: Path, sink: Sink) -> None:
        environ = {
            "PYTHONPATH": str(REPOSITORY),
            "NO_PROXY": "127.0.0.1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http,
            "FLASK_CHEST_OUTBOX_DIR": str(folder / "outbox"),
        }
        super().__init__(folder, environ)
        self._variant = variant
        port = free_port()
        self._bind = f"127.0.0.1:{port}"
        self.url = f"http://{self._bind}{PATH}"

    def command(self) -> list[str]:
        """Return gunicorn's command line."""
        options = f"--workers 1 --threads {THREADS} --bind {self._bind} --log-level error".split()
        return [sys.executable, "-m", "gunicorn", *options, f"benchmarks.server:app('{self._variant}')"]

    def is_ready(self) -> bool:
        """Return whether it answers."""
        return request(self.url)[0] == HTTPStatus.OK


def requests_per_s(variant: str, seconds: float, sink: Sink) -> float:
    """Load one server with as many clients as it has threads."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with on_core(0):
            server = stack.enter_context(Gunicorn(variant, Path(folder), sink))
        with on_core(LAST):
            load(server.url, min(1.0, seconds), THREADS)
            start = time.perf_counter()
            served = load(server.url, seconds, THREADS)
            return served / (time.perf_counter() - start)


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each variant (default: %(default)s)")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    with ExitStack() as stack:
        with on_core(LAST):
            sink = stack.enter_context(Sink())
        for _ in range(arguments.rounds):
            for variant, rates in found.items():
                rates.append(requests_per_s(variant, arguments.seconds, sink))
    print(f"{'variant':<24} {'requests/s':>10}   single turns")
    for variant, rates in found.items():
        print(f"{variant:<24} {statistics.median(rates):10.0f}   {', '.join(f'{rate:.0f}' for rate in rates)}")
    ratio = statistics.median(found["chest"]) / statistics.median(found["upstream_and_by_hand"])
    print(f"chest: {ratio:.2f} x upstream + by hand; goal {GOAL}: {'reached' if ratio >= GOAL else 'NOT reached'}")


if __name__ == "__main__":
    main()
