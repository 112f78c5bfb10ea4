"""The embedded store, read back with nothing but ``sqlite3``."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records import schema, tables
from flask_chest_otel._store import file as store_file
from flask_chest_otel._store.store import EmbeddedStore

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from flask_chest_otel._records.record import RequestRecord


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def sound(path: Path) -> bool:
    return rows(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "instance" / "flask_chest.sqlite3"


def test_one_row_per_request_and_variable(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """A record becomes a row of every field, and a row per variable with type, text and number."""
    variables = {"user_id": "u1", "cart_total": 42.5, "items": 3, "vip": True, "tags": ("a", "b")}
    record = make_record(start_unix_ns=1_795_000_000_123_456_789, variables=variables)
    with closing(EmbeddedStore(path, max_age_s=1e9)) as store:
        store.put(record)
        assert store.flush(5)
        columns = ", ".join(tables.RequestRow._fields[:11])
        assert rows(path, f"SELECT {columns} FROM chest_requests") == [
            (
                schema.record_key(record),
                "2026-11-18T11:06:40.123456Z",
                "r-1",
                "0af7651916cd43dd8448eb211c80319c",
                "b7ad6b7169203331",
                "shop",
                "GET",
                "/cart/<int:cart_id>",
                200,
                12.5,
                None,
            )
        ]
        assert rows(path, "SELECT name, type, text_value, number_value FROM chest_variables ORDER BY name") == [
            ("cart_total", "float", "42.5", 42.5),
            ("items", "int", "3", 3),
            ("tags", "list", '["a", "b"]', None),
            ("user_id", "str", "u1", None),
            ("vip", "bool", "true", 1),
        ]


def test_nothing_is_made_before_the_first_record(path: Path) -> None:
    """A store that got no record leaves neither file nor folder."""
    store = EmbeddedStore(path)
    store.flush()
    store.close()
    assert not path.parent.exists()


def test_readable_by_its_owner_only(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Store, log and lock file have mode 0600 whatever the umask, and a folder made for them 0700."""
    old = os.umask(0)
    try:
        with closing(EmbeddedStore(path)) as store:
            store.put(make_record())
            assert store.flush(5)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == {path.name: 0o600, f"{path.name}-wal": 0o600, f"{path.name}-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_delivered_twice_is_one_row(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """The same record, delivered twice by two stores, is one request with its variables once."""
    record = make_record(trace_id=None, span_id=None)
    for _ in range(2):
        with closing(EmbeddedStore(path)) as store:
            store.put(record)
            store.put(record)
    assert rows(path, "SELECT count(*) FROM chest_requests") == [(1,)]
    assert rows(path, "SELECT count(*) FROM chest_variables") == [(2,)]


def test_usual_questions_have_an_index(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Looking up a request id, a trace id, a time, or a name with a time never walks a whole table."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
    questions = [
        "SELECT * FROM chest_requests WHERE request_id = 'r-1'",
        "SELECT * FROM chest_requests WHERE trace_id = 'x'",
        "SELECT * FROM chest_requests WHERE time > '2026'",
        "SELECT * FROM chest_variables WHERE name = 'cart_total' AND time > '2026'",
        "SELECT * FROM chest_variables WHERE request_key = 'x'",
    ]
    for question in questions:
        (plan,) = rows(path, f"EXPLAIN QUERY PLAN {question}")
        assert plan[3].startswith("SEARCH"), plan


def test_hostile_texts_survive(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Quotes, control and 4-byte characters arrive as they are; NUL and lone surrogates cost nothing else."""
    variables = {"quote": "'; DROP TABLE chest_requests; --", "basket": "🧺\x1b[31m\n", "nul": "a\0b", "half": "\ud83d"}
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(method="GE\ud800T", request_id="x" * 255, variables=variables))
        assert store.flush(5)
    assert dict(rows(path, "SELECT name, text_value FROM chest_variables")) == {
        **variables,
        "nul": "a�b",
        "half": "?",
    }


