"""How many attribute sets one instrument may have: the SDK for Python has no limit of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flask_chest_otel._base.process import PerProcess
from flask_chest_otel.names import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = ["OVERFLOW_ATTRIBUTES", "AttributeSets"]

OVERFLOW_ATTRIBUTES = {OVERFLOW: True}
"""The one point beyond the limit."""


class AttributeSets:
    """The attribute sets that one instrument has seen.

    The Python SDK has no cardinality limit, so it is kept here: ``limit - 1`` sets and one overflow point, as the
    metrics SDK specification has it. Sums stay exact.
    """

    __slots__ = ("_admitting", "_limit", "seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.seen: dict[Hashable, Mapping[str, object]] = {}
        self._admitting = PerProcess(threading.Lock)

    def admit(self, key: Hashable, attributes: Mapping[str, object]) -> Mapping[str, object]:
        """The set to record under: ``attributes``, or the overflow point where all places are taken."""
        # Nobody waits once all places are taken, which is when this is called often.
        if len(self.seen) < self._limit - 1:
            # By process: what another thread holds at a fork, nobody in the child would ever let go of.
            with self._admitting.get():
                if len(self.seen) < self._limit - 1:
                    return self.seen.setdefault(key, attributes)
        return self.seen.get(key, OVERFLOW_ATTRIBUTES)
