"""How fast this machine is: a bound in microseconds, written for another machine, can be judged by it."""

from __future__ import annotations

import time

__all__ = ["CALLS", "yardstick_us"]

CALLS = 1000
_TRIES = 200


def _nothing() -> None:
    pass


def yardstick_us() -> float:
    """Microseconds for a thousand calls of an empty function: the best of many tries, as all else only adds."""
    times: list[float] = []
    for _ in range(_TRIES):
        start = time.thread_time()
        for _ in range(CALLS):
            _nothing()
        times.append(time.thread_time() - start)
    return min(times) * 1e6
