"""How long a fork waits for locks and imports of other threads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")

FORKING = """
import os, sys, threading, time
from flask_chest_otel._base.fork_lock import UnforkedLock

def fork():
    begun = time.monotonic()
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return time.monotonic() - begun
"""

HELD_ELSEWHERE = """
lock = UnforkedLock(threading.RLock, 3.0)
held, done = threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        done.wait()

other = threading.Thread(target=hold)
other.start()
held.wait()
print(fork())
done.set()
other.join()
"""

HELD_HERE = """
lock = UnforkedLock({make}, 20.0)
with lock:
    print(fork())
    print(lock.acquire(0.0))
"""

MADE_MEANWHILE = """
raised, stop = [], threading.Event()
others = [UnforkedLock() for _ in range(1000)]
sys.unraisablehook = lambda unraisable: raised.append(unraisable.exc_value)
sys.setswitchinterval(1e-6)

def make():
    while not stop.is_set():
        [UnforkedLock() for _ in range(20)]

other = threading.Thread(target=make)
other.start()
for _ in range(30):
    fork()
stop.set()
other.join()
print(raised)
"""

SERVING = """
import os, threading
import flask_chest_otel._base.fork_lock

def serve():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    print("forked")

request = threading.Thread(target=serve, daemon=True)
request.start()
request.join(20)
"""


def test_a_fork_waits_as_long_as_it_says(run_python: Callable[..., str]) -> None:
    """A lock that another thread keeps holds up a fork once for the time that was given, and not twice."""
    assert 3.0 <= float(run_python(FORKING + HELD_ELSEWHERE)) < 5.5


@pytest.mark.parametrize("make", ["threading.Lock", "threading.RLock"])
def test_a_fork_does_not_wait_for_its_own_thread(run_python: Callable[..., str], make: str) -> None:
    """A log handler or a signal handler forks while its thread holds the lock: at once, and the lock stays held."""
    took, again = run_python(FORKING + HELD_HERE.format(make=make)).split()
    assert float(took) < 10
    assert again == str(make == "threading.RLock")


def test_locks_that_are_made_during_a_fork(run_python: Callable[..., str]) -> None:
    """Threads that make locks meanwhile raise nothing in the thread that forks."""
    assert run_python(FORKING + MADE_MEANWHILE) == "[]\n"


def test_a_fork_in_an_application_that_serves_while_it_is_imported(
    run_python: Callable[..., str], tmp_path: Path
) -> None:
    """An application whose name begins as OpenTelemetry's may fork before the import of its module ends."""
    (tmp_path / "opentelemetry_shop.py").write_text(SERVING)
    assert run_python("import opentelemetry_shop") == "forked\n"


GREENLETS = """
import sqlite3
from pathlib import Path
from flask_chest_otel._outbox.buffer import BatchBuffer, OutboxConfig
from gevent import monkey
monkey.patch_all()
import gevent

folder = Path("outbox")
buffer = BatchBuffer(OutboxConfig(folder, 2**28, 3600.0))
buffer.put("traces", 1, b"first")
other = sqlite3.connect(next(folder.glob("*.sqlite3")), isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
asked = [gevent.spawn(buffer.put, "traces", 1, b"second"), gevent.spawn(lambda: buffer.usage().waiting)]
gevent.sleep(0.2)
other.execute("ROLLBACK")
gevent.joinall(asked, timeout=5)
print(asked[1].value)
"""


def test_gevent_comes_after_the_import(run_python: Callable[..., str]) -> None:
    """Where the application is loaded before its server patches: who waits for the outbox lets its holder go on."""
    assert run_python(GREENLETS) == "2\n"
