"""The commands ``flask chest …``."""

from __future__ import annotations

from flask_chest_otel._cli.group import chest_cli

__all__ = ["chest_cli"]
