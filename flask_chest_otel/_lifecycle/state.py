"""Where an application keeps what this package knows of it: in ``app.extensions``, under one of two keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import current_app, has_app_context

from flask_chest_otel._context import propagator

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from flask_chest_otel._context.typed import TypedContext
    from flask_chest_otel._lifecycle.steps import Lifecycle
    from flask_chest_otel.config import ChestConfig

__all__ = [
    "EXTENSION_KEY",
    "INSTRUMENTOR_KEY",
    "config_of",
    "current_typed_context",
    "register_finder",
    "state_here",
    "state_of",
]

EXTENSION_KEY = "flask_chest"
"""Of an application with an extension."""

INSTRUMENTOR_KEY = "flask_chest_instrumentor"
"""Of an application that the instrumentor records."""


_also: list[Callable[[Flask], Lifecycle | None]] = []


def register_finder(find: Callable[[Flask], Lifecycle | None] | None) -> None:
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


def config_of(app: Flask | None) -> ChestConfig | None:
    """The settings by which an application is recorded; ``None`` where nothing records it."""
    state = state_of(app) if app is not None else None
    return state.config if state is not None else None


def current_typed_context() -> Any:
    """The typed context of the application that is running."""
    state = state_here()
    if state is None:
        raise RuntimeError("there is no typed context here: ask for it in a view of an application with a FlaskChest")
    return state.typed.current()


def _typed_of(app: Flask) -> TypedContext | None:
    state = state_of(app)
    return state.typed if state is not None else None


propagator.find_with(_typed_of)
