"""Worker processes: what arrives equals what was served, under one identity each, and nothing twice."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.backends.moody import Moody
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.require import require_module
from tests.faults.served import SITE, Gunicorn, Quiet, Traffic, counted, numbers, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver


WORKERS = {
    "sync": ("--workers", "2"),
    "sync preload": ("--workers", "3", "--preload"),
    "gthread": ("--workers", "2", "--threads", "4"),
    "gthread preload with hook": (
        "--workers",
        "2",
        "--threads",
        "4",
        "--preload",
        "--config",
        f"{SITE}/gunicorn_hook.py",
    ),
    "gevent": ("--workers", "2", "--worker-class", "gevent"),
    "gevent preload": ("--workers", "2", "--worker-class", "gevent", "--preload"),
}


@pytest.mark.parametrize("kind", WORKERS)
def test_counts_equal_requests(tmp_path: Path, receiver: OtlpReceiver, kind: str) -> None:
    """Spans arrive once each, counters add up exactly, after SIGTERM; each worker has a name of its own."""
    if "gevent" in kind:
        require_module("gevent", "gevent")
    traffic = Traffic()
    with Gunicorn(tmp_path, receiver.url, *WORKERS[kind]) as server:
        traffic.send(server.port, range(200))
    assert traffic.failed == 0
    assert sorted(numbers(receiver)) == list(range(200))
    assert counted(receiver) == 200
    instances = {point["resource"]["service.instance.id"] for point in receiver.metrics("flask.g.amount")}
    assert len(instances) == len(traffic.pids)
    assert server.kept() == []
    assert server.log() == "", "a healthy life and a healthy shutdown have nothing to say"


@pytest.mark.parametrize("kind", ["sync preload", "gthread preload with hook", "gevent preload"])
def test_requests_before_the_fork(tmp_path: Path, receiver: OtlpReceiver, kind: str) -> None:
    """Requests that the master serves while it loads the application are counted once, and it stops in good time."""
    if "gevent" in kind:
        require_module("gevent", "gevent")
    traffic = Traffic()
    with Gunicorn(tmp_path, receiver.url, *WORKERS[kind], FAULT_WARM_UP="1") as server:
        traffic.send(server.port, range(100))
    served = sorted([*range(100), *range(1_000_000, 1_000_005)])
    assert sorted(numbers(receiver)) == served
    assert counted(receiver) == len(served)
    assert server.kept() == []
    assert server.log() == ""


class TwoApplications(Gunicorn):
    """Two applications behind one WSGI callable."""

    site = "two_site:app"


@pytest.mark.parametrize(
    ("kind", "warm_up"),
    [
        ("sync preload", ""),
        ("sync preload", "1"),
        ("gthread", ""),
        ("gthread preload with hook", "1"),
        ("gevent preload", ""),
        ("gevent preload", "1"),
    ],
)
def test_two_applications(tmp_path: Path, receiver: OtlpReceiver, kind: str, warm_up: str) -> None:
    """Each of two applications in one process exports under its own name, before a fork and after it."""
    if "gevent" in kind:
        require_module("gevent", "gevent")
    traffic = Traffic()
    with TwoApplications(tmp_path, receiver.url, *WORKERS[kind], FAULT_WARM_UP=warm_up or "late") as server:
        senders = [
            threading.Thread(target=traffic.send, args=(server.port, sent), kwargs={"threads": 2, "below": below})
            for below, sent in (("", range(100)), ("/two", range(1000, 1060)))
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert traffic.failed == 0
    warm = [*range(1_000_000, 1_000_005)] if warm_up else []
    assert sorted(numbers(receiver, "one")) == [*range(100)]
    assert sorted(numbers(receiver, "two")) == [*range(1000, 1060), *warm]
    assert counted(receiver, "one") == 100
    assert counted(receiver, "two") == 60 + len(warm)
    assert server.kept() == []
    assert server.log() == ""


def test_recycled_workers_lose_nothing(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """With ``max_requests`` workers come and go in the middle of traffic."""
    traffic = Traffic()
    arguments = ("--workers", "2", "--max-requests", "40", "--max-requests-jitter", "10", "--preload")
    with Gunicorn(tmp_path, receiver.url, *arguments) as server:
        traffic.send(server.port, range(200))
        assert traffic.failed == 0
    assert len(traffic.pids) >= 4
    assert sorted(numbers(receiver)) == list(range(200))
    assert counted(receiver) == 200


def test_an_identity_of_the_users(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """A ``service.instance.id`` of the user's stays recognisable, and is one per worker, the same for both signals."""
    traffic = Traffic()
    given = "service.instance.id=web-1,deployment.environment.name=test"
    with Gunicorn(tmp_path, receiver.url, "--workers", "2", OTEL_RESOURCE_ATTRIBUTES=given) as server:
        traffic.send(server.port, range(100))
    of_spans = {span["resource"]["service.instance.id"] for span in receiver.spans()}
    of_points = {point["resource"]["service.instance.id"] for point in receiver.metrics("flask.g.amount")}
    assert len(of_points) == len(traffic.pids)
    assert of_points <= of_spans
    assert all(name.startswith("web-1-") for name in of_spans)


