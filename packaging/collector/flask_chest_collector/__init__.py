"""The OpenTelemetry Collector of flask_chest_otel: a program, ``flask-chest-collector``, which lies in this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["PROGRAM", "main"]

PROGRAM = Path(__file__).with_name("flask-chest-collector.exe" if os.name == "nt" else "flask-chest-collector")
"""Where the program is."""


def main() -> int:
    """Become the program, with the same arguments; where a process cannot become another one, run it."""
    command = [str(PROGRAM), *sys.argv[1:]]
    if os.name != "nt":
        os.execv(PROGRAM, command)  # noqa: S606 - the point
    with subprocess.Popen(command) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                # Ctrl+C reaches the program, too, which then stops by itself.
                continue
