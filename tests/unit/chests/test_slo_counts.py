"""Counts of objectives in the store: equal to a brute-force count, and kept when requests are deleted."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._store import bounds, rolling
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.store import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel._store.answers import SLOCount

DAY_S, HOUR_S = 86400, 3600
FOREVER_S = 1e10


def write(path: Path, records: list[RequestRecord]) -> None:
    """Write records, and count all that are due."""
    with closing(EmbeddedStore(path, max_age_s=FOREVER_S)) as store:
        for start in range(0, len(records), 500):
            for record in records[start : start + 500]:
                store.put(record)
            assert store.flush(30)
        time.sleep(1.1)
        store.put(records[-1])  # a batch begins another look
        assert store.flush(30)


def brute_force(records: list[RequestRecord], since_s: float, until_s: float) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for record in records:
        if int(since_s) <= record.start_unix_ns // 10**9 < int(until_s):
            for name, good in record.slos.items():
                found.setdefault((record.service, name), [0, 0])[not good] += 1
    return found


def answered(counts: list[SLOCount]) -> dict[tuple[str, str], list[int]]:
    return {(one.service, one.name): [one.good, one.bad] for one in counts}


@pytest.fixture
def records(make_record: Callable[..., RequestRecord]) -> list[RequestRecord]:
    """Requests of three days, two applications and two objectives; some belong to none."""
    chance, now_ns = random.Random(7), time.time_ns()
    kinds: list[dict[str, bool]] = [{}, {"cart": True}, {"cart": False}, {"cart": True, "all": False}]
    return sorted(
        (
            make_record(
                start_unix_ns=now_ns - chance.randrange(3 * DAY_S * 10**9),
                service=chance.choice(["shop", "stock"]),
                request_id=f"r-{number}",
                slos=chance.choice(kinds),
            )
            for number in range(1500)
        ),
        key=lambda record: record.start_unix_ns,
    )


@pytest.mark.slow
def test_counts_equal_a_brute_force_count(tmp_path: Path, records: list[RequestRecord]) -> None:
    """For any time, whole minutes or not: from roll-ups, what is not rolled up yet, and what came late."""
    path, now_s = tmp_path / "store.sqlite3", time.time()
    late = records[::50]
    write(path, [record for record in records if record not in late])
    write(path, late)
    chance = random.Random(8)
    with read_store(path) as reader:
        assert answered(reader.slo_counts(0, now_s + 5)) == brute_force(records, 0, now_s + 5)
        for _ in range(40):
            since_s = now_s - chance.uniform(60, 2.9 * DAY_S)
            until_s = since_s + chance.choice([10, 400, 5000, 80_000, 300_000])
            assert answered(reader.slo_counts(since_s, until_s)) == brute_force(records, since_s, until_s)
        for per_s in (60, 300, HOUR_S, DAY_S):
            rows = reader.slo_counts(now_s - 2 * DAY_S, now_s, per_s, "shop")
            total: Counter[str] = Counter()
            for row in rows:
                assert row.service == "shop"
                assert row.start_s % per_s == 0 or row.start_s == int(now_s - 2 * DAY_S)
                total.update({f"{row.name} good": row.good, f"{row.name} bad": row.bad})
            expected = brute_force(records, now_s - 2 * DAY_S, now_s)
            for name in ("cart", "all"):
                assert [total[f"{name} good"], total[f"{name} bad"]] == expected["shop", name]


@pytest.mark.slow
def test_counts_outlive_the_requests(tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """A request that is deleted for its age stays counted by the hour, so that a month can be told from a week."""
    path, now_ns = tmp_path / "store.sqlite3", time.time_ns()
    old = [
        make_record(start_unix_ns=now_ns - (20 * DAY_S + number) * 10**9, request_id=f"r{number}", slos={"all": False})
        for number in range(300)
    ]
    write(path, old)
    with closing(EmbeddedStore(path, max_age_s=DAY_S)) as store:
        store.put(make_record(start_unix_ns=now_ns, slos={"all": True}))
        assert store.flush(30)
    now_s = now_ns / 1e9
    with read_store(path) as reader:
        assert reader.extent().requests == 1
        assert answered(reader.slo_counts(now_s - 30 * DAY_S, now_s + 1)) == {("shop", "all"): [1, 300]}
        assert answered(reader.slo_counts(now_s - DAY_S, now_s + 1)) == {("shop", "all"): [1, 0]}


@pytest.mark.slow
@pytest.mark.guard_on
@pytest.mark.parametrize("doubted_s", [DAY_S, 0])
def test_a_clock_that_jumps(
    tmp_path: Path,
    make_record: Callable[..., RequestRecord],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    doubted_s: float,
) -> None:
    """Half a year ahead and back: nothing is deleted for its age before a day has passed, and the log says so."""
    monkeypatch.setattr(bounds, "DOUBTED_S", doubted_s)
    monkeypatch.setattr(bounds, "AGED_EVERY_S", 0.0)
    path, now_ns = tmp_path / "store.sqlite3", time.time_ns()
    write(
        path, [make_record(start_unix_ns=now_ns - n * 10**9, request_id=f"r{n}", slos={"all": True}) for n in range(9)]
    )
    ahead_s = 0
    right, right_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: right() + ahead_s)
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + ahead_s * 10**9)
    with closing(EmbeddedStore(path)) as store:
        for ahead_s in (0, 200 * DAY_S, 0):
            store.put(make_record(start_unix_ns=time.time_ns(), request_id=f"s{ahead_s}", slos={"all": True}))
            assert store.flush(30)
    with read_store(path) as reader:
        counted = answered(reader.slo_counts(now_ns / 1e9 - 30 * DAY_S, time.time() + 1))
        # One has the time of the wrong clock; at once believed, it takes with it all that is older than a week.
        assert reader.extent().requests == (12 if doubted_s else 2)
        assert (counted == {("shop", "all"): [11, 0]}) == bool(doubted_s)
    jumps = [record.message for record in caplog.records if "the clock has jumped" in record.message]
    assert [line.split()[6] for line in jumps] == ["+200.0", "-200.0"]


def test_verdicts_are_with_the_request(tmp_path: Path, make_record: Callable[..., RequestRecord]) -> None:
    """Each stored request tells its objectives, also to SQL of one's own."""
    path = tmp_path / "store.sqlite3"
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(slos={"all": True, "cart": False}))
        store.put(make_record(request_id="r-2"))
        assert store.flush(10)
    with read_store(path) as reader:
        found = {
            details.request.request_id: details.request.slos
            for text in ("r-1", "r-2")
            for details in reader.request(text)
        }
    assert found == {"r-1": {"all": True, "cart": False}, "r-2": {}}
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT json_extract(slos, '$.cart') FROM chest_requests WHERE slos > ''"
        assert connection.execute(sql).fetchall() == [(0,)]


def without_objectives(path: Path) -> None:
    """Take away what a file from before there were objectives had not."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE chest_slo_counts")
        connection.execute("ALTER TABLE chest_requests DROP COLUMN slos")
        connection.commit()


def test_a_store_from_before_there_were_objectives(
    tmp_path: Path, make_record: Callable[..., RequestRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read as it is, with no counts; whoever writes adds the column, and counts from then on."""
    monkeypatch.setattr(rolling, "LOOK_EVERY_S", 0.0)
    path, now_s = tmp_path / "store.sqlite3", time.time()
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record())
        assert store.flush(10)
    without_objectives(path)
    with read_store(path) as reader:
        assert reader.slo_counts(now_s - 60, now_s + 60) == []
        assert [details.request.slos for details in reader.request("r-1")] == [{}]
    with closing(EmbeddedStore(path)) as store:
        store.put(make_record(request_id="r-2", start_unix_ns=time.time_ns(), slos={"all": True}))
        assert store.flush(10)
    with read_store(path) as reader:
        assert answered(reader.slo_counts(now_s - 60, time.time() + 60)) == {("shop", "all"): [1, 0]}
        assert reader.extent().requests == 2
