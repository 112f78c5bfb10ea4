"""The collector's program: where it is, what it says about a configuration, and how it is started."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

__all__ = ["HOW_TO_GET_ONE", "NAMES", "as_child", "find", "places", "replace_process", "validate"]

NAMES = ("flask-chest-collector", "otelcol-contrib")
"""What it is called: the one that `make collector` builds, and OpenTelemetry's own package."""

HOW_TO_GET_ONE = (
    "no collector found (flask-chest-collector or otelcol-contrib): type pip install 'flask-chest-otel[collector]', or "
    "`make collector` in the checkout that flask_chest_otel is installed from"
)


def find() -> Path | None:
    """The collector: built in the checkout that this package is installed from, installed beside it, or on ``PATH``.

    Not in the folder that one stands in: whoever can write there would have a program of his run.
    """
    return next((path for path in places() if path.is_file() and os.access(path, os.X_OK)), None)


def places() -> Iterator[Path]:
    """Where it may be, the best place first."""
    suffix = ".exe" if sys.platform == "win32" else ""
    ours = Path(__file__).parents[2]
    yield ours / ".build" / "bin" / f"{NAMES[0]}{suffix}"
    # The package flask-chest-collector. It is not imported: `flask` would look for it in the folder first.
    for installed in (ours, Path(sysconfig.get_path("purelib"))):
        yield installed / "flask_chest_collector" / f"{NAMES[0]}{suffix}"
    for name in NAMES:
        # An empty entry, or a relative one, means the folder that one stands in.
        yield from (Path(folder) / f"{name}{suffix}" for folder in os.get_exec_path() if Path(folder).is_absolute())


def validate(binary: Path, text: str) -> str:
    """What the collector says about a configuration; nothing when it is content."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "collector.yaml")
        file.write_text(text, encoding="utf-8")
        command = [str(binary), "validate", "--config", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    return (done.stderr or done.stdout).strip() if done.returncode else ""


def replace_process(binary: Path, text: str) -> NoReturn:
    """Become the collector: signals and the exit code are its own."""
    if sys.platform == "win32":
        sys.exit(as_child(binary, text))
    # The file has no name any more when the collector reads it, so that nothing is left behind.
    with tempfile.TemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        file.seek(0)
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - takes no keyword
        os.execv(binary, [str(binary), "--config", f"file:/dev/fd/{file.fileno()}"])  # noqa: S606 - the point


def as_child(binary: Path, text: str) -> int:
    """Run the collector, where a process cannot become another one, and return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "collector.yaml")
        file.write_text(text, encoding="utf-8")
        with subprocess.Popen([str(binary), "--config", str(file)]) as child:  # noqa: S603 - no shell
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:
                    # Ctrl+C reaches the collector, too, which then stops by itself.
                    continue
