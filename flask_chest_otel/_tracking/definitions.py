"""The definitions of an application's variables: a variable defined once is known wherever only its name stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel.tracked import TrackedVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Definitions", "is_bare"]


class Definitions:
    """The definitions of one application's variables; their order does not matter."""

    def __init__(self) -> None:
        self._found: dict[str, TrackedVar | None] = {}

    def learn(self, variables: Iterable[TrackedVar]) -> None:
        """Store definitions that are more than a name. Two different ones of the same name cancel each other."""
        for var in variables:
            if not is_bare(var) and self._found.setdefault(var.name, var) != var:
                self._found[var.name] = None

    def of(self, var: TrackedVar) -> TrackedVar:
        """The definition of ``var`` where it is only a name and has exactly one definition; else ``var``."""
        return (self._found.get(var.name) or var) if is_bare(var) else var

    def attribute_of(self, name: str, prefix: str) -> str:
        """The span attribute of the variable with this name."""
        found = self._found.get(name)
        return (found.attribute if found is not None else None) or prefix + name


def is_bare(var: TrackedVar) -> bool:
    """Whether ``var`` is only a name, with all other fields at their defaults."""
    # TrackedVar(name) raises for a name that is not ASCII: such a variable needs attribute=.
    return var.name.isascii() and var == TrackedVar(var.name)
