"""Where an application keeps what this package knows of it: in ``app.extensions``, under one of two keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from flask_chest_otel._lifecycle import Lifecycle

__all__ = ["EXTENSION_KEY", "INSTRUMENTOR_KEY", "state_of"]

EXTENSION_KEY = "flask_chest"
"""Of an application with an extension."""

INSTRUMENTOR_KEY = "flask_chest_instrumentor"
"""Of an application that the instrumentor records."""


def state_of(app: Flask) -> Lifecycle | None:
    """The state of an application, from its extension or the instrumentor; ``None`` where neither records it."""
    found: Lifecycle | None = app.extensions.get(EXTENSION_KEY) or app.extensions.get(INSTRUMENTOR_KEY)
    return found
