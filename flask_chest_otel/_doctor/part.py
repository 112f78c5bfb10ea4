"""What one check of the doctor returns: facts and problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Part", "Row"]


class Row(NamedTuple):
    """One fact.

    Attributes:
        name: What the fact is about, such as a setting.
        value: What was found.
        why: Where the value comes from, what it means, or what to type.
    """

    name: str
    value: str
    why: str = ""


@dataclass(slots=True)
class Part:
    """Facts of one kind, and their problems.

    Attributes:
        key: Name of the part in ``--json``.
        head: Heads of the three columns.
        rows: The facts.
        problems: One sentence for each problem: what is wrong, and what to type.
    """

    key: str
    head: tuple[str, str, str]
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
