"""``MongoChest``: writes request records as documents to MongoDB, or to a database that speaks its protocol."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.addresses import shown_address
from flask_chest_otel._base.lazy import library
from flask_chest_otel._records import schema, tables
from flask_chest_otel._records.delivery import AwayError
from flask_chest_otel.chests.direct import CAPACITY, TEN_MINUTES_S, DirectChest
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    import pymongo
    from pymongo import errors, uri_parser
    from pymongo.collection import Collection

    from flask_chest_otel._records.record import RequestRecord
else:
    pymongo = library("pymongo", "flask-chest-otel[mongo]")
    errors = library("pymongo.errors", "flask-chest-otel[mongo]")
    uri_parser = library("pymongo.uri_parser", "flask-chest-otel[mongo]")

__all__ = ["MongoChest"]

URLS = "a URL such as 'mongodb://user:password@host/database' or 'mongodb+srv://host'"

TIMEOUTS_MS = {"serverSelectionTimeoutMS": 5_000, "connectTimeoutMS": 10_000, "socketTimeoutMS": 30_000}
"""Time-outs for finding a server, connecting, and answers, milliseconds; options in the URL override them."""

DUPLICATE = 11000
"""MongoDB's error code E11000: a unique index already has this key."""

HUNG_UP_ON = 3
"""If a working server closes the connection this many times in a row, the reason is what it was sent."""


class MongoChest(DirectChest):
    """Writes request records to MongoDB, one document per request, with pymongo.

    A document has the fields of ``chest_requests`` that are not empty (``_id`` is the record's key), and ``variables``
    with native types. ``error``, ``timings``, ``spans`` and ``logs`` are embedded documents, with ``_`` instead of dots
    in names. ``time`` has milliseconds, like all dates in MongoDB; ``time_us`` has microseconds. A record that is
    written twice is one document. Making the chest opens no connection: its own thread writes, and an unreachable
    server does not slow down the application.

    Args:
        url: Connection URL, as pymongo takes it.
        name: Name of the chest, which routes use in ``chests=``.
        database: Name of the database; ``None``: the one in the URL, else ``flask_chest``.
        collection: Name of the collection; it is created with its indices at the first document.
        capacity: How many records may wait; further ones are dropped and counted.
        retry_for_s: How long one batch of records is tried again while the server is unreachable, seconds.

    Raises:
        ChestConfigError: An argument cannot be used; the message says what to type.
        ModuleNotFoundError: pymongo is not installed; the message says what to type.
    """

    keeps_spans = keeps_logs = True

    def __init__(
        self,
        url: str,
        *,
        name: str = "mongo",
        database: str | None = None,
        collection: str = "requests",
        capacity: int = CAPACITY,
        retry_for_s: float = TEN_MINUTES_S,
    ) -> None:
        _check_url(url)
        address = f"{shown_address(url, user='')} {database + '.' if database else ''}{collection}"
        open_writer = partial(_MongoWriter, url, database, collection)
        super().__init__(name, address, open_writer, capacity=capacity, retry_for_s=retry_for_s)


class _MongoWriter:
    """The writer thread's client; after an error the next write makes a new one."""

    def __init__(self, url: str, database: str | None, collection: str) -> None:
        self._url = url
        self._database = database
        self._name = collection
        self._client: pymongo.MongoClient[dict[str, object]] | None = None
        self._collection: Collection[dict[str, object]] | None = None
        self._hung_up = 0

    def write(self, records: list[RequestRecord]) -> None:
        documents = [document(record) for record in records]
        try:
            self._insert(self._open(), documents)
        except errors.BulkWriteError as error:
            # The values of one record are wrong. With a ValueError the queue writes each record alone.
            raise ValueError(_first_refusal(error)) from error
        except errors.PyMongoError as error:
            self.close()
            # Count this class only: its subclasses mean time-outs and replica set members that change roles.
            self._hung_up += type(error) is errors.AutoReconnect
            said = re.split(r",? \(configured timeouts|, Timeout:|, full error:", str(error))[0]
            message = " ".join(said.split())
            if self._hung_up >= HUNG_UP_ON and self._is_well():
                raise ValueError(message) from error
            raise AwayError(message) from error
        self._hung_up = 0

    def close(self) -> None:
        client, self._client, self._collection = self._client, None, None
        if client is not None:
            client.close()

    def _is_well(self) -> bool:
        try:
            self._open()
        except errors.PyMongoError:
            return False
        return True

    def _open(self) -> Collection[dict[str, object]]:
        if self._collection is None:
            given = self._url.lower()
            timeouts: dict[str, Any] = {
                name: value for name, value in TIMEOUTS_MS.items() if f"{name.lower()}=" not in given
            }
            self._client = pymongo.MongoClient(self._url, appname="flask_chest_otel", **timeouts)
            if self._database is None:
                found = self._client.get_default_database("flask_chest")
            else:
                found = self._client[self._database]
            _make_indices(found[self._name])
            self._collection = found[self._name]
        return self._collection

    def _insert(self, collection: Collection[dict[str, object]], documents: list[dict[str, object]]) -> None:
        try:
            # Unordered, so that the others are written also if one document exists already.
            collection.insert_many(documents, ordered=False)
        except errors.BulkWriteError as error:
            if any(refusal["code"] != DUPLICATE for refusal in error.details["writeErrors"]):
                raise
            self._insert_sharing(collection, [documents[refusal["index"]] for refusal in error.details["writeErrors"]])

    def _insert_sharing(self, collection: Collection[dict[str, object]], refused: list[dict[str, object]]) -> None:
        """Insert refused documents whose key is new: requests that share one span, made outside of them."""
        keys = [entry["_id"] for entry in refused]
        there = {found["_id"] for found in collection.find({"_id": {"$in": keys}}, {"_id": 1})}
        sharing = [entry for entry in refused if entry["_id"] not in there]
        for entry in sharing:
            entry["shared_span_id"] = entry.pop("span_id", None)
            entry["shared_trace_id"] = entry.pop("trace_id", None)
        if sharing:
            collection.insert_many(sharing, ordered=False)


