"""MongoChest into a real FerretDB, read back with pymongo alone."""

from __future__ import annotations

import math
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import json_util

from flask_chest_otel._records import schema
from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError
from flask_chest_otel.chests import MongoChest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_chest_otel._records.record import RequestRecord
    from tests.backends.ferretdb import FerretDB

    MakeRecord = Callable[..., RequestRecord]

pytestmark = pytest.mark.real

VERSION_1 = Path(__file__).parents[2] / "data" / "version1"


@pytest.fixture
def chest(ferretdb: FerretDB, prefix: str) -> Iterator[MongoChest]:
    with closing(MongoChest(ferretdb.url, collection=prefix)) as chest:
        yield chest


@pytest.fixture
def collection(ferretdb: FerretDB, prefix: str) -> Iterator[Any]:
    """What the chest writes to, opened by somebody else."""
    with pymongo.MongoClient[dict[str, Any]](ferretdb.url, tz_aware=True) as client:
        yield client["chest"][prefix]


def test_one_document_per_request(chest: MongoChest, collection: Any, make_record: MakeRecord) -> None:
    """Every field arrives with its native type; what is empty is not there; variables are a subdocument."""
    variables = {"user_id": "u1", "cart_total": 42.5, "items": 3, "vip": True, "tags": ("a", "b")}
    record = make_record(start_unix_ns=1_795_000_000_123_456_789, variables=variables, route=None)
    chest.put(record)
    assert chest.flush(20)
    (found,) = collection.find()
    assert found == {
        "_id": schema.record_key(record),
        "time": datetime(2026, 11, 18, 11, 6, 40, 123_000, tzinfo=timezone.utc),
        "time_us": 1_795_000_000_123_456,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "service": "shop",
        "method": "GET",
        "status": 200,
        "duration_ms": 12.5,
        "variables": {"user_id": "u1", "cart_total": 42.5, "items": 3, "vip": True, "tags": ["a", "b"]},
    }
    assert {name: type(value) for name, value in found["variables"].items()} == {
        "user_id": str,
        "cart_total": float,
        "items": int,
        "vip": bool,
        "tags": list,
    }


def test_why_it_failed(chest: MongoChest, collection: Any, make_record: MakeRecord) -> None:
    """Error, times, child spans and log lines are documents of their own; what is empty is not there."""
    span = ChildSpan("SELECT", "client", "a" * 16, None, 5, 0.0312, "unset", {"db.system.name": "sqlite", "n": (1, 2)})
    record = make_record(
        error=RequestError("ValueError", "no\0", "shop:buy:3", "Traceback", handled=False),
        spans=(span,),
        path="/buy/3",
        version="1.2",
        cpu_s=0.002,
        timings={"db": (1, 0.0312)},
        spans_dropped=3,
        logs=(LogLine(7, "ERROR", "shop", "none left"),),
        spans_complete=False,
        slos={"cart.v2": False, "all": True},
    )
    chest.put(record)
    assert chest.flush(20)
    (found,) = collection.find()
    error = {"type": "ValueError", "message": "no\ufffd", "place": "shop:buy:3", "stack": "Traceback", "handled": False}
    assert found["error"] == error
    assert (found["path"], found["version"], found["cpu_ms"]) == ("/buy/3", "1.2", 2.0)
    assert found["timings"] == {"db": {"count": 1, "ms": 31.2}}
    assert found["spans"][0]["attributes"] == {"db_system_name": "sqlite", "n": [1, 2]}
    assert (found["spans"][0]["duration_ms"], found["spans_dropped"], found["spans_missing"]) == (31.2, 3, True)
    assert found["logs"] == [{"time_unix_ns": 7, "level": "ERROR", "logger": "shop", "message": "none left"}]
    assert found["slos"] == {"cart_v2": False, "all": True}
    assert not {"first_byte_ms", "logs_dropped", "db_count", "error_type"} & set(found)


def test_beside_documents_of_an_older_release(
    ferretdb: FerretDB, prefix: str, collection: Any, make_record: MakeRecord
) -> None:
    """Documents of release 0.1.0 stay as they are, while it goes on writing and two new workers begin together."""
    options: Any = json_util.JSONOptions(tz_aware=True)
    old = json_util.loads((VERSION_1 / "mongo.json").read_text(), json_options=options)
    collection.create_index([("trace_id", 1), ("span_id", 1)], name="trace", unique=True, sparse=True)
    collection.insert_many(old[:20])
    chests = [MongoChest(ferretdb.url, collection=prefix) for _ in range(2)]
    try:
        for number, document in enumerate(old[20:]):
            collection.insert_one(document)
            for worker, chest in enumerate(chests):
                chest.put(make_record(request_id=f"worker-{worker}-{number}", path="/new"))
        assert [(chest.flush(30), chest.lost) for chest in chests] == [(True, 0)] * 2
    finally:
        for chest in chests:
            chest.close()
    assert list(collection.find({"path": {"$exists": False}}).sort("_id")) == old
    assert collection.count_documents({"path": "/new"}) == 2 * len(old[20:])


