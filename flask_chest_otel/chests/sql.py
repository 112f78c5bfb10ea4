"""``SQLChest``: writes request records as rows to an SQL database of the user."""

from __future__ import annotations

import importlib.util
import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.lazy import library
from flask_chest_otel._records import schema, tables
from flask_chest_otel._records.delivery import AwayError, ChestOffError, UnforkedWriter
from flask_chest_otel.chests.direct import CAPACITY, TEN_MINUTES_S, DirectChest
from flask_chest_otel.chests.sql_dialects import FAMILIES, SHORT_CHARS
from flask_chest_otel.chests.sql_tables import Tables
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import sqlalchemy
    from sqlalchemy import exc

    from flask_chest_otel._records.delivery import Writer
    from flask_chest_otel._records.record import RequestRecord
else:
    sqlalchemy = library("sqlalchemy", "flask-chest-otel[sql]")
    exc = library("sqlalchemy.exc", "flask-chest-otel[sql]")

__all__ = ["SQLChest"]

URLS = "a URL such as 'postgresql://user:password@host/database', 'mariadb://…', 'mysql://…' or 'sqlite:////path/file'"

MYSQL_PACKET_TOO_LARGE = 1153
"""MySQL's error ER_NET_PACKET_TOO_LARGE: trying the same rows again cannot help."""

HUNG_UP_ON = 3
"""If a working server closes the connection this many times in a row, the reason is what it was sent."""

DISTRIBUTIONS = {"psycopg": '"psycopg[binary]"', "MySQLdb": "mysqlclient", "mysql": "mysql-connector-python"}
"""Module of a driver to its name for pip, if these differ."""

_PREFIX = re.compile(r"([a-z][a-z0-9_]{0,30})?")


class SQLChest(DirectChest):
    """Writes request records to SQLite, PostgreSQL, MySQL or MariaDB, with SQLAlchemy.

    The tables ``chest_requests``, ``chest_variables`` and ``chest_details`` are created with the first record; tables
    of release 0.1.0 are upgraded. Times are in UTC with microseconds. A record that is written twice is one row.
    Making the chest opens no connection: its own thread writes, and an unreachable database does not slow down the
    application.

    Args:
        url: URL of the database, as SQLAlchemy takes it. If it names no driver, an installed one is used.
        name: Name of the chest, which routes use in ``chests=``.
        table_prefix: Beginning of the tables' names: lower-case letters, digits and ``_``, at most 31.
        connect_args: Arguments for the driver's ``connect``, for example for TLS.
        capacity: How many records may wait; further ones are dropped and counted.
        retry_for_s: How long one batch of records is tried again while the database is unreachable, seconds.

    Raises:
        ChestConfigError: An argument cannot be used; the message says what to type.
        ModuleNotFoundError: SQLAlchemy or the driver is not installed; the message says what to type.
    """

    keeps_spans = keeps_logs = True

    def __init__(
        self,
        url: str | sqlalchemy.URL,
        *,
        name: str = "sql",
        table_prefix: str = "chest_",
        connect_args: Mapping[str, object] | None = None,
        capacity: int = CAPACITY,
        retry_for_s: float = TEN_MINUTES_S,
    ) -> None:
        parsed = _checked_url(url)
        if not _PREFIX.fullmatch(str(table_prefix)):
            raise ChestConfigError("table_prefix", table_prefix, "a-z, 0-9 and _, at most 31, a letter first")
        open_writer: Callable[[], Writer] = partial(_SQLWriter, parsed, table_prefix, dict(connect_args or {}))
        # Only for SQLite: a forked child could inherit the open file. A server has nothing that a child could inherit,
        # and a write to it may take long.
        if parsed.get_backend_name() == "sqlite":
            open_writer = partial(UnforkedWriter, open_writer)
        super().__init__(
            name,
            _without_secrets(parsed),
            open_writer,
            capacity=capacity,
            retry_for_s=retry_for_s,
        )


