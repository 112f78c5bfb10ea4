"""Objectives: which requests belong to one, whether each was good, and the counters of that."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

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
        slo: As it was given.
        attribute: The metric attribute of its variable ``by``; ``None`` where it has none.
    """

    slo: SLO
    attribute: str | None


def objectives(slos: Iterable[SLO], planner: Planner) -> tuple[Objective, ...]:
    """The objectives with their attributes; ``planner`` knows what routes say of variables."""
    return tuple(Objective(slo, planner.attribute_of(slo.by) if slo.by is not None else None) for slo in slos)


class Objectives:
    """Judges and counts the finished requests of one application.

    Args:
        found: Its objectives.
        meter: Makes the instruments.
        meter_provider: Whose that is; ``None``: the global one's, whenever that is set.
        limit: Attribute sets of the counter.
        make_visible: Called in each process when both series of each objective stand at 0, before the first count:
            back ends take a series that begins at 1 for one that has not changed.
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
        # What is there in any case: both results, and those with an overflow.
        reserved = sum(4 if objective.attribute is not None else 2 for objective in found)
        sets = AttributeSets(max(1, limit - reserved + 1))
        self._judges = tuple(_Judge(objective, self._counter.add, sets) for objective in found)
        self._by_place: dict[tuple[str, str], tuple[_Judge, ...]] = {}
        self._make_visible = make_visible
        self._begun = PerProcess(self._begin)
        _observe(meter, meter_provider, [objective.slo for objective in found])

    def begin(self) -> None:
        """Put both series of each objective at 0, once in each process."""
        self._begun.get()

    def judge(self, record: RequestRecord) -> RequestRecord:
        """Decide once on a finished request, and count it; the record with what was decided."""
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
            # Clients choose the method where no rule was matched.
            if len(self._by_place) < _MOST_PLACES:
                self._by_place[route or "", method] = found
        return found


class _Judge:
    """One objective: whether a request was good, and how many were."""

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
        """Both series begin at 0."""
        for attributes in self._plain.values():
            self._add(0, attributes)

    def count(self, record: RequestRecord) -> bool:
        """Whether a request was good; it is counted."""
        good = self._is_good(record)
        self._add(1, self._plain[good] if self._by is None else self._told_apart(record, self._by, good=good))
        return good

    def _is_good(self, record: RequestRecord) -> bool:
        slo, error = self.slo, record.error
        if record.status in self._bad_statuses or (error is not None and not error.handled):
            return False
        # How long a web socket was open is nothing that a server answers faster or slower.
        if slo.latency_s is not None and record.duration_s > slo.latency_s and record.status != SWITCHING_PROTOCOLS:
            return False
        if self._bad_when and any(_is_one_of(record.variables.get(name), values) for name, values in self._bad_when):
            return False
        return slo.good is None or self._says(slo.good, record)

    def _says(self, good: Callable[[Any], object], record: RequestRecord) -> bool:
        try:
            return bool(good(record))
        except Exception as error:  # noqa: BLE001 - the application's own code
            report_error(f"SLO {self.name}", error)
            return True

    def _told_apart(self, record: RequestRecord, by: str, *, good: bool) -> Mapping[str, Any]:
        """The attribute set with the variable's value; past the limit those without have an overflow."""
        value = record.variables.get(self.slo.by or "")
        # An empty one is none to InfluxDB and Prometheus.
        if value is None or (value := to_dimension(value)) == "":
            return self._plain[good]
        key = (self.name, good, type(value), value)
        found = self._sets.seen.get(key)
        if found is not None:
            return found
        found = self._sets.admit(key, {**self._plain[good], by: value})
        if found is OVERFLOW_ATTRIBUTES:
            # Not that set alone: what an objective has counted must stay its own.
            return {**self._plain[good], **OVERFLOW_ATTRIBUTES}
        # The other one begins at 0 now, or its first request could not be seen.
        other = self._sets.admit((self.name, not good, type(value), value), {**self._plain[not good], by: value})
        if other is not OVERFLOW_ATTRIBUTES:
            self._add(0, other)
        return found


def _is_one_of(value: object, bad: tuple[object, ...]) -> bool:
    # To Python, True is 1.
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in bad)


class _Gauge:
    """The objectives of all applications with one meter provider."""

    def __init__(self) -> None:
        self.slos: list[SLO] = []

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Which share of requests has to be good."""
        for slo in list(self.slos):
            yield Observation(round(slo.objective / 100, 12), {SLO_NAME: slo.name})


def _observe(meter: Meter, meter_provider: object, slos: list[SLO]) -> None:
    """Observe the objectives; of a second instrument with this name, the SDK ignores the callback."""
    key = metrics.get_meter_provider if meter_provider is None else meter_provider
    fresh = _Gauge()
    found = _by_provider.setdefault(key, fresh)
    found.slos.extend(slos)
    if found is fresh:
        meter.create_observable_gauge(
            SLO_OBJECTIVE, [fresh.observe], "1", "The share of requests that has to be good, by objective."
        )


_by_provider: weakref.WeakKeyDictionary[Any, _Gauge] = weakref.WeakKeyDictionary()