def test_values_arrive_as_they_are(chest: MongoChest, collection: Any, make_record: MakeRecord) -> None:
    """4-byte characters, quotes, long texts and 64-bit numbers come back unchanged; what UTF-8 lacks is replaced."""
    variables = {
        "text": """O'Neil said "x" \\ $where \N{GRINNING FACE}\n""",
        "long": "ß" * 1_000_000,
        "most": 2**63 - 1,
        "least": -(2**63),
        "huge": 1.7976931348623157e308,
    }
    chest.put(make_record(variables={**variables, "half": "a\ud800b"}))
    assert chest.flush(20)
    assert collection.find_one()["variables"] == {**variables, "half": "a?b"}


def test_names_that_mean_something_to_mongodb(chest: MongoChest, collection: Any, make_record: MakeRecord) -> None:
    """Dots and dollars, which only ``setattr`` can put into a name on ``g``, become underscores."""
    chest.put(make_record(variables={"a.b": 1, "$set": 2}))
    assert chest.flush(20)
    assert collection.find_one()["variables"] == {"a_b": 1, "_set": 2}


def test_delivered_twice_is_one_document(
    ferretdb: FerretDB, prefix: str, collection: Any, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """The same records put again, in one batch and by another chest, add nothing, lose nothing, say nothing."""
    records = [make_record() for _ in range(50)] + [make_record(trace_id=None, span_id=None) for _ in range(50)]
    for _ in range(2):
        with closing(MongoChest(ferretdb.url, collection=prefix)) as chest:
            for record in records + records:
                chest.put(record)
            assert chest.flush(20)
            assert chest.lost == 0
    assert collection.count_documents({}) == 100
    assert caplog.messages == []


def test_two_requests_in_one_span_are_two_documents(
    chest: MongoChest, collection: Any, make_record: MakeRecord
) -> None:
    """Trace id and span id are unique together, and a second request inside the same span is kept all the same."""
    first = make_record()
    second = make_record(trace_id=first.trace_id, span_id=first.span_id)
    for _ in range(2):
        chest.put(first)
        chest.put(second)
    assert chest.flush(20)
    assert collection.count_documents({}) == 2
    shared = collection.find_one({"_id": schema.record_key(second)})
    assert (shared["shared_trace_id"], shared["shared_span_id"]) == (first.trace_id, first.span_id)
    indices = collection.index_information()
    assert indices["trace"]["key"] == [("trace_id", 1), ("span_id", 1)]
    assert indices["trace"]["unique"]


def test_one_bad_record_costs_only_itself(chest: MongoChest, collection: Any, make_record: MakeRecord) -> None:
    """A record that cannot be encoded is lost and counted; those of the same batch arrive."""
    for value in (1, 2**70, 2):
        chest.put(make_record(variables={"value": value}))
    assert not chest.flush(20)
    assert (chest.lost, collection.count_documents({})) == (1, 2)


def test_a_record_that_the_server_hangs_up_on_costs_only_itself(
    chest: MongoChest, collection: Any, make_record: MakeRecord
) -> None:
    """FerretDB closes the connection on infinity, which MongoDB takes: after some tries that record alone is lost."""
    for value in (1.0, math.inf, 2.0):
        chest.put(make_record(variables={"value": value}))
    assert not chest.flush(20)
    assert (chest.lost, collection.count_documents({})) == (1, 2)


def test_the_database_of_the_url_and_its_defaults(ferretdb: FerretDB, make_record: MakeRecord, prefix: str) -> None:
    """An argument beats the URL's database, which beats ``flask_chest``."""
    bare = ferretdb.url.removesuffix("/chest")
    with pymongo.MongoClient[dict[str, Any]](ferretdb.url) as client:
        for url, database, expected in ((bare, None, "flask_chest"), (ferretdb.url, "other", "other")):
            with closing(MongoChest(url, database=database, collection=prefix)) as chest:
                chest.put(make_record())
                assert chest.flush(20)
            assert client[expected][prefix].count_documents({}) == 1


def test_refused_credentials_are_said_once_without_them(
    ferretdb: FerretDB,
    collection: Any,
    prefix: str,
    make_record: MakeRecord,
    until: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that does not let us in is one log line without the password; what waits is counted, nothing arrives."""
    chest = MongoChest(ferretdb.url.replace("://", "://user:s3cr3t@"), collection=prefix)
    for _ in range(20):
        chest.put(make_record())
        chest.flush(0.1)
    chest.close(0.1)
    until(lambda: chest.lost == 20)
    (line,) = [message for message in caplog.messages if "cannot write" in message]
    assert "authentication" in line
    assert "\n" not in line
    assert "s3cr3t" not in caplog.text + repr(chest)
    assert collection.count_documents({}) == 0
