"""What all direct chests have in common: a name, a queue, counters, and addresses without their secrets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flask_chest_otel._records.queue import CAPACITY, RecordQueue
from flask_chest_otel._records.queued import QueuedChest
from flask_chest_otel.config import check_chest_name
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.delivery import Writer

__all__ = ["CAPACITY", "TEN_MINUTES_S", "DirectChest", "checked_number"]

TEN_MINUTES_S = 600.0
"""How long one batch is tried again unless said otherwise, seconds; meanwhile the queue fills up."""


class DirectChest(QueuedChest):
    """Keeps request records in a place of the user's own; base of the public chests.

    Args:
        name: By which routes speak of it in ``chests=``.
        address: Where the records go, without secrets.
        open_writer: Makes the back end's writer, in the writer thread. It must not refer to the chest.
        capacity: Records that wait at most.
        retry_for_s: How long one batch is tried again, seconds.

    Raises:
        ChestConfigError: An argument cannot be used.
    """

    def __init__(
        self, name: str, address: str, open_writer: Callable[[], Writer], *, capacity: int, retry_for_s: float
    ) -> None:
        queue = RecordQueue(
            check_chest_name(name),
            open_writer,
            capacity=int(checked_number("capacity", capacity)),
            retry_for_s=checked_number("retry_for_s", retry_for_s),
        )
        super().__init__(name, queue)
        self._address = address

    def __repr__(self) -> str:
        """Show where it writes, without passwords and keys."""
        return f"{type(self).__name__}({self._address!r}, name={self.name!r})"


def checked_number(setting: str, value: object) -> float:
    """``value``, if it is a number greater than 0.

    Raises:
        ChestConfigError: It is not.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return value
    raise ChestConfigError(setting, value, "a number greater than 0")
