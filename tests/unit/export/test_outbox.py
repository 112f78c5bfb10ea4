"""The outbox file: order, owners, bounds, what was refused."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._base import sqlite
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._outbox.owner import OwnerLock, locked_if_dead, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Open = Callable[..., Outbox]


@pytest.fixture
def open_outbox(tmp_path: Path) -> Iterator[Open]:
    opened: list[Outbox] = []

    def begin(*, max_bytes: int = 2**28, max_age_s: float = 3600.0) -> Outbox:
        outbox = Outbox(tmp_path / "box" / FILENAME, max_bytes, max_age_s)
        opened.append(outbox)
        return outbox

    yield begin
    for outbox in opened:
        outbox.close()


def bodies(outbox: Outbox, owner: str, signal: str = "traces") -> list[bytes]:
    return [row.body for row in outbox.waiting(owner, signal, 1000)]


def test_batches_come_out_in_their_order(open_outbox: Open) -> None:
    """Each signal of each owner is a queue of its own."""
    outbox = open_outbox()
    outbox.put("a", [("traces", 1, b"1"), ("metrics", 1, b"m")])
    outbox.put("b", [("traces", 1, b"other")])
    outbox.put("a", [("traces", 1, b"2")])
    assert bodies(outbox, "a") == [b"1", b"2"]
    assert bodies(outbox, "a", "metrics") == [b"m"]
    first, _ = outbox.waiting("a", "traces", 5)
    outbox.settle([first.batch_id])
    assert bodies(outbox, "a") == [b"2"]
    assert len(bodies(outbox, "a") + bodies(outbox, "a", "metrics")) == 2


@pytest.mark.slow
def test_workers_that_make_the_file_at_once(tmp_path: Path) -> None:
    """Each finds it made, by itself or by another one."""
    workers = 6
    for attempt in range(10):
        path, together = tmp_path / f"box-{attempt}" / FILENAME, threading.Barrier(workers)

        def begin(name: str, path: Path = path, together: threading.Barrier = together) -> int:
            together.wait()
            outbox = Outbox(path, 2**28, 3600.0)
            kept = outbox.put(name, [("traces", 1, b"1")])
            outbox.close()
            return kept

        with ThreadPoolExecutor(workers) as pool:
            assert list(pool.map(begin, map(str, range(workers)))) == [1] * workers


def test_files_are_their_owners_only(open_outbox: Open) -> None:
    """Nobody else on the machine reads what waits: folder 0700, files 0600."""
    outbox = open_outbox()
    outbox.put("a", [("traces", 1, b"1")])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in outbox.path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(outbox.path.parent.stat().st_mode) == 0o700


def test_what_is_too_old_goes(open_outbox: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches beyond the age are deleted and counted, newer ones stay."""
    outbox = open_outbox(max_age_s=100.0)
    moment = 1_000_000 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: moment)
    monkeypatch.setattr("flask_chest_otel._outbox.limits.AGED_EVERY_S", 0.0)
    outbox.put("a", [("traces", 3, b"old")])
    moment += 99 * 10**9
    outbox.put("a", [("traces", 1, b"new")])
    assert bodies(outbox, "a") == [b"old", b"new"]
    moment += 2 * 10**9
    outbox.put("a", [("traces", 1, b"newer")])
    assert bodies(outbox, "a") == [b"new", b"newer"]
    assert outbox.dropped == 3


