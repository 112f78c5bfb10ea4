"""Where an application keeps what this package knows of it: in ``app.extensions``, under one of two keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, has_app_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from flask_chest_otel._lifecycle.steps import Lifecycle

__all__ = ["EXTENSION_KEY", "INSTRUMENTOR_KEY", "find_also", "state_here", "state_of"]

EXTENSION_KEY = "flask_chest"
"""Of an application with an extension."""

INSTRUMENTOR_KEY = "flask_chest_instrumentor"
"""Of an application that the instrumentor records."""


_also: list[Callable[[Flask], Lifecycle | None]] = []


def find_also(find: Callable[[Flask], Lifecycle | None] | None) -> None:
    """Ask ``find`` about applications that nothing is known of yet: the instrumentor, while it is on."""
    _also[:] = [find] if find is not None else []


def state_of(app: Flask) -> Lifecycle | None:
    """The state of an application, from its extension or the instrumentor; ``None`` where neither records it."""
    found: Lifecycle | None = app.extensions.get(EXTENSION_KEY) or app.extensions.get(INSTRUMENTOR_KEY)
    return found or next((find(app) for find in _also), None)


def state_here() -> Lifecycle | None:
    """The state of the application that is running; ``None`` where none is, or nothing records it."""
    if not has_app_context():
        return None
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]  # typed as a Flask
