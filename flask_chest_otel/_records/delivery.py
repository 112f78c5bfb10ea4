"""Delivers batches of records to a back end: retries, gives up after a while, counts the losses, logs them once."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Protocol

from flask_chest_otel._base.fork_lock import UnforkedLock
from flask_chest_otel._base.rate_limit import RateLimit
from flask_chest_otel._base.retry import pause_s
from flask_chest_otel._guard import Log, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.record import RequestRecord

__all__ = ["AwayError", "ChestOffError", "Delivery", "UnforkedWriter", "Writer"]

logger = Log(__name__)

RETRY_FOR_S = 30.0
"""How long one batch is retried before it is given up, seconds; a chest may set another time."""

FIRST_PAUSE_S = 0.1
"""Pause after the first failure, doubled after each further one, seconds."""

LONGEST_PAUSE_S = 5.0
"""Longest pause between two tries, seconds."""

LONGEST_RETRY_AFTER_S = 300.0
"""Longest pause that the back end may ask for, seconds."""

QUIET_FAILURES = 2
"""Failures in a row that are not logged: workers that start at the same time block each other for a moment."""

BUGS = (TypeError, ValueError, LookupError, AttributeError, OverflowError)
"""Exceptions that are bugs, so that a retry cannot help."""


class AwayError(Exception):
    """The back end cannot be reached or refuses access; a retry of the same batch may succeed.

    Args:
        message: The back end's message.
        retry_after_s: The pause that the back end asks for, seconds; 0 where it asks for none.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ChestOffError(Exception):
    """Raised by a writer that can never write. The message is logged once, and the chest takes no more records."""


class Writer(Protocol):
    """Writes records to a back end; it is made, used and closed in one thread.

    ``write`` must be idempotent: after it raised, it gets the same records again.
    """

    def write(self, records: list[RequestRecord]) -> None:
        """Write all of ``records``. If it raises, all of them are passed again later."""

    def close(self) -> None:
        """Close the connection to the back end; nothing is written afterwards."""


class UnforkedWriter:
    """Wraps a writer to an SQLite file, so that the process does not fork during a write.

    Args:
        open_writer: Makes the wrapped writer.
    """

    def __init__(self, open_writer: Callable[[], Writer]) -> None:
        self._writer = open_writer()
        self._lock = UnforkedLock()

    def write(self, records: list[RequestRecord]) -> None:
        """Write; a fork waits until it is done."""
        with self._lock:
            self._writer.write(records)

    def close(self) -> None:
        """Close the file; a fork waits until it is done."""
        with self._lock:
            self._writer.close()


class Delivery:
    """Opens a writer and passes batches to it.

    Args:
        name: The chest's name, for log lines.
        open_writer: Makes the writer; called before the first batch, in the thread that writes.
        pause: Waits the given seconds, or less where a flush is waiting; returns ``False`` when the thread must end.
        retry_for_s: How long one batch is retried, seconds; ``RETRY_FOR_S`` by default.

    Attributes:
        lost: Number of records that were given up.
    """

    def __init__(
        self,
        name: str,
        open_writer: Callable[[], Writer],
        pause: Callable[[float], bool],
        retry_for_s: float | None = None,
    ) -> None:
        self.lost = 0
        self._name = name
        self._open_writer = open_writer
        self._pause = pause
        self._retry_for_s = RETRY_FOR_S if retry_for_s is None else retry_for_s
        self._writer: Writer | None = None
        self._log_limit = RateLimit()

    def deliver(self, batch: list[RequestRecord]) -> None:
        """Write one batch, or give it up.

        Raises:
            ChestOffError: The writer can never write; this batch is counted as lost.
        """
        give_up_at = time.monotonic() + self._retry_for_s
        for failures in count(1):
            error = self._try(batch)
            if error is None:
                return
            if isinstance(error, BUGS) and len(batch) > 1:
                # Probably one record causes the error: write each on its own, so that the others are not lost.
                for record in batch:
                    self.deliver([record])
                return
            if failures > QUIET_FAILURES:
                self._log_once("cannot write, trying again", error)
            hopeless = isinstance(error, BUGS) or time.monotonic() > give_up_at
            if hopeless or not self._pause(_pause_s(failures, error)):
                self.lost += len(batch)
                self._log_once(f"gave up on {len(batch)} request records", error)
                return

    def close(self) -> None:
        """Close the writer."""
        if self._writer is None:
            return
        try:
            self._writer.close()
        except Exception as error:  # noqa: BLE001 - as above: the thread must end in good order
            self._log_once("cannot close", error)

    def _try(self, batch: list[RequestRecord]) -> Exception | None:
        try:
            if self._writer is None:
                self._writer = self._open_writer()
            self._writer.write(batch)
        except ChestOffError:
            self.lost += len(batch)
            raise
        except Exception as error:  # noqa: BLE001 - a back end's client may raise anything
            return error
        return None

    def _log_once(self, what: str, error: Exception) -> None:
        if self._log_limit.allows((what.partition(" ")[0], type(error))):
            # The class name of our own error would not help the user.
            source = "" if isinstance(error, AwayError) else f"{type(error).__name__}: "
            logger.warning(
                "flask_chest: chest %r %s: %s%s (said once; later ones are only counted)",
                self._name,
                what,
                source,
                printable(str(error)),
            )


def _pause_s(failures: int, error: Exception) -> float:
    asked_for = error.retry_after_s if isinstance(error, AwayError) and error.retry_after_s else None
    return pause_s(
        failures,
        asked_for,
        first_s=FIRST_PAUSE_S,
        longest_s=LONGEST_PAUSE_S,
        longest_asked_s=LONGEST_RETRY_AFTER_S,
    )
