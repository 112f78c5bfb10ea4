"""The filter of an address: words to questions, and to the same options of a command."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_chest_otel._store.wanted import Wanted
from flask_chest_otel._viewer.filters import read_filter


@pytest.mark.parametrize(
    ("words", "wanted", "options"),
    [
        ("", Wanted(), ""),
        ("plan=gold", Wanted(variables=(("plan", "gold"),)), "--var plan=gold"),
        ("plan=*", Wanted(variables=(("plan", None),)), "--var plan"),
        ("status=404", Wanted(status=(404, 404)), "--status 404"),
        ("status=5xx", Wanted(status=(500, 599)), "--status 5xx"),
        ("status>=500", Wanted(status=(500, 599)), "--status 5xx"),
        ("status>=400 status<500", Wanted(status=(400, 499)), None),
        ("ms>300", Wanted(slower_than_ms=300.0), "--slower 300"),
        ("route=/cart/<int:cart_id>", Wanted(route="/cart/<int:cart_id>"), "--route '/cart/<int:cart_id>'"),
        ("route=-", Wanted(route=""), "--route -"),
        ("method=post", Wanted(method="POST"), "--method post"),
        ("error=KeyError", Wanted(error_type="KeyError"), "--error KeyError"),
        ("version=1.4.0", Wanted(version="1.4.0"), "--version 1.4.0"),
        ("id=r-7", Wanted(request_id="r-7"), "--request-id r-7"),
        ('note="two words"', Wanted(variables=(("note", "two words"),)), "--var 'note=two words'"),
    ],
)
def test_words(words: str, wanted: Wanted, options: str | None) -> None:
    """Each word of the filter narrows the question, and has its option on the command line."""
    found = read_filter({"q": words})
    assert (found.wanted, found.text, found.troubles) == (wanted, (), ())
    if options is not None:
        assert found.command() == f"flask chest requests {options}".strip()


def test_free_text() -> None:
    """A word without a sign is looked for as text, whatever its case."""
    found = read_filter({"q": "Warehouse plan=gold"})
    assert found.text == ("warehouse",)
    assert found.words == ("Warehouse", "plan=gold")


@pytest.mark.parametrize("words", ["status=9", "status>=abc", "ms<5", "ms>x", "plan>5", "route>/x", "ms>nan"])
def test_words_that_cannot_be_used(words: str) -> None:
    """Such a word changes nothing, and it is said what to type."""
    found = read_filter({"q": words})
    assert found.wanted == Wanted()
    assert len(found.troubles) == 1
    assert "type" in found.troubles[0] or "there is" in found.troubles[0]


def test_a_command_has_the_times_of_the_address() -> None:
    """A time of day in an address is one of UTC, and so it is in the command, whatever the terminal's zone."""
    found = read_filter({"q": "ms>5 id=r-7", "since": "2026-01-31T08:00"})
    assert found.command("errors") == "flask chest errors --utc --since 2026-01-31T08:00"
    assert found.command("stats", "--var", "a b").endswith("--slower 5 --since 2026-01-31T08:00 --var 'a b'")


def test_times() -> None:
    """Since and until take what the commands take; what is no time is said."""
    found = read_filter({"since": "2026-01-31T08:00", "until": "2026-01-31T09:00"})
    assert found.wanted.since_unix_ns is not None
    assert found.wanted.until_unix_ns is not None
    assert found.wanted.until_unix_ns - found.wanted.since_unix_ns == 3600 * 10**9
    assert read_filter({"since": "soon"}).troubles[0].startswith("'soon' is no time")


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Whatever an address holds, there is a filter; taking its words away one by one leaves nothing."""
    found = read_filter({"q": text})
    shlex.split(found.command())
    while found.words:
        fewer = read_filter({"q": found.without(found.words[0])})
        assert len(fewer.words) == len(found.words) - 1
        found = fewer
