"""What may happen again only after a while, by key: a log line, above all."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["RateLimit"]


class RateLimit:
    """Allows a thing once, and again when enough time has passed.

    Args:
        every_s: How long it is not allowed again, seconds; by default for ever.
    """

    __slots__ = ("_every_s", "_next")

    def __init__(self, every_s: float = math.inf) -> None:
        self._every_s = every_s
        self._next: dict[Hashable, float] = {}

    def allows(self, key: Hashable) -> bool:
        """Whether it may happen now; if so, it counts as having happened."""
        now = time.monotonic()
        if now < self._next.get(key, -math.inf):
            return False
        self._next[key] = now + self._every_s
        return True
