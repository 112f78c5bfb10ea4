"""``flask chest collector resend``: lines that are cut off, runs that are killed or at once, servers that are gone."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flask_chest_otel._cli.collector import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


class Target(ThreadingHTTPServer):
    """A server that takes all but what it dislikes, and can be made to hold its answers back."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: list[bytes] = []
        self.users: list[str | None] = []
        self.dislikes = b"nothing"
        self.hangs_at: bytes | None = None
        self.answers = threading.Event()
        self.address = f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Target

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(body)
        self.server.users.append(self.headers["Authorization"])
        if self.server.hangs_at is not None and self.server.hangs_at in body:
            self.server.answers.wait(20)
        self.send_response(400 if self.server.dislikes in body else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output readable."""


@pytest.fixture
def target() -> Iterator[Target]:
    """A server that takes what is sent again."""
    with Target() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.answers.set()
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with what targets refused."""
    monkeypatch.setenv("CHEST_REFUSED_DIR", str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_REMOTE_WRITE_URL", f"http://{target.address}/api/v1/write")
    return tmp_path


def letter(body: str, exporter: str = "prometheus_remote_write") -> bytes:
    """Return a line as the collector's guard writes it."""
    found = {"time": "2026-01-01T00:00:00Z", "exporter": exporter, "url": "http://127.0.0.1:1/api/v1/write"}
    content = {**found, "status": 400, "answer": '{"time":"', "body": base64.b64encode(body.encode()).decode()}
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def kept(folder: Path) -> bytes:
    """Return what the files hold, whatever their names are."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def resend() -> Result:
    """Run the command."""
    return CliRunner().invoke(command, ["resend"])


@contextmanager
def running(target: Target, *, hangs_at: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in a process, until the target has a request that it does not answer before the end."""
    target.hangs_at = hangs_at
    # Where the tests run in the background of a shell, their processes inherit that SIGINT is ignored.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from flask_chest_otel._cli.collector import command; command(['resend'])"
    )
    with subprocess.Popen([sys.executable, "-c", script], env=dict(os.environ)) as process:
        until = time.monotonic() + 20
        while hangs_at not in target.came and time.monotonic() < until:
            time.sleep(0.01)
        yield process
        target.answers.set()


@pytest.mark.process
def test_what_a_killed_run_left_is_sent(folder: Path, target: Target) -> None:
    """A run that is killed loses nothing: the next one sends its requests, and those that came meanwhile."""
    (folder / "refused.jsonl").write_bytes(letter("first") + letter("second"))
    with running(target, hangs_at=b"first") as process:
        process.kill()
        process.wait()
    target.came.clear()
    (folder / "refused.jsonl").write_bytes(letter("third"))
    done = resend()
    assert (done.exit_code, target.came) == (0, [b"first", b"second", b"third"])
    assert kept(folder) == b""


@pytest.mark.process
def test_an_interrupted_run_keeps_what_it_has_not_sent(folder: Path, target: Target) -> None:
    """After Ctrl-C, the next run sends what was refused, the request whose answer was awaited, and those behind it."""
    (folder / "refused.jsonl").write_bytes(b"".join(letter(f"{number}") for number in range(4)))
    target.dislikes = b"0"
    with running(target, hangs_at=b"2") as process:
        process.send_signal(signal.SIGINT)
        process.wait()
    assert kept(folder) == letter("0") + letter("2") + letter("3")


@pytest.mark.process
def test_two_runs_at_once(folder: Path, target: Target) -> None:
    """A second run says that one is running, and changes nothing; each request is sent once."""
    (folder / "refused.jsonl").write_bytes(letter("first") + letter("second"))
    with running(target, hangs_at=b"first") as process:
        (folder / "refused.jsonl").write_bytes(letter("third"))
        second = resend()
        target.answers.set()
        process.wait()
    assert (second.exit_code, process.returncode) == (1, 0)
    assert "Another" in second.output
    assert resend().exit_code == 0
    assert target.came == [b"first", b"second", b"third"]


def test_a_line_that_is_cut_off(folder: Path, target: Target) -> None:
    """A line that is cut off stays, is told, spoils no other line, and is not counted as sent."""
    (folder / "refused.jsonl").write_bytes(letter("first") + letter("second")[:90])
    done = resend()
    assert done.exit_code == 1
    assert "Sent again: 1. Refused again, and still kept: 1." in done.output
    assert "refused.jsonl" in done.output
    with (folder / "refused.jsonl").open("ab") as file:  # as the collector goes on
        file.write(letter("third"))
    assert resend().exit_code == 1
    assert target.came == [b"first", b"third"]
    assert kept(folder) == letter("second")[:90] + b"\n"


def test_a_line_behind_one_that_was_cut_off(folder: Path, target: Target) -> None:
    """A request behind half a line, as a full disk leaves it, is sent; the half stays."""
    (folder / "refused.jsonl").write_bytes(letter("first")[:90] + letter("second") + letter("third"))
    assert resend().exit_code == 1
    assert target.came == [b"second", b"third"]
    assert kept(folder) == letter("first")[:90] + b"\n"


@pytest.mark.parametrize(
    "line", [b"7\n", b"[]\n", b"{}\n", b'{"exporter": 7}\n', b"\xff\xfe\n", b'{"exporter":"zipkin"}\n']
)
def test_a_line_of_somebody_else(line: bytes, folder: Path, target: Target) -> None:
    """A line that the collector did not write stays, is told, and stops nothing."""
    (folder / "refused.jsonl").write_bytes(line + letter("first"))
    done = resend()
    assert (done.exit_code, target.came) == (1, [b"first"])
    assert "Traceback" not in done.output
    assert kept(folder) == line


def test_a_user_in_the_address(folder: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password in an address are sent as the collector sends them, and are never shown."""
    monkeypatch.setenv("PROMETHEUS_REMOTE_WRITE_URL", f"http://me:s%2Fcret@{target.address}/api/v1/write")
    (folder / "refused.jsonl").write_bytes(letter("first"))
    done = resend()
    assert (done.exit_code, target.came) == (0, [b"first"])
    assert target.users == ["Basic " + base64.b64encode(b"me:s/cret").decode()]
    assert "cret" not in done.output


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:1/x", "http://127.0.0.1:nonsense/x", "nonsense"])
def test_a_server_that_cannot_be_reached(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be sent stays; its server is asked once in a run, and the line has no password."""
    monkeypatch.setenv("PROMETHEUS_REMOTE_WRITE_URL", address)
    (folder / "refused.jsonl").write_bytes(letter("first") * 3)
    done = resend()
    assert done.exit_code == 1
    assert "Sent again: 0. Refused again, and still kept: 3." in done.output
    assert done.output.count("prometheus_remote_write: not sent") == 1
    assert "secret" not in done.output
    assert kept(folder) == letter("first") * 3


@pytest.mark.process
def test_a_huge_file_takes_little_memory(folder: Path, target: Target) -> None:
    """A file of 120 MiB is read a line at a time: the command takes no more memory than for a small one."""
    line = letter("x" * 3_000_000)
    with (folder / "refused.jsonl").open("wb") as file:
        for _ in range(30):
            file.write(line)
    script = (
        "from flask_chest_otel._cli.collector import command\n"
        "command(['resend'], standalone_mode=False)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), stdout=subprocess.PIPE, check=True)
    assert len(target.came) == 30
    assert int(done.stdout.split()[-1]) < 160 * 1024


def test_what_is_refused_again_stays_in_its_order(folder: Path, target: Target) -> None:
    """Of both files, the older one first, what is refused again stays, in its order."""
    target.dislikes = b"bad"
    (folder / "refused.1.jsonl").write_bytes(letter("bad 1") + letter("good 1"))
    (folder / "refused.jsonl").write_bytes(letter("good 2") + letter("bad 2"))
    assert resend().exit_code == 1
    assert target.came == [b"bad 1", b"good 1", b"good 2", b"bad 2"]
    assert kept(folder) == letter("bad 1") + letter("bad 2")
