"""Commands that the check runs, and where it keeps what they make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ABOUT", "DIST", "REPOSITORY", "WORK", "CheckError", "environment", "run"]

REPOSITORY = Path(__file__).resolve().parents[2]
DIST = REPOSITORY / "dist"
ABOUT = DIST / "about"
"""What goes to the forge's release, and not to the package index."""

WORK = REPOSITORY / ".build" / "release"


class CheckError(Exception):
    """A step of the check has found something."""


def run(*command: str | Path, folder: Path = REPOSITORY, **variables: str) -> str:
    """Run a command and return its output.

    Raises:
        CheckError: It ended with another status than 0; the message has its output.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "FLASK_", "PYTHON"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env={**kept, **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckError(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def environment(name: str, *wanted: str | Path) -> Path:
    """The interpreter of a fresh environment in which these are installed and nothing else, not even pip."""
    folder = WORK / name
    run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--find-links", DIST, *wanted)
    return python
