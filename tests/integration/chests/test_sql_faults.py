"""SQLChest where the database, or what stands before it, is not as it should be."""

from __future__ import annotations

import re
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel.chests import SQLChest
from tests.backends.postgresql import PostgreSQL
from tests.backends.tcp_proxy import TcpProxy
from tests.integration.chests.conftest import python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_chest_otel._records.record import RequestRecord
    from tests.backends.mariadb import MariaDB

    MakeRecord = Callable[..., RequestRecord]

pytestmark = pytest.mark.real


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> PostgreSQL | MariaDB:
    """Each kind of server, one after the other."""
    found: PostgreSQL | MariaDB = request.getfixturevalue(request.param)
    return found


def ids(server: PostgreSQL | MariaDB, prefix: str) -> list[str]:
    query = f"SELECT request_id FROM {prefix}requests"
    rows = server.rows(query) if isinstance(server, PostgreSQL) else server.rows(query, ["request_id"])
    return sorted(row["request_id"] for row in rows)


@pytest.fixture
def proxy(server: PostgreSQL | MariaDB) -> Iterator[TcpProxy]:
    with TcpProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def chest(server: PostgreSQL | MariaDB, proxy: TcpProxy, prefix: str) -> Iterator[SQLChest]:
    """One that writes through the proxy."""
    with closing(SQLChest(server.url.replace(f":{server.port}", f":{proxy.port}"), table_prefix=prefix)) as chest:
        yield chest


def put(chest: SQLChest, make_record: MakeRecord, count: int = 5) -> list[str]:
    records = [make_record() for _ in range(count)]
    for record in records:
        chest.put(record)
    return sorted(record.request_id for record in records)


@pytest.mark.parametrize(
    "instead", [b"\0" * 100, b"\xff" * 100, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"N", b""], ids=repr
)
def test_something_else_at_that_port_costs_nothing(
    server: PostgreSQL | MariaDB,
    proxy: TcpProxy,
    chest: SQLChest,
    prefix: str,
    make_record: MakeRecord,
    instead: bytes,
) -> None:
    """Whatever is said in place of the database, as by a proxy that starts: the records wait, and arrive after it."""
    proxy.instead = instead
    expected = put(chest, make_record)
    assert not chest.flush(1.0)
    proxy.instead = None
    assert chest.flush(40)
    assert chest.lost == 0
    assert ids(server, prefix) == expected


def test_a_connection_that_ends_anywhere_costs_nothing(
    server: PostgreSQL | MariaDB,
    proxy: TcpProxy,
    chest: SQLChest,
    prefix: str,
    make_record: MakeRecord,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever the server's answers end, all records arrive once; the log has no traces, and not a line each time."""
    expected = []
    for answers in range(20, 1300, 80):
        proxy.answers = answers
        proxy.cut()
        expected += put(chest, make_record)
        chest.flush(0.4)
        proxy.answers = None
        proxy.cut()
        assert chest.flush(30)
    assert chest.lost == 0
    assert ids(server, prefix) == sorted(expected)
    assert not [record for record in caplog.records if record.exc_info]
    assert len(caplog.messages) <= 2


@pytest.mark.parametrize("together", [False, True])
def test_what_is_too_large_for_the_server(
    mariadb: MariaDB, prefix: str, make_record: MakeRecord, *, together: bool
) -> None:
    """A server that hangs up on large statements gets small ones; what is too large alone is lost, the rest arrives."""
    mariadb.as_root("SET GLOBAL max_allowed_packet = 65536")
    try:
        with closing(SQLChest(mariadb.url, table_prefix=prefix)) as chest:
            for number in range(100):
                size = 2_000 if together else 200_000 if number == 50 else 10
                chest.put(make_record(request_id=f"r{number}", variables={"text": "x" * size}))
            assert chest.flush(40) is together
            assert chest.lost == (0 if together else 1)
    finally:
        mariadb.as_root("SET GLOBAL max_allowed_packet = 16777216")
    assert ids(mariadb, prefix) == sorted(f"r{number}" for number in range(100) if together or number != 50)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_databases_of_other_encodings(
    postgresql: PostgreSQL, prefix: str, make_record: MakeRecord, encoding: str
) -> None:
    """What PostgreSQL can convert arrives; a text that the database cannot hold costs only its record."""
    postgresql.rows(f"CREATE DATABASE {prefix} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    text = {"SQL_ASCII": "\N{GRINNING FACE}é", "LATIN1": "é", "EUC_JP": "日本"}[encoding]
    with closing(SQLChest(postgresql.url.removesuffix("/postgres") + f"/{prefix}", table_prefix=prefix)) as chest:
        for value in ("a", text, "b"):
            chest.put(make_record(variables={"text": value}))
        assert chest.flush(20)
        chest.put(make_record(variables={"text": "\N{GRINNING FACE}"}))
        chest.put(make_record(variables={"text": "c"}))
        chest.flush(20)
        assert chest.lost == (0 if encoding == "SQL_ASCII" else 1)
    found = postgresql.rows(f"SELECT text_value FROM {prefix}variables", database=prefix)
    texts = {row["text_value"] for row in found} - {"\N{GRINNING FACE}"}
    assert texts == {"a", text, "b", "c"}


def test_a_host_that_is_gone_is_noticed(postgresql: PostgreSQL, prefix: str, make_record: MakeRecord) -> None:
    """The system asks after a silent peer within half a minute, not within its own two hours."""
    with closing(SQLChest(postgresql.url, table_prefix=prefix)) as chest:
        chest.put(make_record())
        assert chest.flush(20)
        remote = f"0100007F:{postgresql.port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        # Of those established: timer 02 is the one of keepalive; its time is in hundredths of a second.
        timers = [line[5].split(":") for line in lines if line[2] == remote and line[3] == "01"]
    assert [kind for kind, _ in timers if kind == "02"]
    assert all(int(left, 16) <= 3000 for kind, left in timers if kind == "02")


SCRIPT = """
    import logging, sys, time
    from flask_chest_otel.chests import SQLChest
    from tests.backends.records import make_record

    logging.basicConfig()
    chest = SQLChest(sys.argv[1])
    for _ in range(1200):
        chest.put(make_record())
    time.sleep(1)
    print("end", flush=True)
"""


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
@pytest.mark.parametrize("listens", [True, False])
def test_an_end_that_loses_records_says_how_many(tmp_path: Path, scheme: str, *, listens: bool) -> None:
    """Whether the server is silent or away, the process ends in time, and one line says what it takes with it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        python(SCRIPT, f"{scheme}://u:p@127.0.0.1:{silent.getsockname()[1]}/d", folder=tmp_path) as process,
    ):
        if not listens:
            silent.close()
        assert process.stdout is not None
        assert process.stdout.readline() == "end\n"
        ended = time.monotonic()
        _, log = process.communicate(timeout=20)
        assert time.monotonic() - ended < 4
    assert process.returncode == 0
    assert re.findall(r"ended without (\d+) request records written", log) == ["1200"]
