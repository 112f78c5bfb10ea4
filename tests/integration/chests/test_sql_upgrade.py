"""Databases that ``SQLChest`` of release 0.1.0 filled: brought up to date, while that release goes on writing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records import tables
from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError
from flask_chest_otel.chests import SQLChest

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.record import RequestRecord
    from tests.backends.mariadb import MariaDB
    from tests.backends.postgresql import PostgreSQL

    MakeRecord = Callable[..., RequestRecord]

VERSION_1 = Path(__file__).parents[2] / "data" / "version1"
OLD_REQUESTS = 40

OLD = [column.name for column in tables.REQUESTS.columns if column not in tables.ADDED_COLUMNS]
ADDED = [column.name for column in tables.ADDED_COLUMNS]

FAILURE = RequestError("shop.OutOfStock", "no ducks 🦆", "shop.views:buy:17", "Traceback …", handled=True)
SPAN = ChildSpan("SELECT ducks", "client", "a" * 16, None, 5, 0.0312, "unset", {"db.system.name": "sqlite"})


class OldDatabase:
    """A database with the tables and rows of release 0.1.0, asked with its own client."""

    def __init__(
        self, url: str, ask: Callable[[str, list[str]], list[dict[str, Any]]], run: Callable[[str], object]
    ) -> None:
        self.url = url
        self.ask = ask
        self.run = run

    def load(self, dump: str, prefix: str) -> None:
        self.run((VERSION_1 / dump).read_text().replace("v1_", prefix))

    def requests(self, prefix: str, *columns: str) -> list[dict[str, Any]]:
        names = ", ".join(columns)
        return self.ask(f"SELECT {names} FROM {prefix}requests ORDER BY record_key", list(columns))


def of_sqlite(path: Path) -> OldDatabase:
    def ask(query: str, _: list[str]) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def run(script: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)

    return OldDatabase(f"sqlite:///{path}", ask, run)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.real),
        pytest.param("mariadb", marks=pytest.mark.real),
    ]
)
def database(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> OldDatabase:
    """Each kind of database, as release 0.1.0 left it."""
    if request.param == "sqlite":
        found = of_sqlite(tmp_path / "chest.sqlite3")
    elif request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        found = OldDatabase(postgresql.url, lambda query, _: postgresql.rows(query), postgresql.rows)
    else:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        found = OldDatabase(mariadb.url, mariadb.rows, mariadb.run)
    found.load(f"{request.param}.sql", prefix)
    return found


def insert_as_before(database: OldDatabase, prefix: str, number: int) -> None:
    """What a worker of release 0.1.0 inserts, by the names of its columns."""
    database.run(
        f"INSERT INTO {prefix}requests (record_key, time, request_id, trace_id, span_id, service, method, route,"
        f" status, duration_ms, refused) VALUES ('{number:032x}', '2026-11-20 12:00:00', 'old-{number}', NULL, NULL,"
        " 'shop', 'GET', '/cart', 200, 12.5, NULL)"
    )


def test_an_old_database_is_upgraded(database: OldDatabase, prefix: str, make_record: MakeRecord) -> None:
    """Every old row stays as it was, with nothing in the new columns; a new record has all of them, and its details."""
    before = database.requests(prefix, *OLD)
    assert len(before) == OLD_REQUESTS
    record = make_record(
        error=FAILURE,
        path="/buy/3",
        version="1.2",
        cpu_s=0.002,
        first_byte_s=0.004,
        spans=(SPAN,),
        logs=(LogLine(5, "ERROR", "shop", "none left"),),
        timings={"db": (1, 0.0312)},
        spans_dropped=3,
        spans_complete=False,
        logs_dropped=1,
        slos={"cart": False, "all": True},
        status=500,
    )
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        chest.put(record)
        assert chest.flush(30)
    *old, new = database.requests(prefix, *OLD, *ADDED)
    assert [{name: row[name] for name in OLD} for row in old] == before
    assert all(row[name] is None for row in old for name in ADDED)
    assert {name: new[name] for name in ADDED} == {
        "path": "/buy/3",
        "version": "1.2",
        "cpu_ms": 2.0,
        "first_byte_ms": 4.0,
        "db_count": 1,
        "db_ms": 31.2,
        "http_count": 0,
        "http_ms": 0.0,
        "other_count": 0,
        "other_ms": 0.0,
        "spans_dropped": 3,
        "spans_complete": 0,
        "logs_dropped": 1,
        "error_type": FAILURE.type,
        "error_handled": 1,
        "error_place": FAILURE.place,
        "error_message": FAILURE.message,
        "error_stack": FAILURE.stack,
        "slos": '{"cart":false,"all":true}',
    }
    (details,) = database.ask(f"SELECT spans, logs FROM {prefix}details", ["spans", "logs"])
    assert '"name":"SELECT ducks"' in details["spans"]
    assert '"duration_ms":31.2' in details["spans"]
    assert '"message":"none left"' in details["logs"]


def test_an_old_worker_writes_beside_a_new_one(database: OldDatabase, prefix: str, make_record: MakeRecord) -> None:
    """A worker of release 0.1.0 goes on inserting, and finds the version it knows: nothing is lost, nothing doubled."""
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        for number in range(5):
            chest.put(make_record(request_id=f"new-{number}"))
            assert chest.flush(30)
            insert_as_before(database, prefix, number)
    found = [row["request_id"] for row in database.requests(prefix, "request_id")]
    assert len(found) == len(set(found)) == OLD_REQUESTS + 10
    assert database.ask(f"SELECT version FROM {prefix}schema_version", ["version"]) == [{"version": 1}]


def test_workers_that_upgrade_together(database: OldDatabase, prefix: str, make_record: MakeRecord) -> None:
    """Three workers that meet an old database at the same moment all write, and none loses or doubles a record."""
    chests = [SQLChest(database.url, table_prefix=prefix) for _ in range(3)]
    try:
        for number in range(20):
            for worker, chest in enumerate(chests):
                chest.put(make_record(request_id=f"worker-{worker}-{number}"))
        assert [chest.flush(60) for chest in chests] == [True] * 3
        assert [(chest.lost, chest.dropped) for chest in chests] == [(0, 0)] * 3
    finally:
        for chest in chests:
            chest.close()
    found = [row["request_id"] for row in database.requests(prefix, "request_id")]
    assert len(found) == len(set(found)) == OLD_REQUESTS + 60


def test_a_second_start_changes_nothing(database: OldDatabase, prefix: str, make_record: MakeRecord) -> None:
    """An upgraded database is taken as it is by the next worker, and by one after that."""
    for _ in range(3):
        with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
            chest.put(make_record(path="/again"))
            assert chest.flush(30)
    assert [row["path"] for row in database.requests(prefix, "path")] == [None] * OLD_REQUESTS + ["/again"] * 3
