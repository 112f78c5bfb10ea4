"""One core for each of those who would otherwise take time from each other."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LAST", "on_core"]

LAST = 1 << 20
"""The last core that there is."""


@contextmanager
def on_core(number: int) -> Iterator[int]:
    """Whatever is started in this block runs on one core: the given one, or the last that there is."""
    allowed = sorted(os.sched_getaffinity(0))
    core = allowed[min(number, len(allowed) - 1)]
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)
