"""What a direct chest costs a request, and what one process writes into PostgreSQL: ``python -m benchmarks.chests``.

The server is a fresh PostgreSQL on this machine, so that the figures include what it takes from the same cores.
"""

from __future__ import annotations

import argparse
import gc
import time
from contextlib import closing
from typing import TYPE_CHECKING

from flask import Flask, g

from flask_chest_otel import FlaskChest
from flask_chest_otel._records.record import RequestRecord
from flask_chest_otel.chests import SQLChest
from tests.backends.postgresql import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import Callable

PREDECESSOR_US = 3700.0
"""What the predecessor's SQLite chest cost a request, measured once, microseconds."""

GOAL_PER_S = 2000
"""Requests with four variables that one process has to write without dropping any, per second."""

VARIABLES = {"user_id": "u-4711", "cart_total": 42.5, "items": 3, "vip": True}


def _record(number: int) -> RequestRecord:
    return RequestRecord(
        start_unix_ns=time.time_ns(),
        duration_s=0.0125,
        service="shop",
        request_id=f"r-{number}",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id=f"{number:016x}",
        method="GET",
        route="/cart/<int:cart_id>",
        status=200,
        variables=VARIABLES,
        metrics=(),
        refused=None,
    )


def _best_us(run: Callable[[int], object], count: int = 5000, rounds: int = 5) -> float:
    """The least time of one call, microseconds; the pause between rounds lets a writer empty its queue."""
    found = []
    gc.disable()
    for _ in range(rounds):
        begun = time.perf_counter()
        for number in range(count):
            run(number)
        found.append((time.perf_counter() - begun) / count * 1e6)
        time.sleep(1)
    gc.enable()
    return min(found)


def _cost_of_put(url: str) -> None:
    records = [_record(number) for number in range(5000)]
    with closing(SQLChest(url, table_prefix="put_")) as chest:
        chest.put(records[0])
        chest.flush(30)
        construct = _best_us(_record)
        put = _best_us(lambda number: chest.put(records[number]))
        both = _best_us(lambda number: chest.put(_record(number)))
    print(f"construct a RequestRecord    {construct:8.2f} us   1/{PREDECESSOR_US / construct:.0f} of the predecessor")
    print(f"put it, writer at work       {put:8.2f} us   1/{PREDECESSOR_US / put:.0f} of the predecessor")
    verdict = "reached" if both <= PREDECESSOR_US / 50 else "NOT reached"
    print(f"both                         {both:8.2f} us   1/{PREDECESSOR_US / both:.0f}; goal 1/50: {verdict}")


def _sustained(url: str, rate: int, seconds: float) -> bool:
    """Put ``rate`` records per second in bursts of 10 ms; whether nothing was dropped and the queue did not grow."""
    with closing(SQLChest(url, table_prefix="rate_")) as chest:
        chest.put(_record(0))
        chest.flush(30)
        begun, done = time.perf_counter(), 0
        cpu = time.process_time()
        while (passed := time.perf_counter() - begun) < seconds:
            due = int(passed * rate)
            for number in range(done, due):
                chest.put(_record(number))
            done = due
            time.sleep(0.01)
        cpu = time.process_time() - cpu
        begun = time.perf_counter()
        flushed = chest.flush(60)
        behind_s = time.perf_counter() - begun
        dropped, lost = chest.dropped, chest.lost
    print(
        f"{rate:6d} requests/s x {len(VARIABLES)} variables for {seconds:.0f} s: {done} put, {dropped} dropped,"
        f" {lost} lost, {cpu / seconds:.2f} cores used, last one written {behind_s:.2f} s after"
    )
    kept_up = flushed and not dropped and not lost
    if rate == GOAL_PER_S:
        print(f"goal {GOAL_PER_S} requests/s without dropping: {'reached' if kept_up else 'NOT reached'}")
    return kept_up


def _application(url: str, seconds: float) -> None:
    """The whole of a request in one thread as fast as it goes, the writer beside it."""
    for label, chest in (("without a chest", None), ("with SQLChest", SQLChest(url, table_prefix="app_"))):
        app = Flask("shop")
        app.testing = True
        FlaskChest(app, tracked_vars=list(VARIABLES), export=None, chests=[chest] if chest is not None else [])

        @app.get("/cart/<int:cart_id>")
        def cart(cart_id: int) -> str:
            vars(g).update(VARIABLES)
            return str(cart_id)

        client, done = app.test_client(), 0
        client.get("/cart/1")
        if chest is not None:
            # Connecting and making the tables, beside a thread that never rests, takes seconds, once.
            chest.flush(30)
        begun = time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds:
            client.get("/cart/1")
            done += 1
        dropped = chest.dropped if chest is not None else 0
        print(f"{label:16} {done / passed:7.0f} requests/s from a test client, {dropped} dropped")
        if chest is not None:
            chest.close(60)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chests", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of sustained load (default: %(default)s)")
    arguments = parser.parse_args()
    server = PostgreSQL()
    try:
        server.start()
        _cost_of_put(server.url)
        for rate in (GOAL_PER_S, 2 * GOAL_PER_S, 4 * GOAL_PER_S):
            if not _sustained(server.url, rate, arguments.seconds):
                break
        found = server.rows("SELECT count(*) AS requests FROM rate_requests")[0]
        variables = server.rows("SELECT count(*) AS variables FROM rate_variables")[0]
        print(f"PostgreSQL counts {found['requests']} requests, {variables['variables']} variables")
        _application(server.url, arguments.seconds)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
