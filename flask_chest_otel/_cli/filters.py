"""The options that choose requests, made into one query of the store."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from flask_chest_otel._cli import options, times
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._cli.options import CommandFunction

__all__ = ["filters"]


_OPTIONS = {
    "since": times.since_option,
    "until": times.until_option,
    "route": click.option(
        "--route",
        metavar="RULE",
        help="Only this URL rule, as it is written in the application: '/cart/<int:cart_id>'; '-': none matched.",
    ),
    "method": click.option("--method", type=str.upper, metavar="METHOD", help="Only this HTTP method."),
    "path": click.option("--path", metavar="PATH", help="Only this path; '/cart/*': all that begin so."),
    "status": click.option(
        "--status", type=options.status, metavar="CODE", help="Only this status, 404, or class of them, 5xx."
    ),
    "error": click.option(
        "--error",
        metavar="TYPE",
        help="Only with this exception, 'shop.PaymentError' or 'PaymentError'; '*': with any.",
    ),
    "slower": click.option(
        "--slower", type=options.milliseconds, metavar="MS", help="Only requests that took longer, milliseconds."
    ),
    "version": click.option(
        "--version", metavar="VERSION", help="Only this version of the application; '-': with none."
    ),
    "service": click.option(
        "--service",
        metavar="NAME",
        help="Only the application of this name (app.name), where several write into one store.",
    ),
    "variables": click.option(
        "--var",
        "variables",
        type=options.variable,
        multiple=True,
        metavar="NAME[=VALUE]",
        help="Only requests that recorded this variable, with this value if one is given. May be repeated.",
    ),
    "request_id": click.option("--request-id", metavar="ID", help="Only requests with this id."),
}


def filters(*names: str) -> Callable[[CommandFunction], CommandFunction]:
    """Return a decorator that adds options to a command.

    The command gets one argument ``wanted`` in place of these options. It gets ``--utc`` as ``utc``.

    Args:
        names: Keys of ``_OPTIONS``, in the order in which the help shows them.
    """

    def decorate(function: CommandFunction) -> CommandFunction:
        @wraps(function)
        def with_wanted(**given: object) -> None:
            function(wanted=_wanted({name: given.pop(name) for name in names}), **given)

        command: CommandFunction = with_wanted
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return times.utc_option(command)

    return decorate


def _wanted(given: dict[str, Any]) -> Wanted:
    return Wanted(
        since_unix_ns=given.get("since"),
        until_unix_ns=given.get("until"),
        route=options.route_of(given.get("route")),
        method=given.get("method"),
        path=given.get("path"),
        status=given.get("status"),
        error_type=given.get("error"),
        slower_than_ms=given.get("slower"),
        version=options.route_of(given.get("version")),
        service=given.get("service"),
        variables=given.get("variables", ()),
        request_id=given.get("request_id"),
    )
