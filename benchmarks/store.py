"""What a full store answers, and in what time: ``python -m benchmarks.store``.

The file is filled through the writer until its oldest requests go: a week of requests of two applications on twenty
routes, each with two variables, one in twenty with an exception, a share of them with child spans.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel._records.record import ChildSpan, RequestError, RequestRecord
from flask_chest_otel._store.overview import merged
from flask_chest_otel._store.reader import StoreReader, read_store
from flask_chest_otel._store.store import QUARTER_GIB, EmbeddedStore
from flask_chest_otel._store.wanted import Wanted
from flask_chest_otel._viewer.door import Door
from flask_chest_otel._viewer.pages import Source
from flask_chest_otel._viewer.server import make_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1024 * 1024
WEEK_S = 7 * 86400
AT_ONCE = 1000
"""Records that are put before the writer is waited for: of more, the queue lets spans go."""

SAID = RequestError("shop.OutOfStock", "no ducks left", "shop.views:buy:17", "Traceback …\n" * 40, handled=False)
QUERY = {"db.system.name": "postgresql", "db.query.text": "SELECT id, name, price FROM products WHERE category = ?"}


def requests(count: int, share_with_spans: float) -> Iterator[RequestRecord]:
    """``count`` requests of the last week, in the order of time."""
    spread = random.Random(1)
    begin, step = time.time_ns() - WEEK_S * 10**9, WEEK_S * 10**9 // count
    for number in range(count):
        at, failed = begin + number * step, number % 20 == 0
        spans = tuple(_spans(at, number)) if spread.random() < share_with_spans else ()
        yield RequestRecord(
            start_unix_ns=at,
            duration_s=spread.lognormvariate(-4, 1),
            service=("shop", "office")[number % 2],
            request_id=f"r-{number}",
            trace_id=f"{number + 1:032x}",
            span_id=f"{number + 1:016x}",
            method=("GET", "POST")[number % 3 == 0],
            route=f"/route/{spread.randrange(20)}/<int:cart_id>",
            status=500 if failed else spread.choice((200, 200, 200, 302, 404)),
            variables={"user_id": f"u-{number % 997}", "cart_total": round(spread.random() * 300, 2)},
            path=f"/route/{number % 20}/{number}",
            error=SAID if failed else None,
            version=f"1.{number * 5 // count}",
            cpu_s=0.002,
            first_byte_s=0.01,
            timings={"db": (len(spans), 0.003)} if spans else {},
            spans=spans,
        )


def _spans(at_ns: int, number: int) -> Iterator[ChildSpan]:
    for place in range(4):
        name, own = "SELECT shop", f"{number * 8 + place:016x}"
        yield ChildSpan(name, "client", own, f"{number + 1:016x}", at_ns + place * 10**6, 0.0007, "unset", QUERY)


def fill(path: Path, max_bytes: int, count: int, share_with_spans: float) -> float:
    """Write until the oldest requests go; microseconds for each record, everything included."""
    begun, written = time.perf_counter(), 0
    with closing(EmbeddedStore(path, max_bytes=max_bytes, max_age_s=2 * WEEK_S)) as store:
        for record in requests(count, share_with_spans):
            store.put(record)
            written += 1
            if written % AT_ONCE == 0 and not store.flush(120):
                raise RuntimeError("the store does not keep up")
        store.flush(120)
        cost_us = (time.perf_counter() - begun) / written * 1e6
        # Filled within minutes, it is not rolled up yet: a record now and then makes the writer look.
        while _not_rolled_up(path):
            time.sleep(1.0)
            store.put(_now("last"))
            store.flush(30)
    return cost_us


def _not_rolled_up(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        (until_key,) = connection.execute("SELECT until_key FROM chest_rolled_up").fetchone()
    return not until_key or int(until_key[:16], 16) < time.time_ns() - 120 * 10**9


def _now(name: str) -> RequestRecord:
    now = time.time_ns()
    return next(requests(1, 0))._replace(start_unix_ns=now, request_id=f"{name}-{now}")


def timed_ms(path: Path, ask: Callable[[StoreReader], object], rounds: int = 9) -> float:
    """The least time of a question, opening the file included, milliseconds."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        with read_store(path) as reader:
            ask(reader)
        found.append((time.perf_counter() - begun) * 1000)
    return min(found)


