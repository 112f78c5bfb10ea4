"""Collections that keep no object alive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WeakObjects"]

_T = TypeVar("_T")


class WeakObjects(Generic[_T]):
    """Objects by their identity, which leave when nobody else keeps them.

    One thread may go through them while another adds some; with ``weakref.WeakSet`` that raises a RuntimeError.
    """

    def __init__(self) -> None:
        self._found: weakref.WeakValueDictionary[int, _T] = weakref.WeakValueDictionary()

    def add(self, one: _T) -> None:
        """Add an object."""
        self._found[id(one)] = one

    def clear(self) -> None:
        """Remove all."""
        self._found.clear()

    def __iter__(self) -> Iterator[_T]:
        """Go through those that are there at the call."""
        present = [reference() for reference in self._found.valuerefs()]
        return iter([one for one in present if one is not None])
