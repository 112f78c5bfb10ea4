"""Metrics that an application adds with ``add_metric``, in CloudWatch's terms: name, value, unit, dimensions.

Values added within a request are kept and recorded together at its end, even if the request fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from flask_chest_otel._guard import Refusal, count_refusal, guarded
from flask_chest_otel._records.record import Measurement
from flask_chest_otel._tracking.cloudwatch import ucum
from flask_chest_otel._values.convert import Limits, Refused, to_attribute, to_dimension, to_metric
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.names import CHESTS, CLOUDWATCH_NAME
from flask_chest_otel.tracked import TrackedVar

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._tracking.instruments import Instrument, Instruments

    _Entry = tuple[Instrument, float, dict[str, object]]

__all__ = ["AddedMetrics", "Dimensions", "dimension_pairs", "legal_name"]

Dimensions = Mapping[str, object] | Iterable[Mapping[str, object]]
"""``{"Queue": "mail"}``, or CloudWatch's ``[{"Name": "Queue", "Value": "mail"}]``."""

_MOST_NAMES = 1000
_MOST_WAITING = 1000


class AddedMetrics:
    """Records the values of ``add_metric`` and of the counting decorators, for one application."""

    def __init__(self, instruments: Instruments, limits: Limits) -> None:
        self._instruments = instruments
        self._limits = limits
        self._made: dict[tuple[str, str], Instrument] = {}

    def add(self, live: LiveRequest | None, name: str, value: object, unit: str | None, dimensions: Dimensions) -> None:
        """Take one value: for the end of the running request, else recorded at once. Refused values are counted."""
        entry = self._entry(live, name, value, unit, dimensions)
        if entry is None:
            return
        if live is None or _is_over(live) or len(live.added) >= _MOST_WAITING:
            _record(entry, otel_context.get_current())
            return
        live.added.append(entry)
        if _is_over(live):  # another thread has ended the request meanwhile
            self._record_waiting(live)

    @guarded("add_metric")
    def finish(self, live: LiveRequest) -> list[Measurement]:
        """At the end of a request: count it where its route says so, and record the values that were added."""
        for count in live.plan.counts:
            dimensions = count.dimensions or live.plan.metric_attributes
            entry = self._entry(live, count.name, count.value_of(live.status), "Count", dimensions)
            if entry is not None:
                live.added.append(entry)
        return self._record_waiting(live)

    def _entry(
        self, live: LiveRequest | None, name: str, value: object, unit: str | None, dimensions: Dimensions
    ) -> _Entry | None:
        try:
            number = to_metric(value)
            if number is None:
                raise Refused("not a number")  # noqa: TRY301 - one way out
            instrument = self._instrument(name, ucum(unit))
            instrument.check(number)
            return instrument, number, self._attributes(live, dimensions)
        except Refused as refused:
            count_refusal(
                Refusal.VALUE,
                f"add_metric: {refused.reason}",
                "add_metric(%r) is not recorded: %s",
                name,
                refused.reason,
            )
            return None

    def _record_waiting(self, live: LiveRequest) -> list[Measurement]:
        context = live.context or otel_context.get_current()
        measurements = []
        while live.added:
            measurements.append(_record(live.added.pop(0), context))
        return measurements

    def _instrument(self, name: str, unit: str) -> Instrument:
        found = self._made.get((name, unit))
        if found is None:
            if len(self._made) >= _MOST_NAMES:
                raise Refused("more than a thousand different metrics")
            found = self._made[(name, unit)] = self._make(name, unit)
        return found

    def _make(self, name: str, unit: str) -> Instrument:
        legal = legal_name(name)
        try:
            # The SDK makes names lower case; the description keeps the given name for targets that can use it.
            variable = TrackedVar(
                "added", metric="histogram", metric_name=legal, unit=unit, description=CLOUDWATCH_NAME + name
            )
        except ChestConfigError as error:
            raise Refused("not a unit") from error
        try:
            self._instruments.declare(legal, variable)
        except ChestConfigError as error:
            raise Refused("there is another metric of this name, with another unit, kind or spelling") from error
        return self._instruments.get(legal, "histogram", variable)

    def _attributes(self, live: LiveRequest | None, dimensions: Dimensions) -> dict[str, Any]:
        converted = ((name, to_attribute(value, self._limits)) for name, value in dimension_pairs(dimensions))
        settled = ((name, to_dimension(value)) for name, value in converted if value is not None)
        # InfluxDB and Prometheus treat an empty value as a missing one: two series would become the same.
        attributes = {name: value for name, value in settled if value != ""}
        destinations = live.plan.chests_text if live is not None else None
        return attributes | ({CHESTS: destinations} if destinations is not None else {})


def _is_over(live: LiveRequest) -> bool:
    return live.finished


def _record(entry: _Entry, context: Context) -> Measurement:
    instrument, number, attributes = entry
    # The types belong to the key: True, 1 and 1.0 are equal in Python, but make three attribute sets.
    key = frozenset((name, type(value), value) for name, value in attributes.items())
    used = instrument.record(number, key, attributes, context)
    return Measurement(instrument.name, instrument.kind, number, instrument.unit, used)


def legal_name(name: object) -> str:
    """Turn a name into a legal instrument name: illegal characters become ``_``.

    The rule is "Instrument name syntax" of the OpenTelemetry metrics API specification.

    Raises:
        Refused: The name is not a text, is empty, or has characters that cannot be printed.
    """
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise Refused("not a name")
    legal = re.sub(r"[^A-Za-z0-9_.\-/]", "_", name)
    return (legal if legal[0].isalpha() else f"metric_{legal}")[:255]


def dimension_pairs(dimensions: Any) -> Iterator[tuple[str, object]]:
    """The names and values of dimensions, given as a dict or in CloudWatch's form.

    Raises:
        Refused: The dimensions have another form.
    """
    if isinstance(dimensions, Mapping):
        yield from ((str(name), value) for name, value in dimensions.items())
        return
    try:
        yield from [(str(entry["Name"]), entry["Value"]) for entry in dimensions]
    except (KeyError, TypeError, IndexError):
        raise Refused('dimensions are a dict, or a list of {"Name": …, "Value": …}') from None
