"""Requests as events while things break: the sampler drops their spans, the collector is away, a worker is killed."""

from __future__ import annotations

import http.client
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.backends import jsonl
from tests.faults.served import FarEnd, Gunicorn, get, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUESTS = int(os.environ.get("CHEST_TEST_EVENTS", "1000"))
"""Requests in all; with 10000 the collector is away for a minute."""

PER_S = 150
SAFE_AFTER_S = 1.0
SETTLED_S = 5.0
"""How long the collector may take from its queue to its file, seconds."""


class Answer(NamedTuple):
    """What a client got.

    Attributes:
        pid: Who answered.
        at_s: When, on the monotonic clock.
    """

    pid: str
    at_s: float


class Client:
    """Asks for numbers at a steady pace, each under its own request id.

    Attributes:
        answered: By number.
    """

    def __init__(self, port: int) -> None:
        self.answered: dict[int, Answer] = {}
        self._port = port

    def send(self, numbers: range) -> None:
        started, waiting, lock = time.monotonic(), iter(numbers), threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(waiting, None)
                if number is None:
                    return
                time.sleep(max(0.0, started + (number - numbers.start) / PER_S - time.monotonic()))
                self._ask(number)

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", f"/buy/{number}", headers={"X-Request-ID": f"n-{number}"})
            answer = connection.getresponse()
            pid = answer.read().decode()
            if answer.status == 200:
                self.answered[number] = Answer(pid, time.monotonic())
        except (OSError, http.client.HTTPException):
            pass  # of the worker that is killed
        finally:
            connection.close()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[FarEnd]:
    with FarEnd(tmp_path / "collector") as running:
        yield running


def stored(collector: FarEnd) -> dict[int, list[dict[str, Any]]]:
    """The events of each number, in a store that takes one of each ``log.record.uid``."""
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE events (uid TEXT PRIMARY KEY, number INTEGER, place INTEGER)")
    found = [log for log in jsonl.logs(collector.folder / "telemetry.jsonl") if "flask.g.number" in log["attributes"]]
    for place, log in enumerate(found):
        row = (log["attributes"]["log.record.uid"], int(log["attributes"]["flask.g.number"]), place)
        store.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", row)
    by_number: dict[int, list[dict[str, Any]]] = {}
    for number, place in store.execute("SELECT number, place FROM events"):
        by_number.setdefault(number, []).append(found[place])
    store.close()
    return by_number


@pytest.mark.parametrize("durability", ["batch", "request"])
def test_every_request_is_an_event(tmp_path: Path, collector: FarEnd, durability: str) -> None:
    """Of all requests at most those of a killed worker's last second are missing, none is wrong or comes twice.

    With durability per request none is missing: what a client has an answer for is in the outbox.
    """
    settings = {
        "FLASK_CHEST_EVENTS": "all",
        "FLASK_CHEST_DURABILITY": durability,
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    }
    third = REQUESTS // 3
    with Gunicorn(tmp_path, collector.otlp_http, "--workers", "2", "--threads", "2", **settings) as server:
        client = Client(server.port)
        client.send(range(third))
        collector.stop()
        killer = threading.Timer(third / PER_S / 2, get, [server.port, "/die"])
        killer.start()
        client.send(range(third, REQUESTS))
        killer.join()
        time.sleep(max(0.0, REQUESTS / 10_000 * 60 - (REQUESTS - third) / PER_S))
        collector.start()
        wait_until(lambda: not server.kept(), 120)
    wait_until(lambda: set(client.answered) <= set(stored(collector)), SETTLED_S)
    events = stored(collector)
    pids = {answer.pid for answer in client.answered.values()}
    missing = set(client.answered) - set(events)
    assert len(pids) == 3
    assert len(client.answered) > REQUESTS - 10
    assert {len(of_number) for of_number in events.values()} == {1}
    for number, (event,) in events.items():
        assert event["attributes"]["flask.request_id"] == f"n-{number}"
        assert event["attributes"]["http.route"] == "/buy/<int:number>"
        assert event["attributes"]["http.response.status_code"] == "200"
        assert (event["eventName"], event["severityNumber"]) == ("flask_chest.request", 9)
    if durability == "request":
        assert missing == set()
        return
    lost = [client.answered[number] for number in missing]
    assert len({answer.pid for answer in lost}) <= 1
    for answer in lost:
        last_s = max(other.at_s for other in client.answered.values() if other.pid == answer.pid)
        assert last_s - answer.at_s < SAFE_AFTER_S
