"""Finds the collector's program, lets it validate a configuration, and starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

__all__ = ["HOW_TO_GET_ONE", "NAMES", "as_child", "find", "places", "replace_process", "validate"]

NAMES = ("flask-chest-collector", "otelcol-contrib")
"""Names of the program: as `make collector` builds it, and as OpenTelemetry's own package has it."""

HOW_TO_GET_ONE = (
    "no collector found (flask-chest-collector or otelcol-contrib): type pip install 'flask-chest-otel[collector]', or "
    "`make collector` in the checkout that flask_chest_otel is installed from"
)


def find() -> Path | None:
    """Return the first collector that exists; ``None`` where there is none.

    The current folder is never searched: anybody who can write there could make this user run a program.
    """
    return next((path for path in places() if path.is_file() and os.access(path, os.X_OK)), None)


def places() -> Iterator[Path]:
    """Yield where it is looked for: in the checkout of this package, installed with the package, and on ``PATH``."""
    suffix = ".exe" if sys.platform == "win32" else ""
    ours = Path(__file__).parents[2]
    for checkout in (ours, *_installed_from(ours)):
        yield checkout / ".build" / "bin" / f"{NAMES[0]}{suffix}"
    # The package flask-chest-collector. It is not imported, because `flask` puts the current folder first on sys.path.
    for installed in (ours, Path(sysconfig.get_path("purelib"))):
        yield installed / "flask_chest_collector" / f"{NAMES[0]}{suffix}"
    for name in NAMES:
        # An empty or relative entry of PATH means the current folder.
        yield from (Path(folder) / f"{name}{suffix}" for folder in os.get_exec_path() if Path(folder).is_absolute())


def _installed_from(folder: Path) -> Iterator[Path]:
    """Yield the checkout from which pip has copied this package into ``folder``, if there is one.

    pip notes it: https://packaging.python.org/specifications/direct-url/. Only ``folder`` is searched for that note.
    """
    for one in metadata.distributions(name="flask-chest-otel", path=[str(folder)]):
        note = json.loads(one.read_text("direct_url.json") or "{}")
        if "dir_info" in note:
            yield Path(url2pathname(urlsplit(note["url"]).path))


def validate(binary: Path, text: str) -> str:
    """Let the collector validate a configuration, and return its complaint; ``""`` where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "collector.yaml")
        file.write_text(text, encoding="utf-8")
        command = [str(binary), "validate", "--config", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    return (done.stderr or done.stdout).strip() if done.returncode else ""


def replace_process(binary: Path, text: str) -> NoReturn:
    """Replace this process by the collector, so that it gets the signals and gives the exit code."""
    if sys.platform == "win32":
        sys.exit(as_child(binary, text))
    # The file is deleted before the collector reads it through the open descriptor, so nothing stays on the disk.
    with tempfile.TemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        file.seek(0)
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - takes no keyword
        os.execv(binary, [str(binary), "--config", f"file:/dev/fd/{file.fileno()}"])  # noqa: S606 - no shell


def as_child(binary: Path, text: str) -> int:
    """Run the collector as a child process, and return its exit code. Windows cannot replace a process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "collector.yaml")
        file.write_text(text, encoding="utf-8")
        with subprocess.Popen([str(binary), "--config", str(file)]) as child:  # noqa: S603 - no shell
            while True:
                try:
                    return child.wait()
                except KeyboardInterrupt:
                    # Ctrl+C reaches the collector, too, which then stops.
                    continue
