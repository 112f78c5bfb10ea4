"""Who gets the records of an application's finished requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._guard import caught

if TYPE_CHECKING:
    from flask_chest_otel._records.record import RequestRecord, Sink

__all__ = ["Sinks"]


class Sinks:
    """Direct chests, which a route's ``chests=`` may leave out, and what takes every route.

    Attributes:
        wanted: Whether there is anybody to make records for.
    """

    def __init__(self, by_name: tuple[Sink, ...]) -> None:
        """Begin with the direct chests."""
        self._by_name = by_name
        self._every_route: tuple[Sink, ...] = ()
        self.wanted = bool(by_name)

    def add(self, *sinks: Sink) -> None:
        """Add what takes every route: the embedded store, a capture in a test."""
        self._every_route += sinks
        self.wanted = bool(self._every_route or self._by_name)

    def remove(self, sink: Sink) -> None:
        """Undo :meth:`add`."""
        self._every_route = tuple(other for other in self._every_route if other is not sink)
        self.wanted = bool(self._every_route or self._by_name)

    def put(self, record: RequestRecord) -> None:
        """Hand one record to everybody whom its route allows."""
        wanting = (sink for sink in self._by_name if record.chests is None or sink.name in record.chests)
        for sink in (*self._every_route, *wanting):
            # Each for itself: one of the application's own may raise.
            try:
                sink.put(record)
            except Exception as error:  # noqa: BLE001 - the guard decides
                caught("chest", error)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is where it belongs, at most ``timeout_s`` seconds for all together."""
        deadline = time.monotonic() + timeout_s
        sinks = (*self._every_route, *self._by_name)
        return all([sink.flush(max(0.0, deadline - time.monotonic())) for sink in sinks])  # noqa: C419 - each is flushed
