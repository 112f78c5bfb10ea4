"""What is kept of a child span: bounded, cleaned, and nothing that may be secret."""

from __future__ import annotations

import json
import pickle
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind

from flask_chest_otel._request.child_span_shape import (
    DROPPED_ATTRIBUTES,
    DROPPED_EVENTS,
    MOST_ATTRIBUTES,
    MOST_CHARS,
    MOST_EVENTS,
)
from flask_chest_otel.testing import RequestRecord, capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.record import ChildSpan
    from tests.conftest import Rig

    Kept = Callable[..., ChildSpan]

NASTY = Path(__file__).parent.parent / "backends" / "nasty.json"


@pytest.fixture
def kept(rig: Rig) -> Kept:
    """Makes one span in a request; what its record keeps of that."""

    def keep(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]], name: str = "one", **options: Any) -> Any:
        app = rig.plain()
        rig.chest(app, **options)
        tracer = rig.tracer_provider.get_tracer("mine")

        @app.route("/")
        def view() -> str:
            span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
            for event, of_event in events:
                span.add_event(event, of_event)
            span.end()
            return "ok"

        with capture(app) as records:
            app.test_client().get("/")
        return records[0].spans[0]

    return keep


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("user.password", "word", "[REDACTED]"),
        ("http.request.header.authorization", ["Bearer x"], "[REDACTED]"),
        ("accessToken", 7, "[REDACTED]"),
        ("url.full", "https://ann:word@shop.example/a/b?key=1#part", "https://shop.example/a/b?***"),
        ("http.url", "https://shop.example:8080/a", "https://shop.example:8080/a"),
        ("http.target", "/a/b?key=1", "/a/b?***"),
        ("url.query", "key=1", "***"),
        ("aws.queue", "see https://ann:word@queue.example/q?sig=1 there", "see https://queue.example/q?*** there"),
        ("http.request.header.referer", ["https://a.example/?q=1"], ("https://a.example/?***",)),
        ("db.connection_string", "Server=db;Password=word", "***"),
        ("db.query.parameter.name", "bob", "[REDACTED]"),
        ("items", 3, 3),
        ("ratio", 0.5, 0.5),
        ("ready", True, True),
        ("words", ["a", "b"], ("a", "b")),
    ],
)
def test_attributes(kept: Kept, name: str, value: Any, shown: Any) -> None:
    """Sensitive names, addresses and parameters are masked; everything else stays as it is."""
    assert kept({name: value}).attributes == {name: shown}


@pytest.mark.parametrize("key", ["db.query.text", "db.statement"])
def test_texts_of_queries(kept: Kept, key: str) -> None:
    """By default literals are left out; a setting keeps all of the text, or none."""
    query = {"db.system": "postgresql", key: "SELECT a FROM t WHERE b = 'bob' AND c = %(c)s"}
    given = {**query, "db.query.parameter.c": "secret"}
    assert kept(given).attributes[key] == "SELECT a FROM t WHERE b = ? AND c = %(c)s"
    assert kept(given, query_text="all").attributes == given
    assert kept(given, query_text="none").attributes == {
        "db.system": "postgresql",
        "db.query.parameter.c": "[REDACTED]",
        DROPPED_ATTRIBUTES: 1,
    }


def test_errors_of_databases(kept: Kept) -> None:
    """Databases quote what was sent: the words of their errors are masked, those of others stay."""
    words = {"exception.type": "IntegrityError", "exception.message": "Key (email)=(bob@shop.example) already exists"}
    (of_database,) = kept({"db.system": "postgresql"}, ("exception", words)).events
    (of_others,) = kept({}, ("exception", words)).events
    (secret,) = kept({}, ("exception", {"exception.message": "refused: password=word"})).events
    assert secret.attributes == {"exception.message": "refused: password=[REDACTED]"}
    (wanted,) = kept({"db.system": "postgresql"}, ("exception", words), query_text="all").events
    assert of_database.attributes == {"exception.type": "IntegrityError", "exception.message": "[REDACTED]"}
    assert of_others.attributes == wanted.attributes == words


def test_bounds(kept: Kept) -> None:
    """Neither many nor long attributes and events get through; what was cut is counted."""
    span = kept({f"n{number}": number for number in range(100)}, *[("e", {"x" * 300: "y" * 5000})] * 20, name="n" * 999)
    assert len(span.attributes) == MOST_ATTRIBUTES + 1
    assert span.attributes[DROPPED_ATTRIBUTES] == 100 - MOST_ATTRIBUTES
    assert len(span.events) == MOST_EVENTS
    assert span.events[-1].attributes[DROPPED_EVENTS] == 20 - MOST_EVENTS
    assert all(len(value) == 1024 for event in span.events for value in list(event.attributes.values())[:1])
    assert len(span.name) == 255
    long = kept({f"n{number}": "x" * 1024 for number in range(30)})
    assert sum(len(text) for text in long.attributes.values() if isinstance(text, str)) <= MOST_CHARS
    assert long.attributes[DROPPED_ATTRIBUTES] == 30 - MOST_CHARS // 1024


@pytest.mark.slow
def test_nasty_texts(kept: Kept) -> None:
    """Whatever stands in names and values becomes text that every exporter can encode."""
    for value in json.loads(NASTY.read_text("utf-8")).values():
        span = kept({"note": value, value[:100] or "x": "1"}, (value, {"note": value}), name=value)
        repr(span).encode("utf-8")
        assert "\x1b" not in span.name + "".join(map(str, span.attributes.values()))


def test_spans_are_a_sequence(rig: Rig) -> None:
    """They are compared, hashed, indexed and pickled like a tuple, however late they take their shape."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    app.add_url_rule("/", "view", lambda: (tracer.start_span("a").end(), tracer.start_span("b").end(), "ok")[2])
    with capture(app) as records:
        app.test_client().get("/")
    spans = records[0].spans
    assert len(spans) == 2
    assert spans
    assert spans == tuple(spans)
    assert (spans[0].name, spans[-1].name, [span.name for span in spans[:1]]) == ("a", "b", ["a"])
    copied = pickle.loads(pickle.dumps(records[0]))  # noqa: S301 - made here
    assert copied.spans == tuple(spans)
    assert type(copied.spans) is tuple
    assert copied == records[0]._replace(spans=copied.spans)


def test_a_record_of_defaults_is_copied() -> None:
    """Also the mappings that a record has where nothing was given are pickled and copied."""
    record = RequestRecord(1, 0.5, "shop", "r-1", None, None, "GET", "/", 200, {})
    assert pickle.loads(pickle.dumps(record)) == deepcopy(record) == record  # noqa: S301 - made here
