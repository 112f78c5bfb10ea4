"""The collector's configuration: composed of the bundled fragments, checked and run."""

from __future__ import annotations

from flask_chest_otel._collector.compose import Composition, render

__all__ = ["Composition", "render"]
