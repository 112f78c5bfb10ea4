"""Which process this is, told cheaply and after every kind of fork."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._base.process import current_process

if TYPE_CHECKING:
    from collections.abc import Callable

FORKING = """
import ctypes, os, sys
from flask_chest_otel._base.process import current_process

before = current_process()
assert current_process() is before
pid = {fork}
if pid == 0:
    child = current_process()
    if child is before or current_process() is not child:
        os._exit(1)
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if current_process() not in (child, before) else 2)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), current_process() is before)
"""


def test_the_same_as_long_as_it_lives() -> None:
    """One process is one object."""
    assert current_process() is current_process()


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="there is no fork on Windows")
def test_another_one_after_a_fork(run_python: Callable[..., str]) -> None:
    """A child and its child are each somebody else; the parent stays who it was."""
    assert run_python(FORKING.format(fork="os.fork()")) == "0 True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux empties pages at a fork")
def test_another_one_after_a_fork_that_python_does_not_see(run_python: Callable[..., str]) -> None:
    """The same where a server forks in C, as uWSGI does."""
    assert run_python(FORKING.format(fork="ctypes.CDLL(None).fork()")) == "0 True\n"