def writing_ms(path: Path, name: str) -> float:
    """How long one of 40 records takes to be in the file at most, milliseconds."""
    longest = 0.0
    with closing(EmbeddedStore(path, max_age_s=2 * WEEK_S)) as store:
        for _ in range(40):
            made = _now(name)
            begun = time.perf_counter()
            store.put(made)
            store.flush(30)
            longest = max(longest, (time.perf_counter() - begun) * 1000)
    return longest


def answer(path: Path) -> None:
    """Ask what people ask, and say how long it took."""
    with read_store(path) as reader:
        extent = reader.extent()
        one = reader.requests(Wanted(), 1)[0].request_id
    print(f"{extent.requests} requests since {extent.first}, {path.stat().st_size / MIB:.0f} MiB")
    questions: dict[str, tuple[Callable[[StoreReader], object], float | None]] = {
        "the last 50 requests": (lambda reader: reader.requests(Wanted(), 50), 50),
        "the last 50 that failed": (lambda reader: reader.requests(Wanted(status=(500, 599)), 50), 50),
        "one request, by its id": (lambda reader: reader.request(one), 20),
        "one request, by its beginning": (lambda reader: reader.request(one[:-1]), 20),
        "stats: by service, route, method": (lambda reader: merged(reader.overview(Wanted())), 300),
        "the same, by hour": (lambda reader: reader.overview(Wanted(), ("route",), 3600), None),
        "the same, of one route and version": (
            lambda reader: reader.overview(Wanted(version="1.3", route="/route/3/<int:cart_id>")),
            300,
        ),
        "errors, grouped": (lambda reader: reader.errors(Wanted()), 300),
        "each request, without roll-ups": (lambda reader: reader.overview(Wanted(slower_than_ms=0.0)), None),
    }
    for name, (ask, goal_ms) in questions.items():
        say(name, timed_ms(path, ask), goal_ms)


def pages(path: Path) -> None:
    """Ask for pages of ``flask chest serve``, and say how long the server took."""
    door = Door(8080, lambda _link: None)
    client = make_app(Source(lambda: path), door).test_client()
    local = "http://127.0.0.1:8080"
    client.get(f"/?{door.link.partition('?')[2]}", base_url=local)
    with read_store(path) as reader:
        one = reader.requests(Wanted(), 1)[0].key
    asked: dict[str, tuple[str, float | None]] = {
        "page: requests": ("/requests", 100),
        "page: one request": (f"/requests/{one}", 50),
        "page: overview": ("/", 200),
        "page: overview of an hour": ("/?since=1h", 200),
        "page: errors": ("/errors", None),
        "page: explain": ("/explain?q=status%3E%3D500", None),
    }
    for name, (address, goal_ms) in asked.items():
        found = []
        for _ in range(5):
            begun = time.perf_counter()
            if not client.get(address, base_url=local).data:
                raise RuntimeError(f"nothing is answered at {address}")
            found.append((time.perf_counter() - begun) * 1000)
        say(name, min(found), goal_ms)


def say(name: str, took_ms: float, goal_ms: float | None) -> None:
    """One line."""
    verdict = "" if goal_ms is None else f"goal {goal_ms:.0f}: {'reached' if took_ms <= goal_ms else 'NOT reached'}"
    print(f"{name:36} {took_ms:8.1f} ms   {verdict}")


def beside_a_reader(path: Path) -> None:
    """Write while somebody reads all the time."""
    alone = writing_ms(path, "alone")
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            with read_store(path) as reader:
                reader.overview(Wanted())
                reader.requests(Wanted(), 50)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        beside = writing_ms(path, "beside")
    finally:
        ended.set()
        thread.join()
    print(f"a record is in the file within       {alone:8.1f} ms   alone, at most; {beside:.1f} ms beside a reader")


def main() -> None:
    """Fill a store, ask it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=QUARTER_GIB // MIB, help="bound of the store")
    parser.add_argument("--requests", type=int, default=400_000, help="how many are written")
    parser.add_argument("--spans", type=float, default=0.25, help="share of the requests with four child spans")
    parser.add_argument("--keep", type=Path, help="where the file is kept; asked as it is where it is there already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "store.sqlite3"
        if not path.exists():
            cost = fill(path, arguments.mib * MIB, arguments.requests, arguments.spans)
            print(f"a record costs the process           {cost:8.1f} us   written, counted, the oldest deleted")
        answer(path)
        pages(path)
        beside_a_reader(path)


if __name__ == "__main__":
    main()
