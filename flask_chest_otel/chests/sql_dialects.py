"""What differs between the databases of ``SQLChest``: drivers, column types, times, insertion, the lock at set-up."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.lazy import library
from flask_chest_otel._records.schema import utc_text, utc_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import sqlalchemy
    from sqlalchemy.dialects import mysql
    from sqlalchemy.types import TypeEngine

    from flask_chest_otel._records.schema import Kind
else:
    sqlalchemy = library("sqlalchemy", "flask-chest-otel[sql]")
    mysql = library("sqlalchemy.dialects.mysql", "flask-chest-otel[sql]")

__all__ = ["FAMILIES", "Family"]

SHORT_CHARS = 255
"""What a column of the kind ``short`` holds."""

LOCK_WAIT_S = 10
"""How long a worker waits for another one that is making the tables, seconds."""

LOCK_ID = 0x666C61736B636873
"""Number of PostgreSQL's advisory lock; any number that nobody else uses."""

CONNECT_S = 10
"""How long a server may take to accept a connection, seconds."""

ANSWER_S = 30
"""How long a server may take to answer, seconds, where the driver can be told."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of database.

    Attributes:
        drivers: Module to the name by which URLs choose it; the first that is installed is taken.
        install: What brings the first of them.
        types: Column types by kind.
        time: A record's time in the form that the column takes.
        insertion: Table and its columns' names to the statement that inserts rows and leaves those alone that are
            there, for the driver.
        parameters: Rows to the statement's parameters.
        lock: Keeps other workers from making the same tables.
        connect_args: What the driver is told when it connects, by its name.
    """

    drivers: Mapping[str, str]
    install: str
    types: Mapping[Kind, TypeEngine[Any]]
    time: Callable[[int], object]
    insertion: Callable[[str, sqlalchemy.Table], str]
    parameters: Callable[[Sequence[tuple[object, ...]]], list[tuple[object, ...]] | tuple[str, ...]]
    lock: Callable[[sqlalchemy.Connection], AbstractContextManager[None]]
    connect_args: Mapping[str, Mapping[str, object]]


def _names(table: sqlalchemy.Table) -> str:
    return ", ".join(column.name for column in table.columns)


# SQLite


