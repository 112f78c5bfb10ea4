"""One instrument per metric name, behind a guard on its number of attribute sets."""

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
    """An instrument of the SDK, and the attribute sets it has seen."""

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
        """Record ``value`` and return the attributes it went under.

        Args:
            value: A finite number, in the instrument's unit.
            key: What tells this attribute set from others; cheaper to hash than the set itself.
            attributes: The set; not changed afterwards.
            context: Where the exemplar's span is current; ``None``: the present context.

        Raises:
            Refused: The instrument does not take negative values.
        """
        if value < 0:
            self.check(value)
        known = self._sets.seen.get(key)
        if known is None:
            known = self._sets.admit(key, attributes)
        self._record(value, known, context)
        return known

    def check(self, value: float) -> None:
        """Refuse what the instrument does not take.

        Raises:
            Refused: The value is negative, which histograms and counters drop.
        """
        if value < 0 and self.refuses_negatives:
            raise Refused(f'a {self.kind} takes no negative value: type TrackedVar(…, metric="gauge")')


class Instruments:
    """All instruments of one application, by name without regard to case, as the specification compares them."""

    def __init__(self, meter: Meter, limit: int) -> None:
        self._meter = meter
        self._limit = limit
        self._made: dict[str, Instrument] = {}
        self._declared: dict[str, tuple[str, TrackedVar]] = {}

    def declare(self, name: str, var: TrackedVar) -> None:
        """Check that ``var`` and what was declared before can live together.

        Raises:
            ChestConfigError: The metric name is another variable's, or has another spelling, kind, unit or buckets.
        """
        if var.kind is None:
            return
        known_name, known = self._declared.setdefault(name.lower(), (name, var))
        if known.name == var.name and is_bare(known) and name.lower() not in self._made:
            # It said nothing: who says more has the word.
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
        """The instrument with this name, made at its first number; a second definition keeps the first."""
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
