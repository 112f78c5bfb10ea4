"""Metrics that a view adds by itself, in the words of CloudWatch: name, value, unit, dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from flask_chest_otel._guard import note
from flask_chest_otel._request import Measurement
from flask_chest_otel._units import ucum
from flask_chest_otel._values import Limits, Refused, to_attribute, to_dimension, to_metric
from flask_chest_otel.names import CHESTS
from flask_chest_otel.tracked import TrackedVar

if TYPE_CHECKING:
    from flask_chest_otel._instruments import Instruments
    from flask_chest_otel._request import LiveRequest

__all__ = ["AddedMetrics", "Dimensions"]

Dimensions = Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""``{"Queue": "mail"}``, or CloudWatch's ``[{"Name": "Queue", "Value": "mail"}]``."""

_MOST_NAMES = 1000


class AddedMetrics:
    """What ``add_metric`` knows of one application."""

    def __init__(self, instruments: Instruments, limits: Limits) -> None:
        self._instruments = instruments
        self._limits = limits
        self._variables: dict[tuple[str, str], TrackedVar] = {}

    def add(self, live: LiveRequest | None, name: str, value: Any, unit: str | None, dimensions: Dimensions) -> None:
        """Record one value; what no instrument takes is counted and logged once.

        Raises:
            ChestConfigError: The name or the unit cannot be used.
        """
        try:
            number = to_metric(value)
            if number is None:
                raise Refused("not a number")  # noqa: TRY301 - one way out
            self._record(live, name, number, unit, self._attributes(live, dimensions))
        except Refused as refused:
            note(f"refused {name}: {refused.reason}", "add_metric(%r) is not recorded: %s", name, refused.reason)

    def _record(
        self, live: LiveRequest | None, name: str, number: float, unit: str | None, attributes: dict[str, Any]
    ) -> None:
        variable = self._variable(name, ucum(unit))
        # Counts are summed up; of anything else one wants the average, the least and the most, too.
        kind = "counter" if unit == "Count" else "histogram"
        instrument = self._instruments.get(name, kind, variable)
        context = otel_context.get_current() if live is None or live.context is None else live.context
        used = instrument.record(number, tuple(attributes.items()), attributes, context)
        if live is not None and not live.finished:
            live.added = (*live.added, Measurement(instrument.name, instrument.kind, number, instrument.unit, used))

    def _variable(self, name: str, unit: str) -> TrackedVar:
        found = self._variables.get((name, unit))
        if found is None:
            if len(self._variables) >= _MOST_NAMES:
                raise Refused("more than a thousand different metrics")
            found = self._variables[(name, unit)] = TrackedVar("added", metric_name=name, unit=unit)
        return found

    def _attributes(self, live: LiveRequest | None, dimensions: Dimensions) -> dict[str, Any]:
        pairs = dimensions.items() if isinstance(dimensions, Mapping) else map(_pair, dimensions)
        converted = ((str(name), to_attribute(value, self._limits)) for name, value in pairs)
        attributes = {name: to_dimension(value) for name, value in converted if value is not None}
        destinations = live.plan.chests_text if live is not None else None
        return attributes | ({CHESTS: destinations} if destinations is not None else {})


def _pair(entry: Any) -> tuple[Any, Any]:
    try:
        return entry["Name"], entry["Value"]
    except (KeyError, TypeError, IndexError):
        raise Refused('a dimension is {"Name": …, "Value": …}') from None