def _sqlite_insertion(name: str, table: sqlalchemy.Table) -> str:
    places = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {name} ({_names(table)}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names


@contextmanager
def _sqlite_lock(connection: sqlalchemy.Connection) -> Iterator[None]:
    # The driver would begin a transaction only before the first row, too late for the tables.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    yield


# PostgreSQL


def _postgresql_insertion(name: str, table: sqlalchemy.Table) -> str:
    # One JSON text per column: a batch is one statement whatever its size, and no driver writes anything faster.
    # Arrays and rows of parameters took several times as long, in Python, which request threads have to wait for.
    casts = {int: "integer", float: "float8", datetime: "timestamptz"}
    values = ", ".join(f"{column.name}::{casts.get(column.type.python_type, 'text')}" for column in table.columns)
    sources = ", ".join("json_array_elements_text(%s::json)" for _ in table.columns)
    return (
        f"INSERT INTO {name} ({_names(table)}) SELECT {values}"  # noqa: S608 - our own names
        f" FROM ROWS FROM ({sources}) AS batch ({_names(table)}) ON CONFLICT DO NOTHING"
    )


def _columns_as_json(rows: Sequence[tuple[object, ...]]) -> tuple[str, ...]:
    return tuple(json.dumps(column, ensure_ascii=False) for column in zip(*rows, strict=True))


@contextmanager
def _postgresql_lock(connection: sqlalchemy.Connection) -> Iterator[None]:
    # Let go with the transaction.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_ID})")
    yield


# MySQL and MariaDB


def _mysql_insertion(name: str, table: sqlalchemy.Table) -> str:
    places = ", ".join("%s" for _ in table.columns)
    key = next(iter(table.primary_key)).name
    # INSERT IGNORE would also cut or change values that do not fit, silently.
    return f"INSERT INTO {name} ({_names(table)}) VALUES ({places}) ON DUPLICATE KEY UPDATE {key} = {key}"  # noqa: S608 - our own names


@contextmanager
def _mysql_lock(connection: sqlalchemy.Connection) -> Iterator[None]:
    taken = connection.exec_driver_sql(f"SELECT GET_LOCK('flask_chest_otel', {LOCK_WAIT_S})").scalar()
    if taken != 1:
        raise TimeoutError("another worker has been making the tables for a long time")
    try:
        yield
    finally:
        connection.exec_driver_sql("SELECT RELEASE_LOCK('flask_chest_otel')")


def _naive_utc(unix_ns: int) -> datetime:
    return utc_time(unix_ns).replace(tzinfo=None)


_ASCII = {"charset": "ascii", "collation": "ascii_bin"}
# Exact comparison: to other collations "é" is "e", and "A" is "a".
_UNICODE = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
_PYMYSQL = {"charset": "utf8mb4", "connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
_MYSQL = Family(
    drivers={"pymysql": "pymysql", "MySQLdb": "mysqldb", "mysql.connector": "mysqlconnector"},
    install="pymysql",
    types={
        "key": mysql.CHAR(32, **_ASCII),
        "time": mysql.DATETIME(fsp=6),
        "short": mysql.VARCHAR(SHORT_CHARS, **_UNICODE),
        "text": mysql.LONGTEXT(**_UNICODE),
        "integer": mysql.INTEGER(),
        "real": mysql.DOUBLE(),
        "number": mysql.DOUBLE(),
    },
    time=_naive_utc,
    insertion=_mysql_insertion,
    parameters=list,
    lock=_mysql_lock,
    connect_args={
        "pymysql": _PYMYSQL,
        "mysqldb": _PYMYSQL,
        "mysqlconnector": {"charset": "utf8mb4", "connection_timeout": CONNECT_S},
    },
)

_LIBPQ = {
    "connect_timeout": CONNECT_S,
    # Else it is the database's own, and a driver writes what that cannot say in its own way, or not at all.
    "client_encoding": "UTF8",
    # It cannot be told how long an answer may take, but after how much silence the system asks whether the host lives.
    "keepalives_idle": ANSWER_S // 2,
    "keepalives_interval": ANSWER_S // 6,
    "keepalives_count": 3,
    "tcp_user_timeout": ANSWER_S * 1000,
}
_PLAIN: dict[Kind, TypeEngine[Any]] = {
    "short": sqlalchemy.Text(),
    "text": sqlalchemy.Text(),
    "integer": sqlalchemy.Integer(),
}

FAMILIES: dict[str, Family] = {
    "sqlite": Family(
        drivers={"sqlite3": "pysqlite"},
        install="a Python with sqlite3",
        # The embedded store's: what reads one reads the other.
        types={
            **_PLAIN,
            "key": sqlalchemy.Text(),
            "time": sqlalchemy.Text(),
            "real": sqlalchemy.REAL(),
            "number": sqlalchemy.Numeric(),
        },
        time=utc_text,
        insertion=_sqlite_insertion,
        parameters=list,
        lock=_sqlite_lock,
        connect_args={},
    ),
    "postgresql": Family(
        drivers={"psycopg": "psycopg", "psycopg2": "psycopg2"},
        install="psycopg[binary]",
        types={
            **_PLAIN,
            "key": sqlalchemy.CHAR(32),
            "time": sqlalchemy.DateTime(timezone=True),
            "real": sqlalchemy.Double(),
            "number": sqlalchemy.Double(),
        },
        time=utc_text,
        insertion=_postgresql_insertion,
        parameters=_columns_as_json,
        lock=_postgresql_lock,
        connect_args={"psycopg": _LIBPQ, "psycopg2": _LIBPQ},
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
"""By the first part of a URL's scheme."""
