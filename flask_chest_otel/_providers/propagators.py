"""Checks ``OTEL_PROPAGATORS``: with a name that is not known, OpenTelemetry fails at an import, with a traceback."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_propagators"]

_VARIABLE = "OTEL_PROPAGATORS"


def check_propagators(environ: Mapping[str, str]) -> None:
    """Check that all propagators are installed.

    Raises:
        ChestConfigError: One is not.
    """
    text = environ.get(_VARIABLE)
    if not text:
        return
    names = [name.strip() for name in text.split(",")]
    known = {entry.name for entry in entry_points(group="opentelemetry_propagator")}
    if not known.issuperset(names) and "none" not in map(str.lower, names):
        listed = ", ".join(sorted(known))
        raise ChestConfigError(_VARIABLE, text, f"names out of none, {listed}, or install the others' packages")
