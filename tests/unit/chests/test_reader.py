"""Questions to the embedded store, against the records that were put into it."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError, SpanEvent
from flask_chest_otel._store import bounds as store_bounds
from flask_chest_otel._store import rolling
from flask_chest_otel._store.overview import merged
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel._store.wanted import Wanted
from tests.backends.records import make_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel._store.answers import OverviewRow

HOUR_NS = 3600 * 10**9
START_NS = 1_795_000_000_123_456_789 // HOUR_NS * HOUR_NS + 17 * 10**9

FAILURE = RequestError(
    "shop.errors.OutOfStock", "no \x1b[31mducks\0", "shop.views:buy:17", "Traceback …", handled=False
)
SPANS = (
    ChildSpan("SELECT ducks", "client", "a" * 16, "b" * 16, START_NS, 0.0312, "unset", {"db.system.name": "sqlite"}),
    ChildSpan(
        *("pay", "internal", "c" * 16, None, START_NS + 5, 0.001, "error", {"tags": ("a", "b"), "n": 1.5, "🧺": True}),
        events=(SpanEvent("exception", START_NS + 6, {"exception.type": "ValueError"}),),
    ),
)
LOGS = (LogLine(START_NS, "WARNING", "shop", "few ducks \ud83d left"), LogLine(START_NS + 1, "ERROR", "shop", "none\n"))


def stored(path: Path, records: Sequence[RequestRecord], **options: Any) -> None:
    with closing(EmbeddedStore(path, max_age_s=1e10, **options)) as store:
        for record in records:
            store.put(record)
        assert store.flush(20)


def various(count: int) -> list[RequestRecord]:
    """Requests over three days, of two applications, three versions, and routes that fail now and then."""
    made, spread = [], random.Random(15)
    for number in range(count):
        route = spread.choice(["/", "/cart", None, "/pay"])
        status = spread.choice([200, 201, 404, 500, 503])
        error = FAILURE._replace(handled=number % 2 == 0) if status == 500 else None
        made.append(
            make_record(
                start_unix_ns=START_NS + int(spread.random() * 72 * HOUR_NS),
                duration_s=spread.lognormvariate(-3, 1.2),
                service=spread.choice(["shop", "office"]),
                method=spread.choice(["GET", "POST", "BREW"]),
                route=route,
                status=status,
                error=error,
                version=spread.choice([None, "1.0", "1.1"]),
                path=f"{route or '/nowhere'}/{number % 7}",
            )
        )
    return made


@pytest.fixture(scope="module")
def records() -> list[RequestRecord]:
    return various(600)


@pytest.fixture(scope="module", params=["rolled up", "in part", "some late", "not yet"])
def path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, records: list[RequestRecord]
) -> Path:
    """A store whose requests are counted in roll-ups, all or some of them."""
    path = tmp_path_factory.mktemp("store") / "store.sqlite3"
    half_s = time.time_ns() // 10**9 - START_NS // 10**9 - 36 * 3600
    grace_s = {"in part": half_s, "not yet": 10**9}.get(request.param, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling, "GRACE_S", grace_s)
        patch.setattr(rolling, "BUDGET_S", 60.0)
        patch.setattr(rolling, "LOOK_EVERY_S", 0.0)
        if request.param == "some late":
            stored(path, records[100:])
            patch.setattr(rolling, "_count_some", lambda _: False)
            stored(path, records[:100])
        else:
            stored(path, records)
    with closing(sqlite3.connect(path)) as connection:
        (counted,) = connection.execute("SELECT total(count) FROM chest_rollups WHERE per_s = 60").fetchone()
        (late,) = connection.execute("SELECT count(*) FROM chest_late").fetchone()
    expected = {"rolled up": 600, "some late": 500, "not yet": 0}
    assert counted == expected.get(request.param, counted)
    assert (0 < counted < 600) == (request.param in {"in part", "some late"})
    assert (late > 90) == (request.param == "some late")
    return path


def test_everything_of_one_request(tmp_path: Path) -> None:
    """A request comes back with its path, error, times, child spans and log lines as they were recorded."""
    path = tmp_path / "store.sqlite3"
    record = make_record(
        path="/buy/3%20ducks",
        version="1.2",
        error=FAILURE,
        status=500,
        cpu_s=0.0021,
        first_byte_s=0.004,
        timings={"db": (3, 0.0312), "other": (1, 0.001)},
        spans=SPANS,
        logs=LOGS,
        spans_dropped=7,
        spans_complete=False,
        logs_dropped=2,
        refused={"x": "no value"},
    )
    stored(path, [record])
    with read_store(path) as reader:
        (found,) = reader.request(record.request_id)
    request = found.request
    assert request.error == FAILURE._replace(message="no \x1b[31mducks\ufffd")
    assert (request.path, request.version, request.status) == ("/buy/3%20ducks", "1.2", 500)
    assert (request.cpu_ms, request.first_byte_ms) == (2.1, 4.0)
    assert request.timings == {"db": (3, 31.2), "other": (1, 1.0)}
    assert (request.spans_dropped, request.spans_complete, request.logs_dropped) == (7, False, 2)
    assert (request.refused, request.variables) == ({"x": "no value"}, record.variables)
    assert found.spans[0] == SPANS[0]
    assert found.spans[1] == SPANS[1]._replace(attributes={"tags": ["a", "b"], "n": 1.5, "🧺": True})
    assert found.logs == (LOGS[0]._replace(message="few ducks ? left"), LOGS[1])


def test_an_id_or_its_beginning(tmp_path: Path) -> None:
    """A whole id finds its request, also where another begins with it; a beginning finds all, the oldest first."""
    path = tmp_path / "store.sqlite3"
    first, second, third = (make_record(request_id=f"order-{end}") for end in ("1", "12", "2"))
    stored(path, [first, second, third])
    with read_store(path) as reader:

        def ids(text: str) -> list[str]:
            return [found.request.request_id for found in reader.request(text)]

        assert ids("order-1") == ["order-1"]
        assert ids("order-") == ["order-1", "order-12", "order-2"]
        assert ids("order-12") == ids(str(second.trace_id)) == ids(str(second.trace_id).upper()) == ["order-12"]
        assert ids("order-3") == ids("") == []
        assert [found.request.request_id for found in reader.request("order-", limit=2)] == ["order-12", "order-2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(since_unix_ns=START_NS + 5 * HOUR_NS + 13),
        Wanted(until_unix_ns=START_NS + 50 * HOUR_NS + 13 * 10**9),
        Wanted(since_unix_ns=START_NS + 25 * HOUR_NS + 1, until_unix_ns=START_NS + 60 * HOUR_NS),
        Wanted(since_unix_ns=START_NS + 25 * HOUR_NS, until_unix_ns=START_NS + 25 * HOUR_NS + 40 * 10**9),
        Wanted(service="shop", route="/pay", method="GET"),
        Wanted(route="", method="_OTHER"),
        Wanted(status=(500, 599), version="1.1"),
        Wanted(status=(400, 404)),
        Wanted(version=""),
        Wanted(error_type="OutOfStock"),
        Wanted(error_type="shop.errors.OutOfStock", path="/pay*"),
        Wanted(error_type="Stock"),
        Wanted(path="/cart/3"),
        Wanted(slower_than_ms=60.0),
        Wanted(variables=(("user_id", "u1"),), slower_than_ms=200.0),
    ],
    ids=repr,
)
def test_overviews_are_those_of_the_requests(path: Path, records: list[RequestRecord], wanted: Wanted) -> None:
    """Whether from roll-ups or from each request, an overview has the figures of just the wanted requests."""
    chosen = [record for record in records if fits(record, wanted)]
    with read_store(path) as reader:
        found = {row.group: row for row in reader.overview(wanted, ("service", "route", "method", "version"))}
        total = merged(found.values())
        together = reader.overview(wanted, ("service",), 3600)
        assert len(reader.requests(wanted, 1000)) == len(list(reader.facts(wanted))) == len(chosen)
    groups = Counter(group_of(record) for record in chosen)
    assert {group: row.count for group, row in found.items()} == groups
    assert_figures(total, chosen)
    assert_figures(merged(together), chosen)
    for group, row in found.items():
        assert_figures(row, [record for record in chosen if group_of(record) == group])


def group_of(record: RequestRecord) -> tuple[str, ...]:
    method = "_OTHER" if record.method == "BREW" else record.method
    return record.service, record.route or "", method, record.version or ""


def fits(record: RequestRecord, wanted: Wanted) -> bool:
    """The same choice, made of the record."""
    lowest, highest = wanted.status or (0, 999)
    kind = record.error.type if record.error else ""
    return (
        (wanted.since_unix_ns or 0) <= record.start_unix_ns < (wanted.until_unix_ns or 2**63)
        and wanted.service in {None, record.service}
        and wanted.route in {None, record.route or ""}
        and wanted.method in {None, "_OTHER" if record.method == "BREW" else record.method}
        and lowest <= record.status <= highest
        and wanted.version in {None, record.version or ""}
        and wanted.error_type in {None, kind, kind.rpartition(".")[2]}
        and (wanted.path is None or wanted.path == record.path or record.path.startswith(wanted.path.rstrip("*") + "/"))
        and round(record.duration_s * 1000, 3) > (wanted.slower_than_ms or -1)
    )


def assert_figures(row: OverviewRow, chosen: list[RequestRecord]) -> None:
    times = sorted(round(record.duration_s * 1000, 3) for record in chosen)
    assert row.count == len(chosen)
    assert row.client_errors == sum(400 <= record.status < 500 for record in chosen)
    assert row.server_errors == sum(record.status >= 500 for record in chosen)
    assert row.exceptions == sum(record.error is not None for record in chosen)
    if not times:
        assert (row.mean_ms, row.quantiles_ms(0.5)) == (None, [None])
        return
    assert row.max_ms == times[-1]
    assert row.mean_ms == pytest.approx(sum(times) / len(times))
    shares = (0.5, 0.95, 0.99)
    true = [times[max(1, -int(-share * len(times) // 1)) - 1] for share in shares]
    assert row.quantiles_ms(*shares) == pytest.approx(true, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("per_s", [60, 300, 3600, 86400])
@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=-8), timedelta(hours=5, minutes=45)], ids=str)
def test_overviews_by_time(path: Path, records: list[RequestRecord], per_s: int, offset: timedelta) -> None:
    """Rows per minute, hour or day begin at whole ones of the zone that was asked for, and have its requests."""
    seconds = int(offset.total_seconds())
    begins = ((record.start_unix_ns // 10**9 + seconds) // per_s * per_s - seconds for record in records)
    with read_store(path) as reader:
        found = reader.overview(Wanted(), (), per_s, timezone(offset))
    assert {row.start_s: row.count for row in found} == Counter(begins)
    assert [row.start_s for row in found] == sorted(row.start_s or 0 for row in found)


def test_a_chart_needs_no_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of all requests by time are made of a few rows, however many routes and versions there are."""
    monkeypatch.setattr(rolling, "BUDGET_S", 60.0)
    path = tmp_path / "store.sqlite3"
    stored(path, [make_record(start_unix_ns=START_NS + n * 10**9, route=f"/{n}", version=f"{n}") for n in range(600)])
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, most in (("chest_rollups", 1800), ("chest_totals", 14)):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= most
        connection.execute("DELETE FROM chest_rollups")
    with read_store(path) as reader:
        assert sum(row.count for row in reader.overview(Wanted(service="shop"), (), 3600)) == 600


