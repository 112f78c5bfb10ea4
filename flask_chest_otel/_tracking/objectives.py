"""Objectives of an application: which there are, and under which attribute each tells its counts apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask_chest_otel._tracking.plan import Planner
    from flask_chest_otel.slo import SLO

__all__ = ["Objective", "objectives"]


class Objective(NamedTuple):
    """One objective of an application.

    Attributes:
        slo: As it was given.
        attribute: The metric attribute of its variable ``by``; ``None`` where it has none.
    """

    slo: SLO
    attribute: str | None


def objectives(slos: Iterable[SLO], planner: Planner) -> tuple[Objective, ...]:
    """The objectives with their attributes; ``planner`` knows what routes say of variables."""
    return tuple(Objective(slo, planner.attribute_of(slo.by) if slo.by is not None else None) for slo in slos)
