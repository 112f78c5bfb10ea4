"""Stores that release 0.1.0 wrote: brought up to date by whoever opens them, while that release goes on writing."""

from __future__ import annotations

import gzip
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records import schema, tables
from flask_chest_otel._records.record import LogLine, RequestError
from flask_chest_otel._store import rolling
from flask_chest_otel._store.overview import merged
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from flask_chest_otel._records.record import RequestRecord

VERSION_1 = Path(__file__).parents[2] / "data" / "version1"
OLD_REQUESTS = 400
FOREVER_S = 1e10

OLD_INSERTIONS = {
    "chest_requests": (
        "INSERT INTO chest_requests (record_key, time, request_id, trace_id, span_id, service, method, route, status,"
        " duration_ms, refused) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    ),
    "chest_variables": (
        "INSERT INTO chest_variables (request_key, name, time, type, text_value, number_value)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    ),
}
"""What a worker of release 0.1.0 says to SQLite."""


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def write_as_before(path: Path, record: RequestRecord) -> None:
    """Insert a record as release 0.1.0 does; it checks the header when it opens the file."""
    request, variables = schema.shape(record, schema.utc_text(record.start_unix_ns))
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x43485354,)
        assert connection.execute("PRAGMA user_version").fetchone() <= (1,)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(OLD_INSERTIONS["chest_requests"], request[:11])
        connection.executemany(OLD_INSERTIONS["chest_variables"], variables)
        connection.execute("COMMIT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of release 0.1.0."""
    path = tmp_path / "flask_chest.sqlite3"
    path.write_bytes(gzip.decompress((VERSION_1 / "store.sqlite3.gz").read_bytes()))
    return path


def rolled_up(path: Path) -> list[tuple[int, int]]:
    return rows(path, "SELECT per_s, sum(count) FROM chest_rollups GROUP BY per_s ORDER BY per_s")


def test_an_old_store_is_upgraded(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """An old store keeps every row as it was, gets the columns, and its requests are counted in the roll-ups."""
    old_columns = ", ".join(column.name for column in tables.REQUESTS.columns[:11])
    everything = f"SELECT {old_columns} FROM chest_requests WHERE time < '2026-11-19' ORDER BY record_key"
    before = rows(path, everything), rows(path, "SELECT * FROM chest_variables ORDER BY 1, 2")
    with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
        store.put(make_record(path="/cart/3", variables={}))
        assert store.flush(10)
    assert (rows(path, everything), rows(path, "SELECT * FROM chest_variables ORDER BY 1, 2")) == before
    assert len(before[0]) == OLD_REQUESTS
    assert rows(path, "SELECT path FROM chest_requests WHERE path IS NOT NULL") == [("/cart/3",)]
    # The last hour, and the day, are not over before somebody asks in the next one.
    assert rolled_up(path)[0] == (60, OLD_REQUESTS)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_it_looks_like_a_new_one(path: Path, tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """After the upgrade an old store has the tables, columns and indices of one that was made today."""
    fresh = tmp_path / "fresh.sqlite3"
    shape = []
    for file in (path, fresh):
        with closing(EmbeddedStore(file, max_age_s=FOREVER_S)) as store:
            store.put(make_record())
            assert store.flush(10)
        names = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
        shape.append([rows(file, sql) for sql in (names, "PRAGMA table_info(chest_requests)", "PRAGMA user_version")])
    assert shape[0] == shape[1]


def test_an_old_store_is_read_as_it_is(path: Path) -> None:
    """Who reads an old store, before anything is written to it, sees its requests and their figures."""
    before = path.read_bytes()
    with read_store(path) as reader:
        found = reader.requests(Wanted(), 1000)
        total = merged(reader.overview(Wanted()))
        assert reader.errors(Wanted()) == []
        (one,) = reader.request(found[0].key)
    assert (len(found), total.count) == (OLD_REQUESTS, OLD_REQUESTS)
    assert one == (found[0], (), ())
    assert (found[0].path, found[0].error, found[0].spans_complete) == (None, None, None)
    assert path.read_bytes() == before


def test_a_store_without_totals(
    tmp_path: Path, make_record: Callable[..., RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of roll-ups that tell apart routes alone: read as it is, and counted again by who writes to it."""
    monkeypatch.setattr(rolling, "GRACE_S", -3600)
    path = tmp_path / "store.sqlite3"
    for count in (50, 51):
        with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
            for _ in range(50 if count == 50 else 1):
                store.put(make_record())
            assert store.flush(10)
        for by in ((), ("route",)):
            with read_store(path) as reader:
                assert merged(reader.overview(Wanted(), by)).count == count
        if count == 50:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("DROP TABLE chest_totals")
            with read_store(path) as reader:
                assert merged(reader.overview(Wanted(), ())).count == 50
    assert rolled_up(path)[0] == (60, 51)
    assert rows(path, "SELECT sum(count) FROM chest_totals WHERE per_s = 60") == [(51,)]


def test_an_old_worker_writes_beside_a_new_one(
    path: Path, make_record: Callable[..., RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What both write during a rolling deployment is there once, and counted once in every overview."""
    monkeypatch.setattr(rolling, "GRACE_S", -3600)
    monkeypatch.setattr(rolling, "LOOK_EVERY_S", 0.0)
    with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
        for written in range(2, 42, 2):
            store.put(make_record())
            assert store.flush(10)
            write_as_before(path, make_record())
            with read_store(path) as reader:
                assert merged(reader.overview(Wanted())).count == OLD_REQUESTS + written
        store.put(make_record())
        assert store.flush(10)
    assert rows(path, "SELECT count(*) FROM chest_requests") == [(OLD_REQUESTS + 41,)]
    assert rolled_up(path)[0] == (60, OLD_REQUESTS + 41)
    assert rows(path, "SELECT sum(count) FROM chest_totals WHERE per_s = 60") == [(OLD_REQUESTS + 41,)]
    assert rows(path, "SELECT * FROM chest_late") == []


@pytest.mark.slow
def test_requests_have_the_order_in_which_they_came(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """That of writing and not of time, those of an old worker, too; only the last ones are remembered."""
    now = time.time_ns()
    with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
        for number in range(2300):
            store.put(make_record(request_id=f"r-{number}", start_unix_ns=now - number * 10**9))
            if number % 100 == 99:
                assert store.flush(30)
        with read_store(path) as reader:
            last = reader.last_arrived()
        write_as_before(path, make_record(request_id="old", start_unix_ns=now - 3600 * 10**9))
        store.put(make_record(request_id="new", start_unix_ns=now - 7200 * 10**9))
        assert store.flush(30)
    with read_store(path) as reader:
        assert [one.request_id for one in reader.arrived(Wanted(), last, 10)] == ["old", "new"]
        assert [one.request_id for one in reader.arrived(Wanted(), "0" * 32, 2)] == ["old", "new"]
        assert 2000 <= len(reader.arrived(Wanted(), "0" * 32, 5000)) < 2100


def test_failures_keep_their_place(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Of requests that are written together, those with an error or a refused value come where they ended."""
    error = RequestError("ValueError", "no ducks", "", "", handled=False)
    changes: list[dict[str, Any]] = [{}, {"error": error}, {}, {"refused": {"cart": "too large"}}, {}]
    with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
        for number, change in enumerate(changes):
            store.put(make_record(request_id=f"r-{number}", **change))
        assert store.flush(10)
    with read_store(path) as reader:
        assert [one.request_id for one in reader.arrived(Wanted(), "", 10)] == ["r-0", "r-1", "r-2", "r-3", "r-4"]


def test_what_is_delivered_again_after_its_end_comes_once_more(
    path: Path, make_record: Callable[..., RequestRecord]
) -> None:
    """Who has seen a request that was deleted and written again is not told of it at each look."""
    one = make_record(request_id="again")
    for _ in range(2):
        with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
            store.put(one)
            assert store.flush(10)
        with read_store(path) as reader:
            last = reader.last_arrived()
            assert reader.arrived(Wanted(), last, 10) == []
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM chest_variables WHERE request_key = ?", (last,))
            connection.execute("DELETE FROM chest_requests WHERE record_key = ?", (last,))


def test_what_comes_into_an_old_file_is_told(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Before a new worker has written to it, a file of release 0.1.0 has the order in which requests began."""
    with read_store(path) as reader:
        last = reader.last_arrived()
        assert reader.arrived(Wanted(), last, 10) == []
        assert len(reader.arrived(Wanted(), "", 10)) == 10
    write_as_before(path, make_record(request_id="one"))
    write_as_before(path, make_record(request_id="two"))
    with read_store(path) as reader:
        assert [one.request_id for one in reader.arrived(Wanted(), last, 10)] == ["one", "two"]
        assert reader.last_arrived() == reader.requests(Wanted(), 1)[0].key


def test_an_old_worker_deletes_what_it_does_not_know(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Requests that an old worker deletes take their child spans and log lines with them."""
    record = make_record(logs=(LogLine(1, "INFO", "app", "a line"),))
    with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
        store.put(record)
        assert store.flush(10)
    assert rows(path, "SELECT count(*) FROM chest_details") == [(1,)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM chest_variables WHERE request_key <= 'g'")
        connection.execute("DELETE FROM chest_requests WHERE record_key <= 'g'")
    assert rows(path, "SELECT count(*) FROM chest_details") == [(0,)]


def test_workers_that_upgrade_together(path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """Four processes that open an old store at once: all write, nothing is lost, each request is counted once."""
    script = """
    from flask_chest_otel._store import rolling
    rolling.GRACE_S, rolling.LOOK_EVERY_S = -3600, 0.0
    store = EmbeddedStore(sys.argv[1], max_age_s=1e10)
    for number in range(100):
        store.put(record(number, sys.argv[2]))
        assert number % 10 or store.flush(30)
    assert store.flush(30) and not store.lost and not store.dropped
    """
    processes = [start_python(script, path, f"worker{which}") for which in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert (process.returncode, errors) == (0, "")
    assert rows(path, "SELECT count(*) FROM chest_requests") == [(OLD_REQUESTS + 400,)]
    with read_store(path) as reader:
        assert merged(reader.overview(Wanted())).count == OLD_REQUESTS + 400
    assert rolled_up(path)[0][1] + len(rows(path, "SELECT * FROM chest_late")) == OLD_REQUESTS + 400
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
