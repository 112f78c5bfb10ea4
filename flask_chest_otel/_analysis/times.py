"""Reads times that people type: an age, a day, a time of day, ISO 8601."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

__all__ = ["FORMS", "SPAN_FORMS", "Span", "TimeTextError", "read_moments", "read_span", "read_stored", "unix_ns"]

FORMS = "an age such as 90s, 15m, 2h, 7d, 2w; today, yesterday; 14:00, 2026-11-26, 2026-11-26 14:00, or ISO 8601"
"""What ``read_moments`` takes, in words."""

SPAN_FORMS = "a day (today, yesterday, 2026-11-26), FROM..TO (2h..1h, 2026-11-26 14:00..15:00), or an age such as 2h"
"""What ``read_span`` takes, in words."""

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DAYS_AGO = {"today": 0, "yesterday": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class TimeTextError(ValueError):
    """A text is no time; the message lists the forms to type."""


class Span(NamedTuple):
    """A span of time.

    Attributes:
        begin_unix_ns: Begin, nanoseconds since 1970 UTC.
        end_unix_ns: End, which is not part of the span.
    """

    begin_unix_ns: int
    end_unix_ns: int


def read_moments(text: str, now_unix_ns: int, *, utc: bool) -> Span:
    """Read a time: a day becomes the span from its midnight to the next, everything else a span without length.

    Args:
        text: See ``FORMS``.
        now_unix_ns: The present, nanoseconds since 1970 UTC.
        utc: Whether times without an offset are UTC; else they are the local time of this machine.

    Raises:
        TimeTextError: The text has another form.
    """
    words = text.strip()
    age = _AGE.fullmatch(words.lower())
    try:
        if age:
            at = now_unix_ns - int(float(age[1]) * _SECONDS[age[2]] * 1e9)
            return Span(at, at)
        return _on_the_calendar(words, now_unix_ns, utc=utc)
    except (ValueError, OverflowError, OSError) as error:
        raise TimeTextError(f"{text!r} is no time: type {FORMS}") from error


def read_span(text: str, now_unix_ns: int, *, utc: bool) -> Span:
    """Read a span of time: a day; ``FROM..TO``, of which one may be missing; or a time, from which it lasts until now.

    Args:
        text: See ``SPAN_FORMS``. A TO without a day has the day of FROM.
        now_unix_ns: The present, nanoseconds since 1970 UTC.
        utc: As for ``read_moments``.

    Raises:
        TimeTextError: The text has another form, or the end is not after the begin.
    """
    first, dots, last = (part.strip() for part in text.partition(".."))
    if _CLOCK.fullmatch(last) and _DAY.match(first):
        last = f"{first[:10]} {last}"
    try:
        begin = read_moments(first, now_unix_ns, utc=utc) if first else Span(0, 0)
        until = read_moments(last, now_unix_ns, utc=utc).end_unix_ns if last else now_unix_ns
    except TimeTextError as error:
        raise TimeTextError(f"{text!r} is no span of time: type {SPAN_FORMS}") from error
    if not dots and begin.end_unix_ns > begin.begin_unix_ns:
        return begin
    if until <= begin.begin_unix_ns:
        raise TimeTextError(f"{text!r} ends before it begins: type {SPAN_FORMS}")
    return Span(begin.begin_unix_ns, until)


def read_stored(text: str) -> datetime | None:
    """Read a time of the store; ``None`` where another program has written something else."""
    try:
        # Python 3.10 cannot read the Z.
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def unix_ns(text: str) -> int:
    """Read a time of the store as nanoseconds since 1970 UTC; 0 where the text is no time."""
    found = read_stored(text)
    return 0 if found is None else _unix_ns(found, utc=True)


def _on_the_calendar(words: str, now_unix_ns: int, *, utc: bool) -> Span:
    if words.lower() == "now":
        return Span(now_unix_ns, now_unix_ns)
    now = _EPOCH + timedelta(microseconds=now_unix_ns // 1000)
    today = (now if utc else now.astimezone()).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    if words.lower() in _DAYS_AGO:
        return _day(today - timedelta(days=_DAYS_AGO[words.lower()]), utc=utc)
    if _DAY.fullmatch(words):
        return _day(datetime.fromisoformat(words), utc=utc)
    if _CLOCK.fullmatch(words):
        words = f"{today:%Y-%m-%d}T{words.zfill(5 + 3 * (words.count(':') - 1))}"
    # Python 3.10 cannot read the Z.
    at = _unix_ns(datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", words)), utc=utc)
    return Span(at, at)


def _day(midnight: datetime, *, utc: bool) -> Span:
    # Not 24 hours: with summer time, one day of the year has 23 hours and one has 25.
    return Span(_unix_ns(midnight, utc=utc), _unix_ns(midnight + timedelta(days=1), utc=utc))


def _unix_ns(time: datetime, *, utc: bool) -> int:
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc) if utc else time.astimezone()
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
