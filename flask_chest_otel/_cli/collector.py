"""``flask chest collector``: lists targets and what they need, and renders, checks and runs a configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flask_chest_otel._base.text import counted
from flask_chest_otel._cli.flowing import say_flowing, say_table_or_blocks
from flask_chest_otel._cli.output import safe, say, say_file, say_json
from flask_chest_otel._cli.source import app_if_any
from flask_chest_otel._collector import binary as collector_binary
from flask_chest_otel._collector import check as collector_check
from flask_chest_otel._collector import drain as collector_drain
from flask_chest_otel._collector import resend as collector_resend
from flask_chest_otel._collector import room
from flask_chest_otel._collector import signals as collector_signals
from flask_chest_otel._collector.application import look_at
from flask_chest_otel._collector.compose import Composition, CompositionError, composition_of, render
from flask_chest_otel._collector.diff import changes
from flask_chest_otel._collector.fragments import ADD_ONS, ALIAS, TARGETS, read, unknown, variables_of
from flask_chest_otel._collector.refused import InUseError
from flask_chest_otel._collector.services import routes_of
from flask_chest_otel._lifecycle.state import config_of

if TYPE_CHECKING:
    from flask_chest_otel._cli.options import CommandFunction
    from flask_chest_otel._collector.application import Application
    from flask_chest_otel._collector.fragments import Target

__all__ = ["command"]

HEAD = ("TARGET", "WHAT", "TAKES", "MUST BE SET", "MAY BE SET")


def target_name(text: str) -> str:
    """Check the name of a target, with a signal or without.

    Raises:
        BadParameter: There is no such target or signal; the message names the nearest and all others.
    """
    name, colon, signal = text.partition(":")
    # Flask-Chest's name, which routes may still use.
    name = "splunk" if name == ALIAS else name
    if name not in TARGETS:
        raise click.BadParameter(unknown(name))
    if colon and (sentence := collector_signals.wrong(name, signal)):
        raise click.BadParameter(sentence)
    return f"{name}{colon}{signal}"


EXAMPLES = """\b
Examples:
  flask chest collector targets
  flask --app shop chest collector render --target influxdb -o collector.yaml
  flask --app shop chest collector check --target influxdb
  flask --app shop chest collector run --target influxdb --target file
"""

RENDER_EXAMPLES = """\b
Examples:
  flask chest collector render --target influxdb --target splunk
  flask chest collector render --target influxdb:metrics --target zipkin
  flask --app shop chest collector render --target influxdb --raw-values
  flask chest collector render --target file --redaction -o collector.yaml
"""

RUN_EXAMPLES = """\b
Example:
  INFLUXDB_TOKEN=… flask --app shop chest collector run --target influxdb
"""

OPTIONS = (
    click.option(
        "--target",
        "targets",
        type=target_name,
        metavar="NAME",
        multiple=True,
        help="Send there; at least one. May be repeated. NAME:traces, NAME:metrics, NAME:logs: only these.",
    ),
    click.option(
        "--route",
        "routes",
        metavar="SERVICE=TARGET",
        multiple=True,
        help="Send what has this service.name to this target, not to the others. May be repeated.",
    ),
    click.option("--raw-values", is_flag=True, help="Also one gauge point per request and variable; needs --app."),
    click.option("--span-metrics", is_flag=True, help="Also count transactions and response time from spans."),
    click.option("--redaction", is_flag=True, help="Mask secrets in attributes, in front of every target."),
    click.option("--tail-sampling", is_flag=True, help="Of the traces keep errors, slow ones and a share of the rest."),
    click.option("--secure", is_flag=True, help="Ask for TLS and a bearer token at the door."),
    click.option("--from-kafka", is_flag=True, help="Also take what other collectors have put into Kafka."),
)


def composition_options(function: CommandFunction) -> CommandFunction:
    """Add the options that choose what is in the configuration."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@click.group(name="collector", epilog=EXAMPLES, short_help="Choose targets; check and run the collector.")
