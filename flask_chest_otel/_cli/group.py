"""The group ``flask chest``. Each sub-command is one module with a click command called ``command``."""

from __future__ import annotations

from importlib import import_module

import click

from flask_chest_otel._guard import lines
from flask_chest_otel.errors import ChestError

__all__ = ["chest_cli"]

COMMANDS = {
    "collector": "collector",
    "compare": "compare",
    "doctor": "doctor",
    "errors": "errors",
    "explain": "explain",
    "outbox": "outbox",
    "requests": "requests",
    "serve": "serve",
    "show": "show",
    "slo": "slo",
    "stats": "stats",
    "trace-id": "trace_id",
}
"""Sub-command to module of this package. Only the used one is imported, as every `flask` command loads the group."""

ENVIRONMENT_PREFIX = "FLASK_CHEST_CLI"
"""Prefix of environment variables that are options of these commands.

Flask's own prefix would make the extension's settings (``FLASK_CHEST_…``) options, too.
"""


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the sub-command ``cmd_name``; ``None`` where there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f"flask_chest_otel._cli.{COMMANDS[cmd_name]}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the sub-command; an unusable setting ends it with a sentence and no traceback."""
        try:
            return super().invoke(ctx)
        except ChestError as error:
            said = click.ClickException(lines(str(error)))
            _flow(said)
            raise said from error
        except click.ClickException as error:
            # It may quote a file, which may contain control characters.
            error.message = lines(error.message)  # type: ignore[misc]  # final in newer click, and not in older
            _flow(error)
            raise


def _flow(error: click.ClickException) -> None:
    # Imported here for the same reason as the commands.
    from flask_chest_otel._cli.flowing import flow_message  # noqa: PLC0415

    flow_message(error)


@click.group(
    name="chest",
    cls=LazyGroup,
    # Only names, for click's "did you mean"; `get_command` returns the commands.
    commands={name: click.Command(name) for name in COMMANDS},
    context_settings={"auto_envvar_prefix": ENVIRONMENT_PREFIX},
)
def chest_cli() -> None:
    """Look at what the chest recorded: requests, their tracked variables, ids and times."""
