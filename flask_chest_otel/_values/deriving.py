"""How a tracked variable's value is read from the object on ``g``: along a path of attributes, by a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._values.lazy import loaded_field
from flask_chest_otel._values.redaction import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["deriver"]


def deriver(path: Sequence[str], convert: Callable[[object], object] | None) -> Callable[[object], object] | None:
    """Make the function that turns the object on ``g`` into the variable's value.

    Args:
        path: Names of the attributes to follow.
        convert: ``convert`` of the `TrackedVar`; it gets the object at the end of the path.

    Returns:
        ``None`` where the object itself is the value; else a function that returns the value, or ``None`` where there
        is none, and that may raise `Refused`.
    """
    if not path and convert is None:
        return None

    def derived(value: object) -> object:
        step = "its path"
        try:
            for name in path:
                if value is None:
                    return None
                value = loaded_field(value, name)
            step = "convert"
            return value if value is None or convert is None else convert(value)
        except Exception as error:
            raise Refused(f"{step} raised {type(error).__name__}") from error

    return derived
