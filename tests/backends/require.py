"""What happens when something that a test needs is missing.

A binary of our own is built, once, when the toolchain is there. What cannot be had is a skip with a line that
says what to install; where everything must be there (`REQUIRE_REAL=1`, as in CI) such a skip is a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import NoReturn

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD_SCRIPTS = {
    "flask-chest-collector": REPOSITORY / "collector-config" / "distribution" / "build.sh",
    "influxd": REPOSITORY / "tests" / "backends" / "influxdb2" / "build.sh",
    "ferretdb": REPOSITORY / "tests" / "backends" / "ferretdb" / "build.sh",
    "zipkin": REPOSITORY / "tests" / "backends" / "zipkin" / "build.sh",
    "victoria-logs": REPOSITORY / "tests" / "backends" / "victorialogs" / "build.sh",
    "oslo": REPOSITORY / "tests" / "backends" / "oslo" / "build.sh",
    "kafka": REPOSITORY / "tests" / "backends" / "kafka" / "build.sh",
}
EXIT_MISSING = 69
"""With this status a build script says that something has to be installed first."""


class MissingError(RuntimeError):
    """Something has to be installed; the message says what."""


@cache
def built(name: str) -> Path:
    """Return the path of a binary that this repository builds, and build it when it is not there.

    Raises:
        MissingError: The toolchain is not installed.
        RuntimeError: The build failed.
    """
    script = BUILD_SCRIPTS[name]
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    if done.returncode == EXIT_MISSING:
        raise MissingError(done.stderr.strip())
    if done.returncode:
        raise RuntimeError(f"{script} failed with status {done.returncode}:\n{done.stderr[-2000:]}")
    return REPOSITORY / ".build" / "bin" / name


def installed(command: str, package: str) -> Path:
    """Return the path of a command that Debian's `package` brings.

    Raises:
        MissingError: It is not installed.
    """
    # Debian puts some servers where only root's PATH looks.
    path = shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise MissingError(f"{command} is not installed: apt-get install {package}")
    return Path(path)


def require_built(name: str) -> Path:
    """Return the path of a binary of ours; skip the test, or fail it, when it cannot be built here."""
    try:
        return built(name)
    except MissingError as error:
        missing(str(error))


def require_installed(command: str, package: str) -> Path:
    """Return the path of a command; skip the test, or fail it, when it is not installed."""
    try:
        return installed(command, package)
    except MissingError as error:
        missing(str(error))


def require_module(module: str, distribution: str) -> None:
    """Skip the test, or fail it, when a Python module is not installed."""
    if importlib.util.find_spec(module) is None:
        missing(f"the Python module {module} is not installed: pip install '{distribution}'")


def missing(message: str) -> NoReturn:
    """Skip the running test with `message`; fail it where REQUIRE_REAL=1 says that nothing may be missing."""
    if os.environ.get("REQUIRE_REAL") == "1":
        pytest.fail(f"REQUIRE_REAL=1, and {message}", pytrace=False)
    pytest.skip(message)
