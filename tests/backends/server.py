"""One real server as a child process: its folder, its port, when it is ready, how it stops, what it said."""

from __future__ import annotations

import os
import random
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

LOG_LINES = 30
"""How many lines of a dead server's log an error message shows."""

FIRST_PORT = 16_000
"""Where the ports of test servers begin: above the default ports of the collector's configuration."""

PORTS_OF_A_CLAIM = 64

_claims: list[socket.socket] = []
_ports: list[int] = []
_random = random.SystemRandom()  # processes that run side by side choose differently, whoever seeds the others


class ServerError(RuntimeError):
    """A server did not start, died, or answered with an error; the message ends with its log."""


def free_port() -> int:
    """Return a loopback port that nothing listens on and that no test process has given out and may use still.

    It lies below the ports that the system gives to connections: a server that is restarted finds it free again.
    """
    while True:
        if not _ports:
            _ports.extend(_claimed())
        port = _ports.pop()
        with socket.socket() as probe:
            # As servers do: ended connections to an earlier listener do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _claimed() -> range:
    """Claim ports that lie side by side for this process alone.

    The claim is the first of them, bound for UDP as long as the process lives. To ask whether a port is free is not
    enough: another process may have given it to a server that does not listen yet, or to a test where nobody may.
    """
    while True:
        first = _random.randrange(FIRST_PORT, _first_of_connections() - PORTS_OF_A_CLAIM, PORTS_OF_A_CLAIM)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return range(first, first + PORTS_OF_A_CLAIM)


def _first_of_connections() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except FileNotFoundError:
        return 32_768  # Linux's default


def request(
    url: str,
    body: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    timeout_s: float = 10.0,
    trusted: Path | None = None,
) -> tuple[int, bytes]:
    """Send one HTTP request; return status and body, also of an error; status 0 when nobody answered.

    Args:
        url: Where to.
        body: What to send, with POST; without it, GET.
        headers: What else to send.
        method: Another one than these.
        timeout_s: How long to wait.
        trusted: The certificate of an authority that is trusted in place of the machine's.
    """
    message = urllib.request.Request(url, body, dict(headers or {}), method=method)
    opener = _direct if trusted is None else _opener(ssl.create_default_context(cafile=trusted))
    try:
        with opener.open(message, timeout=timeout_s) as answer:
            return int(answer.status), bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


def _opener(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    # Proxies of the environment are for the world outside: loopback addresses must not go there.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


_direct = _opener()


class Server:
    """A server process with everything it writes in one folder; a context manager.

    It may be stopped and started again: the folder and the ports stay, as on a machine that reboots.

    Subclasses say how it is started (`command`) and when it is ready (`is_ready`).

    Attributes:
        folder: Where its data and its log (`server.log`) lie.
        env: Its environment, on top of a plain one: nothing of the caller's settings gets in.
    """

    stop_signal = signal.SIGTERM
    ready_within_s = 30.0
    stop_within_s = 20.0

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Return the command line that starts it."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Return whether it can be used."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise ServerError(f"{self} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            ServerError: It died or was not ready in time.
        """
        plain = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", "LANG") if name in os.environ}
        # An outbox is shared by all processes of a service, also by those of another test run.
        plain["XDG_STATE_HOME"] = str(self.folder / "state")
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=plain | self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + self.ready_within_s
        while not self.is_ready():
            if self._process.poll() is not None:
                raise self._error(f"died at start with status {self._process.returncode}")
            if time.monotonic() > deadline:
                self.kill9()
                raise self._error(f"was not ready after {self.ready_within_s} s")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as its documentation wants it; do nothing when it does not run.

        Raises:
            ServerError: It had died before, or had to be killed.
        """
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is not None:
            raise self._error(f"had died with status {process.returncode}")
        process.send_signal(self.stop_signal)
        try:
            process.wait(self.stop_within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise self._error(f"did not stop within {self.stop_within_s} s") from None

    def kill9(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory is short: it gets no chance to tidy up."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def log(self) -> str:
        """Return all that it has said since the folder was made."""
        return (self.folder / "server.log").read_text(errors="replace")

    def _error(self, what: str) -> ServerError:
        tail = "\n".join(self.log().splitlines()[-LOG_LINES:])
        return ServerError(f"{self} {what}. The end of its log:\n{tail}")

    def __str__(self) -> str:
        return f"{type(self).__name__} in {self.folder}"
