"""Checks of versions, settings and environment variables."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from flask_chest_otel._base.addresses import shown_variable
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._doctor.pins import misfits
from flask_chest_otel._guard import Refusal, counts
from flask_chest_otel._otlp.variables import misspelt
from flask_chest_otel.config import PREFIX, SET_TOO_LATE, effective_environment, late_keys, settle, unknown_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from flask_chest_otel._lifecycle.state import ChestState
    from flask_chest_otel.errors import ChestConfigError

__all__ = ["environment", "part", "sdk_is_off", "unusable", "versions"]

SDK_DISABLED = "OTEL_SDK_DISABLED"

_DISTRIBUTIONS = (
    "flask-chest-otel",
    "flask",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-flask",
    "opentelemetry-distro",
    "gunicorn",
    "uwsgi",
)


def versions() -> Part:
    """List Python and the installed packages that matter here, with their versions."""
    found = Part("versions", ("INSTALLED", "VERSION", ""), [Row("python", platform.python_version())])
    for name in _DISTRIBUTIONS:
        try:
            found.rows.append(Row(name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    found.problems = misfits()
    return found


def part(state: ChestState, app: Flask) -> Part:
    """List every setting with its value and its source, and report those that nobody has read."""
    sources = state.export.sources
    found = Part("settings", ("SETTING", "VALUE", "FROM"))
    shown = state.config.shown()
    # As a user writes it; the configuration keeps parsed objects.
    shown["tracked_vars"] = effective_environment(state.config).get(f"{PREFIX}TRACKED_VARS", "()")
    found.rows = [Row(name, text, sources.get(name, "default")) for name, text in shown.items()]
    if not state.config.enabled:
        found.problems.append(
            f"enabled=False ({sources.get('enabled', 'default')}): nothing is recorded; take that setting away"
        )
    found.problems += [SET_TOO_LATE % (key, key) for key in late_keys(app.config, sources)]
    return found


def _malformed(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable whose value the instrumentor could not use, so that it took the default."""
    found: list[ChestConfigError] = []
    settle({}, {}, environ, on_malformed=found.append)
    # Only values that were counted as refused: an argument of `instrument` may have come before the variable.
    return [f"{error}; its default is used until then" for error in found if (Refusal.SETTING, error.setting) in counts]


def unusable(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each of our variables whose value no setting takes."""
    found: list[ChestConfigError] = []
    settle({}, {}, environ, on_malformed=found.append)
    return list(map(str, found))


def environment(environ: Mapping[str, str]) -> Part:
    """List OpenTelemetry's variables, with secrets masked, and report variables that are misspelt or cannot be used."""
    found = Part("environment", ("VARIABLE", "VALUE", ""))
    found.rows = [
        Row(name, shown_variable(name, text)) for name, text in sorted(environ.items()) if name.startswith("OTEL_")
    ]
    found.problems = _malformed(environ) + [
        f"the environment variable {name} is no setting: {f'type {meant}' if meant else 'take it away'}"
        for name, meant in sorted(unknown_variables(environ))
    ]
    found.problems += misspelt(environ)
    if sdk_is_off(environ):
        found.problems.append(
            f"{SDK_DISABLED}=true switches OpenTelemetry off: there are no spans, trace ids and metrics; "
            "take that variable away"
        )
    return found


def sdk_is_off(environ: Mapping[str, str]) -> bool:
    """Whether ``OTEL_SDK_DISABLED`` switches all providers off; it is read in the same way as the SDK reads it."""
    return environ.get(SDK_DISABLED, "").strip().lower() == "true"
