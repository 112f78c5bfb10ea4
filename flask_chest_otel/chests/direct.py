"""Base of the public chests: a name, a queue, counters, and an address without secrets."""

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
"""How long one batch is tried again by default, seconds; meanwhile the queue fills up."""


class DirectChest(QueuedChest):
    """Base of the chests that write request records to a database or a web address of the user.

    Args:
        name: Name of the chest, which routes use in ``chests=``.
        address: Where the records are written, without secrets; ``repr`` shows it.
        open_writer: Makes the back end's writer; called in the writer thread. It must not refer to the chest.
        capacity: How many records may wait.
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
        """Show name and address of the chest, without passwords and keys."""
        return f"{type(self).__name__}({self._address!r}, name={self.name!r})"


def checked_number(setting: str, value: object) -> float:
    """Return ``value``.

    Raises:
        ChestConfigError: It is not a number greater than 0.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return value
    raise ChestConfigError(setting, value, "a number greater than 0")
