"""A meter provider that makes the SDK's provider anew in each forked process, so that children begin to count at zero.

The SDK's instruments keep their sums over a fork, so every child would export its parent's values once more.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry import metrics

from flask_chest_otel._base.process import at_end_of_child, current_process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackT
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.util.types import Attributes

__all__ = ["ProcessMeterProvider"]

_I = TypeVar("_I")


class ProcessMeterProvider(metrics.MeterProvider):
    """Passes everything to the SDK's provider of the current process.

    Args:
        build: Makes the SDK's provider, with ``shutdown_on_exit=False``; called once per process.
    """

    def __init__(self, build: Callable[[], MeterProvider]) -> None:
        self._build = build
        self._built: dict[object, MeterProvider] = {}
        self._observables: list[Callable[[], object]] = []
        self._ended: object = None
        self.current()
        # In a child, the SDK's own hook would also shut down the parent's provider, and wait half a minute for a
        # thread that does not exist there.
        atexit.register(self._at_exit)

    def current(self) -> MeterProvider:
        """Return the SDK's provider of the current process."""
        process = current_process()
        found = self._built.get(process)
        if found is not None:
            return found
        fresh = self._build()
        found = self._built.setdefault(process, fresh)
        if found is not fresh:
            fresh.shutdown()
            return found
        for observe in self._observables:
            observe()
        at_end_of_child(self._at_exit)
        return found

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> metrics.Meter:
        """Return a meter whose instruments record in the process that uses them."""
        return _Meter(self, name, version, schema_url, attributes)

    def observe(self, create: Callable[[], object]) -> None:
        """Call ``create``, which makes an observable instrument, now and in each child that uses metrics."""
        self._observables.append(create)
        create()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the provider of this process."""
        return self.current().force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Shut down the provider of this process."""
        self._ended = current_process()
        self.current().shutdown(timeout_millis)

    def _at_exit(self) -> None:
        found = self._built.get(current_process())
        if found is not None and self._ended is not current_process():
            self._ended = current_process()
            found.shutdown()


class _Meter(metrics.Meter):
    def __init__(
        self,
        provider: ProcessMeterProvider,
        name: str,
        version: str | None,
        schema_url: str | None,
        attributes: Attributes,
    ) -> None:
        super().__init__(name, version, schema_url)
        self._provider = provider
        self._attributes = attributes

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        return _Counter(name, lambda: self._real().create_counter(name, unit, description))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        return _UpDownCounter(name, lambda: self._real().create_up_down_counter(name, unit, description))

    def create_histogram(
        self, name: str, unit: str = "", description: str = "", **advisory: Sequence[float] | None
    ) -> metrics.Histogram:
        return _Histogram(name, lambda: self._real().create_histogram(name, unit, description, **advisory))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        return _Gauge(name, lambda: self._real().create_gauge(name, unit, description))

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        return self._observable(lambda: self._real().create_observable_counter(name, callbacks, unit, description))

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        return self._observable(
            lambda: self._real().create_observable_up_down_counter(name, callbacks, unit, description)
        )

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        return self._observable(lambda: self._real().create_observable_gauge(name, callbacks, unit, description))

    def _real(self) -> metrics.Meter:
        return self._provider.current().get_meter(self.name, self.version, self.schema_url, self._attributes)

    def _observable(self, make: Callable[[], _I]) -> _I:
        made: list[_I] = []
        self._provider.observe(lambda: made.append(make()))
        return made[0]


class _OfProcess(Generic[_I]):
    """The SDK's instrument of the current process; a child makes its own with its first value."""

    def __init__(self, name: str, make: Callable[[], _I]) -> None:
        self._name = name
        self._make = make
        self._process = current_process()
        self._real = make()

    def _renewed(self) -> _I:
        real = self._make()
        self._real, self._process = real, current_process()
        return real


class _Counter(_OfProcess[metrics.Counter], metrics.Counter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._real if self._process is current_process() else self._renewed()).add(amount, attributes, context)


class _UpDownCounter(_OfProcess[metrics.UpDownCounter], metrics.UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._real if self._process is current_process() else self._renewed()).add(amount, attributes, context)


class _Histogram(_OfProcess[metrics.Histogram], metrics.Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._real if self._process is current_process() else self._renewed()).record(amount, attributes, context)


class _Gauge(_OfProcess[Any]):  # the API's class has no public name
    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        (self._real if self._process is current_process() else self._renewed()).set(amount, attributes, context)
