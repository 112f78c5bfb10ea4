"""Requests per second behind a real server, gunicorn with four threads: ``make bench-server``.

Spans and metrics are exported to a sink in another process. Server and clients have a core each; the variants take
turns, and each turn starts a fresh server.

``--page`` asks instead whether an application that keeps a store is slower while somebody looks at it with
``flask chest serve``: the overview once a second, and live. The store has requests of a week before it begins.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.cores import LAST, on_core
from benchmarks.load import load
from benchmarks.page import LookedAtPage
from benchmarks.sink import Sink
from benchmarks.store import fill
from benchmarks.variants import tracked_app
from benchmarks.whole import Started, by_hand, chest, untraced
from tests.backends.require import REPOSITORY
from tests.backends.server import Server, free_port, request

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 4
PATH = "/cart/7?page=2"
GOAL = 1.7

STORE = "store.sqlite3"
STORED_BEFORE = 20_000
STORE_BYTES = 256 * 1024 * 1024


def with_store() -> Started:
    """The chest, which keeps requests in its store."""
    from flask_chest_otel import FlaskChest  # noqa: PLC0415 - other variants do without

    app = tracked_app()
    chest = FlaskChest(app, export="store")
    return Started(app, lambda: chest.force_flush(60.0))


VARIANTS: dict[str, Callable[[], Started]] = {
    "bare": untraced,
    "upstream_and_by_hand": by_hand,
    "chest": chest,
}


def app(variant: str) -> object:
    """What gunicorn serves."""
    return {**VARIANTS, "with_store": with_store}[variant]().app


class Gunicorn(Server):
    """One worker with four threads."""

    def __init__(self, variant: str, folder: Path, sink: Sink | None) -> None:
        environ = {
            "PYTHONPATH": str(REPOSITORY),
            "NO_PROXY": "127.0.0.1",
            "FLASK_CHEST_OUTBOX_DIR": str(folder / "outbox"),
            "FLASK_CHEST_STORE_PATH": str(folder / STORE),
        }
        super().__init__(folder, environ if sink is None else {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http})
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

    def cpu_s(self) -> float:
        """Return the processor time of its worker, seconds."""
        (worker,) = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Turn(NamedTuple):
    """What one turn came to.

    Attributes:
        rate: Requests per second.
        cpu_us: Processor time of the worker for each request, microseconds.
    """

    rate: float
    cpu_us: float


def beside_the_page(full: Path, seconds: float, *, is_open: bool) -> Turn:
    """Load a server that writes to a copy of a store, with the page over it or without."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = Path(folder) / STORE
        shutil.copy(full, store)
        with on_core(0):
            server = stack.enter_context(Gunicorn("with_store", Path(folder), None))
        with on_core(LAST):
            page = stack.enter_context(LookedAtPage(Path(folder) / "page", store)) if is_open else None
            load(server.url, min(1.0, seconds), THREADS)
            start, cpu_s = time.perf_counter(), server.cpu_s()
            served = load(server.url, seconds, THREADS)
            turn = Turn(served / (time.perf_counter() - start), (server.cpu_s() - cpu_s) / served * 1e6)
        if page is not None and not (page.overviews and page.events):
            raise RuntimeError(f"nobody looked: {page.overviews} overviews, {page.events} events")
    return turn


def compare_with_page(rounds: int, seconds: float) -> None:
    """Measure in turns, the order changing, and print."""
    found: dict[bool, list[Turn]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "full.sqlite3"
        fill(full, STORE_BYTES, STORED_BEFORE, 0.25)
        for number in range(rounds):
            for is_open in (False, True) if number % 2 == 0 else (True, False):
                found[is_open].append(beside_the_page(full, seconds, is_open=is_open))
    for what, unit, place in (("requests/s", "", 0), ("worker's processor time", " us per request", 1)):
        without, beside = ([turn[place] for turn in found[is_open]] for is_open in (False, True))
        ratio = statistics.median(high / low for low, high in zip(without, beside, strict=True))
        turns = ", ".join(f"{low:.0f} and {high:.0f}" for low, high in zip(without, beside, strict=True))
        print(f"{what:<24} with the page / without: {ratio:.3f}   turns, without and with it: {turns}{unit}")


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
    parser.add_argument("--page", action="store_true", help="with a store, and with and without the page over it")
    arguments = parser.parse_args()
    if arguments.page:
        compare_with_page(arguments.rounds, arguments.seconds)
        return
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
