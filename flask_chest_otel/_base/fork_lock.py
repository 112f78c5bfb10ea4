"""Locks that are free when the process forks.

A thread inside of SQLite holds locks of the library's own, also on the file, and a child would find them taken for
ever.
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
"""How long a fork waits for all of them together, seconds: a disk may hang."""


class UnforkedLock:
    """A lock for what must not be in the middle of something when the process that made it forks."""

    def __init__(self) -> None:
        self.process = current_process()
        self.lock = threading.Lock()
        _all.add(self)

    def __enter__(self) -> None:
        """Wait for it."""
        self.lock.acquire()

    def acquire(self, timeout_s: float) -> bool:
        """Wait for it, at most so many seconds; whether it is had."""
        return self.lock.acquire(timeout=max(0.0, timeout_s))

    def release(self) -> None:
        """Let go of it."""
        self.lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let go of it."""
        self.lock.release()


_all: weakref.WeakSet[UnforkedLock] = weakref.WeakSet()
_held: dict[int, list[threading.Lock]] = {}
"""By thread: two may fork at once."""


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
