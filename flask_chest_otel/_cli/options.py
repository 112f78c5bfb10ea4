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
    "json_option",
    "method_option",
    "route_of",
    "route_option",
    "seconds",
    "service_option",
    "status_option",
    "store_option",
    "variable_option",
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


def variable(text: str) -> tuple[str, str | None]:
    """Parse ``name`` or ``name=value``, and return both; the value is ``None`` where there is none.

    Raises:
        BadParameter: The name is empty.
    """
    name, equals, value = text.partition("=")
    if not name:
        raise click.BadParameter(f"{text!r} has no name: type a variable, or variable=value")
    return name, value if equals else None


def store_option(command: CommandFunction) -> CommandFunction:
    """Add ``--store PATH``."""
    return click.option(
        "--store",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="FLASK_CHEST_CLI_STORE",
        help="Read this file, without loading any application. Default: the one in its instance folder.",
    )(command)


def json_option(command: CommandFunction) -> CommandFunction:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON: every value whole, for programs.")(command)


def route_option(command: CommandFunction) -> CommandFunction:
    """Add ``--route RULE``."""
    return click.option(
        "--route",
        metavar="RULE",
        help="Only this URL rule, as it is written in the application: '/cart/<int:cart_id>'; '-': none matched.",
    )(command)


def route_of(given: str | None) -> str | None:
    """Return the value to search for: ``-``, which tables show where there is none, becomes ``""``."""
    return "" if given == "-" else given


def method_option(command: CommandFunction) -> CommandFunction:
    """Add ``--method GET``."""
    return click.option("--method", type=str.upper, metavar="METHOD", help="Only this HTTP method.")(command)


def service_option(command: CommandFunction) -> CommandFunction:
    """Add ``--service NAME``."""
    return click.option(
        "--service",
        metavar="NAME",
        help="Only the application of this name (app.name), where several write into one store.",
    )(command)


def status_option(command: CommandFunction) -> CommandFunction:
    """Add ``--status 5xx``."""
    return click.option("--status", type=status, metavar="CODE", help="Only this status, 404, or class of them, 5xx.")(
        command
    )


def variable_option(command: CommandFunction) -> CommandFunction:
    """Add ``--var name=value``, which may be repeated."""
    return click.option(
        "--var",
        "variables",
        type=variable,
        multiple=True,
        metavar="NAME[=VALUE]",
        help="Only requests that recorded this variable, with this value if one is given. May be repeated.",
    )(command)