NATIVE = """
import ctypes, os, sys, time
from fault_app import app

from opentelemetry import metrics, trace

client = app.test_client()
client.get("/buy/1")
metrics.get_meter_provider().force_flush()
trace.get_tracer_provider().force_flush()
time.sleep(0.3)  # a thread that waits for the interpreter's lock at a fork in C leaves the child's lock broken
pid = {fork}
first = 10 if pid else 20
for number in range(first, first + 5):
    client.get(f"/buy/{{number}}")
metrics.get_meter_provider().force_flush()
trace.get_tracer_provider().force_flush()
if not pid:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux empties pages at a fork")
@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"], ids=["python's", "native"])
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_fork_in_the_middle(tmp_path: Path, run_python: Callable[..., str], fork: str, protocol: str) -> None:
    """A process that has served and then forks, by Python or in C as uWSGI does: each counts its own.

    In C it forks while it holds the interpreter's lock, and while our threads are idle: anything else, no Python
    program survives.
    """
    with MoodyGrpc() if protocol == "grpc" else Moody() as collector:
        server = Gunicorn(tmp_path, collector.url, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        run_python("import warnings; warnings.simplefilter('ignore')\n" + NATIVE.format(fork=fork), server.env)
        wait_until(lambda: len(numbers(collector.receiver)) >= 11)
        assert sorted(numbers(collector.receiver)) == [1, *range(10, 15), *range(20, 25)]
        assert sorted(point["sum"] or 0 for point in collector.receiver.latest("flask.g.amount")) == [5, 6]


HALF_IMPORTED = """
import os, signal, sys, threading, time
from fault_app import app

class Slow:
    \"\"\"Holds up one import, as a slow disk does.\"\"\"

    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            importing.set()
            time.sleep(0.5)

importing = threading.Event()
sys.meta_path.insert(0, Slow())
first = threading.Thread(target=app.test_client().get, args=("/buy/1",))
first.start()
assert importing.wait(30)
pid = os.fork()
if not pid:
    signal.alarm(30)  # a child that waits for ever is killed
    app.test_client().get("/buy/2")
first.join()
from opentelemetry import metrics, trace
metrics.get_meter_provider().force_flush()
trace.get_tracer_provider().force_flush()
if not pid:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.parametrize(
    "module",
    [
        "flask_chest_otel._providers.build",
        "flask_chest_otel._outbox.worker",
        "opentelemetry.sdk.metrics._internal.point",
        "flask_chest_otel._otlp.variables",
    ],
)
def test_a_fork_while_a_thread_imports(tmp_path: Path, run_python: Callable[..., str], module: str) -> None:
    """A process that forks in the middle of its first request: its child can import the same modules."""
    with Moody() as collector:
        server = Gunicorn(tmp_path, collector.url)
        run_python(
            "import warnings; warnings.simplefilter('ignore')\n" + HALF_IMPORTED.format(module=module), server.env
        )
        wait_until(lambda: len(numbers(collector.receiver)) >= 2)
        assert sorted(numbers(collector.receiver)) == [1, 2]


