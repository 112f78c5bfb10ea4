"""Which process this is, asked on every request: forks are noticed, also those that Python does not see.

``os.getpid`` costs a system call, about 1 µs, and ``os.register_at_fork`` is not called where a server written in C
forks by itself (uWSGI). A page of memory that the kernel empties in the child (``MADV_WIPEONFORK``, Linux 4.14) tells
both kinds for a tenth of that.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress

__all__ = ["here", "notices_native_forks"]

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


def here() -> object:
    """The process: one object as long as it lives, another one in each child."""
    if not _mark[0]:
        _begin()
    return _process


def notices_native_forks() -> bool:
    """Whether forks that Python does not see are noticed, too."""
    return isinstance(_mark, mmap.mmap)


def _begin() -> None:
    # setdefault is atomic: of several threads that come first, all find the same object.
    global _process  # noqa: PLW0603 - what a process knows about itself
    _process = _processes.setdefault(os.getpid(), object())
    _mark[0] = 1


def _forked() -> None:
    _processes.clear()
    _begin()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_forked)
