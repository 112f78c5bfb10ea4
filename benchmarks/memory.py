"""A million requests of all kinds in one process: the curve of its resident memory, and whether it is flat.

``make bench-memory``. Ids, routes and values change with each request, and half of the requests fail: with errors that
nobody handles, with ``abort``, on URLs that nobody has. Spans and metrics go through the outbox to a receiver in a
process of its own, which takes everything and keeps nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, abort, g

from benchmarks.measure import environ
from flask_chest_otel import FlaskChest, TrackedVar, flask_chest
from flask_chest_otel.servers import end_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["application", "environs", "main"]

REQUESTS = 1_000_000
SAMPLES = 50
WARM_UP = 0.2
"""Part of the requests after which everything bounded has reached its bound."""

FLAT = 0.05
"""How far apart the quarters after the warm-up may be."""

ROUTES = 40

OK, UNHANDLED = 200, 500
OUTCOMES = (OK, UNHANDLED, OK, 404, OK, UNHANDLED, OK, 409)
"""What the requests come to, by their numbers."""


def application(**options: Any) -> Flask:
    """Forty routes; what a request does is told by its number."""
    app = Flask("memory")
    app.logger.disabled = True
    numbers = [TrackedVar("amount", metric="histogram"), TrackedVar("balance", metric="gauge")]
    FlaskChest(
        app,
        tracked_vars=["user_id", *numbers, TrackedVar("plan", dimension=True), TrackedVar("tags")],
        request_id_generator=lambda: f"made-{random.getrandbits(64):x}",
        **options,
    )

    for route in range(ROUTES):
        marked = flask_chest(f"extra_{route}")(_view())
        app.add_url_rule(f"/route-{route}/<int:number>", f"view_{route}", marked, methods=["GET", "POST"])
    return app


def _view() -> Callable[[int], str]:
    """A function of its own, as routes carry their marks on the function."""

    def view(number: int) -> str:
        g.user_id = f"user-{number}"
        g.amount = number % 1000 - 100  # every tenth is negative, and refused
        g.balance = number / 7
        g.plan = f"plan-{number % 5000}"  # more than the limit of attribute sets
        g.tags = [f"tag-{number % 100}"] * (number % 5)
        outcome = OUTCOMES[number % len(OUTCOMES)]
        if outcome == UNHANDLED:
            raise LookupError(f"nothing has the number {number}")
        if outcome != OK:
            abort(outcome)
        return "x" * (number % 2000)

    return view


def environs(requests: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """One WSGI environment per request; every tenth URL is one that nobody has."""
    choose = random.Random(seed)
    for number in range(requests):
        path = f"/route-{number % ROUTES}/{number}" if number % 10 else f"/nobody/{choose.getrandbits(40):x}"
        asked = environ() | {
            "REQUEST_METHOD": choose.choice(("GET", "POST")),
            "PATH_INFO": path,
            "QUERY_STRING": f"q={number}",
            "REMOTE_ADDR": f"10.0.{number // 256 % 256}.{number % 256}",
            "HTTP_USER_AGENT": f"client/{number % 97}",
        }
        if number % 3 == 0:
            asked["HTTP_X_REQUEST_ID"] = f"id-{choose.getrandbits(64):x}"
        elif number % 3 == 1:
            asked["HTTP_X_REQUEST_ID"] = f"not legal {number}"
        yield asked


def ask(app: Flask, asked: dict[str, Any]) -> str:
    """One request, body and all; its status."""
    statuses: list[str] = []

    def start_response(status: str, *_: Any) -> Any:
        statuses.append(status)
        return None

    body = app(asked, start_response)
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return statuses[-1]


def resident_kib() -> int:
    """This process's resident memory, KiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def take() -> None:
    """Take everything, as a process of its own; its port is its first line."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def curve(requests: int, samples: int) -> list[tuple[int, int, float]]:
    """Requests so far, resident memory in KiB and seconds so far."""
    app = application(export="otlp")
    every = max(1, requests // samples)
    found: list[tuple[int, int, float]] = []
    failed = 0
    started = time.monotonic()
    for number, asked in enumerate(environs(requests), start=1):
        failed += ask(app, asked) >= "4"
        if number % every == 0:
            found.append((number, resident_kib(), time.monotonic() - started))
            print(f"{number:>10}  {found[-1][1]:>8} KiB  {found[-1][2]:>7.1f} s", flush=True)
    end_worker()
    print(f"{failed} of {requests} requests failed, as they should")
    return found


def main() -> int:
    """Print the curve and the verdict; status 1 where it is not flat."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--take", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.take:
        take()
        return 0
    taker = subprocess.Popen([sys.executable, "-m", "benchmarks.memory", "--take"], stdout=subprocess.PIPE, text=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            port = taker.stdout.readline().strip() if taker.stdout else ""
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
            os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = "5000"
            os.environ["FLASK_CHEST_OUTBOX_DIR"] = folder
            found = curve(given.requests, given.samples)
    finally:
        taker.kill()
        taker.wait()
    after = [kib for number, kib, _ in found if number > WARM_UP * given.requests]
    middles = medians(after)
    spread = (max(middles) - min(middles)) / middles[0]
    flat = spread <= FLAT
    quarters = ", ".join(f"{kib:.0f}" for kib in middles)
    print(f"after the warm-up, quarter by quarter: {quarters} KiB; most: {max(after)} KiB")
    print(f"{spread:.1%} apart: {'flat' if flat else 'NOT flat'}")
    return 0 if flat else 1


def medians(samples: list[int]) -> list[float]:
    """The median of each quarter: a single sample also holds what is being encoded at that moment."""
    quarter = max(1, len(samples) // 4)
    return [statistics.median(samples[first : first + quarter]) for first in range(0, 4 * quarter, quarter)]


if __name__ == "__main__":
    sys.exit(main())
