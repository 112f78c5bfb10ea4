"""``flask chest slo``: suggests, lists and checks objectives, shows their budgets, and makes rules of them."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from flask_chest_otel._base.addresses import shown_url
from flask_chest_otel._cli import options
from flask_chest_otel._cli.filters import filters
from flask_chest_otel._cli.output import ERROR, safe, say, say_file, say_json, say_table, say_wrapped
from flask_chest_otel._cli.slo_words import (
    arithmetic,
    bad_in_words,
    objective_object,
    status_object,
    status_row,
    suggestion_object,
)
from flask_chest_otel._cli.source import app_here, open_store, store_path
from flask_chest_otel._collector.fragments import unknown
from flask_chest_otel._lifecycle.state import config_of, objectives_of
from flask_chest_otel._outbox.config import service_name
from flask_chest_otel._slo.check import problems_of_routes, problems_of_traffic
from flask_chest_otel._slo.render import RUNBOOK, TARGETS, Rendering
from flask_chest_otel._slo.status import statuses
from flask_chest_otel._slo.suggest import suggestions
from flask_chest_otel._tracking.routes import unknown_variables

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flask import Flask

    from flask_chest_otel._store.wanted import Wanted
    from flask_chest_otel.slo import SLO

__all__ = ["command"]

NOT_ANY = 'this application has no objectives: type FlaskChest(app, slos=[SLO("checkout", objective=99.9)])'

EXAMPLES = """\b
Examples:
  flask --app shop chest slo suggest
  flask --app shop chest slo list
  flask --app shop chest slo status
  flask --app shop chest slo render --target prometheus -o rules
"""

SUGGEST_EXAMPLES = """\b
Examples:
  flask --app shop chest slo suggest
  flask chest slo suggest --store instance/flask_chest.sqlite3 --since 7d
  flask --app shop chest slo suggest --route /checkout --json
"""

STATUS_EXAMPLES = """\b
Examples:
  flask --app shop chest slo status
  flask --app shop chest slo status --store copy.sqlite3 --json
"""

CHECK_EXAMPLES = """\b
Example:
  flask --app shop chest slo check
"""

RENDER_EXAMPLES = """\b
Examples:
  flask --app shop chest slo render --target prometheus
  flask --app shop chest slo render --target prometheus -o /etc/prometheus
  flask --app shop chest slo render --target prometheus --shorten 60 -o rules
"""


@click.group(name="slo", epilog=EXAMPLES, short_help="Objectives: their budgets, and rules for alerts.")
def command() -> None:
    """Show an application's objectives and what is left of their budgets; make rules and alerts of them.

    An objective says how many requests have to be good, 99.9 % for example. What may be bad, 0.1 %, is its budget.
    """


@command.command(name="list", short_help="Which objectives there are.")
@options.json_option
def list_command(*, as_json: bool) -> None:
    """List the application's objectives, which requests each is about, and what makes one of these bad."""
    slos = _slos(app_here())
    if as_json:
        say_json([objective_object(slo) for slo in slos])
        return
    rows = [_row(slo) for slo in slos]
    say_table(("NAME", "GOOD", "DAYS", "REQUESTS", "BAD WHEN"), rows, right=(1, 2), flexible={0: 8, 3: 12, 4: 12})


@command.command(epilog=SUGGEST_EXAMPLES, short_help="Which objectives suit the application's history.")
@filters("since", "until", "route", "method", "version", "service")
@options.store_option
@options.json_option
def suggest(*, wanted: Wanted, utc: bool, store: Path | None, as_json: bool) -> None:  # noqa: ARG001 - --since has read it
    """Suggest an objective for each route and method, from the requests in the store, and show the arithmetic.

    The strictest objective is suggested that leaves half of its budget, and whose budget is 10 requests or more. The
    latency is suggested from which on slow requests still fit into the other half.
    """
    with open_store(store) as reader:
        found = suggestions(reader, wanted)
    if as_json:
        say_json([suggestion_object(one) for one in found])
        return
    for number, one in enumerate(found):
        if number:
            say("")
        lines = arithmetic(one)
        say_wrapped(lines[0])
        for line in lines[1:]:
            say_wrapped(line, indent="  ")
    if not found:
        say("No request in the store is like that: serve some, and ask again.", to_stderr=True)


@command.command(name="status", epilog=STATUS_EXAMPLES, short_help="What is left of the budgets, and how long.")
@options.store_option
@options.json_option
def status_command(*, store: Path | None, as_json: bool) -> None:
    """Show of each objective how many requests were bad, what is left of its budget, and when it will be spent.

    LEFT: 100 % is a whole budget, 0 % a spent one; below 0 %, more was spent than there was. BURN: the burn rate of
    the last hour; at 1, the budget lasts exactly as long as the objective's days. SPENT IN: how long it lasts at this
    rate. The figures come from the store, which keeps counting requests that it has deleted.
    """
    app = app_here()
    slos = _slos(app)
    with open_store(store) as reader:
        found = statuses(reader, slos, app.name, time.time())
    if as_json:
        say_json([status_object(one) for one in found])
        return
    styles = {(row, 4): ERROR for row, one in enumerate(found) if one.budget_left <= 0}
    head = ("NAME", "GOOD", "OF", "WANTED", "LEFT", "BURN", "SPENT IN")
    say_table(head, [status_row(one) for one in found], right=range(1, 7), flexible={0: 8}, styles=styles)
    for one in found:
        if one.firing:
            fire = "fires" if len(one.firing) == 1 else "fire"
            say_wrapped(f"{one.slo.name}: {', '.join(one.firing)} {fire}", style=ERROR)


