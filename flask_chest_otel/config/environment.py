"""Writes settings as environment variables that have the same effect."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from flask_chest_otel.config.settings import PREFIX
from flask_chest_otel.config.slos import slos_as_text
from flask_chest_otel.config.tracked_vars import TrackedVars

if TYPE_CHECKING:
    from flask_chest_otel.config.settings import ChestConfig
    from flask_chest_otel.tracked import TrackedVar

__all__ = ["effective_environment"]


def effective_environment(config: ChestConfig) -> dict[str, str]:
    """The environment variables from which ``settle`` would make ``config`` again.

    Objects that have no text form are left out: callables, providers, chests, variables with a callable in ``redact``
    or ``convert``, objectives with a callable in ``good``.
    """
    found: dict[str, str] = {}
    for row in fields(config):
        value = getattr(config, row.name)
        text = slos_as_text(value) if row.name == "slos" else _as_text(value)
        # propagate is left out: it names fields of context, which has no text form.
        if text is not None and value != row.default and row.name != "propagate":
            found[PREFIX + row.name.upper()] = text
    return found


def _as_text(value: object) -> str | None:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, str)):
        return str(value)
    if isinstance(value, TrackedVars):
        return _tracked_as_text(value)
    if isinstance(value, tuple) and all(isinstance(entry, str) for entry in value):
        # An empty text would mean that the variable is not set; a comma is an empty list.
        return ",".join(value) or ","
    return None


def _tracked_as_text(tracked: TrackedVars) -> str:
    if tracked.by_method is not None:
        return json.dumps({name: _group_as_json(tracked, group, name) for name, group in tracked.by_method.items()})
    group = _group_as_json(tracked, tracked.all_methods, "")
    plain = all(isinstance(entry, str) and entry.lower() != "none" for entry in group)
    return ",".join(group) if plain else json.dumps(group)


def _group_as_json(tracked: TrackedVars, group: tuple[TrackedVar, ...], method: str) -> list[Any]:
    written = [_var_as_json(var) for var in group if not (callable(var.redact) or callable(var.convert))]
    left_out = [f"-{name}" for name in sorted(tracked.leaves_out(method))]
    return [*written, *(["*"] * tracked.tracks_everything(method)), *left_out]


def _var_as_json(var: TrackedVar) -> object:
    given = {row.name: getattr(var, row.name) for row in fields(var) if getattr(var, row.name) != row.default}
    return var.name if len(given) == 1 else given
