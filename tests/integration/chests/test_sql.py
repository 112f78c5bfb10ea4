"""SQLChest into real databases, read back with each database's own client."""

from __future__ import annotations

import math
import re
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records import schema, tables
from flask_chest_otel.chests import SQLChest, sql_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord
    from tests.backends.mariadb import MariaDB
    from tests.backends.postgresql import PostgreSQL

    MakeRecord = Callable[..., RequestRecord]

REQUEST = [column.name for column in tables.REQUESTS.columns]
VARIABLE = [column.name for column in tables.VARIABLES.columns]


class Database:
    """One real database, as the tests see it."""

    def __init__(
        self, url: str, ask: Callable[[str, list[str]], list[dict[str, Any]]], run: Callable[[str], object]
    ) -> None:
        self.url = url
        self.rows = ask
        self.run = run

    def requests(self, prefix: str) -> list[dict[str, Any]]:
        return self.rows(f"SELECT * FROM {prefix}requests", REQUEST)

    def variables(self, prefix: str) -> dict[str, tuple[str, str, float | None]]:
        found = self.rows(f"SELECT * FROM {prefix}variables", VARIABLE)
        return {row["name"]: (row["type"], row["text_value"], row["number_value"]) for row in found}


def of_sqlite(path: Path) -> Database:
    def ask(query: str, columns: list[str]) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def run(statement: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return Database(f"sqlite:///{path}", ask, run)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.real),
        pytest.param("mariadb", marks=pytest.mark.real),
    ]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each kind of database, one after the other."""
    if request.param == "sqlite":
        return of_sqlite(tmp_path / "chest.sqlite3")
    if request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        return Database(postgresql.url, lambda query, _: postgresql.rows(query), postgresql.rows)
    mariadb: MariaDB = request.getfixturevalue("mariadb")
    return Database(mariadb.url, mariadb.rows, mariadb.run)


@pytest.fixture
def chest(database: Database, prefix: str) -> Iterator[SQLChest]:
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        yield chest


def test_one_row_per_request_and_variable(
    database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord
) -> None:
    """Every field arrives; the time in UTC with microseconds; a variable has type, text and number."""
    variables = {"user_id": "u1", "cart_total": 42.5, "items": 3, "vip": True, "tags": ("a", "b")}
    record = make_record(
        start_unix_ns=1_795_000_000_123_456_789, variables=variables, refused={"basket": "not a number"}
    )
    chest.put(record)
    assert chest.flush(20)
    (row,) = database.requests(prefix)
    assert re.fullmatch(r"2026-11-18[T ]11:06:40\.123456(Z|\+00:00)?", row.pop("time"))
    assert row == {
        "record_key": schema.record_key(record),
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "service": "shop",
        "method": "GET",
        "route": "/cart/<int:cart_id>",
        "status": 200,
        "duration_ms": 12.5,
        "refused": '{"basket": "not a number"}',
        **dict.fromkeys(column.name for column in tables.ADDED_COLUMNS),
        "path": "",
        "spans_dropped": 0,
        "spans_complete": 1,
        "logs_dropped": 0,
        "slos": "",
        "db_count": 0,
        "db_ms": 0,
        "http_count": 0,
        "http_ms": 0,
        "other_count": 0,
        "other_ms": 0,
    }
    assert database.variables(prefix) == {
        "user_id": ("str", "u1", None),
        "cart_total": ("float", "42.5", 42.5),
        "items": ("int", "3", 3),
        "vip": ("bool", "true", 1),
        "tags": ("list", '["a", "b"]', None),
    }


NASTY = {
    "quotes": """O'Neil said "x" \\ and `y`; DROP TABLE chest_requests; --""",
    "percent": "100 % %s %(name)s :name ?",
    "four_bytes": "\N{GRINNING FACE}\N{MUSICAL SYMBOL G CLEF} é ü \N{SNOWMAN}",
    "lines": "a\nb\r\nc\td",
    "nothing": "",
    "long": "ß\N{GRINNING FACE}" * 500_000,
}


def test_texts_arrive_as_they_are(database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord) -> None:
    """Quotes, percent signs, 4-byte characters, line ends and megabytes come back unchanged."""
    chest.put(make_record(variables=NASTY))
    assert chest.flush(20)
    assert {name: text for name, (_, text, _) in database.variables(prefix).items()} == NASTY


