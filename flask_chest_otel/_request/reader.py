"""Reads the values on ``g`` into span attributes, numbers for instruments, and dimensions.

This runs in every request: common values take few calls; all others go through ``convert``, ``redaction`` and
``instruments``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flask_chest_otel._guard import Refusal, count_refusal, guarded
from flask_chest_otel._values.convert import Limits, Refused, to_attribute, to_dimension, to_metric
from flask_chest_otel._values.redaction import DROPPED
from flask_chest_otel.errors import ChestValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._tracking.plan import Plan, PlannedVar, Planner
    from flask_chest_otel.config import ChestConfig

__all__ = ["NO_METRIC", "Reading", "ValueReader"]

NO_METRIC = "no metric: "
"""Prefix of the reason where the attribute was recorded, but the instrument did not take the number."""

_NUMBERS = frozenset({int, float})
_PLAIN_FLOAT = 1e308  # any float below it is finite
_PLAIN_INT = 2**63  # OTLP's integers have 64 bits


class Reading(NamedTuple):
    """The values of one request.

    Attributes:
        attributes: Span attribute to value.
        numbers: Variables that have an instrument, with their number.
        dimensions: Attributes for the metrics of this request.
        refused: Name of each variable that could not be recorded, to the reason.
    """

    attributes: dict[str, object]
    numbers: list[tuple[PlannedVar, float]]
    dimensions: dict[str, object]
    refused: dict[str, str]


class ValueReader:
    """Reads and converts the values of requests, by an application's plans and limits."""

    def __init__(self, config: ChestConfig, planner: Planner) -> None:
        self._planner = planner
        self._limits = Limits(config.value_limit_chars, config.list_limit)
        self._chars = config.value_limit_chars
        self._most = config.variables_limit

    def read(self, live: LiveRequest) -> Reading:  # noqa: C901, PLR0912 - in every request, so one loop, few calls
        """Convert every tracked value that this request has set. A refused value does not affect the others."""
        attributes: dict[str, object] = {}
        numbers: list[tuple[PlannedVar, float]] = []
        dimensions: dict[str, object] = {}
        refused: dict[str, str] = {}
        values, before, plan, chars = live.g.__dict__, live.before, live.plan, self._chars
        variables = plan.variables
        if plan.everything or len(variables) > self._most:
            variables = self._chosen(live, values)
        for planned in variables:
            value = values.get(planned.root)
            if value is None and live.typed is not None:
                value = _field(live.typed, planned.root)
            # By identity: a value's own == may raise. A value that was there at the begin was not set by this request.
            if value is None or (before is not None and before.get(planned.root) is value):
                continue
            try:
                if planned.special:
                    value = _redacted(planned, value)
                kind = type(value)
                if (
                    (kind is str and len(value) <= chars and value.isprintable())
                    or (kind is float and -_PLAIN_FLOAT < value < _PLAIN_FLOAT)
                    or (kind is int and -_PLAIN_INT < value < _PLAIN_INT)
                ):
                    converted = value  # legal as it stands, like most
                else:
                    converted = to_attribute(value, self._limits)
                    if converted is None:
                        continue
                attributes[planned.attribute] = converted
                # InfluxDB and Prometheus treat an empty value as a missing one: two series would become the same.
                if planned.dimension and (dimension := to_dimension(converted)) != "":
                    dimensions[planned.attribute] = dimension
                if planned.kind is None:
                    continue
                if type(converted) in _NUMBERS:
                    numbers.append((planned, float(converted)))
                elif kind is not str or planned.strict:
                    _number(planned, value, numbers, refused)
            except Refused as refusal:
                refused[planned.name] = refusal.reason
        return Reading(attributes, numbers, dimensions, refused)

    def variables(self, live: LiveRequest, attributes: Mapping[str, object]) -> dict[str, object]:
        """The recorded values, by the names of their variables."""
        planned = (*live.plan.variables, *live.plan.wild.values())
        return {one.name: attributes[one.attribute] for one in planned if one.attribute in attributes}

    def plain_text(self, live: LiveRequest, name: str) -> str | None:
        """The present value of one tracked variable, where it is a text that is recorded as it stands."""
        for planned in live.plan.variables:
            if planned.name == name and not planned.special:
                value = live.g.__dict__.get(planned.root)
                if type(value) is str and len(value) <= self._chars and value.isprintable():
                    return value if live.before is None or live.before.get(planned.root) is not value else None
        return None

    def value(self, live: LiveRequest, name: str) -> object:
        """The present value of one tracked variable, as it would be recorded; ``None``: it has none.

        Raises:
            Refused: The value cannot be recorded.
        """
        planned = self._planned(live, name)
        if planned is None:
            return None
        value = live.g.__dict__.get(planned.root)
        if value is None and live.typed is not None:
            value = _field(live.typed, planned.root)
        if value is None or (live.before is not None and live.before.get(planned.root) is value):
            return None
        if planned.special:
            value = _redacted(planned, value)
        if type(value) is str and len(value) <= self._chars and value.isprintable():
            return value  # legal as it stands, like most
        return to_attribute(value, self._limits)

    def _planned(self, live: LiveRequest, name: str) -> PlannedVar | None:
        plan = live.plan
        for planned in plan.variables:
            if planned.name == name:
                return planned
        wanted = plan.everything and name not in plan.left_out and not name.startswith("_") and name in live.g.__dict__
        return self._planner.wild(plan, name) if wanted else None

    def check(self, live: LiveRequest) -> None:
        """Raise where a value cannot be recorded (``raise_exceptions=True``).

        Raises:
            ChestValueError: A value on ``g`` cannot be recorded.
        """
        reading = self.read(live)
        refused = reading.refused
        for planned, number in reading.numbers:
            try:
                self._planner.instrument(planned).check(number)
            except Refused as refusal:
                refused[planned.name] = NO_METRIC + refusal.reason
        for name, reason in refused.items():
            raise ChestValueError(name, reason)

    def _chosen(self, live: LiveRequest, values: dict[str, object]) -> tuple[PlannedVar, ...]:
        """The variables to read, where a route tracks every public name or more variables than may be recorded."""
        plan = live.plan
        variables = self._with_wild(plan, values) if plan.everything else plan.variables
        return variables if len(variables) <= self._most else self._limited(live, variables, values)

    def _with_wild(self, plan: Plan, values: dict[str, object]) -> tuple[PlannedVar, ...]:
        """The variables of a route that tracks every public name in ``g``."""
        named = plan.left_out.union(planned.root for planned in plan.variables)
        wild = (name for name in list(values) if name not in named and not name.startswith("_"))
        found = (self._planner.wild(plan, name) for name in wild)
        return (*plan.variables, *(planned for planned in found if planned is not None))

    def _limited(
        self, live: LiveRequest, variables: tuple[PlannedVar, ...], values: dict[str, object]
    ) -> tuple[PlannedVar, ...]:
        """The first ``variables_limit`` of the variables that are set; further ones are counted as refused."""
        present = tuple(
            planned
            for planned in variables
            if values.get(planned.root) is not None
            or (live.typed is not None and _field(live.typed, planned.root) is not None)
        )
        if len(present) > self._most:
            count_refusal(Refusal.LIMIT, "variables", "more than %d variables in one request", self._most)
        return present[: self._most]