def command() -> None:
    """Make, check and run the configuration of the OpenTelemetry Collector.

    The application sends everything to the collector; the collector sends it to the targets that you choose, each
    with a queue on disk of its own. With an application (--app), its tracked variables and the destinations of its
    routes (chests=) are written into the configuration; without one, the bundled files are used as they are.
    """


@command.command(short_help="What there is, and what each needs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def targets(*, as_json: bool) -> None:
    """List targets and add-ons with the environment variables that they read.

    The opening comment of each file explains its variables; `render` prints it.
    """
    if as_json:
        say_json({name: _as_json(name, one) for name, one in {**TARGETS, **ADD_ONS}.items()})
        return
    say_table_or_blocks(HEAD, [_row(name, one) for name, one in TARGETS.items()])
    say("")
    say_table_or_blocks(("ADD-ON", *HEAD[1:]), [_row(name, one) for name, one in ADD_ONS.items()])


@command.command(name="render", epilog=RENDER_EXAMPLES, short_help="Print one configuration for some targets.")
@composition_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option(
    "--diff",
    "old",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Say instead what would change in this file.",
)
def render_command(*, output: Path | None, old: Path | None, **chosen: object) -> None:
    """Print one commented configuration for the chosen targets; secrets stay in environment variables."""
    _, text, _ = _rendered(chosen)
    if old is not None:
        for change in changes(old.read_text(encoding="utf-8"), text) or ["nothing changes"]:
            say_flowing(change)
    elif output is None:
        say_file(text)
        if sys.stdout.isatty():
            say_flowing(
                "\nTo keep it: -o collector.yaml. Then: flask-chest-collector --config collector.yaml", to_stderr=True
            )
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{output} cannot be written: {error.strerror or error}") from error
        # The output may be a pipe, such as /dev/stdout, and no file.
        if output.is_file():
            say(f"Wrote {output}. Now: flask-chest-collector --config {output}", to_stderr=True)


@command.command(short_help="Look for what would go wrong.")
@click.option("--config", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="A rendered file instead.")
@composition_options
def check(*, config: Path | None, **chosen: object) -> None:
    """Look for what would go wrong on this machine, and say what to type; exit status 1 when there is something.

    Are the variables set, do the servers answer, do they take the credentials (where it is cheap to ask), are the
    ports free, can the queue be written, and what does the collector itself say about the configuration? Run it
    where the collector will run, with its environment, before it runs.
    """
    if config is None:
        composition, text, application = _rendered(chosen)
    else:
        text = config.read_text(encoding="utf-8")
        composition, application = composition_of(text), None
    found = collector_check.problems(composition, text, application=application)
    for problem in found:
        say_flowing(problem)
    if found:
        raise click.exceptions.Exit(1)
    say(f"All is well: {', '.join(composition.targets) or config}.")


@command.command(epilog=RUN_EXAMPLES, short_help="Start the collector in the foreground.")
@composition_options
def run(**chosen: object) -> None:
    """Start the built or installed collector with this configuration, in the foreground.

    The collector takes the place of this command: its signals, output and exit status are its own. It is not started
    while a variable that a target needs, such as its token, is not set, while another collector has its queues, or on a
    disk that the queues would fill.
    """
    composition, text, _ = _rendered(chosen)
    refused = [*collector_check.unset(composition), *room.room_problems(text, os.environ)]
    if refused:
        raise click.ClickException("\n".join(refused))
    binary = _found()
    for problem in room.stranded(text, os.environ):
        say_flowing(problem, to_stderr=True)
    say(f"Starting {binary}", to_stderr=True)
    collector_binary.replace_process(binary, text)


@command.command(short_help="Send again what targets refused for its content.")
def resend() -> None:
    """Send again what targets refused for its content, such as a field of another type; exit status 1 when some stays.

    The bundled collector keeps it in `$CHEST_REFUSED_DIR` (`$CHEST_QUEUE_DIR/refused`). Run this where the collector
    runs, with its environment, when the reason is mended. What is refused again stays there. Delete the files to give
    it up.
    """
    try:
        sent, kept = collector_resend.resend(os.environ, told=lambda line: say(line, to_stderr=True))
    except InUseError as error:
        raise click.ClickException(
            f"Another `flask chest collector resend` sends what is in {error}. Wait until it has ended."
        ) from error
    say(f"Sent again: {sent}. Refused again, and still kept: {kept}.")
    if kept:
        raise click.exceptions.Exit(1)


@command.command(short_help="Send what waits for a target that is no longer chosen.")
@click.option(
    "--target", "targets", type=target_name, metavar="NAME", multiple=True, help="Whose queues; at least one."
)
@click.option(
    "--within", "within_s", type=float, default=3600.0, show_default=True, help="Give up after these seconds."
)
def drain(*, targets: tuple[str, ...], within_s: float) -> None:
    """Send what waits in the queues of targets that are no longer chosen; exit status 1 when something is left.

    A second collector with these targets alone runs, on free ports, until its queues are empty. The targets' variables
    must be set as they were.
    """
    composition, text, _ = _rendered({"targets": targets})
    refused = [*collector_check.unset(composition), *room.in_use(text, os.environ)]
    if refused:
        raise click.ClickException("\n".join(refused))
    if not collector_drain.left(text, os.environ):
        say(f"Nothing waits for {', '.join(targets)} in {room.folder_of(os.environ)}.")
        return
    left = collector_drain.drain(_found(), text, os.environ, within_s=within_s)
    if left:
        raise click.ClickException(
            f"{counted(left, 'batch waits', 'batches wait')} still: see the collector's log above"
        )
    say(f"Sent what waited for {', '.join(targets)}.")


def _found() -> Path:
    binary = collector_binary.find()
    if binary is None:
        raise click.ClickException(collector_binary.HOW_TO_GET_ONE)
    return binary


def _rendered(chosen: dict[str, Any]) -> tuple[Composition, str, Application | None]:
    if not chosen["targets"]:
        raise click.UsageError(
            f"no target is named: type --target NAME, where NAME is one of {', '.join(TARGETS)}; "
            "what each needs: flask chest collector targets"
        )
    signals = collector_signals.chosen(chosen["targets"])
    try:
        routes = routes_of(chosen.get("routes", ()))
    except ValueError as error:
        raise click.UsageError(f"--route {error}") from error
    composition = Composition(**{**chosen, "targets": tuple(signals), "routes": routes}, signals=signals)
    app = app_if_any()
    application = look_at(app, config_of(app))
    try:
        text = render(composition, application)
    except CompositionError as error:
        raise click.UsageError(str(error)) from error
    if composition.raw_values and application is not None and application.everything:
        say_flowing('Variables that only "*" tracks have no raw values: their names are not known.', to_stderr=True)
    return composition, text, application


def _row(name: str, target: Target) -> tuple[str, ...]:
    return (name, target.what, target.signals, " ".join(target.must) or "-", " ".join(_optional(name)) or "-")


def _as_json(name: str, target: Target) -> dict[str, object]:
    defaults = {variable: variables_of(read(name))[variable] for variable in _optional(name)}
    return {"what": safe(target.what), "takes": target.signals, "must": list(target.must), "may": defaults}


def _optional(name: str) -> list[str]:
    """Return the variables with a default that users change; the file's comment has the others."""
    hidden = ("_GATE_PORT", "_QUEUE_PORT", "_QUEUE_BYTES", "_GATE_BYTES")
    known = {*variables_of(read("base")), *{**TARGETS, **ADD_ONS}[name].must}
    return [one for one in variables_of(read(name)) if one not in known and not one.endswith(hidden)]
