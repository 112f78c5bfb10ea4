"""Unit tests start no process, unless they say so."""

from __future__ import annotations

import os
import subprocess
from typing import Any, NoReturn

import pytest


@pytest.fixture(autouse=True)
def no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts a process takes long: it needs the mark ``process``, which `make test-fast` leaves out."""
    if request.node.get_closest_marker("process") is None:
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
        for name in ("fork", "posix_spawn", "forkpty"):
            monkeypatch.setattr(os, name, refuse)


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("it starts a process: mark it with pytest.mark.process")