def document(record: RequestRecord) -> dict[str, object]:
    """Return the document of one request."""
    row = schema.request_row(record, schema.utc_time(record.start_unix_ns))._asdict()
    fields = {name: value for name, value in row.items() if value not in (None, "") and name not in _NESTED}
    fields["_id"] = fields.pop("record_key")
    fields["time_us"] = record.start_unix_ns // 1000
    fields["variables"] = {_key(name): _native(value) for name, value in record.variables.items()}
    if record.refused:
        fields["refused"] = {_key(name): reason for name, reason in record.refused.items()}
    return {**fields, **{name: value for name, value in _nested(record).items() if value}}


_NESTED = {column.name for column in tables.ADDED_COLUMNS} - {"path", "version", "cpu_ms", "first_byte_ms"}
"""Columns that a document has in another form, or not at all if they are empty."""


def _nested(record: RequestRecord) -> dict[str, object]:
    """Return the embedded documents; tables have columns or other tables for these."""
    spans = [schema.span_object(span) for span in record.spans]
    timings = {kind: {"count": count, "ms": round(s * 1000, 3)} for kind, (count, s) in record.timings.items()}
    return {
        "error": _native(None if record.error is None else record.error._asdict()),
        "timings": timings,
        "slos": {_key(name): good for name, good in record.slos.items()},
        "spans": _native(spans),
        "spans_dropped": record.spans_dropped,
        "spans_missing": not record.spans_complete,
        "logs": _native([line._asdict() for line in record.logs]),
        "logs_dropped": record.logs_dropped,
    }


def _key(name: str) -> str:
    # Replace the two characters with a meaning in MongoDB. Names that are identifiers cannot contain them; others come
    # from setattr on g, or are found by "*".
    return name if name.isidentifier() else schema.clean(name).replace(".", "_").replace("$", "_") or "_"


def _native(value: object) -> object:
    if isinstance(value, str):
        return schema.clean(value)
    if isinstance(value, (tuple, list)):
        return [_native(element) for element in value]
    if isinstance(value, dict):
        return {_key(name): _native(element) for name, element in value.items()}
    return value


def _make_indices(collection: Collection[dict[str, object]]) -> None:
    # Sparse: requests without a trace are not in the unique index, so they are not taken for the same one.
    trace = [("trace_id", pymongo.ASCENDING), ("span_id", pymongo.ASCENDING)]
    collection.create_index(trace, name="trace", unique=True, sparse=True)
    collection.create_index("request_id", name="request_id")
    collection.create_index("time", name="time")


def _check_url(url: str) -> None:
    scheme = str(url).partition("://")[0]
    if scheme == "mongodb+srv":  # parsing it would query DNS
        return
    try:
        uri_parser.parse_uri(url)
    except (errors.PyMongoError, ValueError, TypeError, AttributeError):
        # Raise without the cause: its message may contain the password.
        raise ChestConfigError("url", shown_address(url, user=""), URLS) from None


def _first_refusal(error: errors.BulkWriteError) -> str:
    refusal = next(one for one in error.details["writeErrors"] if one["code"] != DUPLICATE)
    return f"{refusal['code']}: {str(refusal.get('errmsg', ''))[:200]}"
