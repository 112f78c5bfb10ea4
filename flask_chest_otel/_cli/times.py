"""Options for times, and times as the commands print them."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from flask_chest_otel._analysis.times import TimeTextError, read_moments, read_stored
from flask_chest_otel._records.schema import utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

__all__ = ["clock", "full", "since_option", "stored", "until_option", "utc_option", "zone_of"]


def _begin(context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else _read(context, text)[0]


def _end(context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else _read(context, text)[1]


def _read(context: click.Context, text: str) -> tuple[int, int]:
    try:
        return read_moments(text, time.time_ns(), utc=bool(context.params.get("utc")))
    except TimeTextError as error:
        raise click.BadParameter(str(error)) from error


utc_option = click.option(
    "--utc",
    is_flag=True,
    # click has to read it before the options with times.
    is_eager=True,
    help="Times in UTC; else this machine's own.",
)
since_option = click.option(
    "--since",
    callback=_begin,
    metavar="TIME",
    help="Only requests since then: 15m, 2h, 7d ago; yesterday; 14:00; '2026-11-26 14:00'.",
)
until_option = click.option(
    "--until", callback=_end, metavar="TIME", help="Only requests before then; of a day, up to its end."
)


def zone_of(*, utc: bool) -> tzinfo | None:
    """Return the zone for printed times; ``None``: that of this machine, with its offset at each time."""
    return timezone.utc if utc else None


def clock(times: Iterable[str], *, utc: bool) -> dict[str, str]:
    """Return stored times as a table shows them: without the date where all are of today."""
    read = {text: _parsed(text, utc=utc) for text in times}
    today = datetime.now(timezone.utc).astimezone(zone_of(utc=utc)).date()
    only_today = all(found is not None and found.date() == today for found in read.values())
    form = "%H:%M:%S" if only_today else "%Y-%m-%d %H:%M:%S"
    return {text: text if found is None else found.strftime(form) for text, found in read.items()}


def full(text: str, *, utc: bool) -> str:
    """Write a stored time with date, milliseconds and offset."""
    found = _parsed(text, utc=utc)
    return text if found is None else f"{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03d} {found:%z}"


def stored(unix_ns: int) -> str:
    """Write a time in the form of the store."""
    return utc_text(unix_ns)


def _parsed(text: str, *, utc: bool) -> datetime | None:
    found = read_stored(text)
    try:
        return None if found is None else found.astimezone(zone_of(utc=utc))
    except (ValueError, OverflowError, OSError):
        return None
