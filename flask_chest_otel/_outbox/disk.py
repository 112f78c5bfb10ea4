"""Use of the outbox's file by one process: open it, pause while it cannot be written, set it aside if it is broken."""

from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from flask_chest_otel._base import sqlite
from flask_chest_otel._base.bounded import HeldError
from flask_chest_otel._base.sqlite_errors import is_broken, is_full, is_locked
from flask_chest_otel._guard import Log, printable
from flask_chest_otel._outbox import folder as outbox_folder
from flask_chest_otel._outbox import memory
from flask_chest_otel._outbox.elsewhere import NOBODY_SENDS, elsewhere
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._outbox.owner import OwnerLock, sweep
from flask_chest_otel._outbox.settled import Settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PATIENCE_S", "TROUBLED_S", "Disk", "OutboxConfig"]

_logger = Log("flask_chest_otel")
_R = TypeVar("_R")

DISK_AGAIN_S = 1.0
"""Pause before the next try after the disk could not be written, seconds."""

SET_ASIDE_AT_MOST = 3
"""How many broken files one process sets aside at most, so that a failing disk is not filled with them."""

PATIENCE_S = 1.0
"""How long a request, or the end of the process, waits for the disk or for others that use it, seconds."""

TROUBLED_S = 0.1
"""The same while the disk cannot be written, seconds."""

_TROUBLE = (sqlite3.Error, OSError, UnicodeDecodeError, HeldError, sqlite.NotOursError)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Folder and bounds of an outbox.

    Attributes:
        folder: The outbox's folder.
        max_bytes: How large the outbox may become, bytes.
        max_age_s: How long a batch is kept, seconds.
        home: The folder that holds all outboxes of the same service; ``None`` if the user chose ``folder``.
    """

    folder: Path
    max_bytes: int
    max_age_s: float
    home: Path | None = None


class Disk:
    """The outbox's file in one process. Every caller must hold the lock of ``BatchBuffer``.

    Args:
        config: Folder and bounds of the outbox.

    Attributes:
        name: Name of this process in the column ``owner``.
        settled: Batches that are accepted or refused, but are not deleted or marked in the file yet.
    """

    def __init__(self, config: OutboxConfig) -> None:
        self.name = str(uuid.uuid4())
        self.settled = Settled()
        self._config = config
        self._path = config.folder / FILENAME
        self._owner: OwnerLock | None = None
        self._outbox: Outbox | None = None
        self._file: tuple[int, int] | None = None
        self._again_at = 0.0
        self._patience_s = PATIENCE_S
        self._in_trouble = False
        self._set_aside = 0
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that were deleted because of the bounds."""
        return self._dropped + (self._outbox.dropped if self._outbox is not None else 0)

    def use(self, work: Callable[[Outbox], _R], *, reading: bool = False, give_up_at: float | None = None) -> _R | None:
        """Call ``work`` with the open outbox.

        Args:
            work: The function to call. It may be called a second time after it raised.
            reading: Whether ``work`` only reads.
            give_up_at: When to stop waiting for other processes, seconds on the monotonic clock; after ``PATIENCE_S``
                at the latest.

        Returns:
            What ``work`` returns; ``None`` if the outbox cannot be used now.
        """
        # A full disk can still be read, and its batches are older than those in memory.
        now = time.monotonic()
        if now < self._again_at and not (reading and self._outbox is not None):
            return None
        until = now + self._patience_s
        until = until if give_up_at is None else min(until, give_up_at)
        for _ in range(2):
            try:
                result = work(self._open(until))
            except _TROUBLE as error:
                broken = self._outbox.identity if self._outbox is not None else sqlite.identity(self._path)
                # After an error the next try opens a new connection, whatever state this one is in. Exception: the
                # file is sound. Then its batches can be read and sent, but on a full disk a new connection would find
                # no room for its index.
                if not _can_be_read(error):
                    self._hang_up()
                if self._began_anew(error, broken):
                    continue
                self._say(error)
                self._again_at, self._patience_s = time.monotonic() + DISK_AGAIN_S, TROUBLED_S
                return None
            if self._in_trouble and not reading:
                self._in_trouble, self._patience_s = False, PATIENCE_S
                _logger.info("the outbox %s can be written again", self._path)
            return result
        return None

    def try_once_more(self) -> None:
        """End the pause after a failure and wait ``PATIENCE_S`` again: the next use is the last of this process."""
        self._again_at, self._patience_s = 0.0, PATIENCE_S

    def leave(self) -> None:
        """Close the file and release the owner lock; another process adopts the batches that are left."""
        self._hang_up()
        if self._owner is not None:
            self._owner.release()

    def forget(self) -> None:
        """Close the parent's lock file in a forked child; the parent's SQLite connection must stay open there."""
        if self._owner is not None:
            self._owner.forget()

    def _open(self, give_up_at: float) -> Outbox:
        if self._outbox is not None and self._outbox.is_current:
            self._outbox.connection.deadline = give_up_at
            return self._outbox
        self._hang_up()
        config = self._config
        outbox_folder.make(config.folder)
        # Take the owner lock before writing: rows without a live owner may be adopted by other processes.
        if self._owner is None or not self._owner.is_known:
            self._forget_owner()
            self._owner = OwnerLock(config.folder, self.name)
            sweep(config.folder, self.name)
        self._outbox = Outbox(self._path, config.max_bytes, config.max_age_s, deadline=give_up_at)
        if self._file is None:
            self._say_what_lies_elsewhere()
        if self._outbox.identity != self._file:
            # This is a new file: numbers of batches in the old file mean nothing in it.
            self.settled.clear()
            self._file = self._outbox.identity
        return self._outbox

    def _hang_up(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            self._dropped += outbox.dropped
            with suppress(sqlite3.Error):
                outbox.close()

    def _forget_owner(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.forget()

    def _began_anew(self, error: Exception, broken: tuple[int, int] | None) -> bool:
        """Set a broken file aside; returns whether another try makes sense."""
        if not is_broken(error) or self._set_aside >= SET_ASIDE_AT_MOST:
            return False
        try:
            aside = sqlite.set_aside(self._path, broken)
        except OSError:
            return False
        if aside is not None:
            self._set_aside += 1
            _logger.error(
                "the outbox %s is broken (%s): kept as %s, a new one is begun",
                self._path,
                printable(str(error)),
                aside,
            )
        return True

    def _say_what_lies_elsewhere(self) -> None:
        home = self._config.home
        for folder, count in elsewhere(home, self._config.folder) if home is not None else ():
            _logger.warning(NOBODY_SENDS, count, folder, folder, folder)

    def _say(self, error: Exception) -> None:
        if self._in_trouble:
            return
        self._in_trouble = True
        _logger.warning(
            "the outbox %s cannot be written (%s): batches wait in memory, at most %d MiB, and would be lost with the"
            " process; another folder: FLASK_CHEST_OUTBOX_DIR (said once)",
            self._path,
            printable(str(error)),
            memory.MEMORY_BYTES // 2**20,
        )


def _can_be_read(error: Exception) -> bool:
    return isinstance(error, HeldError) or is_full(error) or is_locked(error)
