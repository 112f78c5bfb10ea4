"""The outbox's folder: made for this user alone where it lies among other users' files."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["make", "temporary"]


def temporary() -> Path:
    """This user's folder where all users have theirs, for one who has no home that can be written."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"flask_chest_otel-{user}"


def make(folder: Path) -> None:
    """Make an outbox's folder, with those above it.

    Raises:
        OSError: It cannot be made, or is below ``temporary()``, which somebody else can have made to read along.
    """
    top = temporary()
    if folder.is_relative_to(top):
        with suppress(FileExistsError):
            top.mkdir(mode=0o700)
        _check_private(top)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _check_private(folder: Path) -> None:
    if not hasattr(os, "getuid"):  # on Windows each user has a folder for temporary files
        return
    # The link itself, not where it leads. Once it is ours, the sticky bit above it keeps others from replacing it.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a folder of this user alone, with mode 0700")
