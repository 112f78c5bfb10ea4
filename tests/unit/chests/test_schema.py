"""How records become rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_chest_otel._records import schema, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.record import RequestRecord

SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8"))
)


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        (True, ("bool", "true", 1)),
        (False, ("bool", "false", 0)),
        (2**63 - 1, ("int", "9223372036854775807", 2**63 - 1)),
        (42.5, ("float", "42.5", 42.5)),
        (float("nan"), ("float", "nan", None)),
        (float("-inf"), ("float", "-inf", None)),
        ("Grüße 🧺", ("str", "Grüße 🧺", None)),
        ("a\0b\ud800", ("str", "a�b?", None)),
        ((), ("list", "[]", None)),
        (("a", "🧺"), ("list", '["a", "🧺"]', None)),
        ((1, 2), ("list", "[1, 2]", None)),
    ],
)
def test_value_columns(value: Any, columns: tuple[Any, ...], make_record: Callable[..., RequestRecord]) -> None:
    """Each type of value has its own name, exact text, and a number where it is one that databases hold."""
    _, rows = schema.shape(make_record(variables={"x": value}), "now")
    assert tuple(rows[0])[3:] == columns


@given(value=SCALARS)
def test_values_come_back(value: Any) -> None:
    """What is read back is what was recorded, in type and value; only NUL, which databases cut at, is replaced."""
    kind, text, _ = schema._columns(value)  # noqa: SLF001 - the law is about this function
    expected = value.replace("\0", "�") if isinstance(value, str) else value
    assert schema.read_value(kind, text) == expected
    assert type(schema.read_value(kind, text)) is type(value)


def test_key_is_the_same_for_the_same_record(make_record: Callable[..., RequestRecord]) -> None:
    """The key follows from the record, tracing or not, and any difference in time, id or route changes it."""
    same = {"start_unix_ns": 1_700_000_000_123_456_789, "trace_id": None, "span_id": None}
    key = schema.record_key(make_record(**same))
    assert key == schema.record_key(make_record(**same))
    assert len(key) == 32
    for change in ({"start_unix_ns": 1_700_000_000_123_456_790}, {"request_id": "r-2"}, {"route": None}):
        assert schema.record_key(make_record(**{**same, **change})) != key


@given(first=st.integers(0, 2**62), second=st.integers(0, 2**62))
def test_keys_and_times_sort_as_time_does(first: int, second: int) -> None:
    """Of two times the earlier has the smaller key, and no greater text."""
    if first > second:
        first, second = second, first
    assert schema.key_at(first) <= schema.key_at(second)
    assert (schema.key_at(first) < schema.key_at(second)) == (first < second)
    assert schema.utc_text(first) <= schema.utc_text(second)


@given(unix_ns=st.integers(0, 2**62))
def test_text_and_object_are_one_time(unix_ns: int) -> None:
    """Both forms of a time name the same microsecond."""
    assert schema.utc_text(unix_ns) == f"{schema.utc_time(unix_ns):%Y-%m-%dT%H:%M:%S.%fZ}"


def test_request_columns(make_record: Callable[..., RequestRecord]) -> None:
    """A request's row holds its fields in the table's order; duration in ms, refusals as JSON."""
    record = make_record(start_unix_ns=1_700_000_000_123_456_789, refused={"x": "no legal value"})
    row, _ = schema.shape(record, "t")
    names = [column.name for column in tables.REQUESTS.columns]
    assert list(row._fields) == names
    assert row.duration_ms == 12.5
    assert json.loads(row.refused or "") == {"x": "no legal value"}
    assert list(tables.VariableRow._fields) == [column.name for column in tables.VARIABLES.columns]
