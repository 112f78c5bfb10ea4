"""``SQLChest``: request records as rows of a database of the user's own."""

from __future__ import annotations

import importlib.util
import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.lazy import library
from flask_chest_otel._records import schema
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
"""ER_NET_PACKET_TOO_LARGE: no waiting makes it smaller."""

HUNG_UP_ON = 3
"""So many times in a row a server that is well ends the connection: it does so because of what it got."""

DISTRIBUTIONS = {"psycopg": '"psycopg[binary]"', "MySQLdb": "mysqlclient", "mysql": "mysql-connector-python"}
"""What pip calls drivers that have another name in Python."""

_PREFIX = re.compile(r"([a-z][a-z0-9_]{0,30})?")


class SQLChest(DirectChest):
    """Writes request records to SQLite, PostgreSQL, MySQL or MariaDB, with SQLAlchemy.

    Three tables, ``chest_requests``, ``chest_variables`` and ``chest_details``, are made with the first record; those
    of release 0.1.0 get what they lack. Times are in UTC with microseconds. A record that is written twice is one row.
    Nothing is opened here: a thread of its own writes, and a database that is away costs the application nothing.

    Args:
        url: SQLAlchemy's; where it names no driver, one that is installed is taken.
        name: By which routes speak of the chest.
        table_prefix: What the tables' names begin with: lower-case letters, digits and ``_``.
        connect_args: Passed on to the driver, for example for TLS.
        capacity: Records that wait at most; further ones are dropped and counted.
        retry_for_s: How long one batch of records is tried again while the database is away, seconds.

    Raises:
        ChestConfigError: An argument cannot be used.
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
        # A server has nothing that a child could inherit, and may take its time.
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
    """One thread's connection, made new whenever something went wrong with it."""

    def __init__(self, url: sqlalchemy.URL, table_prefix: str, connect_args: dict[str, object]) -> None:
        self._family = FAMILIES[url.get_backend_name()]
        self._tables = Tables(self._family, table_prefix)
        self._engine = sqlalchemy.create_engine(
            url,
            poolclass=sqlalchemy.NullPool,
            connect_args={**self._family.connect_args.get(url.get_driver_name(), {}), **connect_args},
            # Records must not get into log lines.
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
            # One record's values: tried again one by one, the others arrive.
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
            # Whatever it is, drivers raise anything at what is no database: no record is to blame.
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
        """End a connection whose state nobody knows; no more is said on it."""
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
        # Past SQLAlchemy's own way from values to parameters, which costs more than all the rest.
        if rows:
            connection.exec_driver_sql(statement, self._family.parameters(rows))

    def _rows(self, records: list[RequestRecord]) -> tuple[list[tuple[object, ...]], ...]:
        """Rows of requests, variables and details."""
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


def _fitting(row: schema.RequestRow) -> tuple[object, ...]:
    texts = row.service, row.method, row.request_id, row.version or "", row.error_type or ""
    if max(map(len, texts)) <= SHORT_CHARS:
        return tuple(row)
    short: dict[str, Any] = {name: text[:SHORT_CHARS] for name, text in zip(_SHORT, texts, strict=True) if text}
    return tuple(row._replace(**short))


def _fitting_variable(row: schema.VariableRow) -> tuple[object, ...]:
    return tuple(row) if len(row.name) <= SHORT_CHARS else tuple(row._replace(name=row.name[:SHORT_CHARS]))


def _checked_url(url: str | sqlalchemy.URL) -> sqlalchemy.URL:
    try:
        parsed = sqlalchemy.make_url(url)
        family, _, driver = parsed.drivername.partition("+")
    except (exc.ArgumentError, ValueError, AttributeError):
        # Without the cause, whose message may hold the password.
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
    # set() takes None for "leave it".
    bare = sqlalchemy.URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    return bare.render_as_string()


def _is_too_large(error: Exception) -> bool:
    arguments: tuple[object, ...] = getattr(getattr(error, "orig", None), "args", ())
    return bool(arguments) and arguments[0] == MYSQL_PACKET_TOO_LARGE


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
