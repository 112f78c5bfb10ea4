"""``MongoChest``: request records as documents of MongoDB, or of whatever speaks its protocol."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.addresses import shown_address
from flask_chest_otel._base.lazy import library
from flask_chest_otel._records import schema
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
"""How long to look for a server, to connect, and to wait for an answer, milliseconds; options in the URL win."""

DUPLICATE = 11000
"""Code of a write error: a unique index has such an entry."""

HUNG_UP_ON = 3
"""So many times in a row a server that is well closes the connection: it does so because of what it got."""


class MongoChest(DirectChest):
    """Writes request records to MongoDB, one document per request, with pymongo.

    A document has the fields of ``chest_requests`` (``_id`` is the record's key), those that are empty left out, and
    ``variables``, with native types; ``error``, ``timings``, ``spans`` and ``logs`` are documents of their own, with
    ``_`` for the dots in names. ``time`` has milliseconds, as dates do there; ``time_us`` has the microseconds.
    A record that is written twice is one document. Nothing is opened here: a thread of its own writes, and a server
    that is away costs the application nothing.

    Args:
        url: pymongo's.
        name: By which routes speak of the chest.
        database: Where the collection is; the URL's own unless given, ``flask_chest`` where it has none.
        collection: Where the documents go; made with its indices at the first one.
        capacity: Records that wait at most; further ones are dropped and counted.
        retry_for_s: How long one batch of records is tried again while the server is away, seconds.

    Raises:
        ChestConfigError: An argument cannot be used.
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
    """One thread's client, made new whenever something went wrong with it."""

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
            # One record's values: tried again one by one, the others arrive.
            raise ValueError(_first_refusal(error)) from error
        except errors.PyMongoError as error:
            self.close()
            # Not its subclasses, which speak of timeouts and of members that change roles.
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
            # Unordered: one that is there already does not hold up the others.
            collection.insert_many(documents, ordered=False)
        except errors.BulkWriteError as error:
            if any(refusal["code"] != DUPLICATE for refusal in error.details["writeErrors"]):
                raise
            self._insert_sharing(collection, [documents[refusal["index"]] for refusal in error.details["writeErrors"]])

    def _insert_sharing(self, collection: Collection[dict[str, object]], refused: list[dict[str, object]]) -> None:
        """Insert those that are not there after all: other requests in the same span, as an outer one makes them."""
        keys = [entry["_id"] for entry in refused]
        there = {found["_id"] for found in collection.find({"_id": {"$in": keys}}, {"_id": 1})}
        sharing = [entry for entry in refused if entry["_id"] not in there]
        for entry in sharing:
            entry["shared_span_id"] = entry.pop("span_id", None)
            entry["shared_trace_id"] = entry.pop("trace_id", None)
        if sharing:
            collection.insert_many(sharing, ordered=False)


def document(record: RequestRecord) -> dict[str, object]:
    """The document of one request."""
    row = schema.request_row(record, schema.utc_time(record.start_unix_ns))._asdict()
    fields = {name: value for name, value in row.items() if value not in (None, "") and name not in _NESTED}
    fields["_id"] = fields.pop("record_key")
    fields["time_us"] = record.start_unix_ns // 1000
    fields["variables"] = {_key(name): _native(value) for name, value in record.variables.items()}
    if record.refused:
        fields["refused"] = {_key(name): reason for name, reason in record.refused.items()}
    return {**fields, **{name: value for name, value in _nested(record).items() if value}}


_NESTED = {column.name for column in schema.ADDED_COLUMNS} - {"path", "version", "cpu_ms", "first_byte_ms"}
"""Columns that a document has in a form of its own, or has not where they say nothing."""


def _nested(record: RequestRecord) -> dict[str, object]:
    """What a table has columns for, or a table of its own."""
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
    # Only names put on g with setattr or found by "*" can be no identifiers; MongoDB gives these two a meaning.
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
    # Sparse: requests without a trace are not in it, so that they do not count as the same one.
    trace = [("trace_id", pymongo.ASCENDING), ("span_id", pymongo.ASCENDING)]
    collection.create_index(trace, name="trace", unique=True, sparse=True)
    collection.create_index("request_id", name="request_id")
    collection.create_index("time", name="time")


def _check_url(url: str) -> None:
    scheme = str(url).partition("://")[0]
    if scheme == "mongodb+srv":  # reading it would ask the name server
        return
    try:
        uri_parser.parse_uri(url)
    except (errors.PyMongoError, ValueError, TypeError, AttributeError):
        # Without the cause, whose message may hold the password.
        raise ChestConfigError("url", shown_address(url, user=""), URLS) from None


def _first_refusal(error: errors.BulkWriteError) -> str:
    refusal = next(one for one in error.details["writeErrors"] if one["code"] != DUPLICATE)
    return f"{refusal['code']}: {str(refusal.get('errmsg', ''))[:200]}"