def test_the_newest_errors(path: Path) -> None:
    """Where only the newest groups of errors are wanted, these are what all of them begin with, the newest first."""
    with read_store(path) as reader:
        every = sorted(reader.errors(Wanted()), key=lambda group: group.last, reverse=True)
        assert reader.errors(Wanted(), 3) == every[:3]
    assert len(every) > 3


def test_errors_are_grouped(path: Path, records: list[RequestRecord]) -> None:
    """Requests with the same exception, place and route are one row: how many, when, how many handled, the last ids."""
    with read_store(path) as reader:
        found = {(group.service, group.route): group for group in reader.errors(Wanted())}
        since = reader.errors(Wanted(since_unix_ns=START_NS + 40 * HOUR_NS, route="/pay"))
    failed = [record for record in records if record.error]
    assert sum(group.count for group in found.values()) == len(failed)
    mine = sorted((r for r in failed if (r.service, r.route) == ("shop", None)), key=lambda r: r.start_unix_ns)
    group = found["shop", None]
    assert (group.type, group.place) == (FAILURE.type, FAILURE.place)
    assert (group.count, group.handled) == (len(mine), sum(bool(r.error and r.error.handled) for r in mine))
    assert group.last_ids == tuple(record.request_id for record in mine[:-4:-1])
    assert group.last_message == "no \x1b[31mducks\ufffd"
    assert (group.first[:10], group.last[:10]) == ("2026-11-18", "2026-11-21")
    assert {group.route for group in since} == {"/pay"}


