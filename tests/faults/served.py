"""The application under gunicorn, the collector that it sends to, and what was served and what arrived."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.backends import jsonl
from tests.backends.collector import Collector
from tests.backends.outbox import kept
from tests.backends.require import REPOSITORY
from tests.backends.server import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flask_chest_otel._outbox.file import BatchInfo
    from tests.backends.otlp_receiver import OtlpReceiver, Point, Span

BIN = Path(sys.executable).parent
SITE = Path(__file__).parent / "apps"


class AppServer(Server):
    """The application under a server with workers; its outbox is in its folder, so a restart finds it.

    Args:
        folder: Its log and its outbox.
        url: Where it exports to.
        arguments: Of the server: workers, threads, `--preload`.
        settings: Environment variables.
    """

    def __init__(self, folder: Path, url: str, *arguments: str, **settings: str) -> None:
        self.port = free_port()
        self.outbox = folder / "outbox"
        self._arguments = arguments
        super().__init__(
            folder,
            {
                "PYTHONPATH": f"{SITE}:{REPOSITORY}",
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_METRIC_EXPORT_INTERVAL": "1000",
                "FLASK_CHEST_OUTBOX_DIR": str(self.outbox),
                **settings,
            },
        )

    def is_ready(self) -> bool:
        """Whether a worker answers, to a request that leaves nothing of interest."""
        return get(self.port, "/ready")[0] == 404

    def kept(self) -> list[BatchInfo]:
        """What is in its outbox."""
        return kept(self.outbox)


class Quiet(AppServer):
    """One that nobody asks for anything, not even whether it is ready."""

    def is_ready(self) -> bool:
        """Whether it listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Gunicorn(AppServer):
    """The application under gunicorn."""

    site = "fault_app:app"

    def command(self) -> Sequence[str]:
        """Gunicorn, bound to a loopback port."""
        bind = ["--bind", f"127.0.0.1:{self.port}", "--log-level", "warning", "--no-control-socket"]
        return [str(BIN / "gunicorn"), *bind, *self._arguments, self.site]

    def stop(self) -> None:
        """Stop it as soon as all its workers obey: a worker loses a SIGTERM that comes between its fork and then."""
        if self._process is not None and self._process.poll() is None:
            wait_until(lambda: all(map(_catches_sigabrt, self._workers())), 10)
        super().stop()

    def _workers(self) -> list[str]:
        """The process ids of its workers."""
        assert self._process is not None
        pid = self._process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _catches_sigabrt(pid: str) -> bool:
    """Whether this process handles SIGABRT: a worker of gunicorn does, the arbiter that it is a fork of does not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True  # It has ended.
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGABRT - 1))


class Uwsgi(AppServer):
    """The application under uWSGI with a master, which lets workers finish their requests before they end."""

    def command(self) -> Sequence[str]:
        """uWSGI, bound to a loopback port."""
        options = {
            "--http-socket": f"127.0.0.1:{self.port}",
            "--module": "uwsgi_site:app",
            "--virtualenv": sys.prefix,
            "--hook-master-start": "unix_signal:15 gracefully_kill_them_all",
        }
        given = [word for option in options.items() for word in option]
        return [str(BIN / "uwsgi"), "--master", "--need-app", "--disable-logging", *given, *self._arguments]

    def start(self) -> None:
        """Start it and wait for all its workers: else one might serve everything while another is still loading."""
        super().start()
        self._wait_for_workers()

    def stop(self) -> None:
        """Stop it as soon as all its workers obey: one that still loads the application loses the signal."""
        if self._process is not None and self._process.poll() is None:
            self._wait_for_workers()
        super().stop()

    def _wait_for_workers(self) -> None:
        if "--lazy-apps" in self._arguments:
            wait_until(self._all_have_loaded, 10)

    def _all_have_loaded(self) -> bool:
        """Whether each worker that was spawned, or respawned, has said that it has the application."""
        log = self.log()
        return log.count(" ready in ") >= log.count("pawned uWSGI worker ")


class FarEnd(Collector):
    """The real collector, with a file behind it; a restart finds its queue and its file."""

    def __init__(self, folder: Path) -> None:
        super().__init__("file", folder=folder)

    def numbers(self) -> list[int]:
        """The numbers of all spans in its file, of all its lives."""
        found = (span["attributes"].get("flask.g.number") for span in jsonl.spans(self.folder / "telemetry.jsonl"))
        # OTLP's JSON has 64-bit integers as text.
        return [int(number) for number in found if number is not None]


@dataclass
class Traffic:
    """What was served: the numbers of the requests that were answered, and by which processes."""

    served: set[int] = field(default_factory=set)
    pids: set[str] = field(default_factory=set)
    failed: int = 0

    def send(self, port: int, numbers: Iterable[int], *, threads: int = 4, below: str = "") -> None:
        """Ask for these numbers, from several threads, of what is mounted below this path."""
        waiting = iter(numbers)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(waiting, None)
                if number is None:
                    return
                status, body = get(port, f"{below}/buy/{number}")
                with lock:
                    if status == 200:
                        self.served.add(number)
                        self.pids.add(body)
                    else:
                        self.failed += 1

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET; status 0 where nobody answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def numbers(receiver: OtlpReceiver, service: str | None = None) -> list[int]:
    """The numbers of all spans that have arrived, of one service where it is named."""
    found = [span["attributes"].get("flask.g.number") for span in receiver.spans() if _is_of(span, service)]
    return [number for number in found if number is not None]


def counted(receiver: OtlpReceiver, service: str | None = None) -> float:
    """What the counters say, over all processes: the newest point of each."""
    return sum(point["sum"] or 0 for point in receiver.latest("flask.g.amount") if _is_of(point, service))


def _is_of(found: Span | Point, service: str | None) -> bool:
    return service in (None, found["resource"]["service.name"])


def wait_until(done: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait until `done()`; what follows says what is missing where it never comes."""
    deadline = time.monotonic() + timeout_s
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
