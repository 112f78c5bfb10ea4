"""The outbox's file as one process uses it: opened, left alone while it refuses, set aside where it is broken."""

from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from flask_chest_otel._base import sqlite
from flask_chest_otel._guard import Log, printable
from flask_chest_otel._outbox import folder as outbox_folder
from flask_chest_otel._outbox import memory
from flask_chest_otel._outbox.elsewhere import NOBODY_SENDS, elsewhere
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._outbox.limits import HeldError
from flask_chest_otel._outbox.owner import OwnerLock, sweep
from flask_chest_otel._outbox.settled import Settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PATIENCE_S", "TROUBLED_S", "Disk", "OutboxConfig"]

_logger = Log("flask_chest_otel")
_R = TypeVar("_R")

DISK_AGAIN_S = 1.0
"""How long a disk that cannot be written is left alone, seconds."""

SET_ASIDE_AT_MOST = 3
"""Broken files that one process sets aside before it stops: a failing disk must not be filled with them."""

PATIENCE_S = 1.0
"""How long anybody waits for the disk, or for others who use it, seconds: a request, or the end of the process."""

TROUBLED_S = 0.1
"""The same while the disk refuses, seconds."""

_TROUBLE = (sqlite3.Error, OSError, UnicodeDecodeError, HeldError, sqlite.NotOursError)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """How batches are kept.

    Attributes:
        folder: The outbox's folder.
        max_bytes: How large the outbox becomes.
        max_age_s: How long a batch is kept, seconds.
        home: Folder of all outboxes of the same name; ``None`` where the user chose the folder.
    """

    folder: Path
    max_bytes: int
    max_age_s: float
    home: Path | None = None


class Disk:
    """One process's way to the file; whoever uses it holds the shelf's lock.

    Args:
        config: Where, and how much.

    Attributes:
        name: Who this process is, in the file.
        settled: What the file is still to be told.
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
        """Do ``work`` with the outbox.

        Args:
            work: What is to be done; it may be begun twice.
            reading: Whether it only reads.
            give_up_at: When to stop waiting for others, on the monotonic clock; in ``PATIENCE_S`` at the latest.

        Returns:
            What ``work`` returns; ``None`` where it cannot be done now.
        """
        # What is on a full disk can be read all the same, and is older than what waits in memory.
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
                # Whatever state the connection is in, the next try begins with a new one. But where the file is sound:
                # what is in it can be read and sent, while a new connection would need room for its index.
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
        """Let the next use be tried, however short ago one failed, and with patience: it is the last."""
        self._again_at, self._patience_s = 0.0, PATIENCE_S

    def leave(self) -> None:
        """Let go of the file; what is left belongs to whoever comes next."""
        self._hang_up()
        if self._owner is not None:
            self._owner.release()

    def forget(self) -> None:
        """In a forked child: the lock is the parent's. Its connection must not even be closed here."""
        if self._owner is not None:
            self._owner.forget()

    def _open(self, give_up_at: float) -> Outbox:
        if self._outbox is not None and self._outbox.is_current:
            self._outbox.connection.deadline = give_up_at
            return self._outbox
        self._hang_up()
        config = self._config
        outbox_folder.make(config.folder)
        # The lock first: rows of somebody without one are anybody's.
        if self._owner is None or not self._owner.is_known:
            self._forget_owner()
            self._owner = OwnerLock(config.folder, self.name)
            sweep(config.folder, self.name)
        self._outbox = Outbox(self._path, config.max_bytes, config.max_age_s, deadline=give_up_at)
        if self._file is None:
            self._say_what_lies_elsewhere()
        if self._outbox.identity != self._file:
            # Numbers of a file that is gone mean nothing in the next.
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
        """Set a broken file aside; whether it is worth another try."""
        if not sqlite.is_broken(error) or self._set_aside >= SET_ASIDE_AT_MOST:
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
    return isinstance(error, HeldError) or sqlite.is_full(error) or sqlite.is_locked(error)
