"""``flask chest outbox``: shows, sends and deletes batches that wait for the collector or that it has refused."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flask_chest_otel._base.sqlite import NotOursError
from flask_chest_otel._base.text import counted
from flask_chest_otel._cli import options
from flask_chest_otel._cli.flowing import say_flowing, say_table_or_blocks
from flask_chest_otel._cli.output import safe, say, say_json
from flask_chest_otel._cli.source import app_if_any
from flask_chest_otel._lifecycle.state import state_of
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_chest_otel._outbox.file import BatchInfo, Outbox, Usage
    from flask_chest_otel._outbox.worker import WorkerConfig

__all__ = ["command"]

LOOK_EVERY_S = 0.2
"""Time between two looks at the outbox while sending, seconds."""

HEAD = ("ID", "TIME (UTC)", "SIGNAL", "ITEMS", "BYTES", "STATE")

EXAMPLES = """\b
Examples:
  flask chest outbox list
  flask chest outbox resend
  flask chest outbox send --timeout 30
  flask chest outbox clear --everything --yes --outbox /var/lib/shop/outbox
"""


_outbox_option = click.option(
    "--outbox",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="FLASK_CHEST_CLI_OUTBOX",
    help="The outbox's folder, without loading any application. Default: the application's.",
)


@click.group(name="outbox", epilog=EXAMPLES, short_help="What waits for the collector, and what it refused.")
def command() -> None:
    """Look into the OTLP outbox: batches that wait, and batches that the collector has refused for good."""


@command.command(name="list")
@_outbox_option
@options.json_option
def list_(folder: Path | None, *, as_json: bool) -> None:
    """Show every batch: waiting, or refused and why."""
    try:
        with _opened(folder) as outbox:
            found = outbox.kept()
    except _NoneNeeded as reason:
        # An application without an outbox is no error for `list`, but it is for commands that change batches.
        say_flowing(f"Nothing waits: {reason.message}", to_stderr=True)
        if as_json:
            say_json([])
        return
    if as_json:
        say_json([asdict(kept) for kept in found])
    elif found:
        say_table_or_blocks(HEAD, map(_row, found), right=(0, 3, 4))
    else:
        say("Nothing waits, and nothing was refused.", to_stderr=True)


@command.command(short_help="Send refused batches again.")
@_outbox_option
def resend(folder: Path | None) -> None:
    """Send refused batches again, with the next look of a running worker or the next start.

    Batches of which a part was taken arrive a second time.
    """
    with _opened(folder) as outbox:
        count = outbox.resend()
    say(f"{counted(count, 'refused batch', 'refused batches')} will be sent again.")


@command.command(short_help="Send what waits, before a node goes.")
@_outbox_option
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Longest wait, seconds.")
def send(folder: Path | None, *, timeout_s: float) -> None:
    """Send what waits, now and from here: for a node that is taken down.

    Stop the application first: what waits for a process that runs is left to that one. The exit status is 0 when
    nothing is left, neither waiting nor refused.
    """
    with _opened(folder):
        left = _send(_worker_config(folder), time.monotonic() + timeout_s)
    if left:
        raise click.ClickException(left)
    say("Nothing is left.")


def _worker_config(folder: Path | None) -> WorkerConfig:
    """Return the outbox and the collector to send to; the address comes from the application's environment."""
    from flask_chest_otel._providers.build import worker_config_for  # noqa: PLC0415 - as in _opened

    app = app_if_any() if folder is None else None
    state = state_of(app) if app is not None else None
    worker_config = worker_config_for(
        app.name if app is not None else None, state.config if state is not None else None
    )
    return (
        worker_config
        if folder is None
        else replace(worker_config, outbox=replace(worker_config.outbox, folder=folder, home=None))
    )


def _send(worker_config: WorkerConfig, until: float) -> str:
    """Send until nothing waits or the time is over; return in words what is left, ``""`` for nothing."""
    from flask_chest_otel._outbox.worker import OutboxWorker  # noqa: PLC0415 - as in _opened

    worker, shown = OutboxWorker(worker_config), -1
    worker.join(worker_config)
    worker.buffer.take_over()
    worker.start()
    while True:
        usage, done = worker.buffer.usage(), worker.buffer.is_empty()
        if usage.waiting != shown:
            shown = usage.waiting
            say(f"{counted(shown, 'batch waits', 'batches wait')}.", to_stderr=True)
        if done or time.monotonic() >= until:
            worker.leave(worker_config)
            return _left(usage, others=done)
        time.sleep(LOOK_EVERY_S)