CHILDREN = """
import multiprocessing, sys, warnings
warnings.simplefilter("ignore")
from fault_app import app

def work(first):
    client = app.test_client()
    for number in range(first, first + 10):
        client.get(f"/buy/{{number}}")

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    work(100)
    children = [context.Process(target=work, args=(first,)) for first in (200, 300)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    with context.Pool(2) as pool:
        pool.map(work, (400, 500, 600), chunksize=1)
        pool.close()
        pool.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows only spawns, and ends children properly")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("export", ["otlp", "store"])
def test_short_children_of_multiprocessing(tmp_path: Path, receiver: OtlpReceiver, method: str, export: str) -> None:
    """They end without the interpreter's end: what each has recorded arrives all the same, and once."""
    (tmp_path / "jobs.py").write_text(CHILDREN.format(method=method))
    instance = tmp_path / "instance"
    server = Gunicorn(tmp_path, receiver.url, FAULT_EXPORT=export, FAULT_INSTANCE=str(instance))
    server.env["OTEL_METRIC_EXPORT_INTERVAL"] = "60000"
    done = subprocess.run(
        [sys.executable, str(tmp_path / "jobs.py")],
        env=server.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    served = sorted(first + number for first in range(100, 700, 100) for number in range(10))
    if export == "store":
        with closing(sqlite3.connect(next(instance.glob("*.sqlite3")))) as database:
            assert database.execute("SELECT count(*) FROM chest_requests").fetchone() == (len(served),)
    else:
        assert sorted(numbers(receiver)) == served
        assert counted(receiver) == len(served)
        assert server.kept() == []


class QuietGunicorn(Quiet, Gunicorn):
    """Gunicorn that nobody asks for anything."""


@pytest.mark.parametrize("kind", ["gthread preload with hook", "gevent with hook"])
def test_a_worker_sends_before_its_first_request(tmp_path: Path, receiver: OtlpReceiver, kind: str) -> None:
    """With the hook, what an earlier life left in the outbox arrives although nobody asks this one for anything."""
    receiver.status = 503
    traffic = Traffic()
    with Gunicorn(tmp_path, receiver.url, "--workers", "2") as server:
        traffic.send(server.port, range(20))
    assert numbers(receiver) == []
    receiver.status = 200
    gevent = ("--worker-class", "gevent", "--config", f"{SITE}/gunicorn_hook.py")
    again = QuietGunicorn(tmp_path, receiver.url, *(gevent if "gevent" in kind else WORKERS[kind]))
    with again:
        wait_until(lambda: not again.kept(), 10)
        assert sorted(numbers(receiver)) == list(range(20))
        assert counted(receiver) == 20


GEVENT = """
from fault_app import app
import gevent.monkey
gevent.monkey.patch_all()
import gevent
from opentelemetry import metrics, trace

asking = [gevent.spawn(app.test_client().get, f"/buy/{number}") for number in range(8)]
gevent.joinall(asking, timeout=20, raise_error=True)
assert all(one.value.status_code == 200 for one in asking)
metrics.get_meter_provider().force_flush()
trace.get_tracer_provider().force_flush()
"""


def test_gevent_patches_after_the_application_was_made(
    tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str]
) -> None:
    """As with ``--preload``: requests that come together at the start do not block each other."""
    require_module("gevent", "gevent")
    server = Gunicorn(tmp_path, receiver.url)
    run_python("import warnings; warnings.simplefilter('ignore')\n" + GEVENT, server.env)
    assert sorted(numbers(receiver)) == list(range(8))
    assert counted(receiver) == 8


THREADS = """
import os, threading, warnings
warnings.simplefilter("ignore")
from fault_app import app

app.test_client().get("/buy/1")
assert "flask-chest-metrics" in {thread.name for thread in threading.enumerate()}
pid = os.fork()
if not pid:
    print(len(threading.enumerate()), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_a_child_begins_without_our_threads(
    tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str]
) -> None:
    """A fork alone begins no thread: one that it began would collect the parent's sums, for nobody."""
    assert run_python(THREADS, Gunicorn(tmp_path, receiver.url).env) == "1\n"


IN_A_POOL = """
from gevent import monkey
monkey.patch_all()
import gevent, time
from fault_app import app

for number in range(3):
    gevent.get_hub().threadpool.apply(app.test_client().get, (f"/buy/{number}",))
"""


def test_the_first_request_in_a_thread_of_gevents_pool(
    tmp_path: Path, receiver: OtlpReceiver, run_python: Callable[..., str]
) -> None:
    """Threads that begin there never run: the end of the process neither waits for them nor loses what they count."""
    require_module("gevent", "gevent")
    started = time.monotonic()
    run_python(IN_A_POOL, Gunicorn(tmp_path, receiver.url).env)
    assert time.monotonic() - started < 25, "half a minute is what the SDK waits for its thread"
    assert sorted(numbers(receiver)) == list(range(3))
    assert counted(receiver) == 3


def test_gevent_and_a_collector_that_hangs(tmp_path: Path) -> None:
    """With gRPC, whose threads are not gevent's: requests are served while it waits, and nothing is lost."""
    require_module("gevent", "gevent")
    traffic = Traffic()
    with MoodyGrpc() as collector:
        arguments = ("--worker-class", "gevent", "--workers", "2")
        with Gunicorn(tmp_path, collector.url, *arguments, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") as server:
            traffic.send(server.port, range(50))
            wait_until(lambda: len(numbers(collector.receiver)) >= 50)
            collector.mood = "hang"
            before = len(collector.attempts)
            traffic.send(server.port, range(50, 60))
            wait_until(lambda: len(collector.attempts) > before)
            started = time.monotonic()
            traffic.send(server.port, range(60, 100))
            assert time.monotonic() - started < 5
        assert sorted(numbers(collector.receiver)) == list(range(50))
        assert sum(batch.items for batch in server.kept() if batch.signal == "traces") >= 50
    assert traffic.served == set(range(100))


ENDS_AT_ONCE = """
from gevent import monkey
monkey.patch_all()
from fault_app import app

assert app.test_client().get("/buy/1").status_code == 200
"""


def test_gevent_and_a_first_post_at_the_end(tmp_path: Path, run_python: Callable[..., str]) -> None:
    """Where gRPC opens its first channel while the process ends, and the collector hangs, the process still ends."""
    require_module("gevent", "gevent")
    with MoodyGrpc() as collector:
        collector.mood = "hang"
        server = Gunicorn(
            tmp_path, collector.url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_METRIC_EXPORT_INTERVAL="60000"
        )
        run_python(ENDS_AT_ONCE, server.env)
        assert len(collector.attempts) == 1
    assert sum(batch.items for batch in server.kept() if batch.signal == "traces") == 1