def test_light_rows(path: Path, records: list[RequestRecord]) -> None:
    """Requests and variables come as tuples in the order of keys, so that both can be walked side by side."""
    with read_store(path) as reader:
        facts = list(reader.facts(Wanted(service="shop")))
        variables = list(reader.variable_facts(Wanted(service="shop"), names=("cart_total",)))
    assert [fact.key for fact in facts] == sorted(fact.key for fact in facts)
    assert [variable.key for variable in variables] == [fact.key for fact in facts]
    assert {(variable.name, variable.type, variable.number) for variable in variables} == {
        ("cart_total", "float", 42.5)
    }
    assert {(fact.version, fact.error_type) for fact in facts} >= {(None, None), ("1.0", FAILURE.type)}
    assert len(facts) == sum(record.service == "shop" for record in records)


def test_what_is_trimmed_is_trimmed_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the oldest requests go their spans, their log lines, and the roll-ups of times without any request."""
    path = tmp_path / "store.sqlite3"
    old = [make_record(start_unix_ns=START_NS + number * HOUR_NS, logs=LOGS) for number in range(30)]
    recent = make_record(start_unix_ns=time.time_ns(), logs=LOGS)
    monkeypatch.setattr(rolling, "GRACE_S", -3600)
    stored(path, old)
    with closing(EmbeddedStore(path, max_age_s=60)) as store:
        store.put(recent)
        assert store.flush(20)
    with read_store(path) as reader:
        assert [found.request_id for found in reader.requests(Wanted(), 99)] == [recent.request_id]
        assert merged(reader.overview(Wanted())).count == 1
        assert [row.count for row in reader.overview(Wanted(), (), 60)] == [1]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM chest_details").fetchone() == (1,)
        for table in ("chest_rollups", "chest_totals"):
            assert connection.execute(f"SELECT per_s, count FROM {table}").fetchall() == [(60, 1)]


def test_a_minute_that_is_trimmed_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the oldest minute, overviews count the requests that are left, not those that were there."""
    monkeypatch.setattr(store_bounds, "DELETED_AT_ONCE", 10)
    monkeypatch.setattr(rolling, "GRACE_S", -3600)
    path = tmp_path / "store.sqlite3"
    now = time.time_ns()
    stored(path, [make_record(start_unix_ns=now - number * 10**6) for number in range(100)])
    with closing(EmbeddedStore(path, max_age_s=(time.time_ns() - now + 55 * 10**6) / 1e9)) as store:
        store.put(make_record())
        assert store.flush(20)
    with read_store(path) as reader:
        left = len(reader.requests(Wanted(), 999))
        assert left < 100
        assert merged(reader.overview(Wanted())).count == left