def test_reading_while_writing(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """A reader in a transaction keeps its view while records are written, and hinders nobody."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert store.flush(5)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM chest_requests").fetchone() == (1,)
            store.put(make_record(request_id="r-2"))
            assert store.flush(5)
            assert reader.execute("SELECT count(*) FROM chest_requests").fetchone() == (1,)
            reader.execute("COMMIT")
            assert reader.execute("SELECT count(*) FROM chest_requests").fetchone() == (2,)


WRITING = """
store = EmbeddedStore(sys.argv[1])
for number in range(int(sys.argv[3])):
    store.put(record(number, sys.argv[2]))
    if number % 50 == 0:
        assert store.flush(20)
assert store.flush(20) and not store.dropped and not store.lost
"""


def test_many_processes_write_one_file(path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """Four processes that begin together on a file that is not there yet lose nothing and say nothing."""
    processes = [start_python(WRITING, path, f"worker{which}", 400) for which in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert sound(path)
    assert rows(path, "SELECT count(*), count(DISTINCT request_id) FROM chest_requests") == [(1600, 1600)]
    assert rows(path, "SELECT count(*) FROM chest_variables") == [(3200,)]


def test_kill_9_in_the_middle(path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """After kill -9 the file is sound, holds all that was flushed, and no request has only part of its variables."""
    script = """
    store = EmbeddedStore(sys.argv[1])
    for number in range(10**6):
        store.put(record(number))
        if number % 200 == 199:
            assert store.flush(20)
            print(number + 1, flush=True)
    """
    process = start_python(script, path)
    assert process.stdout is not None
    for _ in range(3):
        flushed = int(process.stdout.readline())
    time.sleep(0.13)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert sound(path)
    ((count,),) = rows(path, "SELECT count(*) FROM chest_requests")
    assert count >= flushed >= 600
    assert rows(path, "SELECT count(*) FROM chest_variables") == [(2 * count,)]
    with closing(EmbeddedStore(path)) as store:
        assert store.flush(0)


def test_fork_with_an_open_store(path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """Parent and children write on after a fork; children that end do the parent's connection no harm."""
    script = """
    import gc
    store = EmbeddedStore(sys.argv[1])
    for number in range(100):
        store.put(record(number, "parent"))
    assert store.flush(20)
    for child in range(3):
        if os.fork() == 0:
            for number in range(100):
                store.put(record(number, f"child{child}"))
            gc.collect()
            sys.exit(0)
        store.put(record(child, "between"))
    for child in range(3):
        assert os.wait()[1] == 0
    for number in range(100, 200):
        store.put(record(number, "parent"))
    assert store.flush(20) and not store.lost
    """
    process = start_python(script, path)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert sound(path)
    assert rows(path, "SELECT count(*) FROM chest_requests") == [(503,)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_fork_in_the_middle_of_a_write(path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """A child is not born with the write lock that its parent's thread was holding: it stores what it gets."""
    script = """
    import threading
    store = EmbeddedStore(sys.argv[1])
    ended = threading.Event()
    def load():
        while not ended.is_set():
            for number in range(300):
                store.put(record(number, "parent"))
            store.flush(20)
    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    for child in range(12):
        time.sleep(0.031)
        if os.fork() == 0:
            store.put(record(child, "child"))
            os._exit(0 if store.flush(20) and not store.lost else 7)
        assert os.wait()[1] == 0, child
    ended.set()
    loading.join()
    """
    process = start_python(script, path)
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (0, "")
    assert rows(path, "SELECT count(*) FROM chest_requests WHERE request_id LIKE '%child%'") == [(12,)]


def test_broken_file_is_set_aside(
    path: Path, make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is no database is renamed, untouched, and a new store is begun; one log line names both."""
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 1000)
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert store.flush(5)
    (aside,) = path.parent.glob("*.corrupt-*")
    assert aside.read_bytes() == b"not a database at all" * 1000
    assert rows(path, "SELECT request_id FROM chest_requests") == [("r-1",)]
    (line,) = caplog.messages
    assert str(path) in line
    assert str(aside) in line


def test_damage_inside_a_store(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """A store whose pages were overwritten is set aside, and the record that found it is in the new one."""
    with closing(EmbeddedStore(path)) as store:
        for number in range(500):
            store.put(make_record(request_id=str(number)))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="after"))
        assert store.flush(5)
    assert len(list(path.parent.glob("*.corrupt-*"))) == 1
    assert rows(path, "SELECT request_id FROM chest_requests") == [("after",)]


def test_a_file_that_is_emptied_while_it_is_used(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """As with ``> store.sqlite3``: SQLite would go on without an error. The file is set aside, what comes is kept."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="before"))
        assert store.flush(5)
        path.write_bytes(b"")
        for number in range(500):
            store.put(make_record(request_id=str(number)))
        assert store.flush(5)
        assert rows(path, "SELECT count(*) FROM chest_requests") == [(500,)]
    assert list(path.parent.glob(f"{path.name}.corrupt-*"))


@pytest.mark.parametrize("name", ["'chest_requests'", "CAST(x'fffe' AS TEXT)"], ids=["half a table", "no text"])
def test_a_damaged_schema(path: Path, make_record: Callable[..., RequestRecord], name: str) -> None:
    """A store whose tables cannot be read is set aside like any broken one; what comes afterwards is kept."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert store.flush(5)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(f"UPDATE sqlite_master SET name = {name}, sql = {name} WHERE name = 'chest_requests'")
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="after"))
        assert store.flush(10)
    assert list(path.parent.glob(f"{path.name}.corrupt-*"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT request_id FROM chest_requests").fetchall() == [("after",)]


def test_processes_that_find_the_damage_together(
    path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Of four processes that meet a broken file at once, one sets it aside; none renames another's new store."""
    path.parent.mkdir()
    path.write_bytes(b"broken" * 5000)
    processes = [start_python(WRITING, path, f"worker{which}", 200) for which in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len([file for file in path.parent.glob("*.corrupt-*") if file.suffix.startswith(".corrupt")]) == 1
    assert sound(path)
    assert rows(path, "SELECT count(DISTINCT request_id) FROM chest_requests") == [(800,)]


def test_deleted_file_is_begun_anew(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """A store that somebody deletes under a running application is there again with the next record."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="before"))
        assert store.flush(5)
        for file in list(path.parent.iterdir()):
            file.unlink()
        store.put(make_record(request_id="after"))
        assert store.flush(5)
        assert rows(path, "SELECT request_id FROM chest_requests") == [("after",)]
    assert sound(path)


def test_newer_store_is_left_alone(
    path: Path, make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """A store of a newer version is not changed by a byte; one line says which and what to type."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert not store.flush(5)
    assert path.read_bytes() == before
    (line,) = caplog.messages
    assert f"{path} was written by a newer flask_chest_otel (schema 99, this one knows 1)" in line
    assert "pip install --upgrade" in line


def test_foreign_database_is_left_alone(
    path: Path, make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """A database of something else gets no table of ours."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    before = path.read_bytes()
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert not store.flush(5)
    assert path.read_bytes() == before
    assert "is a database of something else" in caplog.messages[0]


def test_older_store_is_upgraded(
    path: Path, make_record: Callable[..., RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of an older version goes through the steps to ours, and keeps its rows."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="old"))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)
    steps = {
        1: ("ALTER TABLE chest_requests ADD COLUMN two TEXT",),
        2: ("ALTER TABLE chest_requests ADD COLUMN three",),
    }
    monkeypatch.setattr(store_file, "UPGRADES", steps)
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="new"))
        assert store.flush(5)
    assert rows(path, "PRAGMA user_version") == [(3,)]
    assert rows(path, "SELECT request_id, two, three FROM chest_requests ORDER BY request_id") == [
        ("new", None, None),
        ("old", None, None),
    ]


UNWRITABLE = """
import logging
logging.basicConfig(format="%(message)s")
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
store = EmbeddedStore(sys.argv[1])
for number in range(1000):
    store.put(record(number))
assert not store.flush(5)
store.put(record(1))
store.close()
print(store.lost + store.dropped)
"""


@pytest.mark.parametrize("where", ["flask_chest.sqlite3", "instance/flask_chest.sqlite3"])
def test_unwritable_folder_is_one_log_line(where: str, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """Where it may not write the store is off after one line that names the path and what to do."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        process = start_python(UNWRITABLE, f"{folder}/{where}")
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        (line,) = errors.splitlines()
        assert f"{folder}/{where} cannot be written" in line
        assert "let the application's user write to" in line
        assert output == "1001\n"


def test_unwritable_file_is_one_log_line(start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """A store that belongs to somebody else is left as it is; one line names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flask_chest.sqlite3")
        Path(folder).chmod(0o555)
        path.touch()
        path.chmod(0o444)
        process = start_python(UNWRITABLE, path)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        (line,) = errors.splitlines()
        assert f"{path} cannot be written" in line
        assert path.read_bytes() == b""


def test_folder_in_its_place(
    path: Path, make_record: Callable[..., RequestRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """A folder where the file should be, or a file where its folder should be, ends in one log line each."""
    path.mkdir(parents=True)
    (path.parent / "file").touch()
    for place in (path, path.parent / "file" / "flask_chest.sqlite3"):
        caplog.clear()
        with closing(EmbeddedStore(place)) as store:
            store.put(make_record())
            assert not store.flush(5)
        (line,) = caplog.messages
        assert f"{place} cannot be written" in line


@pytest.mark.slow
def test_writers_wait_for_each_other(path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """While somebody else holds the write lock for a second, put does not wait and nothing is lost."""
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert store.flush(5)
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            release = threading.Timer(1.0, other.execute, ["COMMIT"])
            release.start()
            store.put(make_record(request_id="r-2"))
            assert not store.flush(0.3)
            assert store.flush(5)
            release.join()
        assert rows(path, "SELECT count(*) FROM chest_requests") == [(2,)]
