"""Servers that refuse to run as root: a folder and a command line for somebody else."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.backends.require import installed
from tests.backends.server import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOBODY = "nobody"
"""Who they run as where the tests run as root; else they run as whoever runs the tests."""


def as_nobody(command: Sequence[str | Path]) -> list[str]:
    """Return a command line that runs `command` without root's rights, in the same process."""
    plain = [str(part) for part in command]
    if os.geteuid() != 0:
        return plain
    user = pwd.getpwnam(NOBODY)
    setpriv = str(installed("setpriv", "util-linux"))
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *plain]


def initialise(command: Sequence[str | Path], folder: Path) -> None:
    """Run a program that makes a server's files in `folder`.

    Raises:
        ServerError: It failed.
    """
    done = ask(as_nobody(command), {}, folder=folder)
    if done.returncode:
        raise ServerError(f"{Path(command[0]).name} failed: {done.stderr}{done.stdout}")


def ask(
    command: Sequence[str | Path], env: Mapping[str, str], *, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end, with `env` and the way to programs alone."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def folder_of_nobody(prefix: str) -> Path:
    """Return a fresh folder that such a server can write to; pytest's own are closed to everybody but their owner.

    Its path is short, as the paths of sockets in it have to be.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"chest-{prefix}-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam(NOBODY)
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def remove(folder: Path) -> None:
    """Remove such a folder, whoever the files in it belong to."""
    shutil.rmtree(folder, ignore_errors=True)
