"""Ports for test servers: test processes that run side by side do not get the same ones."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.backends.require import REPOSITORY

PROCESSES = 4
PORTS = 200
GIVEN = f"""
from tests.backends.server import free_port
print(*[free_port() for _ in range({PORTS})], flush=True)
input()
"""


@pytest.mark.process
def test_no_port_is_given_twice() -> None:
    """Of the ports that live processes were given, and that nobody listens on yet, all differ."""
    ports: list[str] = []
    with ExitStack() as stack:
        running = [stack.enter_context(_process()) for _ in range(PROCESSES)]
        for process in running:
            assert process.stdout
            ports += process.stdout.readline().split()
        for process in running:
            process.communicate("\n")
    assert len(set(ports)) == len(ports) == PROCESSES * PORTS


def _process() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", GIVEN]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
