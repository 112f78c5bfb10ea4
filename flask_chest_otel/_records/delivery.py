"""Batches to a back end that may be slow, down or broken: tried again, given up, counted, logged once."""

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
"""How long one batch is tried again before it is given up, unless a chest says otherwise, seconds."""

FIRST_PAUSE_S = 0.1
"""Pause after the first failure, doubled after each further one, seconds."""

LONGEST_PAUSE_S = 5.0
"""Bound of the pause between two tries, seconds."""

LONGEST_RETRY_AFTER_S = 300.0
"""Bound of a pause that the back end asks for, seconds."""

QUIET_FAILURES = 2
"""Failures in a row not worth a log line: workers that start together lock each other out for a moment."""

BUGS = (TypeError, ValueError, LookupError, AttributeError, OverflowError)
"""What does not go away by waiting."""


class AwayError(Exception):
    """The back end is away, or does not let us in: the same batch is tried again, and may arrive.

    Args:
        message: What it said.
        retry_after_s: How long it wants to be left alone, seconds; 0 where it does not say.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ChestOffError(Exception):
    """Raised by a writer that can never write: its message is logged once, and the chest is off."""


class Writer(Protocol):
    """A back end as its writer thread sees it: opened, used and closed in that one thread.

    ``write`` may be given the same records again after it raised: it has to be idempotent.
    """

    def write(self, records: list[RequestRecord]) -> None:
        """Write all of ``records``, or raise: then all of them come again."""

    def close(self) -> None:
        """Let go of the back end; nothing is written afterwards."""


class UnforkedWriter:
    """A writer to an SQLite file: the process does not fork in the middle of a write.

    Args:
        open_writer: Makes the one that writes.
    """

    def __init__(self, open_writer: Callable[[], Writer]) -> None:
        self._writer = open_writer()
        self._lock = UnforkedLock()

    def write(self, records: list[RequestRecord]) -> None:
        """Write while nobody forks."""
        with self._lock:
            self._writer.write(records)

    def close(self) -> None:
        """Let go of the file while nobody forks."""
        with self._lock:
            self._writer.close()


class Delivery:
    """Opens a writer and gives it batches.

    Args:
        name: The chest's name, for log lines.
        open_writer: Makes the writer; called before the first batch, in the thread that writes.
        pause: Waits so many seconds, or less when somebody is waiting; ``False`` when it is time to end.
        retry_for_s: How long one batch is tried again, seconds; ``RETRY_FOR_S`` unless given.

    Attributes:
        lost: Records that were given up.
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
            ChestOffError: There is no point in a further batch; this one is counted as lost.
        """
        give_up_at = time.monotonic() + self._retry_for_s
        for failures in count(1):
            error = self._try(batch)
            if error is None:
                return
            if isinstance(error, BUGS) and len(batch) > 1:
                # Most likely one record's: the good ones beside it survive.
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
        """Let go of the back end."""
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
            # The name of a class of ours tells a user nothing.
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
