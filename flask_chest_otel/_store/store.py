"""The embedded store: request records in one SQLite file, with nothing but the standard library."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Log, printable
from flask_chest_otel._records import schema
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
"""Name of the store in an application's instance folder."""

WEEK_S = 7 * 86400.0
"""How long requests are kept unless said otherwise, seconds."""

QUARTER_GIB = 256 * 1024 * 1024
"""How large the store becomes unless said otherwise, bytes."""

EACH_REQUEST_S = 1.0
"""How long a request that asked for it waits for its record to be written, seconds; a disk may hang."""

SET_ASIDE_AT_MOST = 3
"""Broken files that one worker sets aside before it stops: a failing disk must not be filled with them."""


def store_path(instance_path: str, given: str | None) -> Path:
    """Where an application keeps its store.

    Args:
        instance_path: Its instance folder.
        given: The setting ``store_path``.
    """
    return Path(instance_path, given or STORE_FILENAME)


class EmbeddedStore(QueuedChest):
    """Keeps request records in a SQLite file that several worker processes write at once.

    Nothing is opened here: folder and file are made by the writer thread, with the first record. The file is
    readable by its owner only, and whatever reads SQLite can read it while the application writes.

    Args:
        path: The file.
        max_age_s: Older requests are deleted, seconds.
        max_bytes: What it may take on disk, write-ahead log included; the oldest requests go first.
        spans: Of which requests child spans are kept: ``all``, ``slow`` or ``none``.
        each_request: Let ``put`` return when the record is in the file, at most ``EACH_REQUEST_S`` later: what a
            ``kill -9`` finds is written.

    Raises:
        ChestConfigError: A bound cannot be kept.

    Attributes:
        name: The chest's name.
        path: The file.
        keeps_spans: Whether it keeps child spans.
        keeps_logs: Whether it keeps log lines.
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
    """The store of an application, as its settings want it."""
    return EmbeddedStore(
        store_path(instance_path, config.store_path),
        max_age_s=config.store_max_age_s,
        max_bytes=config.store_max_bytes,
        spans=config.store_spans,
        each_request=config.durability == "request",
    )


class _StoreWriter:
    """One thread's connection to the file, made new whenever something went wrong with it."""

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
                # The file's fault, not that of a record.
                raise sqlite3.DatabaseError(str(error)) from error
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and file.identity(self._path) == self._identity:
            return self._connection
        # Deleted or set aside by somebody else: what is written to it now, nobody would find.
        self.close()
        file.make(self._path)
        # Before it is opened: should the file be replaced in between, the next batch finds out.
        self._identity = file.identity(self._path)
        self._connection = file.connect(self._path)
        self._bounds.configure(self._connection)
        return self._connection

    def _judge(self, error: Exception) -> None:
        """Set a broken file aside, so that the next try begins a new one; give up where no try can help."""
        if file.is_broken(error) and self._set_aside < SET_ASIDE_AT_MOST:
            aside = file.set_aside(self._path, self._identity)
            if aside is not None:
                self._set_aside += 1
                logger.error(
                    "flask_chest: %s is broken (%s): kept as %s, a new one is begun",
                    self._path,
                    printable(str(error)),
                    aside,
                )
        elif file.is_broken(error) or file.is_unusable(error, self._path):
            raise ChestOffError(
                f"{self._path} cannot be written ({error}): let the application's user write to"
                f" {self._path.parent}, or give the application another instance folder:"
                ' Flask(__name__, instance_path="/…")'
            ) from error


def _insertion(name: str, columns: Iterable[str]) -> str:
    names = tuple(columns)
    places = ", ".join("?" for _ in names)
    # Delivered twice is written once.
    return f"INSERT INTO {name} ({', '.join(names)}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names


_FIELDS = schema.RequestRow._fields
_REFUSED, _ERROR = _FIELDS.index("refused"), _FIELDS.index("error_type")

_INSERT_REQUEST = _insertion("chest_requests", _FIELDS)
# Most requests have none of these, and binding nothing takes Python several times as long as binding a number.
_INSERT_PLAIN = _insertion("chest_requests", (*_FIELDS[:_REFUSED], *_FIELDS[_REFUSED + 1 : _ERROR], "slos"))
_INSERT_VARIABLE = _insertion("chest_variables", schema.VariableRow._fields)
_INSERT_DETAILS = _insertion("chest_details", schema.DetailsRow._fields)


def _insert(connection: sqlite3.Connection, records: list[RequestRecord], spans: SpanChoice) -> None:
    rows = _Rows(records, spans)
    connection.executemany(_INSERT_PLAIN, rows.plain())
    connection.executemany(_INSERT_REQUEST, rows.requests)
    connection.executemany(_INSERT_VARIABLE, rows.variables)
    connection.executemany(_INSERT_DETAILS, rows.details)


class _Rows:
    """Rows of some records; all but the plain ones are there when these have been taken.

    Attributes:
        requests: Requests with an error, or with a value that was refused.
        variables: Variables of all requests.
        details: Child spans and log lines of all requests.
    """

    def __init__(self, records: list[RequestRecord], spans: SpanChoice) -> None:
        self._records = records
        self._spans = spans
        self.requests: list[schema.RequestRow] = []
        self.variables: list[schema.VariableRow] = []
        self.details: list[tuple[object, ...]] = []

    def plain(self) -> Iterator[tuple[object, ...]]:
        """Rows of the requests that have neither, one by one.

        SQLite lets request threads run while it takes a row: a whole batch shaped at once would not.
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
                self.requests.append(request)
