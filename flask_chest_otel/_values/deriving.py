"""What a tracked variable takes of the object that its view left on ``g``: along a path, by a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._values.lazy import loaded_field
from flask_chest_otel._values.redaction import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["deriver"]


def deriver(path: Sequence[str], convert: Callable[[object], object] | None) -> Callable[[object], object] | None:
    """How to get from the object on ``g`` to the value, decided once.

    Args:
        path: Attributes to follow.
        convert: The wish of `TrackedVar`, for what is at its end.

    Returns:
        ``None`` where the object is the value; else a function, which may raise `Refused`, and gives ``None`` where
        there is no value.
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
