"""Locks that no thread holds while the process forks.

A thread that runs inside SQLite holds locks of that library, on the file as well. If the process forked at that
moment, these locks would stay held in the child for ever. So would the lock of a module that a thread imports.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - see _finish_imports
import os
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from flask_chest_otel._base.process import current_process
from flask_chest_otel._base.weak import WeakObjects

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import TypeAlias

    AnyLock: TypeAlias = "threading.Lock | threading.RLock"

__all__ = ["UnforkedLock"]

NO_LIMIT_S = -1.0
"""Stands for waiting without a limit, as in ``threading``."""

PATIENCE_S = 1.0
"""How long a fork waits for all such locks together, seconds. It does not wait longer, because a disk may hang."""


class UnforkedLock:
    """A lock around work that must not be under way when its process forks: the fork waits until it is free.

    Args:
        make: Makes the lock itself; with ``threading.RLock`` its thread can acquire it again. By default it is a
            ``threading.Lock``.
        patience_s: How long a fork waits, seconds.

    Attributes:
        process: The process that made it.
        holder: The thread that has acquired it; of a lock that can be acquired again, perhaps ``None``.
    """

    def __init__(self, make: Callable[[], AnyLock] | None = None, patience_s: float = PATIENCE_S) -> None:
        self.process = current_process()
        self.patience_s = patience_s
        self.holder: int | None = None
        # Looked up here, and no default argument: gevent may replace it after this module is loaded. A greenlet that
        # waited for a lock of the system would stop the one that holds it.
        self._lock = threading.Lock() if make is None else make()
        _all.add(self)

    def __enter__(self) -> None:
        """Acquire the lock; wait without limit."""
        self.acquire(NO_LIMIT_S)

    def acquire(self, timeout_s: float) -> bool:
        """Acquire the lock; wait at most ``timeout_s`` seconds (-1: no limit). Return whether it was acquired."""
        acquired = self._lock.acquire(timeout=timeout_s if timeout_s == NO_LIMIT_S else max(0.0, timeout_s))
        if acquired:
            self.holder = threading.get_ident()
        return acquired

    def release(self) -> None:
        """Release the lock."""
        self.holder = None
        self._lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()


_all: WeakObjects[UnforkedLock] = WeakObjects()
_held: dict[int, list[UnforkedLock]] = {}
"""The locks that a forking thread has acquired, by thread id: two threads may fork at the same time."""


_LAZY = ("flask_chest_otel", "opentelemetry")
"""The packages of modules that threads import when they first need them.

No others: an application that serves while it is imported would have its forks wait for ever.
"""


def _before() -> None:
    held = _held[threading.get_ident()] = []
    tried = _held_by_others()
    _acquire(tried, held)
    _finish_imports()
    _acquire([one for one in _held_by_others() if one not in tried], held)  # those that were made meanwhile


def _held_by_others() -> list[UnforkedLock]:
    """The locks of this process that this thread does not hold: others may hold them.

    A signal handler or a log handler may fork while its own thread holds one. It would wait for itself.
    """
    process, me = current_process(), threading.get_ident()
    return [one for one in _all if one.process is process and one.holder != me]


def _acquire(locks: list[UnforkedLock], held: list[UnforkedLock]) -> None:
    """Acquire what gets free in time, and add it to ``held``."""
    begun = time.monotonic()
    held.extend(one for one in locks if one.acquire(begun + one.patience_s - time.monotonic()))


def _finish_imports() -> None:
    """Wait until no other thread imports a module.

    A module that registers functions for before and after a fork must not be loaded meanwhile: only those for after it
    would be called. The SDK would load one, ``concurrent.futures.thread``, so this module has loaded it already.
    """
    known = 0
    while known != len(sys.modules) and threading.active_count() > 1:  # the other thread may go on with the next one
        known = len(sys.modules)
        for name in [name for name in list(sys.modules) if name.partition(".")[0] in _LAZY]:
            with suppress(Exception):  # an import that fails does so in the thread that needs it
                import_module(name)  # it is there: this only waits until it is complete


def _after_in_parent() -> None:
    for one in _held.pop(threading.get_ident(), []):
        one.release()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_held.clear)
