"""Real databases and a real HTTP server, and records to put into chests that write there."""

from __future__ import annotations

import itertools
import json
import os
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.backends import mariadb as mariadb_module
from tests.backends import postgresql as postgresql_module
from tests.backends import records
from tests.backends.certificates import certificate as make_certificate
from tests.backends.ferretdb import FerretDB
from tests.backends.mariadb import MariaDB
from tests.backends.postgresql import PostgreSQL
from tests.backends.require import MissingError, missing, require_built

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_chest_otel._records.record import RequestRecord

ROOT = Path(__file__).parents[3]

Database = TypeVar("Database", PostgreSQL, MariaDB)

_numbers = itertools.count()


@pytest.fixture
def prefix() -> str:
    """A table prefix or collection name of this test's own."""
    return f"t{next(_numbers)}_"


@pytest.fixture
def make_record() -> Callable[..., RequestRecord]:
    """Makes a record that no other test made; keywords change fields of it."""
    return records.make_record


@contextmanager
def _running(check_installed: Callable[[], None], make: Callable[[], Database]) -> Iterator[Database]:
    try:
        check_installed()
    except MissingError as error:
        missing(str(error))
    server = make()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL, shared: tests use prefixes of their own."""
    with _running(postgresql_module.check_installed, PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A running MariaDB, shared: tests use prefixes of their own."""
    with _running(mariadb_module.check_installed, MariaDB) as server:
        yield server


@pytest.fixture(scope="session")
def ferretdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FerretDB]:
    """A running FerretDB, shared: tests use collections of their own."""
    require_built("ferretdb")
    with FerretDB(tmp_path_factory.mktemp("ferretdb")) as server:
        yield server


class Ingest:
    """A real HTTP server that keeps what is posted and answers what it is told to.

    Attributes:
        posts: Body (as JSON), path and headers of each post.
        answers: Status codes of the next answers; 200 when it is empty.
        retry_after: What answers that are no success say in the header of that name; nothing where it is empty.
        times: When each post came, on the monotonic clock.
        drip_s: Pause after each byte of an answer's body, seconds; then it is long.
        port: Where it listens.
    """

    def __init__(self, port: int = 0, certificate: Path | None = None) -> None:
        self.posts: list[tuple[Any, str, dict[str, str]]] = []
        self.answers: list[int] = []
        self.retry_after = ""
        self.times: list[float] = []
        self.drip_s = 0.0
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = ingest.answers.pop(0) if ingest.answers else 200
                ingest.times.append(time.monotonic())
                ingest.posts.append((json.loads(body), self.path, dict(self.headers)))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                if status != 200 and ingest.retry_after:
                    self.send_header("Retry-After", ingest.retry_after)
                size = 1000 if ingest.drip_s else 2
                self.send_header("Content-Length", str(size))
                self.end_headers()
                with suppress(OSError):  # who waits for the rest may have gone
                    for byte in b"OK" * (size // 2):
                        self.wfile.write(bytes([byte]))
                        time.sleep(ingest.drip_s)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    """An HTTP server of this test's own."""
    server = Ingest()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that nobody has signed, with its key in the same file."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), "IP:127.0.0.1")


@contextmanager
def python(script: str, *arguments: object, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a Python script as a process of its own; what is left of it is killed."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    process = subprocess.Popen(
        [sys.executable, str(path), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until something is true."""

    def wait(condition: Callable[[], bool], within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "did not become true"
            time.sleep(0.05)

    return wait
