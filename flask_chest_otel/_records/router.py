"""Passes the records of an application's finished requests to its chests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._guard import report_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.record import Chest, RequestRecord

__all__ = ["ChestRouter"]


class ChestRouter:
    """Passes records to chests: to direct chests as the route's ``chests=`` allows, to the others always.

    Args:
        by_name: The direct chests.

    Attributes:
        wanted: Whether any chest wants records.
        keeps_spans: Whether any chest keeps child spans.
        keeps_timings: Whether any chest keeps processor time, and numbers and durations of child spans.
        keeps_logs: Whether any chest keeps log lines.
    """

    def __init__(self, by_name: tuple[Chest, ...]) -> None:
        """Store the direct chests."""
        self._by_name = by_name
        self._every_route: tuple[Chest, ...] = ()
        self._all: tuple[Chest, ...] = ()
        self._judge: Callable[[RequestRecord], RequestRecord] | None = None
        self._look()

    def judge_by(self, judge: Callable[[RequestRecord], RequestRecord]) -> None:
        """Call ``judge`` with every record first, even where there is no chest; chests get the record it returns."""
        self._judge = judge
        self._look()

    def add(self, *chests: Chest) -> None:
        """Add chests that get the records of every route: the embedded store, a capture in a test."""
        self._every_route += chests
        self._look()

    def remove(self, chest: Chest) -> None:
        """Undo :meth:`add`."""
        self._every_route = tuple(other for other in self._every_route if other is not chest)
        self._look()

    def _look(self) -> None:
        self._all = chests = (*self._every_route, *self._by_name)
        self.wanted = bool(chests) or self._judge is not None
        self.keeps_spans = any(getattr(chest, "keeps_spans", False) for chest in chests)
        self.keeps_timings = self.keeps_spans or any(getattr(chest, "keeps_timings", True) for chest in chests)
        self.keeps_logs = any(getattr(chest, "keeps_logs", False) for chest in chests)

    def put(self, record: RequestRecord) -> None:
        """Pass one record to all chests that its route allows."""
        if self._judge is not None:
            try:
                record = self._judge(record)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("objectives", error)
        chests, names = self._all, record.chests
        if names is not None:
            chests = (*self._every_route, *(chest for chest in self._by_name if chest.name in names))
        for chest in chests:
            # Guard each chest on its own: a chest of the application may raise.
            try:
                chest.put(record)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("chest", error)

    def flush(self, timeout_s: float) -> bool:
        """Flush all chests, within ``timeout_s`` seconds together; return whether all records were written."""
        deadline = time.monotonic() + timeout_s
        return all([chest.flush(max(0.0, deadline - time.monotonic())) for chest in self._all])  # noqa: C419 - each is flushed
