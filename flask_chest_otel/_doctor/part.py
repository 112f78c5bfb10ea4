"""One part of what the doctor says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Part", "Row"]


class Row(NamedTuple):
    """One fact.

    Attributes:
        name: What it is about.
        value: What was found.
        why: Where that comes from, or what follows from it.
    """

    name: str
    value: str
    why: str = ""


@dataclass(slots=True)
class Part:
    """Facts of one kind, and what is wrong with them.

    Attributes:
        key: Its name for programs.
        head: Names of the three columns.
        rows: The facts.
        problems: One sentence each: what is wrong, and what to type.
    """

    key: str
    head: tuple[str, str, str]
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
