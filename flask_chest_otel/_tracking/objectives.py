"""Service level objectives of an application: decide whether each request was good, and count the results."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from flask_chest_otel._base.process import PerProcess
from flask_chest_otel._base.statuses import SWITCHING_PROTOCOLS
from flask_chest_otel._guard import report_error
from flask_chest_otel._values.attribute_sets import OVERFLOW_ATTRIBUTES, AttributeSets
from flask_chest_otel._values.convert import to_dimension
from flask_chest_otel.names import SLO_NAME, SLO_OBJECTIVE, SLO_REQUESTS, SLO_RESULT
from flask_chest_otel.slo import BAD, GOOD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter

    from flask_chest_otel._records.record import RequestRecord
    from flask_chest_otel._tracking.plan import Planner
    from flask_chest_otel.slo import SLO

__all__ = ["Objective", "Objectives", "objectives"]

_MOST_PLACES = 2000
_RESULTS = {True: GOOD, False: BAD}


class Objective(NamedTuple):
    """One objective of an application.

    Attributes:
        slo: The objective.
        attribute: The metric attribute of its variable ``by``; ``None`` where it has no ``by``.
    """

    slo: SLO
    attribute: str | None


def objectives(slos: Iterable[SLO], planner: Planner) -> tuple[Objective, ...]:
    """Join the objectives with the attributes of their ``by``; ``planner`` knows the attribute of each variable."""
    return tuple(Objective(slo, planner.attribute_of(slo.by) if slo.by is not None else None) for slo in slos)


class Objectives:
    """Judges and counts the finished requests of one application.

    Args:
        found: The application's objectives.
        meter: Makes the instruments.
        meter_provider: The provider of ``meter``; ``None``: the global one, even if it is set later.
        limit: Cardinality limit of the counter.
        make_visible: Called once in each process after both series of each objective were set to 0, and before the
            first count. It exports the zeros: a back end cannot see the increase of a series that begins at 1.
    """

    def __init__(
        self,
        found: tuple[Objective, ...],
        meter: Meter,
        meter_provider: object,
        limit: int,
        make_visible: Callable[[], object],
    ) -> None:
        self._counter = meter.create_counter(
            SLO_REQUESTS, "{request}", "Requests that belong to a service level objective, by whether they were good."
        )
        # These attribute sets always exist: both results, and both with the overflow attribute.
        reserved = sum(4 if objective.attribute is not None else 2 for objective in found)
        sets = AttributeSets(max(1, limit - reserved + 1))
        self._judges = tuple(_Judge(objective, self._counter.add, sets) for objective in found)
        self._by_place: dict[tuple[str, str], tuple[_Judge, ...]] = {}
        self._make_visible = make_visible
        self._begun = PerProcess(self._begin)
        _observe(meter, meter_provider, [objective.slo for objective in found])

    def begin(self) -> None:
        """Set both series of each objective to 0, once in each process."""
        self._begun.get()

    def judge(self, record: RequestRecord) -> RequestRecord:
        """Decide for each objective whether a finished request was good, and count it.

        Returns:
            The record with the decisions in ``slos``.
        """
        judges = self._judges_of(record.route, record.method)
        if not judges:
            return record
        self._begun.get()
        return record._replace(slos={judge.name: judge.count(record) for judge in judges})

    def _begin(self) -> bool:
        for judge in self._judges:
            judge.begin()
        self._make_visible()
        return True

    def _judges_of(self, route: str | None, method: str) -> tuple[_Judge, ...]:
        found = self._by_place.get((route or "", method))
        if found is None:
            found = tuple(judge for judge in self._judges if judge.slo.is_for(route, method))
            # The number is bounded, as clients choose the method where no rule matches.
            if len(self._by_place) < _MOST_PLACES:
                self._by_place[route or "", method] = found
        return found


class _Judge:
    """Decides and counts for one objective."""

    def __init__(self, objective: Objective, add: Callable[..., None], sets: AttributeSets) -> None:
        self.slo = slo = objective.slo
        self.name = slo.name
        self._bad_statuses = frozenset(status for group in slo.bad_statuses for status in group)
        self._bad_when = tuple((name, tuple(values)) for name, values in (slo.bad_when or {}).items())
        self._by = objective.attribute
        self._add = add
        self._sets = sets
        self._plain = {good: {SLO_NAME: slo.name, SLO_RESULT: result} for good, result in _RESULTS.items()}

    def begin(self) -> None:
        """Set both series to 0."""
        for attributes in self._plain.values():
            self._add(0, attributes)

    def count(self, record: RequestRecord) -> bool:
        """Decide whether a request was good, and count it."""
        good = self._is_good(record)
        self._add(1, self._plain[good] if self._by is None else self._told_apart(record, self._by, good=good))
        return good

    def _is_good(self, record: RequestRecord) -> bool:
        slo, error = self.slo, record.error
        if record.status in self._bad_statuses or (error is not None and not error.handled):
            return False
        # The time that a web socket was open says nothing about the server's latency.
        if slo.latency_s is not None and record.duration_s > slo.latency_s and record.status != SWITCHING_PROTOCOLS:
            return False
        if self._bad_when and any(_is_one_of(record.variables.get(name), values) for name, values in self._bad_when):
            return False
        return slo.good is None or self._says(slo.good, record)

    def _says(self, good: Callable[[object], object], record: RequestRecord) -> bool:
        try:
            return bool(good(record))
        except Exception as error:  # noqa: BLE001 - the application's own code
            report_error(f"SLO {self.name}", error)
            return True

    def _told_apart(self, record: RequestRecord, by: str, *, good: bool) -> Mapping[str, object]:
        """The attribute set with the value of the variable ``by``; beyond the limit, the overflow attribute instead."""
        value = record.variables.get(self.slo.by or "")
        # InfluxDB and Prometheus treat an empty value as a missing one.
        if value is None or (value := to_dimension(value)) == "":
            return self._plain[good]
        key = (self.name, good, type(value), value)
        found = self._sets.seen.get(key)
        if found is not None:
            return found
        found = self._sets.admit(key, {**self._plain[good], by: value})
        if found is OVERFLOW_ATTRIBUTES:
            # Keep the objective's own attributes beside the overflow attribute: its counts must not mix with others'.
            return {**self._plain[good], **OVERFLOW_ATTRIBUTES}
        # Set the series of the other result to 0 now, so that its first request is seen as an increase.
        other = self._sets.admit((self.name, not good, type(value), value), {**self._plain[not good], by: value})
        if other is not OVERFLOW_ATTRIBUTES:
            self._add(0, other)
        return found


def _is_one_of(value: object, bad: tuple[object, ...]) -> bool:
    # Compare the types as well: in Python True == 1.
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in bad)


class _Gauge:
    """The objectives of all applications with one meter provider."""

    def __init__(self) -> None:
        self.slos: list[SLO] = []

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Observe the share of requests that has to be good, for each objective."""
        for slo in list(self.slos):
            yield Observation(round(slo.objective / 100, 12), {SLO_NAME: slo.name})


def _observe(meter: Meter, meter_provider: object, slos: list[SLO]) -> None:
    """Observe ``slos`` with the one gauge of the provider: the SDK ignores the callback of a second instrument."""
    key = metrics.get_meter_provider if meter_provider is None else meter_provider
    fresh = _Gauge()
    found = _by_provider.setdefault(key, fresh)
    found.slos.extend(slos)
    if found is fresh:
        meter.create_observable_gauge(
            SLO_OBJECTIVE, [fresh.observe], "1", "The share of requests that has to be good, by objective."
        )


_by_provider: weakref.WeakKeyDictionary[object, _Gauge] = weakref.WeakKeyDictionary()