def _left(usage: Usage, *, others: bool) -> str:
    found = []
    if usage.waiting:
        which = "for processes that run: stop them first"
        if not others:
            which = "still, and nothing is lost: try again, or take the folder along"
        found.append(f"{counted(usage.waiting, 'batch waits', 'batches wait')} {which}")
    if usage.refused:
        what = counted(usage.refused, "batch was", "batches were")
        found.append(f"{what} refused for good: flask chest outbox list says why")
    return "; ".join(found)


@command.command(short_help="Delete refused batches, or all.")
@_outbox_option
@click.option("--everything", is_flag=True, help="Also what still waits to be sent.")
@click.option("--yes", is_flag=True, help="With --everything: do not ask.")
def clear(folder: Path | None, *, everything: bool, yes: bool) -> None:
    """Delete refused batches; with --everything also those that wait, after a question."""
    with _opened(folder) as outbox:
        if everything and not yes:
            _confirm(outbox.usage().waiting)
        count = outbox.clear(everything=everything)
    say(f"{counted(count, 'batch', 'batches')} deleted.")


def _confirm(waiting: int) -> None:
    """Ask before waiting batches are deleted; refuse without a terminal on which to ask."""
    if not waiting:
        return
    what = counted(waiting, "batch waits", "batches wait")
    if not sys.stdin.isatty():
        raise click.ClickException(f"{what} to be sent, and would be lost: to delete all the same, type --yes")
    click.confirm(f"{what} to be sent, and would be lost. Delete?", abort=True, err=True)


class _NoneNeeded(click.ClickException):
    """The application's settings do not need an outbox."""


@contextmanager
def _opened(given: Path | None) -> Iterator[Outbox]:
    """Open the outbox.

    Raises:
        ClickException: It does not exist or cannot be read; the command ends with status 1.
    """
    # Imported here because they import an SDK, which only this command needs.
    from flask_chest_otel._outbox.file import FILENAME, Outbox  # noqa: PLC0415

    app = app_if_any() if given is None else None
    path = (_folder(app) if given is None else given) / FILENAME
    if not path.exists():
        if app is not None:
            _say_if_none_is_needed(app)
        raise click.ClickException(
            f"there is no outbox in {path.parent}: name the application (flask --app …), whose first exported batch "
            "makes it, or the folder (--outbox)"
        )
    try:
        # Without bounds: those of the application count when something is added, which this command does not do.
        outbox = Outbox(path, 2**63 - 1, 1e9)
        outbox.connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            yield outbox
        finally:
            outbox.close()
    except (sqlite3.Error, OSError, NotOursError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error


def _folder(app: Flask | None) -> Path:
    from flask_chest_otel._outbox.config import folder_here  # noqa: PLC0415
    from flask_chest_otel.config import resolve  # noqa: PLC0415

    state = state_of(app) if app is not None else None
    config = state.config if state is not None else resolve({}, {}, os.environ)
    try:
        return folder_here(config, app.name if app is not None else None, os.environ)
    except ChestConfigError as error:
        raise click.ClickException(str(error)) from error


def _say_if_none_is_needed(app: Flask) -> None:
    from flask_chest_otel._otlp.endpoint import EXPORTER, SIGNALS, exporters_of  # noqa: PLC0415

    state = state_of(app)
    # Only an application that names a logs exporter exports logs.
    signals = SIGNALS if os.environ.get("OTEL_LOGS_EXPORTER") else SIGNALS[:2]
    names = [name for signal in signals for name in exporters_of(signal, os.environ)]
    # Providers that others have configured may use our exporters, which have an outbox.
    if state is None or EXPORTER in names:
        return
    if state.export.mode() == "otlp":
        if "otlp" in names:
            return
        raise _NoneNeeded(
            "this application exports without an outbox. To give it one: no other OTEL_TRACES_EXPORTER and "
            "OTEL_METRICS_EXPORTER than otlp"
        )
    instead = state.export.instead_of_store()
    if instead is None or state.config.export is None:
        raise _NoneNeeded(
            f"this application does not export by OTLP; it {instead or 'keeps its requests: flask chest requests'}. "
            "To have it export: OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318"
        )
    raise _NoneNeeded(
        f"this application does not export by OTLP itself; it {instead}. To give those that the environment "
        f"configures an outbox: OTEL_TRACES_EXPORTER={EXPORTER} OTEL_METRICS_EXPORTER={EXPORTER}"
    )


def _row(kept: BatchInfo) -> tuple[str, ...]:
    made = datetime.fromtimestamp(kept.created_unix_ns // 10**9, timezone.utc)
    state = "waiting" if kept.refused is None else f"refused: {safe(kept.refused)}"
    return (
        str(kept.batch_id),
        f"{made:%Y-%m-%d %H:%M:%S}",
        safe(kept.signal),
        str(kept.items),
        str(kept.size_bytes),
        state,
    )
