"""An outbox, or a store, that somebody locks; and a disk where nobody can lock anything."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._store.store import STORE_FILENAME
from tests.backends.require import REPOSITORY, require_module
from tests.faults.served import SITE, numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver

REQUESTS = """
import json, time
{first}
from fault_app import app
client = app.test_client()
took = []
for number in range(8):
    began = time.monotonic()
    assert client.get(f"/buy/{{number}}").status_code == 200
    took.append(time.monotonic() - began)
from opentelemetry import metrics, trace
began = time.monotonic()
trace.get_tracer_provider().shutdown()
metrics.get_meter_provider().shutdown()
print(json.dumps([took, time.monotonic() - began]))
"""


LOCKED_NOW = f"""
client.get("/buy/8")
time.sleep(1.5)
import os, sqlite3
other = sqlite3.connect(os.environ["FLASK_CHEST_OUTBOX_DIR"] + "/{FILENAME}", isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
"""


def environment(receiver: OtlpReceiver, folder: Path, **more: str) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{SITE}:{REPOSITORY}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "FLASK_CHEST_OUTBOX_DIR": str(folder),
        "FLASK_CHEST_DURABILITY": "request",
        **more,
    }


NO_LOCKS = """
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


@pytest.mark.usefixtures("untraced")
def test_no_locks_to_be_had(tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str]) -> None:
    """Each request is answered at once, and everything arrives, from memory."""
    out = run_python(REQUESTS.format(first=NO_LOCKS), environment(receiver, tmp_path / "outbox"))
    took, _ = json.loads(out.splitlines()[-1])
    assert max(took[1:]) < 0.5
    assert sorted(numbers(receiver)) == list(range(8))


@pytest.mark.parametrize(("durability", "waits"), [("batch", False), ("request", True)])
def test_by_default_no_request_waits_for_it(
    tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str], durability: str, *, waits: bool
) -> None:
    """Where it is locked while requests are served, a thread waits; with durability per request, one of them does."""
    code = REQUESTS.format(first="").replace("for number in range(8):", f"{LOCKED_NOW}for number in range(8):")
    out = run_python(code, environment(receiver, tmp_path / "outbox", FLASK_CHEST_DURABILITY=durability))
    took, _ = json.loads(out.splitlines()[-1])
    assert (max(took) > 0.9) is waits, "the file is waited for a second"
    assert sorted(numbers(receiver)) == list(range(9))


@pytest.mark.usefixtures("untraced")
def test_the_outbox_is_locked(tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str]) -> None:
    """One request waits for a second, the others hardly, and the end keeps its time; everything arrives."""
    folder = tmp_path / "outbox"
    Outbox(folder / FILENAME, 2**28, 3600.0).close()
    with closing(sqlite3.connect(folder / FILENAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        out = run_python(REQUESTS.format(first=""), environment(receiver, folder))
    took, end = json.loads(out.splitlines()[-1])
    # The first one also builds providers, which takes its time on a busy machine.
    assert sorted(took)[-2] < 1.5
    assert sum(took) < 5.0
    assert end < 3.5
    assert sorted(numbers(receiver)) == list(range(8))


GREENLETS = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, json, time
from fault_app import app
worst = [0.0]
serving = [True]

def tick():
    last = time.monotonic()
    while serving[0]:
        gevent.sleep(0.01)
        now = time.monotonic()
        worst[0] = max(worst[0], now - last)
        last = now

client = app.test_client()
client.get("/ready")
# The next one waits for the file again.
gevent.sleep(1.2)
ticking = gevent.spawn(tick)
asking = [gevent.spawn(client.get, f"/buy/{number}") for number in range(4)]
gevent.joinall(asking, raise_error=True)
gevent.sleep(2.5)
serving[0] = False
ticking.join()
print(json.dumps(worst[0]))
"""


@pytest.mark.parametrize("what", ["outbox", "store"])
@pytest.mark.usefixtures("untraced")
def test_locked_under_gevent(tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str], what: str) -> None:
    """All other greenlets go on while one waits for the file."""
    require_module("gevent", "gevent")
    folder = tmp_path / what
    path = folder / (FILENAME if what == "outbox" else STORE_FILENAME)
    if what == "outbox":
        Outbox(path, 2**28, 3600.0).close()
    else:
        folder.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        more = {"FAULT_EXPORT": "store", "FAULT_INSTANCE": str(folder)} if what == "store" else {}
        out = run_python(GREENLETS, environment(receiver, folder, **more))
    assert json.loads(out.splitlines()[-1]) < 1.0
