"""Limits how often something happens, for each key: log lines, for example."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["RateLimit"]


class RateLimit:
    """Allows each key once, and again after ``every_s`` seconds.

    Args:
        every_s: The time until the same key is allowed again, seconds; by default it never is.
    """

    __slots__ = ("_every_s", "_next")

    def __init__(self, every_s: float = math.inf) -> None:
        self._every_s = every_s
        self._next: dict[Hashable, float] = {}

    def allows(self, key: Hashable) -> bool:
        """Whether ``key`` is allowed now; if so, its time begins again."""
        now = time.monotonic()
        if now < self._next.get(key, -math.inf):
            return False
        self._next[key] = now + self._every_s
        return True
