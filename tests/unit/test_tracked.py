"""``TrackedVar``: what becomes a metric, and what is refused at set-up."""

from __future__ import annotations

from typing import Any

import pytest

from flask_chest_otel import ChestConfigError, TrackedVar
from flask_chest_otel.config.tracked_vars import NOTHING, parse_tracked_vars


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "cart_ids", "idempotency_key", "order_uuid", "Session_ID"])
def test_ids_are_no_metrics(name: str) -> None:
    """Names that look like ids stay attributes, whatever number they hold."""
    assert TrackedVar(name).kind is None
    assert TrackedVar(name, metric="counter").kind == "counter"


@pytest.mark.parametrize("name", ["total", "paid", "idle", "monkey", "keys", "uuid_count", "width"])
def test_others_become_histograms(name: str) -> None:
    """A number under any other name goes to a histogram."""
    assert TrackedVar(name).kind == "histogram"


def test_dimension_is_no_metric() -> None:
    """``dimension=True`` implies no metric unless said otherwise."""
    assert TrackedVar("plan", dimension=True).kind is None
    assert TrackedVar("plan", dimension=True, metric="gauge").kind == "gauge"


def test_buckets() -> None:
    """Buckets become floats; seconds have the conventions' own."""
    assert TrackedVar("t", buckets=[1, 2]).buckets == (1.0, 2.0)
    assert TrackedVar("t", unit="s").default_buckets is not None
    assert TrackedVar("t", unit="ms").default_buckets is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "user id"}, "flask.g"),
    ({"name": ""}, "flask.g"),
    ({"name": 3}, "flask.g"),
    ({"name": "*"}, "flask.g"),
    ({"name": "user."}, "a path"),
    ({"name": "user..id"}, "a path"),
    ({"name": "user.id()"}, "a path"),
    ({"name": "a", "convert": "str"}, "a callable"),
    ({"name": "größe"}, "attribute"),
    ({"name": "a", "attribute": ""}, "printable ASCII"),
    ({"name": "a", "attribute": "a b"}, "printable ASCII"),
    ({"name": "a", "attribute": "ä"}, "printable ASCII"),
    ({"name": "a", "attribute": "a\n"}, "printable ASCII"),
    ({"name": "a", "attribute": "x" * 256}, "printable ASCII"),
    ({"name": "a", "attribute": 3}, "printable ASCII"),
    ({"name": "a", "attribute": "http.route"}, "how the request itself went"),
    ({"name": "a", "attribute": "flask.request_id"}, "how the request itself went"),
    ({"name": "a", "metric": "summary"}, "histogram, counter"),
    ({"name": "a", "metric": ["counter"]}, "histogram, counter"),
    ({"name": "a", "metric_name": "1a"}, "a letter"),
    ({"name": "a", "metric_name": "a b"}, "a letter"),
    ({"name": "a", "metric_name": "a\n"}, "a letter"),
    ({"name": "a", "metric_name": "é"}, "a letter"),
    ({"name": "a", "metric_name": "a" * 256}, "a letter"),
    ({"name": "a", "unit": "€"}, "UCUM"),
    ({"name": "a", "unit": "x" * 64}, "UCUM"),
    ({"name": "a", "unit": None}, "UCUM"),
    ({"name": "a", "redact": "blur"}, "mask, hash, drop"),
    ({"name": "a", "redact": True}, "mask, hash, drop"),
    ({"name": "a", "redact": ["mask"]}, "mask, hash, drop"),
    ({"name": "a", "buckets": (2, 1)}, "ascending"),
    ({"name": "a", "buckets": (1, 1)}, "ascending"),
    ({"name": "a", "buckets": ()}, "ascending"),
    ({"name": "a", "buckets": 3}, "ascending"),
    ({"name": "a", "buckets": ("x",)}, "ascending"),
    ({"name": "a", "buckets": (1, float("inf"))}, "ascending"),
    ({"name": "a", "buckets": (1, 10**400)}, "ascending"),
    ({"name": "a", "buckets": (1, 2), "metric": "counter"}, "only for a histogram"),
    ({"name": "a_id", "buckets": (1, 2)}, "only for a histogram"),
    ({"name": "a", "description": None}, "description"),
    ({"name": "a", "dimension": "yes"}, "dimension"),
]


