"""Databases that are away, are killed and come back; processes that end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from flask_chest_otel.chests import MongoChest, SQLChest, WebhookChest
from tests.backends.ferretdb import FerretDB
from tests.backends.mariadb import MariaDB
from tests.backends.postgresql import PostgreSQL
from tests.backends.require import require_built
from tests.backends.server import free_port, request
from tests.integration.chests.conftest import ROOT, Ingest, python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord
    from tests.backends.server import Server

    MakeRecord = Callable[..., RequestRecord]
    Target = tuple[Server, Any, Callable[[], set[str]]]

pytestmark = pytest.mark.real


@pytest.fixture(params=["postgresql", "mariadb", "ferretdb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """A server of this test's own that was started once and is down, a chest that writes to it, and what it has."""
    # The shared one says whether it is installed.
    request.getfixturevalue(request.param)
    server: Server
    if request.param == "ferretdb":
        require_built("ferretdb")
        server = ferret = FerretDB(tmp_path / "server")

        def ids() -> set[str]:
            with pymongo.MongoClient[dict[str, Any]](ferret.url) as client:
                return {found["request_id"] for found in client["chest"]["requests"].find()}

        with ferret:
            pass
        with closing(MongoChest(f"{ferret.url}?serverSelectionTimeoutMS=500")) as chest:
            yield server, chest, ids
            server.stop()
        return
    database = PostgreSQL() if request.param == "postgresql" else MariaDB()

    def rows() -> set[str]:
        query = "SELECT request_id FROM chest_requests"
        found = database.rows(query) if isinstance(database, PostgreSQL) else database.rows(query, ["request_id"])
        return {row["request_id"] for row in found}

    try:
        database.start()
        database.stop()
        with closing(SQLChest(database.url)) as sql:
            yield database, sql, rows
    finally:
        database.remove()


def test_down_at_start_and_killed_in_traffic(
    target: Target, make_record: MakeRecord, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is down at first, killed in traffic and started again has every record, once; one line each."""
    server, chest, ids = target
    expected = []

    def put(count: int) -> None:
        for _ in range(count):
            record = make_record()
            expected.append(record.request_id)
            begun = time.perf_counter()
            chest.put(record)
            assert time.perf_counter() - begun < 0.5
            time.sleep(0.001)

    put(300)
    until(lambda: len(caplog.messages) == 1)
    server.start()
    put(300)
    assert chest.flush(30)
    put(100)
    server.kill9()
    put(600)
    time.sleep(1)
    server.start()
    put(300)
    assert chest.flush(30)
    assert (chest.lost, chest.dropped) == (0, 0)
    assert ids() == set(expected)
    assert len(caplog.messages) <= 2, caplog.messages


def test_longer_away_than_the_queue_holds(make_record: MakeRecord) -> None:
    """What exceeds the queue is dropped and counted, at once; the rest arrives when the server comes."""
    port = free_port()
    with closing(WebhookChest(f"http://127.0.0.1:{port}", capacity=100)) as chest:
        chest.put(make_record(variables={"number": -1}))
        chest.flush(0.3)
        for number in range(1000):
            chest.put(make_record(variables={"number": number}))
        assert chest.dropped >= 899
        ingest = Ingest(port)
        try:
            assert chest.flush(30)
            got = [one["value"] for body, _, _ in ingest.posts for one in body["variables"]]
        finally:
            ingest.stop()
    assert sorted(got)[:100] == list(range(-1, 99))
    assert len(got) + chest.dropped == 1001


def test_given_up_after_its_time(make_record: MakeRecord, until: Callable[..., None]) -> None:
    """A batch is lost when its time is over, and counted."""
    with closing(WebhookChest(f"http://127.0.0.1:{free_port()}", retry_for_s=0.5)) as chest:
        chest.put(make_record())
        until(lambda: chest.lost == 1)


APPLICATION = """
    import os, sys
    from flask import Flask, g
    from flask_chest_otel import FlaskChest
    from flask_chest_otel.chests import SQLChest

    def create_app():
        app = Flask("shop")
        FlaskChest(app, tracked_vars=["number"], export=None, chests=[SQLChest(os.environ["CHEST_URL"])])

        @app.get("/<int:number>")
        def index(number):
            g.number = number
            return str(os.getpid())

        return app
"""


def test_normal_exit_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that makes requests and just ends has written them all."""
    script = (
        APPLICATION
        + """
    client = create_app().test_client()
    for number in range(1500):
        client.get(f"/{number}", headers={"X-Request-ID": f"r-{number}"})
    """
    )
    path = tmp_path / "chest.sqlite3"
    monkeypatch.setenv("CHEST_URL", f"sqlite:///{path}")
    with python(script, folder=tmp_path) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM chest_requests").fetchone() == (1500,)


def test_worker_recycling_loses_nothing(postgresql: PostgreSQL, tmp_path: Path, until: Callable[..., None]) -> None:
    """Gunicorn workers that are replaced every 50 requests, from a preloaded application, leave every request a row."""
    (tmp_path / "shop.py").write_text(textwrap.dedent(APPLICATION))
    port = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--chdir", str(tmp_path), "--preload", "--workers", "2"),
            *("--threads", "4", "--max-requests", "50", "--bind", f"127.0.0.1:{port}", "shop:create_app()"),
        ],
        env={**os.environ, "CHEST_URL": postgresql.url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    workers, sent = set(), set()
    try:
        until(lambda: request(f"http://127.0.0.1:{port}/0")[0] == 200)
        for number in range(600):
            headers = {"X-Request-ID": f"recycled-{number}"}
            status, body = request(f"http://127.0.0.1:{port}/{number}", headers=headers)
            if status == 200:  # a worker that goes may refuse one
                sent.add(headers["X-Request-ID"])
                workers.add(body)
    finally:
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=60)
    assert "Traceback" not in errors
    assert len(workers) >= 8
    assert len(sent) >= 590
    query = "SELECT request_id FROM chest_requests WHERE request_id LIKE 'recycled-%'"
    assert {row["request_id"] for row in postgresql.rows(query)} >= sent
