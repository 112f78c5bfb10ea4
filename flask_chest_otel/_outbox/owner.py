"""Whose rows are whose: a process holds a lock as long as it lives, and the kernel takes it away when it dies.

A lease with an hour on it would depend on clocks that are stepped, and would have to be long enough for a worker
that is only slow; a file lock ends with its process, at once, whatever ended it.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["OwnerLock", "is_used", "locked_if_dead", "sweep"]

_ENDING = ".owner"

_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
"""What the system says of a lock that somebody else has; EACCES and EDEADLK on Windows."""

TRIES = 100
"""Times that somebody who sweeps may come in between while a lock file is made."""


class OwnerLock:
    """One process, in one outbox.

    Args:
        folder: The outbox's folder.
        name: Who it is: unique, also among those that were before.

    Raises:
        OSError: The lock file cannot be made, or not locked.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._path = folder / f"{self.name}{_ENDING}"
        self._handle = self._lock()

    @property
    def is_known(self) -> bool:
        """Whether the lock file is still there, so that others see that this process lives."""
        return self._handle >= 0 and _is_still(self._handle, self._path)

    def release(self) -> None:
        """Leave: what is left in the outbox is for others."""
        with suppress(OSError):
            self._path.unlink()
        self.forget()

    def forget(self) -> None:
        """Close the lock file, in a child of the process that holds it: the lock must not outlive that one."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with suppress(OSError):
                os.close(handle)

    def _lock(self) -> int:
        for _ in range(TRIES):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if _try_lock(handle) and _is_still(handle, self._path):
                    return handle
            except OSError:
                os.close(handle)
                self._path.unlink(missing_ok=True)
                raise
            # Somebody who was sweeping came in between, and has removed the file.
            os.close(handle)
        raise BlockingIOError(errno.EAGAIN, "another process holds it", str(self._path))


@contextmanager
def locked_if_dead(folder: Path, name: str) -> Iterator[bool]:
    """Whether ``name`` is dead; while this lasts nobody else is told so."""
    path = folder / f"{name}{_ENDING}"
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError as error:
        yield isinstance(error, FileNotFoundError)
        return
    try:
        dead = False
        # Where locks cannot be had, nobody can be told to be dead.
        with suppress(OSError):
            dead = _try_lock(handle)
        yield dead
        if dead:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)


def sweep(folder: Path, keep: str) -> None:
    """Remove lock files of the dead, other than that of ``keep``."""
    for path in folder.glob(f"*{_ENDING}"):
        name = path.name.removesuffix(_ENDING)
        if name != keep:
            with locked_if_dead(folder, name):
                pass


def is_used(folder: Path) -> bool:
    """Whether any process that lives uses the outbox there."""
    for path in folder.glob(f"*{_ENDING}"):
        with locked_if_dead(folder, path.name.removesuffix(_ENDING)) as dead:
            if not dead:
                return True
    return False


def _is_still(handle: int, path: Path) -> bool:
    held = os.fstat(handle)
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _try_lock(handle: int) -> bool:
    """Lock a file; ``False`` where another process has done so.

    Raises:
        OSError: Nobody can lock it: the file system has no locks, or none left.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True
