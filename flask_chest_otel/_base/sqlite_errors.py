"""Judges errors of a SQLite file: what is broken, what another try may succeed in, and what can never succeed."""

from __future__ import annotations

import errno
import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_broken", "is_full", "is_locked", "is_unusable"]

_BROKEN = (
    "file is not a database",
    "file is encrypted",
    "database disk image is malformed",
    "malformed database schema",
    "unsupported file format",
    # The file has our application id, but lacks tables that every version of this package creates.
    "no such table",
    "no such column",
    "Could not decode to UTF-8",
)

_PERMANENT = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def is_broken(error: Exception) -> bool:
    """Whether SQLite's error says that the file is damaged or is not a database."""
    if isinstance(error, UnicodeDecodeError):
        # The error message quotes a damaged schema that is not UTF-8, so Python cannot decode the message.
        return True
    said = str(error)
    return isinstance(error, sqlite3.DatabaseError) and (said.startswith(_BROKEN) or "has no column named" in said)


def is_locked(error: Exception) -> bool:
    """Whether another connection has the file locked: a later try may succeed."""
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("database is locked")


def is_full(error: Exception) -> bool:
    """Whether the disk is full: the file can still be read."""
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)


def is_unusable(error: Exception, path: Path) -> bool:
    """Whether waiting cannot help: permissions are missing, the disk is read-only, or a folder has the file's name."""
    if isinstance(error, sqlite3.OperationalError):
        words = ("unable to open database file", "attempt to write a readonly database")
        writable = os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
        # With all permissions, the cause is too many open files or a file that was moved: a later try may succeed.
        return str(error).startswith(words) and (path.is_dir() or not writable)
    return isinstance(error, OSError) and error.errno in _PERMANENT
