"""What an application says of each variable: once is enough, a bare name elsewhere takes it from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel.tracked import TrackedVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Definitions", "is_bare"]


class Definitions:
    """The definitions of one application's variables, in whatever order they are met."""

    def __init__(self) -> None:
        self._found: dict[str, TrackedVar | None] = {}

    def learn(self, variables: Iterable[TrackedVar]) -> None:
        """Remember what is more than a name; two that differ on one name leave bare names bare."""
        for var in variables:
            if not is_bare(var) and self._found.setdefault(var.name, var) != var:
                self._found[var.name] = None

    def of(self, var: TrackedVar) -> TrackedVar:
        """``var``, or where it is a bare name, its one definition."""
        return (self._found.get(var.name) or var) if is_bare(var) else var

    def attribute_of(self, name: str, prefix: str) -> str:
        """The attribute of the variable with this name, wherever it is defined."""
        found = self._found.get(name)
        return (found.attribute if found is not None else None) or prefix + name


def is_bare(var: TrackedVar) -> bool:
    """Whether ``var`` says no more than a name does."""
    # A name that is not ASCII cannot be bare: it needs an attribute.
    return var.name.isascii() and var == TrackedVar(var.name)
