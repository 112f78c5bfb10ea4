"""Commands in an environment that knows nothing of this checkout."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["outside", "run"]


def outside() -> dict[str, str]:
    """This process's environment, without what Python, Flask and OpenTelemetry read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FLASK_", "PYTHON"))}


def run(python: Path, folder: Path, *arguments: str) -> str:
    """Run the environment's interpreter somewhere else, without a look at this checkout."""
    done = subprocess.run(
        [str(python), *arguments], cwd=folder, env=outside(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
