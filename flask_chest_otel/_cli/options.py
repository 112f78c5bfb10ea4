"""The options that several commands have, and the parsers of their values."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    CommandFunction = Callable[..., None]

__all__ = [
    "CommandFunction",
    "json_option",
    "milliseconds",
    "route_of",
    "seconds",
    "status",
    "store_option",
    "variable",
]

_STATUS = re.compile(r"[1-5](?:\d\d|xx)", re.IGNORECASE)

SHORTEST_S, LONGEST_S = 0.1, 3600.0


def status(text: str) -> tuple[int, int]:
    """Parse ``404`` or ``5xx``, and return the lowest and the highest status code.

    Raises:
        BadParameter: The text has another form.
    """
    if not _STATUS.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no status: type a code such as 404, or a class such as 5xx")
    lower = text.lower()
    return int(lower.replace("x", "0")), int(lower.replace("x", "9"))


def seconds(text: str | float) -> float:
    """Parse a time limit, and return it in seconds.

    Raises:
        BadParameter: It is no number from ``SHORTEST_S`` to ``LONGEST_S``.
    """
    with suppress(ValueError):
        if SHORTEST_S <= float(text) <= LONGEST_S:
            return float(text)
    raise click.BadParameter(f"{text!r} is no time: type seconds, from {SHORTEST_S:g} to {LONGEST_S:g}")


def milliseconds(text: str) -> float:
    """Parse a duration in milliseconds.

    Raises:
        BadParameter: It is no number from 0.
    """
    with suppress(ValueError):
        if float(text) >= 0:
            return float(text)
    raise click.BadParameter(f"{text!r} is no number of milliseconds: type it without a unit, such as 500")


def variable(text: str) -> tuple[str, str | None]:
    """Parse ``name`` or ``name=value``, and return both; the value is ``None`` where there is none.

    Raises:
        BadParameter: The name is empty.
    """
    name, equals, value = text.partition("=")
    if not name:
        raise click.BadParameter(f"{text!r} has no name: type a variable, or variable=value")
    return name, value if equals else None


def route_of(given: str | None) -> str | None:
    """Return the value to search for: ``-``, which tables show where there is none, becomes ``""``."""
    return "" if given == "-" else given


store_option = click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FLASK_CHEST_CLI_STORE",
    help="Read this file, without loading any application. Default: the one in its instance folder.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: every value whole, for programs.")
