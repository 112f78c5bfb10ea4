"""Metrics about this package: existing counters, read when metrics are collected.

Nothing in this module runs in a request. The counters belong to the process: two applications in it report the same
figures, once for each meter provider.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import metrics

from flask_chest_otel import names
from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import guarded, totals
from flask_chest_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Figure", "observe", "self_metrics", "watch", "watch_chests"]

Figure = tuple[str, float, dict[str, str]]
"""Name of a metric, its value, and its attributes."""

_INSTRUMENTS = (
    (names.REFUSED, "counter", "{value}", "What was not taken from the application or a client"),
    (names.ERRORS, "counter", "{error}", "Errors of flask_chest_otel, kept away from the application"),
    (names.RECORDS_DROPPED, "counter", "{record}", "Request records that a chest did not take"),
    (
        names.SPANS_DROPPED,
        "counter",
        "{span}",
        "Finished spans that came too fast, or could not be written",
    ),
    (names.OUTBOX_DROPPED, "counter", "{item}", "Items given up because of the outbox's bounds"),
    (names.OUTBOX_BATCHES, "gauge", "{batch}", "Batches in the outbox"),
    (names.OUTBOX_SIZE, "gauge", "By", "What the outbox takes"),
    (names.OUTBOX_AGE, "gauge", "s", "How long the oldest batch has been waiting"),
)


class Watched(Protocol):
    """An object with counters of its own."""

    def own_metrics(self) -> Iterator[Figure]:
        """The present figures."""


_watched: WeakObjects[Watched] = WeakObjects()
_chests: WeakObjects[object] = WeakObjects()
_observed: weakref.WeakSet[object] = weakref.WeakSet()


def watch(source: Watched) -> None:
    """Report the figures of ``source`` from now on, as long as it lives."""
    _watched.add(source)


def watch_chests(chests: Iterable[object]) -> None:
    """Report how many records these chests drop and lose, where they count it."""
    for chest in chests:
        if hasattr(chest, "dropped"):
            _chests.add(chest)


def observe(meter_provider: Any = None) -> None:
    """Make the instruments, once for each provider.

    Args:
        meter_provider: The application's meter provider; ``None``: the global one, even if it is set later.
    """
    key = metrics.get_meter_provider if meter_provider is None else meter_provider
    with guarded("own metrics"):
        if key in _observed:
            return
        _observed.add(key)
        meter = metrics.get_meter(names.SCOPE, __version__, meter_provider)
        for name, kind, unit, description in _INSTRUMENTS:
            make = meter.create_observable_counter if kind == "counter" else meter.create_observable_gauge
            make(name, [_callback(name)], unit, description)


def self_metrics() -> list[Figure]:
    """All figures of this process; counters that are zero are left out."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
    for name, value, attributes in _all():
        key = name, tuple(attributes.items())
        found[key] = max(found[key], value) if name == names.OUTBOX_AGE else found[key] + value
    return [(name, value, dict(attributes)) for (name, attributes), value in found.items()]


def _all() -> Iterator[Figure]:
    refusals, errors = totals()
    for reason, count in refusals.items():
        yield names.REFUSED, count, {names.REASON: reason}
    for step, count in errors.items():
        yield names.ERRORS, count, {names.STEP: step}
    for chest in _chests:
        if lost := getattr(chest, "dropped", 0) + getattr(chest, "lost", 0):
            yield names.RECORDS_DROPPED, lost, {names.CHEST_NAME: str(getattr(chest, "name", type(chest).__name__))}
    for source in _watched:
        yield from source.own_metrics()


def _callback(wanted: str) -> Callable[[object], Iterable[metrics.Observation]]:
    def callback(_options: object) -> Iterable[metrics.Observation]:
        with guarded("own metrics"):
            # Always floats: a back end that sets a field's type by its first value refuses values of another type.
            return [metrics.Observation(float(value), given) for name, value, given in self_metrics() if name == wanted]
        return []

    return callback
