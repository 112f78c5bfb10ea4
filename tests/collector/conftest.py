"""Fixtures: a real InfluxDB, and collectors of any composition."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.backends.collector import Collector
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.require import missing, require_built

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class StartCollector(Protocol):
    """Starts a collector of the named fragments, or of one whole text."""

    def __call__(self, *names: str | Path, env: Mapping[str, str] | None = None, whole: str | None = None) -> Collector:
        """Start it and return it when it is ready."""


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[StartCollector]:
    """Return a function that starts a collector; those that still run at the end are stopped."""
    require_built("flask-chest-collector")
    numbers = itertools.count()
    # One that does not stop does not leave the others running.
    with ExitStack() as stack:

        def start(*names: str | Path, env: Mapping[str, str] | None = None, whole: str | None = None) -> Collector:
            number = next(numbers)
            path = tmp_path / f"rendered{number}.yaml"
            if whole is not None:
                path.write_text(whole)
            folder = tmp_path / f"collector{number}"
            collector = Collector(*names, folder=folder, env=env, whole=path if whole is not None else None)
            collector.start()
            stack.callback(collector.stop)
            return collector

        yield start


@pytest.fixture
def influxdb(tmp_path: Path) -> Iterator[InfluxDB2]:
    """Return a running InfluxDB 2.7 of this test's own."""
    require_built("influxd")
    with InfluxDB2(tmp_path / "influxdb") as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 64 mebibytes, or of as many as the test asks for."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        missing("only root can mount a small tmpfs here")
    command = ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', 64)}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
