"""The tables of ``SQLChest``: describes, creates, checks and upgrades them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.lazy import library
from flask_chest_otel._records import schema, tables
from flask_chest_otel._records.delivery import ChestOffError

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy import exc

    from flask_chest_otel.chests.sql_dialects import Family
else:
    sqlalchemy = library("sqlalchemy", "flask-chest-otel[sql]")
    exc = library("sqlalchemy.exc", "flask-chest-otel[sql]")

__all__ = ["UPGRADES", "Tables"]

UPGRADES: dict[int, tuple[str, ...]] = {}
"""Schema version to the statements that upgrade it to the next; ``{requests}`` and ``{variables}`` are the tables."""

_ADDED = {column.name for column in tables.ADDED_COLUMNS}


class Tables:
    """The tables of requests, variables and details, and the one with their schema version.

    Args:
        family: The kind of the database.
        prefix: Beginning of the tables' names.
    """

    def __init__(self, family: Family, prefix: str) -> None:
        self._family = family
        self._prefix = prefix
        self._metadata = sqlalchemy.MetaData()
        self.requests = self._table(tables.REQUESTS)
        self.variables = self._table(tables.VARIABLES)
        self.details = self._table(tables.DETAILS)
        self._version = sqlalchemy.Table(
            f"{prefix}schema_version",
            self._metadata,
            sqlalchemy.Column("version", sqlalchemy.Integer, primary_key=True, autoincrement=False),
            **self._options,
        )

    def prepare(self, connection: sqlalchemy.Connection) -> None:
        """Create or upgrade the tables if necessary; several processes may do so at the same time.

        If nothing is to be done, this takes only a few small queries: in a busy process, each waits for other threads.

        Raises:
            ChestOffError: The tables belong to another program or to a newer version of this one. They were not
                changed.
            SQLAlchemyError: The database refuses.
        """
        if self._are_there(connection):
            return
        with connection.begin(), self._family.lock(connection):
            version = self._found_version(connection)
            for step in range(version, schema.SCHEMA_VERSION):
                for statement in UPGRADES.get(step, ()):
                    names = {"requests": self.requests.name, "variables": self.variables.name}
                    connection.exec_driver_sql(statement.format(**names))
            self._metadata.create_all(connection)
            self._check_columns(connection)
            self._add_what_is_missing(connection)
            if version < schema.SCHEMA_VERSION:
                connection.execute(self._version.delete())
                connection.execute(self._version.insert().values(version=schema.SCHEMA_VERSION))

    def _are_there(self, connection: sqlalchemy.Connection) -> bool:
        tables = self.requests, self.variables, self.details
        probes = [sqlalchemy.select(table).where(sqlalchemy.false()) for table in tables]
        try:
            with connection.begin():
                for probe in probes:
                    connection.execute(probe)
                version = connection.execute(sqlalchemy.select(self._version.c.version)).scalar()
        except exc.SQLAlchemyError:
            return False
        return bool(version == schema.SCHEMA_VERSION)

    @property
    def _options(self) -> dict[str, Any]:
        return {f"{name}_{key}": value for name in ("mysql", "mariadb") for key, value in _MYSQL_TABLE.items()}

    def _table(self, table: tables.Table) -> sqlalchemy.Table:
        types = self._family.types
        columns = [
            sqlalchemy.Column(
                column.name,
                types[column.kind],
                nullable=column.nullable,
                primary_key=column.name in table.primary_key,
                autoincrement=False,
            )
            for column in table.columns
        ]
        indices = [self._index(index) for index in table.indices]
        return sqlalchemy.Table(self._renamed(table.name), self._metadata, *columns, *indices, **self._options)

    def _index(self, index: tables.Index) -> sqlalchemy.Index:
        only = sqlalchemy.text(f"{index.of_those_with} IS NOT NULL") if index.of_those_with else None
        name = self._renamed(index.name)
        return sqlalchemy.Index(name, *index.columns, postgresql_where=only, sqlite_where=only)

    def _renamed(self, name: str) -> str:
        return self._prefix + name.removeprefix("chest_")

    def _found_version(self, connection: sqlalchemy.Connection) -> int:
        """Return the schema version in the database; 0: there is none."""
        if not sqlalchemy.inspect(connection).has_table(self._version.name):
            return 0
        version: int = connection.execute(sqlalchemy.select(self._version.c.version)).scalar() or 0
        if version > schema.SCHEMA_VERSION:
            raise ChestOffError(
                f"tables {self._prefix}* were made by a newer flask_chest_otel (schema {version}, this one knows"
                f" {schema.SCHEMA_VERSION}): `pip install --upgrade flask-chest-otel`, or give another table_prefix"
            )
        return version

    def _check_columns(self, connection: sqlalchemy.Connection) -> None:
        inspector = sqlalchemy.inspect(connection)
        for table in (self.requests, self.variables):
            found = {column["name"] for column in inspector.get_columns(table.name)}
            missing = sorted({column.name for column in table.columns} - found - _ADDED)
            if missing:
                raise ChestOffError(
                    f"there is a table {table.name!r} that is not ours (it has no column {', '.join(missing)}):"
                    " give SQLChest another table_prefix"
                )

    def _add_what_is_missing(self, connection: sqlalchemy.Connection) -> None:
        """Bring a table of release 0.1.0 up to date; a worker of that release goes on writing to it."""
        inspector = sqlalchemy.inspect(connection)
        found = {column["name"] for column in inspector.get_columns(self.requests.name)}
        quoted = connection.dialect.identifier_preparer.format_table(self.requests)
        for name in (column.name for column in tables.ADDED_COLUMNS if column.name not in found):
            described = sqlalchemy.schema.CreateColumn(self.requests.c[name]).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {quoted} ADD COLUMN {described}")
        there = {index["name"] for index in inspector.get_indexes(self.requests.name)}
        for index in self.requests.indexes:
            if index.name not in there:
                index.create(connection)


_MYSQL_TABLE = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
