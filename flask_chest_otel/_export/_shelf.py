"""Where batches of one process wait: in the outbox on disk, and in memory as long as the disk cannot be written."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from flask_chest_otel import _sqlite
from flask_chest_otel._export import _folder
from flask_chest_otel._export._outbox import FILENAME, Outbox, Row, Usage
from flask_chest_otel._export._owner import Owner, sweep
from flask_chest_otel._forks import UnforkedLock
from flask_chest_otel._guard import Log, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Keeping", "Shelf"]

_logger = Log("flask_chest_otel")
_R = TypeVar("_R")

MEMORY_BYTES = 16 * 1024 * 1024
"""What waits in memory at most; the oldest batches go first."""

DISK_AGAIN_S = 1.0
"""How long a disk that cannot be written is left alone, seconds."""

SET_ASIDE_AT_MOST = 3
"""Broken files that one process sets aside before it stops: a failing disk must not be filled with them."""

_TROUBLE = (sqlite3.Error, OSError, _sqlite.NotOursError)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How batches are kept.

    Attributes:
        folder: The outbox's folder.
        max_bytes: How large the outbox becomes.
        max_age_s: How long a batch is kept, seconds.
    """

    folder: Path
    max_bytes: int
    max_age_s: float


class Shelf:
    """Takes batches from any thread, and gives them to one that sends them, in their order.

    Args:
        keeping: Where, and how much.
    """

    def __init__(self, keeping: Keeping) -> None:
        self._lock = UnforkedLock()
        self._keeping = keeping
        self._path = keeping.folder / FILENAME
        self._name = str(uuid.uuid4())
        self._owner: Owner | None = None
        self._outbox: Outbox | None = None
        # Newer than everything on disk: memory is put there as soon as that works again.
        self._memory: deque[tuple[int, str, int, bytes]] = deque()
        self._memory_bytes = 0
        self._count = 0
        self._in_flight = False
        # What became of batches on disk that refuses to be written: a full one, or one that somebody locks.
        self._done_on_disk: list[int] = []
        self._refused_on_disk: dict[int, str] = {}
        self._file: tuple[int, int] | None = None
        self._disk_again_at = 0.0
        self._in_trouble = False
        self._set_aside = 0
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that were given up because of the bounds, in this process."""
        return self._dropped + (self._outbox.dropped if self._outbox is not None else 0)

    def put(self, signal: str, items: int, body: bytes) -> None:
        """Keep one batch; never raises, never loses one that fits."""
        with self._lock:
            self._count += 1
            self._memory.append((-self._count, signal, items, body))
            self._memory_bytes += len(body)
            self._store()
            while self._memory_bytes > MEMORY_BYTES:
                _, _, lost, dropped = self._memory.popleft()
                self._memory_bytes -= len(dropped)
                self._dropped += lost

    def oldest(self, signal: str, most: int) -> list[Row]:
        """The batches to be sent next, at most ``most``, to be given to ``done``, ``refuse`` or ``keep`` after that."""
        with self._lock:
            self._store()
            settled = (*self._done_on_disk, *self._refused_on_disk)
            found = self._on_disk(lambda outbox: outbox.waiting(self._name, signal, most, settled), reading=True) or []
            if not found:
                found = [Row(n, items, body) for n, of, items, body in self._memory if of == signal][:most]
                self._in_flight = bool(found)
            return found

    def done(self, rows: list[Row]) -> None:
        """Forget batches that were accepted."""
        with self._lock:
            self._in_flight = False
            self._forget_in_memory({row.batch_id for row in rows})
            self._done_on_disk += [row.batch_id for row in rows if row.batch_id > 0]
            self._tidy()

    def refuse(self, row: Row, signal: str, reason: str) -> None:
        """Put a batch aside that the collector does not want, or drop it where there is no disk to keep it."""
        with self._lock:
            self._in_flight = False
            batch_id = row.batch_id
            if batch_id > 0:
                self._refused_on_disk[batch_id] = reason
                self._tidy()
                return
            self._forget_in_memory({batch_id})
            if self._on_disk(lambda outbox: outbox.put_refused(self._name, signal, row, reason)) is None:
                self._dropped += row.items

    def keep(self) -> None:
        """Nothing became of what ``oldest`` gave."""
        self._in_flight = False

    def is_empty(self) -> bool:
        """Whether nothing of this process waits."""
        with self._lock:
            waiting = self._on_disk(lambda outbox: outbox.count_waiting(self._name), reading=True) or 0
            return not self._memory and waiting <= len(self._done_on_disk) + len(self._refused_on_disk)

    def usage(self) -> Usage:
        """How much waits, on disk and in memory."""
        with self._lock:
            found = self._on_disk(lambda outbox: outbox.usage(), reading=True) or Usage(0, 0, 0, None)
            waiting, size_bytes = found.waiting + len(self._memory), found.size_bytes + self._memory_bytes
            return Usage(waiting, found.refused, size_bytes, found.oldest_unix_ns)

    def take_over(self) -> int:
        """Adopt what dead processes left; how many batches."""
        with self._lock:
            self._tidy()
            return self._on_disk(lambda outbox: outbox.take_over(self._name)) or 0

    def close(self) -> None:
        """Let go of the file; what is left belongs to whoever comes next."""
        with self._lock:
            self._disk_again_at = 0.0
            self._store()
            self._tidy()
            self._hang_up()
            if self._owner is not None:
                self._owner.release()

    def leave_to_parent(self) -> None:
        """In a forked child: the lock is the parent's. Its connection must not even be closed here."""
        if self._owner is not None:
            self._owner.forget()

    def _store(self) -> None:
        if self._memory and not self._in_flight:
            batches = [(signal, items, body) for _, signal, items, body in self._memory]
            if self._on_disk(lambda outbox: outbox.put(self._name, batches)) is not None:
                self._memory.clear()
                self._memory_bytes = 0

    def _tidy(self) -> None:
        if self._done_on_disk or self._refused_on_disk:
            self._on_disk(self._settle)

    def _settle(self, outbox: Outbox) -> int:
        settled = outbox.settle(self._done_on_disk, self._refused_on_disk)
        self._forget_on_disk()
        return settled

    def _forget_on_disk(self) -> None:
        self._done_on_disk, self._refused_on_disk = [], {}

    def _forget_in_memory(self, batch_ids: set[int]) -> None:
        kept = [entry for entry in self._memory if entry[0] not in batch_ids]
        self._memory = deque(kept)
        self._memory_bytes = sum(len(body) for _, _, _, body in kept)

    def _on_disk(self, work: Callable[[Outbox], _R], *, reading: bool = False) -> _R | None:
        """Do ``work`` with the outbox; ``None`` where that cannot be done now."""
        # What is on a full disk can be read all the same, and is older than what waits in memory.
        if time.monotonic() < self._disk_again_at and not (reading and self._outbox is not None):
            return None
        for _ in range(2):
            try:
                result = work(self._open())
            except _TROUBLE as error:
                broken = self._outbox.identity if self._outbox is not None else _sqlite.identity(self._path)
                # Whatever state the connection is in, the next try begins with a new one. But for a full disk: what is
                # in the file can be read and sent, while a new connection would need room for its index.
                if not _is_full(error):
                    self._hang_up()
                if self._began_anew(error, broken):
                    continue
                self._say(error)
                self._disk_again_at = time.monotonic() + DISK_AGAIN_S
                return None
            if self._in_trouble and not reading:
                self._in_trouble = False
                _logger.info("the outbox %s can be written again", self._path)
            return result
        return None

    def _open(self) -> Outbox:
        if self._outbox is not None and self._outbox.is_current:
            return self._outbox
        self._hang_up()
        keeping = self._keeping
        _folder.make(keeping.folder)
        # The lock first: rows of somebody without one are anybody's.
        if self._owner is None or not self._owner.is_known:
            self._leave()
            self._owner = Owner(keeping.folder, self._name)
            sweep(keeping.folder, self._name)
        self._outbox = Outbox(self._path, keeping.max_bytes, keeping.max_age_s)
        if self._outbox.identity != self._file:
            # Numbers of a file that is gone mean nothing in the next.
            self._forget_on_disk()
            self._file = self._outbox.identity
        return self._outbox

    def _hang_up(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            self._dropped += outbox.dropped
            with suppress(sqlite3.Error):
                outbox.close()

    def _leave(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.forget()

    def _began_anew(self, error: Exception, broken: tuple[int, int] | None) -> bool:
        """Set a broken file aside; whether it is worth another try."""
        if not _sqlite.is_broken(error) or self._set_aside >= SET_ASIDE_AT_MOST:
            return False
        try:
            aside = _sqlite.set_aside(self._path, broken)
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

    def _say(self, error: Exception) -> None:
        if self._in_trouble:
            return
        self._in_trouble = True
        _logger.warning(
            "the outbox %s cannot be written (%s): batches wait in memory, at most %d MiB, and would be lost with the"
            " process; another folder: FLASK_CHEST_OUTBOX_DIR (said once)",
            self._path,
            printable(str(error)),
            MEMORY_BYTES // 2**20,
        )


def _is_full(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)
