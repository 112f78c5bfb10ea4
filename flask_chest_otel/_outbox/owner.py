"""Locks that show which processes live: a process holds a file lock while it lives; the kernel frees it at its end.

A lease with a time would depend on clocks that can be set back or forward, and would have to be long enough for a slow
process. A file lock ends at once with its process, whatever ended that process.
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
"""Error numbers for a lock that another process holds; EACCES and EDEADLK come from Windows."""

TRIES = 100
"""How often creating a lock file is tried again because another process removed the file in between."""


class OwnerLock:
    """The lock file of one process in one outbox.

    Args:
        folder: The outbox's folder.
        name: Name of the process, unique also among earlier processes.

    Raises:
        OSError: The lock file cannot be created or locked.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._path = folder / f"{self.name}{_ENDING}"
        self._handle = self._lock()

    @property
    def is_known(self) -> bool:
        """Whether the lock file still exists, so that other processes can see that this process lives."""
        return self._handle >= 0 and _is_still(self._handle, self._path)

    def release(self) -> None:
        """Remove the lock file: other processes may adopt the batches of this process."""
        with suppress(OSError):
            self._path.unlink()
        self.forget()

    def forget(self) -> None:
        """Close the lock file without removing it.

        A forked child calls this: while the child has the file open, the lock would outlive the parent.
        """
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
            # Another process called ``sweep`` in between and removed the file.
            os.close(handle)
        raise BlockingIOError(errno.EAGAIN, "another process holds it", str(self._path))


@contextmanager
def locked_if_dead(folder: Path, name: str) -> Iterator[bool]:
    """Tell whether the process ``name`` is dead; inside the ``with`` block no other process gets that answer."""
    path = folder / f"{name}{_ENDING}"
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError as error:
        yield isinstance(error, FileNotFoundError)
        return
    try:
        dead = False
        # Without locks nobody can know that a process is dead.
        with suppress(OSError):
            dead = _try_lock(handle)
        yield dead
        if dead:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(handle)


def sweep(folder: Path, keep: str) -> None:
    """Remove the lock files of dead processes, except the one of ``keep``."""
    for path in folder.glob(f"*{_ENDING}"):
        name = path.name.removesuffix(_ENDING)
        if name != keep:
            with locked_if_dead(folder, name):
                pass


def is_used(folder: Path) -> bool:
    """Whether a living process uses the outbox in this folder."""
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
    """Lock a file; ``False`` if another process holds the lock.

    Raises:
        OSError: The file cannot be locked: the file system has no locks, or none left.
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
