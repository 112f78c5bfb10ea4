"""The store's bounds in age and size, measured on the disk."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._store import bounds as store_bounds
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord

MIB = 1024 * 1024


def on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.iterdir() if not file.name.endswith("-shm"))


def ids(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT CAST(request_id AS INTEGER) FROM chest_requests ORDER BY time")
        return [number for (number,) in found]


def put_numbers(store: EmbeddedStore, make_record: Callable[..., RequestRecord], numbers: range) -> None:
    for number in numbers:
        store.put(make_record(request_id=str(number), variables={"text": "x" * 200, "number": number}))
        if number % 100 == 99:
            assert store.flush(10)


@pytest.mark.slow
def test_size_is_bounded_on_disk(tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Many times more records than fit leave the newest ones, in no more bytes than allowed, all along."""
    path = tmp_path / "store.sqlite3"
    largest = 0
    with closing(EmbeddedStore(path, max_bytes=2 * MIB)) as store:
        for first in range(0, 12_000, 1000):
            put_numbers(store, make_record, range(first, first + 1000))
            largest = max(largest, on_disk(path))
        assert largest < 2 * MIB
        kept = ids(path)
        assert kept == list(range(12_000 - len(kept), 12_000))
        assert len(kept) > 1000
        with closing(sqlite3.connect(path)) as connection:
            orphans = (
                "SELECT count(*) FROM chest_variables WHERE request_key NOT IN (SELECT record_key FROM chest_requests)"
            )
            assert connection.execute(orphans).fetchone() == (0,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
@pytest.mark.guard_on
def test_size_is_bounded_while_the_clock_is_in_doubt(
    tmp_path: Path, make_record: Callable[..., RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a jump of the clock nothing is deleted for its age, and the file stays as small as ever."""
    path, ahead_s = tmp_path / "store.sqlite3", 0
    right, largest = time.time, 0
    monkeypatch.setattr(store_bounds, "AGED_EVERY_S", 0.0)
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    with closing(EmbeddedStore(path, max_bytes=2 * MIB)) as store:
        put_numbers(store, make_record, range(100))
        ahead_s = 400 * 86400
        for first in range(100, 5100, 500):
            put_numbers(store, make_record, range(first, first + 500))
            largest = max(largest, on_disk(path))
    assert largest < 2 * MIB
    kept = ids(path)
    assert kept == list(range(5100 - len(kept), 5100))


@pytest.mark.slow
def test_store_shrinks_under_a_smaller_bound(tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """A store that was allowed more gives space back to the disk when it is opened with less."""
    path = tmp_path / "store.sqlite3"
    with closing(EmbeddedStore(path, max_bytes=32 * MIB)) as store:
        put_numbers(store, make_record, range(8000))
    assert on_disk(path) > 5 * MIB
    with closing(EmbeddedStore(path, max_bytes=2 * MIB)) as store:
        for number in range(8000, 8020):
            put_numbers(store, make_record, range(number, number + 1))
            assert store.flush(10)
    assert on_disk(path) < 2 * MIB
    assert ids(path)[-1] == 8019


def test_old_requests_go(tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Requests older than the bound, and their variables, are gone after the next batch."""
    path = tmp_path / "store.sqlite3"
    with closing(EmbeddedStore(path)) as store:
        for days in (30, 8, 6, 0):
            store.put(make_record(request_id=str(days), start_unix_ns=time.time_ns() - days * 86_400 * 10**9))
        assert store.flush(5)
    assert ids(path) == [6, 0]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM chest_variables").fetchone() == (4,)


@pytest.mark.slow
def test_age_is_looked_at_seldom(
    tmp_path: Path, make_record: Callable[..., RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks nothing is deleted for its age; with the next one it is."""
    path = tmp_path / "store.sqlite3"
    with closing(EmbeddedStore(path, max_age_s=1)) as store:
        for number in range(2):
            store.put(make_record(request_id=str(number)))
            assert store.flush(5)
            time.sleep(1.1)
        assert ids(path) == [0, 1]
        monkeypatch.setattr(store_bounds, "AGED_EVERY_S", 0.0)
    with closing(EmbeddedStore(path, max_age_s=1)) as store:
        store.put(make_record(request_id="2"))
        assert store.flush(5)
    assert ids(path) == [2]


@pytest.mark.slow
def test_reader_that_never_ends_its_transaction(tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """While a reader holds an old state the log stops growing at its bound; afterwards writing goes on."""
    path = tmp_path / "store.sqlite3"
    with closing(EmbeddedStore(path, max_bytes=4 * MIB)) as store:
        put_numbers(store, make_record, range(100))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM chest_requests").fetchone()
            for number in range(100, 4000):
                store.put(make_record(request_id=str(number), variables={"text": "x" * 500}))
            assert not store.flush(3)
            assert on_disk(path) < 4 * MIB
            reader.execute("COMMIT")
        assert store.flush(20)
        assert ids(path)[-1] == 3999
        assert on_disk(path) < 4 * MIB


@pytest.mark.parametrize(
    ("bounds", "setting"),
    [({"max_age_s": 0}, "max_age_s"), ({"max_age_s": float("nan")}, "max_age_s"), ({"max_bytes": 1000}, "max_bytes")],
)
def test_impossible_bounds_are_refused(tmp_path: Path, bounds: dict[str, float], setting: str) -> None:
    """A bound that cannot be kept is refused when the store is made, with what would do."""
    with pytest.raises(ChestConfigError, match=f"{setting}=.* cannot be used: give a number of"):
        EmbeddedStore(tmp_path / "x", **bounds)  # type: ignore[arg-type]  # wrong on purpose
