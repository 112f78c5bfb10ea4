"""The cardinality limit: the number of attribute sets that one instrument may have."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flask_chest_otel._base.process import PerProcess
from flask_chest_otel.names import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = ["OVERFLOW_ATTRIBUTES", "AttributeSets"]

OVERFLOW_ATTRIBUTES = {OVERFLOW: True}
"""The attribute set for all measurements beyond the limit."""


class AttributeSets:
    """The attribute sets that one instrument has seen.

    The Python SDK has no cardinality limit, so this class applies that of the metrics SDK specification: ``limit - 1``
    attribute sets and one overflow point. Sums over all points stay exact.
    https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits

    Args:
        limit: The largest number of attribute sets, the overflow point included.
    """

    __slots__ = ("_admitting", "_limit", "seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.seen: dict[Hashable, Mapping[str, object]] = {}
        self._admitting = PerProcess(lambda: threading.Lock())  # noqa: PLW0108 - gevent may replace it later

    def admit(self, key: Hashable, attributes: Mapping[str, object]) -> Mapping[str, object]:
        """The set to record under: ``attributes``, or the overflow point where the limit is reached."""
        # No lock once the limit is reached: from then on this is called often.
        if len(self.seen) < self._limit - 1:
            # One lock for each process: a lock that another thread holds at a fork stays held in the child for ever.
            with self._admitting.get():
                if len(self.seen) < self._limit - 1:
                    return self.seen.setdefault(key, attributes)
        return self.seen.get(key, OVERFLOW_ATTRIBUTES)
