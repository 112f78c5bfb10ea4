"""Requests per second behind a real server, gunicorn with four threads: ``make bench-server``.

Server and clients have a core each; the variants take turns, and each turn starts a fresh server.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.variants import bare, chest, upstream_and_by_hand
from tests.backends.require import REPOSITORY
from tests.backends.server import Server, free_port, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

THREADS = 4
OK = 200
PATH = "/cart/7?page=2"
GOAL = 1.5

VARIANTS: dict[str, Callable[[], Flask]] = {
    "bare": bare,
    "upstream_and_by_hand": upstream_and_by_hand,
    "chest": chest,
}


def app(variant: str) -> Flask:
    """What gunicorn serves."""
    return VARIANTS[variant]()


class Gunicorn(Server):
    """One worker with four threads, on one core."""

    def __init__(self, variant: str, folder: Path, core: int) -> None:
        super().__init__(folder, {"PYTHONPATH": str(REPOSITORY)})
        self._variant, self._core = variant, core
        self.port = free_port()

    def command(self) -> list[str]:
        """Return gunicorn, held to its core."""
        options = f"--workers 1 --threads {THREADS} --bind 127.0.0.1:{self.port} --log-level error".split()
        call = f"benchmarks.server:app('{self._variant}')"
        return ["taskset", "--cpu-list", str(self._core), sys.executable, "-m", "gunicorn", *options, call]

    def is_ready(self) -> bool:
        """Return whether it answers."""
        return request(f"http://127.0.0.1:{self.port}{PATH}")[0] == OK


def requests_per_s(variant: str, seconds: float, cores: list[int]) -> float:
    """Load one server with as many clients as it has threads, each on one connection that is kept."""
    with tempfile.TemporaryDirectory() as folder, Gunicorn(variant, Path(folder), cores[0]) as server:
        _load(server.port, min(1.0, seconds))
        return _load(server.port, seconds)


def _load(port: int, seconds: float) -> float:
    counts: list[int] = []
    start = time.perf_counter()
    clients = [threading.Thread(target=_client, args=(port, start + seconds, counts)) for _ in range(THREADS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if len(counts) != THREADS:
        raise RuntimeError("a client did not get through")
    return sum(counts) / (time.perf_counter() - start)


def _client(port: int, until: float, counts: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    done = 0
    while time.perf_counter() < until:
        connection.request("GET", PATH)
        answer = connection.getresponse()
        answer.read()
        if answer.status != OK:
            raise RuntimeError(f"answered {answer.status}")
        done += 1
    connection.close()
    counts.append(done)


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each variant (default: %(default)s)")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(arguments.rounds):
        for variant, rates in found.items():
            rates.append(requests_per_s(variant, arguments.seconds, cores))
    print(f"{'variant':<24} {'requests/s':>10}   single turns")
    for variant, rates in found.items():
        print(f"{variant:<24} {statistics.median(rates):10.0f}   {', '.join(f'{rate:.0f}' for rate in rates)}")
    ratio = statistics.median(found["chest"]) / statistics.median(found["upstream_and_by_hand"])
    print(f"chest: {ratio:.2f} x upstream + by hand; goal {GOAL}: {'reached' if ratio >= GOAL else 'NOT reached'}")


if __name__ == "__main__":
    main()
