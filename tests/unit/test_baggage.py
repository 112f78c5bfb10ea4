"""The baggage header: what is read, what is written, and what others wrote into it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_chest_otel._context import baggage

# The ABNF of the specification: key and baggage-octet.
MEMBER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), ANY_TEXT, max_size=5))
def test_any_text_survives(entries: dict[str, str]) -> None:
    """Commas, semicolons, line ends, percent signs and every script come back; the header is what the ABNF allows."""
    header, left_out = baggage.written("", entries)
    assert left_out == []
    assert all(MEMBER.fullmatch(member) for member in header.split(",") if header)
    assert baggage.read(header, entries.keys()) == entries


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a=1,b=2", {"a": "1", "b": "2"}),
        (" a\t= 1 ;property;p=2 , c=3", {"a": "1"}),
        ("a=x=y=", {"a": "x=y="}),
        ("a=1,a=2", {"a": "2"}),
        ("a=b+c%20d", {"a": "b+c d"}),
        ("a=%ff%E2%82%AC%zz", {"a": "\ufffd€%zz"}),
        ("a=", {"a": ""}),
        ("a, ,b;x=1,=2,ab=3,;,", {}),
        ("a=\xe4,b=\x802", {}),
        ("A=1", {}),
    ],
)
def test_what_is_read(header: str, expected: dict[str, str]) -> None:
    """Only well-formed entries of the wanted names, decoded, without properties and white space around them."""
    assert baggage.read(header, ("a", "b")) == expected


def test_what_is_too_long() -> None:
    """Whole entries within the first 8192 bytes are read, and nothing behind them is looked at."""
    exact = "a=1," + "b=" + "2" * 8186
    assert baggage.read(exact, ("a", "b")) == {"a": "1", "b": "2" * 8186}
    assert baggage.read(exact + "3", ("a", "b")) == {"a": "1"}
    assert baggage.read(exact + ",a=3", ("a",)) == {"a": "1"}
    assert baggage.read("a" * 9000, ("a",)) == {}


def test_entries_of_others_stay() -> None:
    """What others wrote keeps its form and its place; an entry of ours is replaced, or taken out."""
    there = "x = 1;p=%20, a=old;secret ,y=%2C"
    assert baggage.written(there, {"a": "new", "b": None}) == ("x = 1;p=%20,y=%2C,a=new", [])
    assert baggage.written(there, {"a": None}) == ("x = 1;p=%20,y=%2C", [])
    assert baggage.written("a=1", {"a": None}) == ("", [])


def test_no_more_than_everybody_passes_on() -> None:
    """Beyond 8192 bytes or 64 entries those of ours are left out, one by one; those of others never."""
    header, left_out = baggage.written("x=1", {"long": "ü" * 1400, "short": "s"})
    assert (header, left_out) == ("x=1,short=s", ["long"])
    exact, left_out = baggage.written("", {"a": "b" * (baggage.MOST_BYTES - 2)})
    assert (len(exact), left_out) == (8192, [])
    assert baggage.written("", {"a": "b" * (baggage.MOST_BYTES - 1)}) == ("", ["a"])
    many = ",".join(f"x{number}=1" for number in range(63))
    header, left_out = baggage.written(many, {"a": "1", "b": "2"})
    assert (header, left_out) == (f"{many},a=1", ["b"])