def test_what_no_database_holds_is_replaced(
    database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord
) -> None:
    """NUL characters and lone surrogates cost no record; names and methods that are too long are cut."""
    chest.put(make_record(variables={"nul": "a\0b", "half": "a\ud800b", "n" * 300: 1}, method="M" * 300))
    assert chest.flush(20)
    found = database.variables(prefix)
    assert (found["nul"][1], found["half"][1]) == ("a\ufffdb", "a?b")
    assert found["n" * 255][1] == "1"
    assert database.requests(prefix)[0]["method"] == "M" * 255


def test_numbers_at_the_ends(database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord) -> None:
    """The text is exact whatever the number; the number is as near as a double comes, empty for NaN and infinity."""
    numbers = {
        "most": 2**63 - 1,
        "least": -(2**63),
        "huge": 1.7976931348623157e308,
        "tiny": 2.2250738585072014e-308,
        "denormal": 5e-324,
        "nan": math.nan,
        "endless": -math.inf,
        "zero": -0.0,
    }
    chest.put(make_record(variables=numbers))
    assert chest.flush(20)
    found = database.variables(prefix)
    assert {name: text for name, (_, text, _) in found.items()} == {
        name: repr(value) for name, value in numbers.items()
    }
    assert found["nan"][2] is None
    assert found["endless"][2] is None
    for name in ("most", "least", "huge", "tiny", "denormal", "zero"):
        assert found[name][2] == pytest.approx(float(numbers[name]), rel=1e-15)


def test_names_that_differ_in_case_or_accent_are_two(
    database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord
) -> None:
    """``total``, ``Total`` and ``totäl`` are three variables, in every database."""
    chest.put(make_record(variables={"total": 1, "Total": 2, "totäl": 3}))
    assert chest.flush(20)
    assert {name: value[1] for name, value in database.variables(prefix).items()} == {
        "total": "1",
        "Total": "2",
        "totäl": "3",
    }


def test_delivered_twice_is_one_row(database: Database, prefix: str, make_record: MakeRecord) -> None:
    """The same records put again, in one batch and by another chest, add no rows and lose nothing."""
    records = [make_record() for _ in range(50)]
    for _ in range(2):
        with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
            for record in records + records:
                chest.put(record)
            assert chest.flush(20)
            assert chest.lost == 0
    assert len(database.requests(prefix)) == 50
    assert len(database.rows(f"SELECT * FROM {prefix}variables", VARIABLE)) == 100


def test_one_bad_record_costs_only_itself(
    database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that the database refuses is lost and counted, one line says so, the others of its batch arrive."""
    chest.put(make_record())
    assert chest.flush(20)
    for status in (200, 10**30, 200):
        chest.put(make_record(status=status))
    assert not chest.flush(20)
    assert (chest.lost, len(database.requests(prefix))) == (1, 3)
    assert len(caplog.messages) == 1


def test_many_workers_make_the_tables_together(database: Database, prefix: str, make_record: MakeRecord) -> None:
    """Eight chests that begin at the same moment on an empty database make one set of tables and lose nothing."""
    chests = [SQLChest(database.url, table_prefix=prefix) for _ in range(8)]
    barrier = threading.Barrier(8)

    def begin(chest: SQLChest) -> None:
        barrier.wait()
        chest.put(make_record())

    threads = [threading.Thread(target=begin, args=(chest,)) for chest in chests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all([chest.flush(30) for chest in chests])  # noqa: C419 - each has to flush
    assert len(database.requests(prefix)) == 8
    for chest in chests:
        chest.close(5)


def test_an_older_schema_is_upgraded(
    database: Database, prefix: str, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps from the version that is there to the present one are taken, once, and what was there stays."""
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 2)
    monkeypatch.setitem(sql_tables.UPGRADES, 1, ("ALTER TABLE {requests} ADD COLUMN note VARCHAR(10)",))
    for _ in range(2):
        with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
            chest.put(make_record())
            assert chest.flush(20)
    rows = database.rows(f"SELECT * FROM {prefix}requests", [*REQUEST, "note"])
    assert [row["note"] for row in rows] == [None, None, None]
    assert database.rows(f"SELECT version FROM {prefix}schema_version", ["version"]) == [{"version": 2}]


