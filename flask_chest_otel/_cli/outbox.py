"""``flask chest outbox``: what waits for the collector, and what it has refused."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import _options
from flask_chest_otel._cli._output import safe, say, say_json, say_table
from flask_chest_otel._cli._source import app_if_any
from flask_chest_otel._sqlite import NotOursError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_chest_otel._export._outbox import Kept, Outbox

__all__ = ["command"]

HEAD = ("ID", "TIME (UTC)", "SIGNAL", "ITEMS", "BYTES", "STATE")

EXAMPLES = """\b
Examples:
  flask chest outbox list
  flask chest outbox resend
  flask chest outbox clear --everything --outbox /var/lib/shop/outbox
"""


def _outbox_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--outbox",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="FLASK_CHEST_CLI_OUTBOX",
        help="The outbox's folder, without loading any application. Default: the application's.",
    )(function)


@click.group(name="outbox", epilog=EXAMPLES, short_help="What waits for the collector, and what it refused.")
def command() -> None:
    """Look into the OTLP outbox: batches that wait, and batches that the collector has refused for good."""


@command.command(name="list")
@_outbox_option
@_options.json_option
def list_(folder: Path | None, *, as_json: bool) -> None:
    """Show every batch: waiting, or refused and why."""
    with _opened(folder) as outbox:
        found = outbox.kept()
    if as_json:
        say_json([asdict(kept) for kept in found])
    elif found:
        say_table(HEAD, map(_row, found), right=(0, 3, 4))
    else:
        say("Nothing waits, and nothing was refused.", to_stderr=True)


@command.command()
@_outbox_option
def resend(folder: Path | None) -> None:
    """Send refused batches again, with the next look of a running worker or the next start.

    Batches of which a part was taken arrive a second time.
    """
    with _opened(folder) as outbox:
        count = outbox.resend()
    say(f"{_batches(count, 'refused ')} will be sent again.")


@command.command()
@_outbox_option
@click.option("--everything", is_flag=True, help="Also what still waits to be sent.")
def clear(folder: Path | None, *, everything: bool) -> None:
    """Delete refused batches."""
    with _opened(folder) as outbox:
        count = outbox.clear(everything=everything)
    say(f"{_batches(count)} deleted.")


def _batches(count: int, kind: str = "") -> str:
    return f"1 {kind}batch" if count == 1 else f"{count} {kind}batches"


@contextmanager
def _opened(given: Path | None) -> Iterator[Outbox]:
    """The outbox; what is wrong with it ends the command with exit code 1."""
    # Imported here: they bring an SDK, and every `flask` command loads the group.
    from flask_chest_otel._export._outbox import FILENAME, Outbox  # noqa: PLC0415

    path = (given if given is not None else _folder()) / FILENAME
    if not path.exists():
        raise click.ClickException(
            f"there is no outbox in {path.parent}: name the application (flask --app …), whose first exported batch "
            "makes it, or the folder (--outbox)"
        )
    try:
        # Bounds belong to those who put something in.
        outbox = Outbox(path, 2**63 - 1, 1e9)
        try:
            yield outbox
        finally:
            outbox.close()
    except (sqlite3.Error, OSError, NotOursError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error


def _folder() -> Path:
    from flask_chest_otel._export._settings import outbox_folder, service_name  # noqa: PLC0415
    from flask_chest_otel.config import resolve  # noqa: PLC0415

    app = app_if_any()
    state = app.extensions.get("flask_chest") if app is not None else None
    config = state.config if state is not None else resolve({}, {}, os.environ)
    return outbox_folder(config, service_name(app.name if app is not None else None))


def _row(kept: Kept) -> tuple[str, ...]:
    time = datetime.fromtimestamp(kept.created_unix_ns // 10**9, timezone.utc)
    state = "waiting" if kept.refused is None else f"refused: {safe(kept.refused)}"
    return (
        str(kept.batch_id),
        f"{time:%Y-%m-%d %H:%M:%S}",
        kept.signal,
        str(kept.items),
        str(kept.size_bytes),
        state,
    )
