"""Locks that no thread holds while the process forks.

A thread that runs inside SQLite holds locks of that library, on the file as well. If the process forked at that
moment, these locks would stay held in the child for ever.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from flask_chest_otel._base.process import current_process

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["UnforkedLock"]

PATIENCE_S = 1.0
"""How long a fork waits for all locks together, seconds. It does not wait longer, because a disk may hang."""


class UnforkedLock:
    """A lock around work that must not be under way when its process forks: the fork waits until it is free."""

    def __init__(self) -> None:
        self.process = current_process()
        self.lock = threading.Lock()
        _all.add(self)

    def __enter__(self) -> None:
        """Acquire the lock; wait without limit."""
        self.lock.acquire()

    def acquire(self, timeout_s: float) -> bool:
        """Acquire the lock; wait at most ``timeout_s`` seconds. Return whether it was acquired."""
        return self.lock.acquire(timeout=max(0.0, timeout_s))

    def release(self) -> None:
        """Release the lock."""
        self.lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.lock.release()


_all: weakref.WeakSet[UnforkedLock] = weakref.WeakSet()
_held: dict[int, list[threading.Lock]] = {}
"""The locks that a forking thread has acquired, by thread id: two threads may fork at the same time."""


def _before() -> None:
    deadline = time.monotonic() + PATIENCE_S
    mine = [one.lock for one in list(_all) if one.process is current_process()]
    _held[threading.get_ident()] = [
        lock for lock in mine if lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
    ]


def _after_in_parent() -> None:
    for lock in _held.pop(threading.get_ident(), []):
        lock.release()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_held.clear)
