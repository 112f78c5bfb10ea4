"""The settings of the embedded store: where it is, its bounds, of which requests it keeps child spans."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_chest_otel import FlaskChest
from flask_chest_otel._cli import chest_cli
from flask_chest_otel._records.record import ChildSpan, RequestError
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel._store.wanted import Wanted
from tests.backends.records import make_record

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord

SPAN = ChildSpan("SELECT ducks", "client", "a" * 16, None, 5, 0.001, "unset", {})
ERROR = RequestError("ValueError", "no ducks", "", "", handled=True)
SLOW_S = 10.0


@pytest.mark.parametrize("given", ["requests.sqlite3", "below/requests.sqlite3", "{tmp_path}/elsewhere.sqlite3", None])
def test_where_it_is(tmp_path: Path, given: str | None) -> None:
    """The file lies where the setting says, a relative path in the instance folder; the commands read it there."""
    app = Flask("shop", instance_path=str(tmp_path / "instance"))
    app.add_url_rule("/", "home", lambda: "hello")
    place = None if given is None else given.format(tmp_path=tmp_path)
    chest = FlaskChest(app, export="store", store_path=place)
    app.test_client().get("/", headers={"X-Request-ID": "r-17"})
    assert chest.force_flush(10)
    path = tmp_path / "instance" / (place or "flask_chest.sqlite3")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT request_id FROM chest_requests").fetchall() == [("r-17",)]
    result = app.test_cli_runner().invoke(chest_cli, ["requests", "--json"])
    assert "r-17" in result.output


def test_its_bounds(tmp_path: Path) -> None:
    """An application's own bounds hold in its file: old requests go after its time, and the file stays small."""
    app = Flask("shop", instance_path=str(tmp_path))
    app.add_url_rule("/", "home", lambda: "hello")
    chest = FlaskChest(app, export="store", store_max_age_s=3600, store_max_bytes=1024 * 1024)
    path = tmp_path / "flask_chest.sqlite3"
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(start_unix_ns=time.time_ns() - 7200 * 10**9))
        for number in range(2000):
            store.put(make_record(variables={"number": number, "text": "x" * 500}))
        assert store.flush(20)
    large = path.stat().st_size
    for _ in range(3):
        app.test_client().get("/")
        assert chest.force_flush(10)
    with read_store(path) as reader:
        extent = reader.extent()
    assert extent.first is not None
    assert extent.requests < 2000
    assert path.stat().st_size <= 1024 * 1024 < large


def kept(path: Path, records: list[RequestRecord], **options: Any) -> dict[str, tuple[int, int]]:
    """Request id to how many of its spans are kept, and how many are said to be left out."""
    with closing(EmbeddedStore(path, max_age_s=1e10, **options)) as store:
        for number, record in enumerate(records):
            store.put(record)
            # Of many that wait, the queue lets spans go.
            assert number % 500 or store.flush(20)
        assert store.flush(20)
    with read_store(path) as reader:
        found = [details for record in records for details in reader.request(record.request_id)]
    return {one.request.request_id: (len(one.spans), one.request.spans_dropped) for one in found}


@pytest.mark.slow
def test_spans_of_slow_and_failed_requests(tmp_path: Path) -> None:
    """With ``slow``, failed requests and the slowest twentieth of each route keep their spans; others are counted."""
    spread = random.Random(5)
    usual = [
        make_record(
            route=route, spans=(SPAN, SPAN), duration_s=spread.lognormvariate(-3, 0.5), request_id=f"{route}{n}"
        )
        for n in range(600)
        for route in ("/fast", "/other")
    ]
    special = {
        "slow": make_record(route="/fast", spans=(SPAN,), duration_s=SLOW_S, request_id="slow"),
        "error": make_record(route="/fast", spans=(SPAN,), duration_s=0.001, error=ERROR, request_id="error"),
        "failed": make_record(route="/fast", spans=(SPAN,), duration_s=0.001, status=503, request_id="failed"),
        "fast": make_record(route="/fast", spans=(SPAN,), duration_s=0.001, request_id="fast", spans_dropped=3),
    }
    found = kept(tmp_path / "store.sqlite3", [*usual, *special.values()], spans="slow")
    assert {name: found[name] for name in special} == {
        **dict.fromkeys(("slow", "error", "failed"), (1, 0)),
        "fast": (0, 4),
    }
    later = [record for record in usual[400:] if record.route == "/fast"]
    assert {found[record.request_id] for record in later} == {(2, 0), (0, 2)}
    share = sum(found[record.request_id][0] > 0 for record in later) / len(later)
    assert 0.02 < share < 0.1
    slowest = sorted(later, key=lambda record: record.duration_s)
    assert all(found[record.request_id] == (2, 0) for record in slowest[-5:])
    assert all(found[record.request_id] == (0, 2) for record in slowest[: len(later) // 2])


@pytest.mark.parametrize(("choice", "expected"), [("all", (1, 0)), ("none", (0, 1))])
def test_spans_of_all_or_none(tmp_path: Path, choice: str, expected: tuple[int, int]) -> None:
    """With ``all`` every span is kept, with ``none`` not even those of a failed request; what they add up to stays."""
    path = tmp_path / "store.sqlite3"
    record = make_record(spans=(SPAN,), status=500, error=ERROR, timings={"db": (1, 0.001)})
    assert kept(path, [record], spans=choice) == {record.request_id: expected}
    with read_store(path) as reader:
        (found,) = reader.requests(Wanted(), 9)
    assert found.timings == {"db": (1, 1.0)}


def test_the_doctor_shows_what_is_in_it(tmp_path: Path) -> None:
    """The doctor's line has bounds, use, how many requests there are since when, and of which the spans are kept."""
    app = Flask("shop", instance_path=str(tmp_path))
    FlaskChest(app, export="store", store_max_bytes=64 * 1024 * 1024, store_max_age_s=86400, store_spans="slow")
    with closing(EmbeddedStore(tmp_path / "flask_chest.sqlite3", max_age_s=1e10)) as store:
        store.put(make_record(start_unix_ns=1_795_000_000_123_456_789))
        store.put(make_record())
        assert store.flush(10)
    said = " ".join(app.test_cli_runner().invoke(chest_cli, ["doctor", "--json", "--no-send"]).output.split())
    assert "of 64 MiB, requests of the last 24 hours, child spans of failed and slow ones; 2 requests since" in said
    assert "2 requests since 2026-11-18 11:06:40 UTC" in said
