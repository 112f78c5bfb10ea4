"""The identity of the current process, cheap enough to check on every request, and what to do when it ends.

Forks by Python and forks by servers written in C (uWSGI) are both noticed. ``os.getpid`` costs a system call, about
1 µs, and ``os.register_at_fork`` is not called when C code forks. A page of memory that the kernel empties in the child
(``MADV_WIPEONFORK``, Linux 4.14) shows both kinds of fork for a tenth of that cost.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PerProcess",
    "at_end_of_child",
    "current_process",
    "in_greenlet",
    "notices_native_forks",
    "threads_run_here",
]

_T = TypeVar("_T")

_AFTER_ALL_OTHERS = -1000

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK; Python has no name for it, see madvise(2)


def _page() -> bytearray | mmap.mmap:
    mark: bytearray | mmap.mmap = bytearray(1)
    if sys.platform == "linux":
        with suppress(OSError, ValueError):  # an older kernel
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_WIPE_ON_FORK)
            mark = page
    return mark


_mark = _page()
_processes: dict[int, object] = {}
_process = object()


def current_process() -> object:
    """Return an object that stands for this process: the same one as long as it lives, another one in each child."""
    if not _mark[0]:
        _begin()
    return _process


class PerProcess(Generic[_T]):
    """One object for each process: after a fork the child makes its own and never uses the parent's.

    There is no lock: a lock that another thread holds at a fork would stay held in the child for ever.

    Args:
        make: Makes the object. Threads that ask at the same time may each call it; all of them get one object.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: dict[object, _T] = {}

    def found(self) -> _T | None:
        """The object of this process; ``None`` where it was not made yet."""
        return self._made.get(current_process())

    def get(self) -> _T:
        """The object of this process, made now if there is none."""
        found = self._made.get(current_process())
        return self.begin()[0] if found is None else found

    def begin(self) -> tuple[_T, bool]:
        """The object of this process, and whether this call made it."""
        process, fresh = current_process(), self._make()
        # dict.setdefault is atomic: of several threads exactly one finds its own object.
        found = self._made.setdefault(process, fresh)
        if found is fresh:
            self._made = {process: fresh}
        return found, found is fresh


def notices_native_forks() -> bool:
    """Whether forks that Python does not see are noticed, too."""
    return isinstance(_mark, mmap.mmap)


def at_end_of_child(work: Callable[[], object]) -> None:
    """Call ``work`` when this process ends, if it is a child of ``multiprocessing``.

    Such a child ends with ``os._exit``, so functions of ``atexit`` are not called; in Python 3.13 the parent's are
    dropped as well. ``multiprocessing`` calls its own finalizers, those of the application before ``work``.
    """
    loaded = sys.modules.get("multiprocessing.process")
    if loaded is not None and loaded.parent_process() is not None:
        from multiprocessing.util import Finalize  # noqa: PLC0415 - such a child has loaded it; it is slow to import

        Finalize(None, work, exitpriority=_AFTER_ALL_OTHERS)


def threads_run_here() -> bool:
    """Whether a new thread started from this thread will run.

    Where gevent has patched ``threading``, a new thread is a greenlet of the current thread. A thread that was started
    before the patches, or a thread of gevent's pool, blocks without gevent's hub, so its greenlets never run.
    """
    patches = sys.modules.get("gevent.monkey")
    if patches is None or not patches.is_module_patched("threading"):
        return True
    return bool(sys.modules["gevent"].get_hub().main_hub)


def in_greenlet() -> bool:
    """Whether this code runs in a greenlet (gevent, eventlet): other greenlets may use the same thread meanwhile."""
    loaded = sys.modules.get("greenlet")
    return loaded is not None and loaded.getcurrent().parent is not None


def _begin() -> None:
    # setdefault is atomic: threads that come here at the same time all get the same object.
    global _process  # noqa: PLW0603 - what a process knows about itself
    _process = _processes.setdefault(os.getpid(), object())
    _mark[0] = 1


def _forked() -> None:
    _processes.clear()
    _begin()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_forked)
