"""Requests whose bodies were dropped without being closed: ended later, where that can do no harm.

The garbage collector drops them, in the middle of anything, also of a write that holds a lock: there, they are only
put on a list. The next request works it off, a flush, and the end of the process.
"""

from __future__ import annotations

import atexit
import time
from collections import deque
from typing import Protocol

from flask_chest_otel._base.process import current_process
from flask_chest_otel._guard import report_error

__all__ = ["abandon", "expect", "waiting", "work_off"]


class _Open(Protocol):
    """A request that has not ended."""

    def end(self, ended_s: float | None = None) -> None:
        """End it, as of a moment on the monotonic clock."""


waiting: deque[tuple[_Open, float, object]] = deque()
"""Requests, when they were dropped, and in which process: a child must not end those of its parent."""

_expecting: object = None


def expect() -> None:
    """A body that may be dropped is begun: see to it that this process works the list off at its end."""
    global _expecting  # noqa: PLW0603 - once in each process
    if _expecting is not current_process():
        _expecting = current_process()
        # Again in a child of multiprocessing, which forgets its parent's. After the exporters': the last comes first.
        atexit.unregister(work_off)
        atexit.register(work_off)


def abandon(request: _Open, process: object) -> None:
    """Note that a request of ``process`` was dropped; called by the garbage collector, so that nothing here waits."""
    waiting.append((request, time.perf_counter(), process))


def work_off(most: int | None = None) -> None:
    """End what was dropped in this process, ``most`` requests at most."""
    while waiting and most != 0:
        try:
            request, dropped_s, process = waiting.popleft()
        except IndexError:  # by another thread
            return
        most = None if most is None else most - 1
        if process is current_process():
            try:
                request.end(dropped_s)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("end", error)
