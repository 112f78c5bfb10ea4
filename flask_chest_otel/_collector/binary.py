"""The collector's program: where it is, what it says about a configuration, and how it is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["HOW_TO_GET_ONE", "find", "replace_process", "validate"]

NAMES = ("flask-chest-collector", "otelcol-contrib")
"""What it is called: the one that `make collector` builds, and OpenTelemetry's own package."""

HOW_TO_GET_ONE = (
    "no collector found (flask-chest-collector or otelcol-contrib on PATH, or .build/bin of the checkout): type "
    "`make collector` in the checkout that flask_chest_otel is installed from, or install otelcol-contrib from "
    "https://github.com/open-telemetry/opentelemetry-collector-releases"
)


def find() -> Path | None:
    """The collector: built in the checkout that this package is installed from, else the first one on ``PATH``.

    Not in the folder that one stands in: whoever can write there would have a program of his run.
    """
    built = Path(__file__).parents[2] / ".build" / "bin" / NAMES[0]
    if os.access(built, os.X_OK):
        return built
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(on_path) if on_path is not None else None


def validate(binary: Path, text: str) -> str:
    """What the collector says about a configuration; nothing when it is content."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = [str(binary), "validate", "--config", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    return (done.stderr or done.stdout).strip() if done.returncode else ""


def replace_process(binary: Path, text: str) -> NoReturn:
    """Become the collector: signals and the exit code are its own."""
    # The file has no name any more when the collector reads it, so that nothing is left behind.
    with tempfile.TemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        file.seek(0)
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - takes no keyword
        os.execv(binary, [str(binary), "--config", f"file:/dev/fd/{file.fileno()}"])  # noqa: S606 - the point
