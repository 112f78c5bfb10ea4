"""Ends requests whose bodies were garbage-collected without being closed.

The garbage collector may run at any point, even during a write that holds a lock. Such a request is therefore only put
on a list; the next request, a flush, or the end of the process ends it.
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
        """End the request; ``ended_s`` is the time of the end on the monotonic clock."""


waiting: deque[tuple[_Open, float, object]] = deque()
"""Each request, the time at which it was dropped, and its process: a child must not end requests of its parent."""

_expecting: object = None


def expect() -> None:
    """Note that a streamed body has begun: from now on, the end of this process ends the requests on the list."""
    global _expecting  # noqa: PLW0603 - once in each process
    if _expecting is not current_process():
        _expecting = current_process()
        # Register again in a child of multiprocessing, which drops its parent's functions. The last one registered is
        # called first, so this one is called before those of the exporters.
        atexit.unregister(work_off)
        atexit.register(work_off)


def abandon(request: _Open, process: object) -> None:
    """Put a request of ``process`` on the list. The garbage collector calls this, so it must not wait."""
    waiting.append((request, time.perf_counter(), process))


def work_off(most: int | None = None) -> None:
    """End the requests of this process that are on the list; at most ``most`` of them."""
    while waiting and most != 0:
        try:
            request, dropped_s, process = waiting.popleft()
        except IndexError:  # another thread has emptied the list
            return
        most = None if most is None else most - 1
        if process is current_process():
            try:
                request.end(dropped_s)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("end", error)