def test_a_clock_that_is_stepped_back_loses_nothing(open_outbox: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order is that of arrival, not of clocks, and a batch of the future is not too old."""
    outbox = open_outbox(max_age_s=100.0)
    moment = 1_000_000 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: moment)
    monkeypatch.setattr("flask_chest_otel._outbox.limits.AGED_EVERY_S", 0.0)
    outbox.put("a", [("traces", 1, b"first")])
    moment -= 86400 * 10**9
    outbox.put("a", [("traces", 1, b"second")])
    assert bodies(outbox, "a") == [b"first", b"second"]
    assert outbox.dropped == 0


def test_what_is_too_much_goes_the_oldest_first(open_outbox: Open) -> None:
    """The file stays within its bound; the newest batches are those that are kept, and the rest is counted."""
    bound = 1024 * 1024
    outbox = open_outbox(max_bytes=bound)
    for number in range(200):
        outbox.put("a", [("traces", 1, number.to_bytes(2, "big") * 10_000)])
    kept = [int.from_bytes(body[:2], "big") for body in bodies(outbox, "a")]
    assert kept == list(range(200 - len(kept), 200))
    assert 40 <= len(kept) <= 52
    assert outbox.dropped == 200 - len(kept)
    outbox.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert outbox.path.stat().st_size <= bound * 1.1


def test_refused_batches_are_kept_apart(open_outbox: Open) -> None:
    """Put aside: not sent, listed with the reason, sent again on demand by anybody, or cleared."""
    outbox = open_outbox()
    outbox.put("a", [("traces", 2, b"bad"), ("traces", 1, b"good")])
    bad, _ = outbox.waiting("a", "traces", 5)
    outbox.settle([], {bad.batch_id: "400 no"})
    assert bodies(outbox, "a") == [b"good"]
    assert [(kept.items, kept.size_bytes, kept.refused) for kept in outbox.kept()] == [(2, 3, "400 no"), (1, 4, None)]
    assert outbox.resend() == 1
    assert outbox.take_over("b") >= 1
    assert b"bad" in bodies(outbox, "b")
    outbox.settle([], {bad.batch_id: "400 no"})
    assert outbox.clear() == 1
    assert len(outbox.kept()) == 1
    assert outbox.clear(everything=True) == 1
    assert outbox.kept() == []


def test_rows_of_the_living_are_theirs(open_outbox: Open) -> None:
    """Nobody takes what belongs to somebody who holds his lock; the moment it is gone, one takes all."""
    outbox = open_outbox()
    other = OwnerLock(outbox.path.parent, "other")
    outbox.put("other", [("traces", 1, b"1"), ("traces", 1, b"2")])
    assert outbox.take_over("me") == 0
    other.forget()  # as the kernel does when a process dies
    assert outbox.take_over("me") == 2
    assert bodies(outbox, "me") == [b"1", b"2"]
    assert outbox.take_over("me too") == 2, "nobody called me holds a lock"


def test_lock_files_of_the_dead_are_swept(tmp_path: Path) -> None:
    """What dead workers left beside the file is removed, the living keep theirs."""
    alive, dead = OwnerLock(tmp_path, "alive"), OwnerLock(tmp_path, "dead")
    dead.forget()
    sweep(tmp_path, "me")
    assert [path.name for path in tmp_path.iterdir()] == ["alive.owner"]
    with locked_if_dead(tmp_path, "alive") as is_dead:
        assert not is_dead
    alive.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """Somebody who tidies up makes a process look dead: it has to know."""
    owner = OwnerLock(tmp_path, "me")
    before = owner.is_known
    (tmp_path / "me.owner").unlink()
    assert (before, owner.is_known) == (True, False)
    owner.release()


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Whatever else lies under the name is not written to."""
    path = tmp_path / FILENAME
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE t (x)")
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(sqlite.NotOursError, match="something else"):
        Outbox(path, 2**28, 1.0)
    assert path.read_bytes() == before


def steps(outbox: Outbox, work: Callable[[], object]) -> int:
    """How many hundreds of steps SQLite's machine makes for it."""
    count = [0]

    def tick() -> None:
        count[0] += 1

    outbox.connection.set_progress_handler(tick, 100)
    work()
    outbox.connection.set_progress_handler(None, 0)
    return count[0]


def test_nobody_walks_a_long_backlog(open_outbox: Open) -> None:
    """What is asked with every collection of metrics, and with every look round, costs the same however much waits."""
    outbox = open_outbox()
    OwnerLock(outbox.path.parent, "me")
    outbox.put("me", [("traces", 1, b"x")] * 20_000)
    bad, *_ = outbox.waiting("me", "traces", 1)
    outbox.settle([], {bad.batch_id: "400"})
    usage = outbox.usage()
    assert (usage.waiting, usage.refused) == (19_999, 1)
    assert steps(outbox, outbox.usage) < 5
    assert steps(outbox, lambda: outbox.take_over("me")) < 5
    assert steps(outbox, lambda: outbox.waiting_sizes("me", "traces", 64)) < 50


def test_a_file_of_an_earlier_version(tmp_path: Path) -> None:
    """Is taken over with what is in it, and counts go on where an earlier version writes beside this one."""
    path = tmp_path / FILENAME
    columns = "signal, owner, created_unix_ns, items, refused, body"
    with closing(sqlite3.connect(path, isolation_level=None)) as earlier:
        earlier.executescript(
            "CREATE TABLE outbox_batches (batch_id INTEGER PRIMARY KEY AUTOINCREMENT, signal TEXT NOT NULL,"
            " owner TEXT NOT NULL, created_unix_ns INTEGER NOT NULL, items INTEGER NOT NULL, refused TEXT,"
            " body BLOB NOT NULL);"
            "CREATE INDEX outbox_waiting ON outbox_batches (owner, signal, batch_id) WHERE refused IS NULL;"
            "PRAGMA application_id = 0x4348424F; PRAGMA user_version = 1;"
        )
        insertion = f"INSERT INTO outbox_batches ({columns}) VALUES ('traces', 'a', 7, 1, ?, x'00')"
        earlier.executemany(insertion, [(None,), (None,), ("400",)])
        outbox = Outbox(path, 2**28, 3600.0)
        before = outbox.usage()
        earlier.executemany(insertion, [(None,), ("401",)])
        earlier.execute("DELETE FROM outbox_batches WHERE batch_id = 1")
        earlier.execute("UPDATE outbox_batches SET refused = '400' WHERE batch_id = 2")
        after = outbox.usage()
        outbox.close()
        (version,) = earlier.execute("PRAGMA user_version").fetchone()
    assert (before.waiting, before.refused, before.oldest_unix_ns) == (2, 1, 7)
    assert (after.waiting, after.refused) == (1, 3)
    assert version == 1
