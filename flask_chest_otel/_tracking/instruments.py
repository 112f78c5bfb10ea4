"""One instrument for each metric name, with a limit on its number of attribute sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_chest_otel._tracking.definitions import is_bare
from flask_chest_otel._values.attribute_sets import AttributeSets
from flask_chest_otel._values.convert import Refused
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

    from flask_chest_otel.tracked import TrackedVar

__all__ = ["Instrument", "Instruments"]

_NO_NEGATIVES = frozenset({"histogram", "counter"})


class Instrument:
    """An instrument of the SDK, and the attribute sets that were recorded with it."""

    __slots__ = ("_record", "_sets", "kind", "name", "refuses_negatives", "unit")

    def __init__(self, name: str, kind: str, var: TrackedVar, meter: Meter, limit: int) -> None:
        self.name = name
        self.kind = kind
        self.unit = var.unit
        self.refuses_negatives = kind in _NO_NEGATIVES
        self._record = _make(meter, name, kind, var)
        self._sets = AttributeSets(limit)

    def record(
        self, value: float, key: Hashable, attributes: Mapping[str, object], context: Context | None
    ) -> Mapping[str, object]:
        """Record ``value`` and return the attributes under which it was recorded.

        Args:
            value: A finite number, in the instrument's unit.
            key: Identifies the attribute set; it is cheaper to hash than the set itself.
            attributes: The attribute set; the caller does not change it afterwards.
            context: The OpenTelemetry context whose span becomes the exemplar; ``None``: the current context.

        Raises:
            Refused: The value is negative, and the instrument does not take negative values.
        """
        if value < 0:
            self.check(value)
        known = self._sets.seen.get(key)
        if known is None:
            known = self._sets.admit(key, attributes)
        self._record(value, known, context)
        return known

    def check(self, value: float) -> None:
        """Check that the instrument takes ``value``.

        Raises:
            Refused: The value is negative. The SDK drops negative values of histograms and counters.
        """
        if value < 0 and self.refuses_negatives:
            raise Refused(f'a {self.kind} takes no negative value: type TrackedVar(…, metric="gauge")')


class Instruments:
    """All instruments of one application. Names are compared without case, as the metrics API specification says."""

    def __init__(self, meter: Meter, limit: int) -> None:
        self._meter = meter
        self._limit = limit
        self._made: dict[str, Instrument] = {}
        self._declared: dict[str, tuple[str, TrackedVar]] = {}

    def declare(self, name: str, var: TrackedVar) -> None:
        """Check that ``var`` does not contradict the variables declared before.

        Raises:
            ChestConfigError: Another variable has the metric name, or it was declared with another spelling, kind,
                unit or buckets.
        """
        if var.kind is None:
            return
        known_name, known = self._declared.setdefault(name.lower(), (name, var))
        if known.name == var.name and is_bare(known) and name.lower() not in self._made:
            # The earlier declaration was only a name, so the new one replaces it.
            self._declared[name.lower()] = known_name, known = name, var
        if known.name != var.name:
            allowed = f"another name: {known_name!r} is a metric of {known.name!r} already"
        elif (known_name, _definition(known)) != (name, _definition(var)):
            allowed = (
                f"another name, or the same definition everywhere: {known_name!r} is already a metric with "
                f"(kind, unit, description, buckets) = {_definition(known)}"
            )
        else:
            return
        raise ChestConfigError(f"TrackedVar({var.name!r}, metric_name)", name, allowed)

    def get(self, name: str, kind: str, var: TrackedVar) -> Instrument:
        """The instrument with this name, made when its first number is recorded; later definitions do not change it."""
        found = self._made.get(name.lower())
        if found is None:
            made = Instrument(name, kind, var, self._meter, self._limit)
            found = self._made.setdefault(name.lower(), made)
        return found


def _definition(var: TrackedVar) -> tuple[object, ...]:
    return (var.kind, var.unit, var.description, var.default_buckets if var.kind == "histogram" else None)


def _make(
    meter: Meter, name: str, kind: str, var: TrackedVar
) -> Callable[[float, Mapping[str, Any], Context | None], None]:
    if kind == "histogram":
        buckets = var.default_buckets
        hint = {"explicit_bucket_boundaries_advisory": buckets} if buckets else {}
        return meter.create_histogram(name, var.unit, var.description, **hint).record
    if kind == "counter":
        return meter.create_counter(name, var.unit, var.description).add
    if kind == "up_down_counter":
        return meter.create_up_down_counter(name, var.unit, var.description).add
    return meter.create_gauge(name, var.unit, var.description).set
