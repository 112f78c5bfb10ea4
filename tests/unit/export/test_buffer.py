"""The shelf between exporters and sender, over a file that refuses."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
import threading
import time
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._outbox import disk, file, limits
from flask_chest_otel._outbox.buffer import BatchBuffer, OutboxConfig
from flask_chest_otel._outbox.file import FILENAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the file, which is there."""
    outbox = file.Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.close()
    with closing(sqlite3.connect(tmp_path / FILENAME, isolation_level=None)) as connection:
        yield connection


def bodies(connection: sqlite3.Connection) -> list[bytes]:
    return [body for (body,) in connection.execute("SELECT body FROM outbox_batches ORDER BY batch_id")]


def test_bounds_that_cannot_be_kept(
    tmp_path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where old batches cannot be deleted new ones are kept once, and the bounds hold as soon as that works again."""
    monkeypatch.setattr(limits, "AGED_EVERY_S", 10.0)
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 0.0))
    other.execute("CREATE TRIGGER no BEFORE DELETE ON outbox_batches BEGIN SELECT RAISE(ABORT, 'not now'); END")
    for body in (b"1", b"2", b"3"):
        shelf.put("metrics", 1, body)
    assert bodies(other) == [b"1", b"2", b"3"]
    (said,) = caplog.messages
    assert "could not be brought within its bounds (not now)" in said
    assert shelf.dropped == 0
    other.execute("DROP TRIGGER no")
    shelf.put("metrics", 1, b"4")
    assert bodies(other) == []
    assert shelf.dropped == 4
    shelf.close()


def states(connection: sqlite3.Connection) -> list[tuple[bytes, str | None]]:
    return list(connection.execute("SELECT body, refused FROM outbox_batches ORDER BY batch_id"))


@pytest.mark.parametrize("then", ["look round", "refuse another", "close"])
def test_refused_while_the_file_is_locked(
    tmp_path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """A batch that cannot be put aside at that moment is not sent again, and put aside as soon as that works."""
    monkeypatch.setattr(disk, "PATIENCE_S", 0.1)
    monkeypatch.setattr(disk, "DISK_AGAIN_S", 0.0)
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    shelf.put("traces", 3, b"1")
    shelf.put("traces", 3, b"2")
    first, second = shelf.oldest("traces", 2, 2**20)
    other.execute("BEGIN IMMEDIATE")
    shelf.refuse(first, "traces", "401 token expired")
    other.execute("ROLLBACK")
    assert states(other) == [(b"1", None), (b"2", None)]
    assert shelf.oldest("traces", 2, 2**20) == [second]
    shelf.keep()
    if then == "refuse another":
        shelf.refuse(second, "traces", "400")
    elif then == "look round":
        shelf.take_over()
    shelf.close()
    assert states(other) == [(b"1", "401 token expired"), (b"2", "400" if then == "refuse another" else None)]
    assert shelf.dropped == 0


def test_refused_without_a_disk(tmp_path: Path) -> None:
    """A batch that waited in memory, and that no disk keeps, is counted as dropped."""
    folder = tmp_path / "outbox"
    folder.write_text("a file where the folder should be")
    shelf = BatchBuffer(OutboxConfig(folder, 2**28, 3600.0))
    shelf.put("traces", 3, b"1")
    (row,) = shelf.oldest("traces", 2, 2**20)
    shelf.refuse(row, "traces", "401 token expired")
    assert shelf.oldest("traces", 2, 2**20) == []
    assert shelf.dropped == 3
    shelf.close()


def test_where_no_lock_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a file system without locks batches wait in memory, nobody waits for them, and the log says why."""

    def refuse(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    shelf = BatchBuffer(OutboxConfig(tmp_path / "box", 2**28, 3600.0))
    putting = threading.Thread(target=shelf.put, args=("traces", 1, b"1"), daemon=True)
    putting.start()
    putting.join(5.0)
    assert not putting.is_alive()
    assert [row.body for row in shelf.oldest("traces", 5, 2**20)] == [b"1"]
    assert "No locks available" in caplog.text
    assert list((tmp_path / "box").iterdir()) == []
    shelf.close()


def _words(sql: str) -> Callable[[sqlite3.Connection], None]:
    def damage(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(sql)

    return damage


_TABLE = "UPDATE sqlite_master SET {} WHERE name = 'outbox_batches'"
DAMAGES = {
    "half a table": _words(_TABLE.format("sql = 'CREATE TABLE outbox_batches (x'")),
    "no text": _words(_TABLE.format("name = CAST(x'fffe' AS TEXT), sql = CAST(x'fffe' AS TEXT)")),
    "no table": _words("DROP TABLE outbox_batches"),
    "no column": _words("ALTER TABLE outbox_batches RENAME COLUMN items TO itens"),
    "another page": _words(_TABLE.format("rootpage = 9999")),
    "an owner that is no text": _words("UPDATE outbox_batches SET owner = CAST(x'fffe' AS TEXT)"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_schema(
    tmp_path: Path, other: sqlite3.Connection, damage: Callable[[sqlite3.Connection], None]
) -> None:
    """The file is set aside like any broken one, and what comes afterwards is on disk."""
    earlier = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    earlier.put("traces", 1, b"before")
    earlier.close()
    damage(other)
    other.close()
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    shelf.take_over()
    shelf.put("traces", 1, b"after")
    shelf.close()
    assert len([path for path in tmp_path.glob("*.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]) == 1
    with closing(sqlite3.connect(tmp_path / FILENAME)) as found:
        assert bodies(found) == [b"after"]


@pytest.mark.alone
def test_a_batch_does_not_wait_long(tmp_path: Path, other: sqlite3.Connection) -> None:
    """While the file is locked one second is waited for it, once: several threads together, and all that come after."""
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    other.execute("BEGIN EXCLUSIVE")
    took: list[float] = []

    def put() -> None:
        began = time.monotonic()
        shelf.put("traces", 1, b"1")
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    put()
    assert len(took) == 9
    assert max(took) < 2.0
    assert took[-1] < 0.5
    assert len(shelf.oldest("traces", 20, 2**20)) == 9
    shelf.keep()
    began = time.monotonic()
    shelf.close()
    assert time.monotonic() - began < 2.0
    other.execute("ROLLBACK")


@pytest.mark.alone
def test_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is taken all the same, and goes the way of the others as soon as the disk answers."""
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    answers = threading.Event()
    flock = fcntl.flock

    def hang(handle: int, how: int) -> None:
        answers.wait(30.0)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", hang)
    first = threading.Thread(target=shelf.put, args=("traces", 1, b"1"))
    first.start()
    began = time.monotonic()
    shelf.put("traces", 1, b"2")
    shelf.put("traces", 1, b"3")
    assert time.monotonic() - began < 3.0
    answers.set()
    first.join(10.0)
    assert [row.body for row in shelf.oldest("traces", 5, 2**20)] == [b"1", b"2", b"3"]
    shelf.close()


def test_a_backlog_is_not_read_whole(tmp_path: Path) -> None:
    """What is read for one post is as large as the post, however much waits."""
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    for number in range(40):
        shelf.put("traces", 1, bytes([number]) * 2**20)
    tracemalloc.start()
    rows = shelf.oldest("traces", 64, 2**20)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.body[:1] for row in rows] == [b"\0"]
    assert most < 4 * 2**20
    shelf.close()


@pytest.mark.alone
def test_draining_while_nothing_can_be_deleted(tmp_path: Path, other: sqlite3.Connection) -> None:
    """A batch costs as much at the end of a long backlog as at its beginning, and none is given out twice."""
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**28, 3600.0))
    batches = 6000
    shelf.put("traces", 1, b"first")
    (name,) = other.execute("SELECT owner FROM outbox_batches").fetchone()
    rows = (("traces", name, time.time_ns(), 1, b"x") for _ in range(batches))
    insertion = "INSERT INTO outbox_batches (signal, owner, created_unix_ns, items, body) VALUES (?, ?, ?, ?, ?)"
    other.execute("BEGIN IMMEDIATE")
    other.executemany(insertion, rows)
    other.execute("COMMIT")
    other.execute("BEGIN IMMEDIATE")
    given: list[int] = []
    cost: list[float] = []
    while rows_ := shelf.oldest("traces", 1, 2**20):
        shelf.done(rows_)
        given += [row.batch_id for row in rows_]
        cost.append(time.thread_time())
    first, last = cost[1000] - cost[0], cost[-1] - cost[-1001]
    assert last < 4 * first
    assert given == sorted(set(given))
    assert len(given) == batches + 1
    other.execute("ROLLBACK")
    shelf.take_over()
    time.sleep(1.1)
    shelf.close()
    assert bodies(other) == []


def test_a_reader_that_stays(tmp_path: Path, other: sqlite3.Connection, caplog: pytest.LogCaptureFixture) -> None:
    """The log beside the file stops growing, and counts as what the outbox takes; afterwards all goes on."""
    shelf = BatchBuffer(OutboxConfig(tmp_path, 2**22, 3600.0))
    shelf.put("traces", 1, b"0")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM outbox_batches").fetchone()
    for _ in range(60):
        shelf.put("traces", 1, b"x" * 50_000)
    log = (tmp_path / f"{FILENAME}-wal").stat().st_size
    assert 2**20 < log < 2 * 2**20
    assert shelf.usage().size_bytes > log
    assert "a reader holds" in caplog.text
    assert shelf.usage().waiting == 61
    other.execute("COMMIT")
    shelf.close()
    assert len(bodies(other)) == 61
