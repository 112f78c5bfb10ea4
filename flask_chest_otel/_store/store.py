"""The embedded store: request records in one SQLite file, written with the standard library only."""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel._base.sqlite_errors import is_broken, is_unusable
from flask_chest_otel._guard import Log, printable
from flask_chest_otel._records import schema, tables
from flask_chest_otel._records.delivery import ChestOffError, UnforkedWriter
from flask_chest_otel._records.queue import RecordQueue
from flask_chest_otel._records.queued import QueuedChest
from flask_chest_otel._store import file
from flask_chest_otel._store.bounds import Bounds
from flask_chest_otel._store.packed import pack
from flask_chest_otel._store.rolling import Rolling
from flask_chest_otel._store.span_choice import SpanChoice

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel.config import ChestConfig, SpansKept

__all__ = ["STORE_FILENAME", "EmbeddedStore", "store_for", "store_path"]

logger = Log(__name__)

STORE_FILENAME = "flask_chest.sqlite3"
"""Default name of the store's file in an application's instance folder."""

WEEK_S = 7 * 86400.0
"""How long requests are kept by default, seconds."""

QUARTER_GIB = 256 * 1024 * 1024
"""How large the store may become by default, bytes."""

EACH_REQUEST_S = 1.0
"""How long a request with ``durability='request'`` waits for its record to be written, seconds; a disk may hang."""

SET_ASIDE_AT_MOST = 3
"""How many broken files one process sets aside at most, so that a failing disk is not filled with them."""


def store_path(instance_path: str, given: str | None) -> Path:
    """Return the path of an application's store.

    Args:
        instance_path: The application's instance folder.
        given: The setting ``store_path``; ``None``: not set.
    """
    return Path(instance_path, given or STORE_FILENAME)


class EmbeddedStore(QueuedChest):
    """Keeps request records in an SQLite file. Several worker processes can write to it at the same time.

    Making the object opens nothing: the writer thread creates folder and file with the first record. Only the file's
    owner can read it. Every program that reads SQLite can read it while the application writes.

    Args:
        path: Path of the file.
        max_age_s: Older requests are deleted, seconds.
        max_bytes: How much the file and its write-ahead log may take, bytes; beyond it the oldest requests are deleted.
        spans: For which requests child spans are kept: ``all``, ``slow`` or ``none``.
        each_request: Whether ``put`` returns only after the record is in the file, at most ``EACH_REQUEST_S`` later.
            Then ``kill -9`` loses no answered request.

    Raises:
        ChestConfigError: A bound is too small.

    Attributes:
        name: Name of the chest.
        path: Absolute path of the file.
        keeps_spans: Whether child spans are kept.
        keeps_logs: Whether log lines are kept.
    """

    keeps_logs = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_age_s: float = WEEK_S,
        max_bytes: int = QUARTER_GIB,
        spans: SpansKept = "all",
        each_request: bool = False,
    ) -> None:
        self.path = Path(path).absolute()
        self.keeps_spans = spans != "none"
        Bounds(max_age_s, max_bytes)
        open_writer = partial(_StoreWriter, self.path, max_age_s, max_bytes, SpanChoice(spans))
        super().__init__("store", RecordQueue("store", partial(UnforkedWriter, open_writer)))
        if each_request:
            self.put = self._put_and_wait

    def _put_and_wait(self, record: RequestRecord) -> None:
        self._queue.put(record)
        self._queue.flush(EACH_REQUEST_S)


def store_for(instance_path: str, config: ChestConfig) -> EmbeddedStore:
    """Make the store of an application from its settings."""
    return EmbeddedStore(
        store_path(instance_path, config.store_path),
        max_age_s=config.store_max_age_s,
        max_bytes=config.store_max_bytes,
        spans=config.store_spans,
        each_request=config.durability == "request",
    )