@pytest.mark.parametrize(("fields", "words"), REFUSED)
def test_refused_at_set_up(fields: dict[str, Any], words: str) -> None:
    """What could only fail inside a request is refused when it is written, and the message says what can be."""
    with pytest.raises(ChestConfigError) as caught:
        TrackedVar(**fields)
    assert words in str(caught.value)
    assert "cannot be used: give " in str(caught.value)


def test_non_ascii_name_with_an_attribute() -> None:
    """A name that is not ASCII needs an attribute, and then is fine."""
    assert TrackedVar("größe", attribute="size").attribute == "size"


def test_frozen_and_hashable() -> None:
    """Variables are values: equal when their fields are, usable as keys."""
    assert {TrackedVar("a"): 1}[TrackedVar("a")] == 1
    assert TrackedVar("a") != TrackedVar("a", unit="s")
    with pytest.raises(AttributeError):
        TrackedVar("a").name = "b"  # type: ignore[misc]  # the point


def test_parsing_nothing() -> None:
    """Empty spellings track nothing; a dict without methods replaces nothing either."""
    spellings: tuple[Any, ...] = ((), [], "", ",", {})
    for empty in spellings:
        assert not parse_tracked_vars(empty)
    assert parse_tracked_vars(NOTHING) is NOTHING


def test_same_variable_twice() -> None:
    """The same definition twice is harmless, two definitions are a mistake."""
    assert len(parse_tracked_vars(["a", "a", TrackedVar("a")]).all_methods) == 1
    with pytest.raises(ChestConfigError, match="each variable once"):
        parse_tracked_vars(["a", TrackedVar("a", unit="s")])


@pytest.mark.parametrize("method", ["GET", "get", "PROPFIND", "PROPPATCH", "PURGE", "MOVE", "VERSION-CONTROL"])
def test_methods(method: str) -> None:
    """The usual methods in any case, and others in capitals."""
    assert parse_tracked_vars({method: ["a"]}).for_method(method.upper()) == (TrackedVar("a"),)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("PSOT", "did you mean 'POST'"),
        ("GTE", "did you mean 'GET'"),
        ("tup", "did you mean 'PUT'"),
        ("gett", "did you mean 'GET'"),
        ("name", "in capitals"),
        ("", "as keys"),
        (1, "as keys"),
    ],
)
def test_what_is_no_method(method: Any, said: str) -> None:
    """A slip of the pen, or one variable's fields where methods belong, is refused."""
    with pytest.raises(ChestConfigError, match=said):
        parse_tracked_vars({method: ["a"]})


def test_paths() -> None:
    """The last name of a path says whether it is an id; the attribute and the metric are called after all of it."""
    assert TrackedVar("user.id").kind is None
    assert TrackedVar("id.total").kind == "histogram"


def test_names_left_out() -> None:
    """A minus takes a name out of what the star means, for the methods in whose list it stands."""
    spellings: tuple[Any, ...] = (
        "*,-ledger, -books",
        ["*", "-ledger", "-books"],
        ("-books", "*", "-ledger"),
        ("*,-ledger,-books",),
    )
    for spelling in spellings:
        parsed = parse_tracked_vars(spelling)
        assert parsed.tracks_everything("GET")
        assert parsed.leaves_out("GET") == {"ledger", "books"}
        assert parsed.every_var() == ()
    by_method = parse_tracked_vars({"GET": ["*", "-ledger"], "POST": "*"})
    assert by_method.leaves_out("GET") == {"ledger"}
    assert not by_method.leaves_out("POST")


@pytest.mark.parametrize("spelling", ["-ledger", "a,-ledger", "*,-", "*,-a b", "*,a,-a", "*,a.b,-a.b"])
def test_what_cannot_be_left_out(spelling: str) -> None:
    """Without a star there is nothing to leave out of; a name is tracked or left out."""
    with pytest.raises(ChestConfigError, match=r"left out|leave out"):
        parse_tracked_vars(spelling)
