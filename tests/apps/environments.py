"""An environment for each application, made once, and again when what it is made from has changed.

``python -m tests.apps.environments NAME…`` makes some without running anything.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.apps.applications import ENVIRONMENTS, SUITE, SUITE_NEEDS
from tests.backends.require import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bin_of"]

_FOLDER = REPOSITORY / ".venvs" / "apps"
_NEEDS = {**ENVIRONMENTS, SUITE: SUITE_NEEDS}
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def bin_of(name: str) -> Path:
    """The folder of commands of one environment, with this package and what the application needs in it.

    Raises:
        CalledProcessError: pip has said why it cannot be made.
    """
    folder, wanted = _FOLDER / name, _made_from(name)
    stamp = folder / ".installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        command = [str(folder / "bin" / "python"), *_PIP, "--editable", f"{REPOSITORY}[auto]", *_NEEDS[name]]
        subprocess.run(command, check=True)
        stamp.write_text(wanted)
    return folder / "bin"


def _made_from(name: str) -> str:
    # What tools are told in pyproject.toml changes nothing in an environment.
    project = (REPOSITORY / "pyproject.toml").read_text("utf-8").partition("[dependency-groups]")[0]
    said = "\n".join([sys.version, str(REPOSITORY), project, *_NEEDS[name]])
    return hashlib.sha256(said.encode()).hexdigest()


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        print(chosen, bin_of(chosen))  # noqa: T201 - a command's output