class _StoreWriter:
    """The writer thread's connection to the file; after an error the next write opens a new one."""

    def __init__(self, path: Path, max_age_s: float, max_bytes: int, spans: SpanChoice) -> None:
        self._path = path
        self._spans = spans
        self._bounds = Bounds(max_age_s, max_bytes)
        self._rolling = Rolling()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._set_aside = 0

    def write(self, records: list[RequestRecord]) -> None:
        try:
            connection = self._open()
            self._bounds.before_write(connection, self._path)
            with file.transaction(connection):
                _insert(connection, records, self._spans)
            self._rolling.after_write(connection)
            self._bounds.after_write(connection)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            self.close()
            self._judge(error)
            if isinstance(error, UnicodeDecodeError):
                # The file is broken, not a record: say so with an error of SQLite.
                raise sqlite3.DatabaseError(str(error)) from error
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and file.is_current(self._path, self._identity):
            return self._connection
        # Another process deleted the file or set it aside: what is written to it now would be lost.
        self.close()
        file.make(self._path)
        # Read the identity before opening: if the file is replaced in between, the next batch notices it.
        self._identity = file.identity(self._path)
        self._connection = file.connect(self._path)
        self._bounds.configure(self._connection)
        return self._connection

    def _judge(self, error: Exception) -> None:
        """Set a broken file aside, so that the next try creates a new one.

        Raises:
            ChestOffError: The file cannot be written, and trying again cannot help.
        """
        if is_broken(error) and self._set_aside < SET_ASIDE_AT_MOST:
            aside = file.set_aside(self._path, self._identity)
            if aside is not None:
                self._set_aside += 1
                logger.error(
                    "flask_chest: %s is broken (%s): kept as %s, a new one is begun",
                    self._path,
                    printable(str(error)),
                    aside,
                )
        elif is_broken(error) or is_unusable(error, self._path):
            raise ChestOffError(
                f"{self._path} cannot be written ({error}): let the application's user write to"
                f" {self._path.parent}, or give the application another instance folder:"
                ' Flask(__name__, instance_path="/…")'
            ) from error


def _insertion(name: str, columns: Iterable[str]) -> str:
    names = tuple(columns)
    places = ", ".join("?" for _ in names)
    # A record that is delivered twice is stored once.
    return f"INSERT INTO {name} ({', '.join(names)}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names


_FIELDS = tables.RequestRow._fields
_REFUSED, _ERROR = _FIELDS.index("refused"), _FIELDS.index("error_type")

_INSERT_REQUEST = _insertion("chest_requests", _FIELDS)
# Most requests have no error and no refused value, and binding NULL takes Python several times as long as binding a
# number: so these columns are left out.
_INSERT_PLAIN = _insertion("chest_requests", (*_FIELDS[:_REFUSED], *_FIELDS[_REFUSED + 1 : _ERROR], "slos"))
_INSERT_VARIABLE = _insertion("chest_variables", tables.VariableRow._fields)
_INSERT_DETAILS = _insertion("chest_details", tables.DetailsRow._fields)


def _insert(connection: sqlite3.Connection, records: list[RequestRecord], spans: SpanChoice) -> None:
    rows = _Rows(records, spans)
    # In the order of the records, which is that of arrivals.
    for columns, alike in groupby(rows.requests(), len):
        connection.executemany(_INSERT_REQUEST if columns == len(_FIELDS) else _INSERT_PLAIN, alike)
    connection.executemany(_INSERT_VARIABLE, rows.variables)
    connection.executemany(_INSERT_DETAILS, rows.details)


class _Rows:
    """Rows of some records. The attributes are filled while ``requests`` is iterated.

    Attributes:
        variables: Rows of the variables of all requests.
        details: Rows with child spans and log lines of all requests.
    """

    def __init__(self, records: list[RequestRecord], spans: SpanChoice) -> None:
        self._records = records
        self._spans = spans
        self.variables: list[tables.VariableRow] = []
        self.details: list[tuple[object, ...]] = []

    def requests(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows of requests, one by one; one without an error and without a refused value is shorter.

        Request threads can run between two rows, while SQLite takes one. Making all rows at once would block them.
        """
        for record in map(self._spans.chosen, self._records):
            request, variables = schema.shape(record, schema.utc_text(record.start_unix_ns))
            self.variables += variables
            many = schema.details_row(record)
            if many is not None:
                self.details.append((many.request_key, pack(many.spans), pack(many.logs)))
            if request.error_type is None and request.refused is None:
                yield (*request[:_REFUSED], *request[_REFUSED + 1 : _ERROR], request.slos)
            else:
                yield request
