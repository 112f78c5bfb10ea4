"""A store of a small shop, and its pages: in this process, and behind a real server."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask.testing import FlaskClient

from flask_chest_otel import SLO
from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError, RequestRecord
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel._viewer.door import Door
from flask_chest_otel._viewer.objectives import Promised
from flask_chest_otel._viewer.pages import Source
from flask_chest_otel._viewer.server import make_app, viewer_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


MINUTE_NS = 60 * 10**9
ROUTES = (("GET", "/"), ("GET", "/products/<name>"), ("POST", "/checkout"), ("GET", None))
PROMISED = Promised(
    "shop",
    [
        SLO("checkout", objective=99, routes=["/checkout"], methods=["POST"]),
        SLO("shelf", objective=99.9, routes=["/products/*"], window_days=7),
        SLO("never-asked", objective=95, routes=["/nowhere"]),
    ],
)
STACK = 'Traceback (most recent call last):\n  File "shop/views.py", line 88, in checkout\n    reserve(order)\n'


class LocalClient(FlaskClient):
    """A client that asks for the address that the door answers to."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, **{"base_url": "http://127.0.0.1:8080", **kwargs})


def record_of(number: int, minutes_ago: float, **changes: Any) -> RequestRecord:
    """Request ``number``, begun so many minutes ago."""
    values: dict[str, Any] = {
        "start_unix_ns": time.time_ns() - int(minutes_ago * MINUTE_NS),
        "duration_s": 0.01 + number % 7 / 1000,
        "service": "shop",
        "request_id": f"r-{number}",
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "method": "GET",
        "route": "/",
        "status": 200,
        "variables": {},
        "path": "/",
    }
    return RequestRecord(**{**values, **changes})


def shop(count: int) -> list[RequestRecord]:
    """Requests of an hour; version 1.5.0 fails half of the checkouts of gold customers."""
    chance = random.Random(1)
    return [_of_the_shop(number, 60 - 59 * number / count, chance) for number in range(count)]


def _of_the_shop(number: int, minutes_ago: float, chance: random.Random) -> RequestRecord:
    method, route = ROUTES[number % len(ROUTES)]
    plan, version = chance.choice(["free", "gold", "silver"]), chance.choice(["1.4.0", "1.5.0"])
    broken = (route, plan, version) == ("/checkout", "gold", "1.5.0") and chance.random() < 0.5
    variables: dict[str, Any] = {"plan": plan, "cart_total": round(chance.uniform(5, 200), 2)} if route else {}
    if route == "/checkout":
        variables["card_number"] = "[REDACTED]"
    found = record_of(
        number,
        minutes_ago,
        method=method,
        route=route,
        path=route or "/nothing/here",
        status=500 if broken else 404 if route is None else 200,
        variables=variables,
        version=version,
        error=RequestError("shop.WarehouseError", "no connection", "shop:checkout:88", STACK, handled=False)
        if broken
        else None,
        logs=(LogLine(time.time_ns(), "ERROR" if broken else "INFO", "shop", f"line of {number}"),),
    )
    slos = {"checkout": not broken} if route == "/checkout" else {"shelf": True} if route else {}
    return found._replace(slos=slos, timings={"db": (1, 0.004)}, spans=_spans(found), cpu_s=0.002, first_byte_s=0.009)


def _spans(record: RequestRecord) -> tuple[ChildSpan, ...]:
    begin = record.start_unix_ns
    query = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM stock WHERE sku = ?"}
    return (
        ChildSpan("SELECT stock", "client", "a" * 16, record.span_id, begin + 10**6, 0.004, "unset", query),
        ChildSpan("parse rows", "internal", "b" * 16, "a" * 16, begin + 2 * 10**6, 0.001, "unset", {}),
    )


def write(path: Path, records: list[RequestRecord]) -> Path:
    """A store with these records."""
    with closing(EmbeddedStore(path)) as store:
        # A queue that becomes long lets child spans go.
        for begin in range(0, len(records), 500):
            for one in records[begin : begin + 500]:
                store.put(one)
            assert store.flush(60)
    return path


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Writes records to a store, and gives its path."""
    return lambda records: write(tmp_path / "store.sqlite3", list(records))


@pytest.fixture(scope="session")
def shop_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's store; nobody writes to it."""
    return write(tmp_path_factory.mktemp("shop") / "store.sqlite3", shop(2000))


@pytest.fixture
def browse() -> Callable[[Path], FlaskClient]:
    """Lets a client in to the pages of a store."""

    def enter(path: Path) -> FlaskClient:
        links: list[str] = []
        door = Door(8080, links.append)
        source = Source(lambda: path, {"Jaeger": "http://j.test/trace/{trace_id}"}, lambda: PROMISED)
        app = make_app(source, door)
        app.test_client_class = LocalClient
        client = app.test_client()
        assert client.get(f"/?{door.link.partition('?')[2]}").status_code == 200
        return client

    return enter


@dataclass
class Served:
    """Pages behind a real server.

    Attributes:
        url: Where they are, without a slash at the end.
        links: Links that were printed, the newest last; each lets one browser in.
    """

    url: str
    links: list[str]

    def session(self) -> requests.Session:
        """A browser without a screen that was let in."""
        found = requests.Session()
        assert found.get(self.links[-1], timeout=10).status_code == 200
        return found


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Served]]:
    """Serves the pages of a store on a free port."""
    running: list[Any] = []

    def start(path: Path) -> Served:
        links: list[str] = []
        server, link = viewer_server(Source(lambda: path, promised=lambda: PROMISED), 0, links.append)
        links.insert(0, link)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        return Served(f"http://127.0.0.1:{server.port}", links)

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join(10)
        server.server_close()