@command.command(epilog=CHECK_EXAMPLES, short_help="Look for objectives that mean nothing.")
@options.store_option
def check(*, store: Path | None) -> None:
    """Look for objectives about routes or variables that are not there, and for those that no request has come for.

    Ends with status 1 where something is wrong, with a sentence on each problem and what to type. Objectives that
    nobody could keep or miss are refused before, when the application is loaded. Where the application has no store
    yet, only its routes and variables are looked at; a file that is named with --store has to be there.
    """
    app = app_here()
    slos = _slos(app)
    routes = [(rule.rule, rule.methods or ()) for rule in app.url_map.iter_rules()]
    problems = [*problems_of_routes(slos, routes), *_problems_of_variables(app)]
    verdict = "Nothing is wrong with these objectives"
    try:
        with open_store(store) as reader:
            problems += problems_of_traffic(statuses(reader, slos, app.name, time.time()))
    except click.ClickException as error:
        if store is not None or store_path(app).is_file():
            raise
        verdict = "Nothing is wrong with routes and variables, and no requests were looked at"
        say(f"Whether requests have come is not known: {error.message}", to_stderr=True)
    for problem in dict.fromkeys(problems):
        say_wrapped(problem)
    if problems:
        raise click.exceptions.Exit(1)
    say_wrapped(f"{verdict}: {', '.join(slo.name for slo in slos)}.")


def _problems_of_variables(app: Flask) -> list[str]:
    config = config_of(app)
    return list(map(str, unknown_variables(config.slos, config.tracked_vars, app))) if config is not None else []


def target_name(text: str) -> str:
    """Check the name of a back end.

    Raises:
        BadParameter: There is no such back end; the message names the nearest and all others.
    """
    if text not in TARGETS:
        raise click.BadParameter(unknown(text, TARGETS))
    return text


def http_address(text: str) -> str:
    """An address of HTTP or HTTPS, or nothing."""
    try:
        parts = urlsplit(text)
        usable = not text or (parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text))
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter(f"{shown_url(text)!r} is no HTTP address: type https://hooks.example.com/shop")
    return text


def _refuse_unused(targets: Collection[str]) -> None:
    """Refuse options that would change nothing in what is made."""
    context = click.get_current_context()
    used = {name for target in targets for name in TARGETS[target].options}
    for name in {name for target in TARGETS.values() for name in target.options} - used:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            takers = " or ".join(f"--target {target}" for target, one in TARGETS.items() if name in one.options)
            raise click.UsageError(f"--{name} changes nothing for {', '.join(targets)}: type {takers}, too")


@command.command(epilog=RENDER_EXAMPLES, short_help="Make rules and alerts for a back end.")
@click.option(
    "--target",
    "targets",
    type=target_name,
    metavar="NAME",
    multiple=True,
    help=f"For which back end: {', '.join(TARGETS)}. May be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files into this folder.",
)
@click.option("--service", metavar="NAME", help="The service's name in telemetry. Default: the application's.")
@click.option("--runbook", metavar="ADDRESS", default=RUNBOOK, help="Where the page stands that alerts lead to.")
@click.option(
    "--shorten",
    type=click.IntRange(min=1, max=60),
    default=1,
    metavar="N",
    help="For trying out: divide all times by N, up to 60, so that hours become minutes.",
)
@click.option("--bucket", metavar="NAME", default="chest", help="InfluxDB's bucket of metrics.  [default: chest]")
@click.option(
    "--notify",
    type=http_address,
    metavar="ADDRESS",
    default="",
    help="Where InfluxDB sends what it finds: an HTTP address.",
)
def render(
    *,
    targets: tuple[str, ...],
    output: Path | None,
    service: str | None,
    runbook: str,
    shorten: int,
    bucket: str,
    notify: str,
) -> None:
    """Make rules and alerts of the application's objectives: into a folder, or to standard output.

    What the alerts mean, and what to do: docs/how-to/objectives.md.
    """
    if not targets:
        raise click.UsageError(f"no target is named: type --target NAME, where NAME is one of {', '.join(TARGETS)}")
    _refuse_unused(targets)
    app = app_here()
    slos = _slos(app)
    attributes = {one.slo.name: one.attribute for one in objectives_of(app) if one.attribute is not None}
    rendering = Rendering(service or service_name(app.name), slos, shorten, runbook, bucket, notify, attributes)
    files = {name: text for target in targets for name, text in TARGETS[target].files(rendering).items()}
    if output is None:
        _print(files)
    else:
        _write(output, files)


def _print(files: Mapping[str, str]) -> None:
    if len(files) > 1:
        raise click.UsageError(f"these are {len(files)} files: type -o DIR to have them in a folder")
    for text in files.values():
        say_file(text)
    if sys.stdout.isatty():
        say("\nTo keep it: -o DIR", to_stderr=True)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            say(f"Wrote {folder / name}", to_stderr=True)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror or error}; type -o DIR") from error


def _slos(app: Flask) -> tuple[SLO, ...]:
    """Return the application's objectives.

    Raises:
        ClickException: It has none, or no FlaskChest.
    """
    config = config_of(app)
    if config is None:
        raise click.ClickException("this application has no FlaskChest: type FlaskChest(app) where it is made")
    if not config.slos:
        raise click.ClickException(NOT_ANY)
    return config.slos


def _row(slo: SLO) -> tuple[str, ...]:
    which = " ".join([*slo.methods, *slo.routes])
    return safe(slo.name), f"{slo.objective:g} %", str(slo.window_days), safe(which), safe(bad_in_words(slo) or None)
