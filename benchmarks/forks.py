"""Measures in forks of this process: each begins with the same memory, and may change what it likes."""

from __future__ import annotations

import gc
import json
import os
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["best_tenth", "in_fork"]


def in_fork(way: Callable[[], None], measure: Callable[[], list[float]]) -> list[float]:
    """The figures that ``measure`` finds in a child of this process, after ``way`` has changed something there.

    CPython makes the code of a class slower each time when a method of the class changes: a child changes it only once.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            gc.disable()
            way()
            os.write(writing, json.dumps(measure()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found: list[float] = json.load(answer)
    os.waitpid(child, 0)
    return found


def best_tenth(times: Sequence[float]) -> float:
    """The mean of the best tenth: whatever else the machine does only adds."""
    return statistics.mean(sorted(times)[: max(1, len(times) // 10)])