def _number(
    planned: PlannedVar, value: object, numbers: list[tuple[PlannedVar, float]], refused: dict[str, str]
) -> None:
    """Convert a value for its instrument, where its attribute is not a number: too large, NaN, or another type."""
    try:
        number = to_metric(value)
    except Refused as refusal:
        refused[planned.name] = NO_METRIC + refusal.reason
        return
    if number is not None:
        numbers.append((planned, number))
    elif planned.strict:
        refused[planned.name] = f"{NO_METRIC}not a number, but metric={planned.kind!r}"


def _redacted(planned: PlannedVar, value: object) -> Any:
    """The derived and redacted value of a variable; ``None``: there is nothing to record."""
    if planned.derive is not None:
        value = planned.derive(value)
    if planned.masked and planned.kind is not None and type(value) in _NUMBERS:
        count_refusal(
            Refusal.VALUE,
            f"metric of {planned.name}: masked",
            "g.%s has no metric, as its name says that it is secret; if it is not: TrackedVar(%r, redact=None)",
            planned.name,
            planned.name,
        )
    replaced = planned.redact(value) if planned.redact is not None else value
    return None if replaced is DROPPED else replaced


def _field(typed: object, name: str) -> object:
    """A field of the typed context; reading it may run a property of the application, which may raise."""
    with guarded("typed context"):
        return getattr(typed, name, None)
    return None
