"""Differences between the databases of ``SQLChest``: drivers, column types, times, INSERT, the lock for set-up."""

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

    from flask_chest_otel._records.tables import Kind
else:
    sqlalchemy = library("sqlalchemy", "flask-chest-otel[sql]")
    mysql = library("sqlalchemy.dialects.mysql", "flask-chest-otel[sql]")

__all__ = ["FAMILIES", "Family"]

SHORT_CHARS = 255
"""How many characters a column of the kind ``short`` takes."""

LOCK_WAIT_S = 10
"""How long to wait for another process that is creating the tables, seconds."""

LOCK_ID = 0x666C61736B636873
"""Number of PostgreSQL's advisory lock; an arbitrary number, the text ``flaskchs``."""

CONNECT_S = 10
"""How long a server may take to accept a connection, seconds."""

ANSWER_S = 30
"""How long a server may take to answer, seconds, if the driver has such an option."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of database.

    Attributes:
        drivers: Module of each driver to its name in URLs; the first installed one is used.
        install: What to install with pip to get the first driver.
        types: Kind of a column to its type.
        time: Converts nanoseconds since 1970 UTC to a value for the column ``time``.
        insertion: Makes the INSERT statement from the quoted name of a table and the table; existing rows are left
            unchanged.
        parameters: Converts rows to the parameters of that statement.
        lock: Context manager that keeps other processes from creating the same tables.
        connect_args: Name of a driver to arguments for its ``connect``.
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
    # The driver begins a transaction only before the first INSERT, too late for creating tables.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    yield


# PostgreSQL


def _postgresql_insertion(name: str, table: sqlalchemy.Table) -> str:
    # One JSON text per column: a batch is one statement whatever its size. Measured: no driver has a faster way. Arrays
    # and rows of parameters took several times as long in Python, and request threads have to wait for that.
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
    # The lock is released at the end of the transaction.
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_ID})")
    yield


# MySQL and MariaDB


def _mysql_insertion(name: str, table: sqlalchemy.Table) -> str:
    places = ", ".join("%s" for _ in table.columns)
    key = next(iter(table.primary_key)).name
    # Not INSERT IGNORE: it also cuts or changes values that do not fit, without an error.
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
# Compare exactly: for other collations "é" equals "e", and "A" equals "a".
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
    # Else the database's encoding is used; characters that it lacks are changed or refused, depending on the driver.
    "client_encoding": "UTF8",
    # libpq has no time-out for answers. Instead the system checks after some silence whether the host is alive.
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
        # The same types as in the embedded store, so that the same queries work.
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
"""Families by the first part of a URL's scheme."""