@pytest.mark.parametrize("per_s", [None, 3600])
def test_an_older_request_after_trimming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_s: int | None) -> None:
    """A request that began before those that are deleted already, and ends now, brings none of them back."""
    monkeypatch.setattr(rolling, "GRACE_S", -3600)
    path = tmp_path / "store.sqlite3"
    begin = time.time_ns() // (24 * HOUR_NS) * 24 * HOUR_NS - 48 * HOUR_NS
    stored(path, [make_record(start_unix_ns=begin + minute * 60 * 10**9) for minute in range(1000)])
    with closing(EmbeddedStore(path, max_age_s=(time.time_ns() - begin) / 1e9 - 400.5 * 60)) as store:
        store.put(make_record())
        assert store.flush(20)
    stored(path, [make_record(start_unix_ns=begin - HOUR_NS)])
    with read_store(path) as reader:
        assert merged(reader.overview(Wanted(), (), per_s)).count == len(reader.requests(Wanted(), 9999)) == 601


@pytest.mark.parametrize("grace_s", [-3600, 3600])
def test_delivered_twice_is_counted_once(tmp_path: Path, grace_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that comes again, in the same batch or in a later one, changes no figure."""
    path = tmp_path / "store.sqlite3"
    monkeypatch.setattr(rolling, "GRACE_S", grace_s)
    record, other = make_record(), make_record()
    stored(path, [record, record])
    stored(path, [record, other])
    with read_store(path) as reader:
        assert merged(reader.overview(Wanted())).count == 2
        assert len(reader.requests(Wanted(), 99)) == 2
