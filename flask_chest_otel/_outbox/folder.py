"""Creates the outbox's folder for this user alone, and refuses places where other users could read or replace files."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from flask_chest_otel._base import sqlite

__all__ = ["make", "temporary"]

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def temporary() -> Path:
    """Return this user's folder in the folder for temporary files; it serves users without a writable home."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"flask_chest_otel-{user}"


def make(folder: Path) -> None:
    """Create an outbox's folder and its missing parents.

    Raises:
        OSError: The folder cannot be created; or it lies where all users may write, and another user may have created
            it, or a link in its place, to read the batches.
    """
    _check(folder)
    sqlite.make_folder(folder)
    # Check again: another user may have created it between the first check and ours.
    _check(folder)


def _check(folder: Path) -> None:
    if not hasattr(os, "getuid"):  # on Windows each user has a folder for temporary files
        return
    top = temporary()
    for path in (folder, Path(os.path.realpath(folder))):
        for one in (*reversed(path.parents), path):
            # Check the link itself, not its target. Others cannot replace what is in a folder that is ours.
            if one.is_symlink() or one.exists():
                _check_one(one, private=one == top)
    if folder.is_dir() and folder.stat().st_mode & stat.S_ISVTX and _is_open(folder):
        raise PermissionError(f"{folder} is a folder that all users share: give the outbox one of its own in it")


def _check_one(path: Path, *, private: bool) -> None:
    found = path.lstat()
    if private:
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{path} is not a folder of this user alone, with mode 0700")
        return
    ours = found.st_uid in (os.getuid(), 0) and not found.st_mode & _OTHERS
    if _is_open(path.parent) and not (stat.S_ISDIR(found.st_mode) and ours):
        raise PermissionError(f"{path} lies where all users may write, and is a link, another user's or open to others")


def _is_open(folder: Path) -> bool:
    """Whether all users may create files there."""
    return bool(folder.stat().st_mode & stat.S_IWOTH)
