"""Times as people type them."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._analysis.times import FORMS, SPAN_FORMS, Span, TimeTextError, read_moments, read_span

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clocks are one or two hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    time.tzset()


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * SECOND_NS


NOW = utc("2026-11-26T15:30:00")


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("90s", "2026-11-26T15:28:30", None),
        ("2h", "2026-11-26T13:30:00", None),
        ("1.5 H", "2026-11-26T14:00:00", None),
        ("now", "2026-11-26T15:30:00", None),
        ("today", "2026-11-25T23:00:00", "2026-11-26T23:00:00"),
        ("Yesterday", "2026-11-24T23:00:00", "2026-11-25T23:00:00"),
        ("2026-11-20", "2026-11-19T23:00:00", "2026-11-20T23:00:00"),
        # Clocks are put back in this night: the day has 25 hours.
        ("2026-10-25", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("14:00", "2026-11-26T13:00:00", None),
        ("9:05", "2026-11-26T08:05:00", None),
        ("14:00:30", "2026-11-26T13:00:30", None),
        ("2026-11-26 14:00", "2026-11-26T13:00:00", None),
        ("2026-07-01 14:00", "2026-07-01T12:00:00", None),
        ("2026-11-26T14:00:00Z", "2026-11-26T14:00:00", None),
        ("2026-11-26T14:00:00+03:00", "2026-11-26T11:00:00", None),
    ],
)
def test_local_times(text: str, begin: str, end: str | None) -> None:
    """A time without an offset is the machine's own; a day lasts from its midnight to the next one."""
    assert read_moments(text, NOW, utc=False) == Span(utc(begin), utc(end or begin))


def test_utc() -> None:
    """With utc, times without an offset are in UTC, and so are days."""
    assert read_moments("2026-11-26 14:00", NOW, utc=True).begin_unix_ns == utc("2026-11-26T14:00:00")
    assert read_moments("yesterday", NOW, utc=True) == Span(utc("2026-11-25"), utc("2026-11-26"))


@pytest.mark.parametrize(
    "text", ["", "soon", "9" * 400 + "w", "25:00", "2026-13-01", "2026-11-26 14", "0001-01-01", "5"]
)
def test_what_is_no_time(text: str) -> None:
    """What cannot be read is an error that says what can, but for an hour alone behind a date, which ISO 8601 has."""
    try:
        read_moments(text, NOW, utc=False)
    except TimeTextError as error:
        assert str(error) == f"{text!r} is no time: type {FORMS}"  # noqa: PT017 - newer Pythons take one of them
    else:
        assert text in {"2026-11-26 14", "0001-01-01"}


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("yesterday", "2026-11-24T23:00:00", "2026-11-25T23:00:00"),
        ("2h", "2026-11-26T13:30:00", "2026-11-26T15:30:00"),
        ("2h..1h", "2026-11-26T13:30:00", "2026-11-26T14:30:00"),
        ("2h ..", "2026-11-26T13:30:00", "2026-11-26T15:30:00"),
        ("..1h", "1970-01-01T00:00:00", "2026-11-26T14:30:00"),
        ("2026-11-25 14:00..15:00", "2026-11-25T13:00:00", "2026-11-25T14:00:00"),
        ("2026-11-24..2026-11-25", "2026-11-23T23:00:00", "2026-11-25T23:00:00"),
        ("yesterday..today", "2026-11-24T23:00:00", "2026-11-26T23:00:00"),
    ],
)
def test_spans(text: str, begin: str, end: str) -> None:
    """A day is a span; so are two times with dots between; a day at the end is part of it."""
    assert read_span(text, NOW, utc=False) == Span(utc(begin), utc(end))


@pytest.mark.parametrize("text", ["1.4.0", "1h..2h", "x..y", "2h..then", "now"])
def test_what_is_no_span(text: str) -> None:
    """An end before the begin, and words that mean no time, are errors that say what can be typed."""
    with pytest.raises(TimeTextError) as error:
        read_span(text, NOW, utc=False)
    assert str(error.value).endswith(f": type {SPAN_FORMS}")
