"""``flask chest …``: what the chest recorded, on the command line."""

from __future__ import annotations

from flask_chest_otel._cli.group import chest_cli

__all__ = ["chest_cli"]