class _SQLWriter:
    """The writer thread's connection; after an error the next write opens a new one."""

    def __init__(self, url: sqlalchemy.URL, table_prefix: str, connect_args: dict[str, object]) -> None:
        self._family = FAMILIES[url.get_backend_name()]
        self._tables = Tables(self._family, table_prefix)
        self._engine = sqlalchemy.create_engine(
            url,
            poolclass=sqlalchemy.NullPool,
            connect_args={**self._family.connect_args.get(url.get_driver_name(), {}), **connect_args},
            # Else SQLAlchemy's errors, which are logged, contain the values of records.
            hide_parameters=True,
        )
        format_table = self._engine.dialect.identifier_preparer.format_table
        tables = self._tables.requests, self._tables.variables, self._tables.details
        self._insertions = [self._family.insertion(format_table(table), table) for table in tables]
        self._connection: sqlalchemy.Connection | None = None
        self._hung_up = 0

    def write(self, records: list[RequestRecord]) -> None:
        batches = self._rows(records)
        connection = self._connected()
        try:
            with connection.begin():
                for statement, rows in zip(self._insertions, batches, strict=True):
                    self._insert(connection, statement, rows)
        except (exc.DataError, exc.IntegrityError) as error:
            # The values of one record are wrong. With a ValueError the queue writes each record alone.
            raise ValueError(_first_line(error)) from error
        except Exception as error:
            self._hang_up()
            if _is_too_large(error) or self._is_hung_up_on(error):
                raise ValueError(_first_line(error)) from error
            if isinstance(error, exc.SQLAlchemyError):
                raise AwayError(_first_line(error)) from error
            raise
        self._hung_up = 0

    def _connected(self) -> sqlalchemy.Connection:
        try:
            return self._open()
        except ChestOffError:
            raise
        except Exception as error:
            # Drivers raise all kinds of errors if the server is no database. The records are not the reason.
            self._hang_up()
            raise AwayError(_first_line(error)) from error

    def _is_hung_up_on(self, error: Exception) -> bool:
        self._hung_up += getattr(error, "connection_invalidated", False)
        if self._hung_up < HUNG_UP_ON:
            return False
        self._connected()
        self._hung_up = 0
        return True

    def _hang_up(self) -> None:
        """Close a connection in an unknown state without sending anything more."""
        if self._connection is not None:
            with suppress(exc.SQLAlchemyError):
                self._connection.invalidate()
        self.close()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlalchemy.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            self._tables.prepare(self._connection)
        return self._connection

    def _insert(self, connection: sqlalchemy.Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
        # Bypass SQLAlchemy's processing of parameters, which takes more time than all the rest.
        if rows:
            connection.exec_driver_sql(statement, self._family.parameters(rows))

    def _rows(self, records: list[RequestRecord]) -> tuple[list[tuple[object, ...]], ...]:
        """Return the rows of requests, variables and details."""
        requests: list[tuple[object, ...]] = []
        variables: list[tuple[object, ...]] = []
        details: list[tuple[object, ...]] = []
        for record in records:
            request, rows = schema.shape(record, self._family.time(record.start_unix_ns))
            requests.append(_fitting(request))
            variables += [_fitting_variable(row) for row in rows]
            many = schema.details_row(record)
            details += [] if many is None else [tuple(many)]
        return requests, variables, details


_SHORT = ("service", "method", "request_id", "version", "error_type")


def _fitting(row: tables.RequestRow) -> tuple[object, ...]:
    texts = row.service, row.method, row.request_id, row.version or "", row.error_type or ""
    if max(map(len, texts)) <= SHORT_CHARS:
        return tuple(row)
    short: dict[str, Any] = {name: text[:SHORT_CHARS] for name, text in zip(_SHORT, texts, strict=True) if text}
    return tuple(row._replace(**short))


def _fitting_variable(row: tables.VariableRow) -> tuple[object, ...]:
    return tuple(row) if len(row.name) <= SHORT_CHARS else tuple(row._replace(name=row.name[:SHORT_CHARS]))


def _checked_url(url: str | sqlalchemy.URL) -> sqlalchemy.URL:
    try:
        parsed = sqlalchemy.make_url(url)
        family, _, driver = parsed.drivername.partition("+")
    except (exc.ArgumentError, ValueError, AttributeError):
        # Raise without the cause: its message may contain the password.
        raise ChestConfigError("url", "***", URLS) from None
    if family not in FAMILIES:
        raise ChestConfigError("url", _without_secrets(parsed), URLS)
    if family == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ChestConfigError("url", _without_secrets(parsed), "the path of a file: 'sqlite:////path/file'")
    if not driver:
        parsed = parsed.set(drivername=f"{family}+{_installed_driver(family)}")
    try:
        dialect = parsed.get_dialect()
    except exc.NoSuchModuleError:
        raise ChestConfigError("url", _without_secrets(parsed), f"a driver that SQLAlchemy has, and {URLS}") from None
    if dialect.is_async:
        raise ChestConfigError("url", _without_secrets(parsed), "a driver that is not asynchronous")
    try:
        dialect.import_dbapi()
    except ModuleNotFoundError as error:
        install = DISTRIBUTIONS.get(error.name or "", error.name)
        raise ModuleNotFoundError(f"SQLChest needs a driver: pip install {install}", name=error.name) from error
    return parsed


def _installed_driver(family: str) -> str:
    for module, driver in FAMILIES[family].drivers.items():
        if importlib.util.find_spec(module.partition(".")[0]) is not None:
            return driver
    raise ModuleNotFoundError(f'SQLChest needs a driver for {family}: pip install "{FAMILIES[family].install}"')


def _without_secrets(url: sqlalchemy.URL) -> str:
    # URL.set(password=None) keeps the password, so make a new URL.
    bare = sqlalchemy.URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return bare.render_as_string()


def _is_too_large(error: Exception) -> bool:
    arguments: tuple[object, ...] = getattr(getattr(error, "orig", None), "args", ())
    return bool(arguments) and arguments[0] == MYSQL_PACKET_TOO_LARGE


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
