"""Who gets the records of an application's finished requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._guard import report_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.record import Chest, RequestRecord

__all__ = ["ChestRouter"]


class ChestRouter:
    """Direct chests, which a route's ``chests=`` may leave out, and what takes every route.

    Attributes:
        wanted: Whether there is anybody to make records for.
        keeps_spans: Whether one of them keeps child spans, and not only what they add up to.
        keeps_logs: Whether any of them keeps a request's log lines.
    """

    def __init__(self, by_name: tuple[Chest, ...]) -> None:
        """Begin with the direct chests."""
        self._by_name = by_name
        self._every_route: tuple[Chest, ...] = ()
        self._judge: Callable[[RequestRecord], RequestRecord] | None = None
        self._look()

    def judge_by(self, judge: Callable[[RequestRecord], RequestRecord]) -> None:
        """Ask ``judge`` first: what it makes of a record goes on, also where no chest wants any."""
        self._judge = judge
        self._look()

    def add(self, *chests: Chest) -> None:
        """Add what takes every route: the embedded store, a capture in a test."""
        self._every_route += chests
        self._look()

    def remove(self, chest: Chest) -> None:
        """Undo :meth:`add`."""
        self._every_route = tuple(other for other in self._every_route if other is not chest)
        self._look()

    def _look(self) -> None:
        chests = (*self._every_route, *self._by_name)
        self.wanted = bool(chests) or self._judge is not None
        self.keeps_spans = any(getattr(chest, "keeps_spans", False) for chest in chests)
        self.keeps_logs = any(getattr(chest, "keeps_logs", False) for chest in chests)

    def put(self, record: RequestRecord) -> None:
        """Hand one record to everybody whom its route allows."""
        if self._judge is not None:
            try:
                record = self._judge(record)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("objectives", error)
        wanting = (chest for chest in self._by_name if record.chests is None or chest.name in record.chests)
        for chest in (*self._every_route, *wanting):
            # Each for itself: one of the application's own may raise.
            try:
                chest.put(record)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("chest", error)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is where it belongs, at most ``timeout_s`` seconds for all together."""
        deadline = time.monotonic() + timeout_s
        chests = (*self._every_route, *self._by_name)
        return all([chest.flush(max(0.0, deadline - time.monotonic())) for chest in chests])  # noqa: C419 - each is flushed