def test_a_newer_schema_is_left_alone(
    database: Database, prefix: str, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """Tables of a newer version are not written; one line says what to do; what is put is counted as lost."""
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    database.run(f"UPDATE {prefix}schema_version SET version = 99")
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert not chest.flush(20)
        assert chest.lost == 1
    assert "pip install --upgrade flask-chest-otel" in caplog.text
    assert len(database.requests(prefix)) == 1


def test_a_table_of_somebody_else_is_left_alone(
    database: Database, prefix: str, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """A table of that name with other columns switches the chest off, with a line that says what to do."""
    database.run(f"CREATE TABLE {prefix}requests (id INTEGER, item VARCHAR(20))")
    with closing(SQLChest(database.url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert not chest.flush(20)
        assert chest.lost == 1
    (line,) = caplog.messages
    assert f"{prefix}requests" in line
    assert "table_prefix" in line
    assert database.rows(f"SELECT * FROM {prefix}requests", ["id"]) == []


def test_dropped_tables_are_made_again(
    database: Database, chest: SQLChest, prefix: str, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """Tables that somebody dropped while the chest was writing come back, and no record is lost for it."""
    chest.put(make_record())
    assert chest.flush(20)
    for table in ("requests", "variables", "schema_version"):
        database.run(f"DROP TABLE {prefix}{table}")
    chest.put(make_record())
    assert chest.flush(20)
    assert (len(database.requests(prefix)), chest.lost, caplog.messages) == (1, 0, [])


@pytest.mark.real
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_wrong_password_is_said_once_without_it(
    kind: str,
    request: pytest.FixtureRequest,
    make_record: MakeRecord,
    until: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong password is one log line that does not have it; what waits is counted when the chest is closed."""
    server: PostgreSQL | MariaDB = request.getfixturevalue(kind)
    chest = SQLChest(server.url.replace(server.password, "s3cr3t-and-wrong"))
    for _ in range(20):
        chest.put(make_record())
        chest.flush(0.1)
    chest.close(0.1)
    until(lambda: chest.lost == 20)
    assert len([line for line in caplog.messages if "cannot write" in line]) == 1
    assert "s3cr3t" not in caplog.text + repr(chest)


@pytest.mark.real
def test_the_usual_questions_use_an_index(postgresql: PostgreSQL, prefix: str, make_record: MakeRecord) -> None:
    """By request id, trace id, and name with time: PostgreSQL plans an index scan for each."""
    with closing(SQLChest(postgresql.url, table_prefix=prefix)) as chest:
        for _ in range(2000):
            chest.put(make_record())
        assert chest.flush(30)
    postgresql.rows(f"ANALYZE {prefix}requests, {prefix}variables")
    found = {row["indexname"] for row in postgresql.rows(f"SELECT * FROM pg_indexes WHERE tablename ~ '^{prefix}'")}
    assert {f"{prefix}requests_request_id", f"{prefix}requests_trace_id", f"{prefix}variables_name_time"} <= found
    postgresql.rows(f"UPDATE {prefix}requests SET request_id = request_id")
    by_id = f"SELECT 1 FROM {prefix}requests WHERE request_id = 'r-1'"
    postgresql.rows(f"CREATE TABLE {prefix}plan (line text)")
    postgresql.rows(
        f"DO $$ DECLARE line text; BEGIN FOR line IN EXPLAIN {by_id} LOOP"
        f" INSERT INTO {prefix}plan VALUES (line); END LOOP; END $$"
    )
    assert "request_id" in " ".join(row["line"] for row in postgresql.rows(f"SELECT line FROM {prefix}plan"))


@pytest.mark.real
def test_tables_that_somebody_else_has_made(postgresql: PostgreSQL, prefix: str, make_record: MakeRecord) -> None:
    """Where the tables are, a user who may only read and write rows needs nothing else."""
    role, word = f"{prefix}writer", "only-to-write"
    with closing(SQLChest(postgresql.url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    postgresql.rows("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    postgresql.rows(f"CREATE ROLE {role} LOGIN PASSWORD '{word}'")
    postgresql.rows(f"GRANT SELECT, INSERT ON {prefix}requests, {prefix}variables, {prefix}schema_version TO {role}")
    url = postgresql.url.replace(f"{postgresql.user}:{postgresql.password}", f"{role}:{word}")
    with closing(SQLChest(url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    assert len(postgresql.rows(f"SELECT * FROM {prefix}requests")) == 2
