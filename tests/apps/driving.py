"""Starts one application with or without instrumentation, asks it, and keeps what it answered, said and exported."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import requests

from tests.apps.environments import bin_of
from tests.apps.websocket import talk
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.server import Server, free_port
from tests.faults.served import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apps.applications import Application, Ask
    from tests.backends.otlp_receiver import Point, Span

    Mode = Literal["alone", "chest", "upstream"]

__all__ = ["Answer", "Run", "run"]

PROGRAMS = Path(__file__).parent / "programs"

_VARY = (
    r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT",
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}[\d.:+Z]*",
    r"r-(alone|chest|upstream)-\d+",
)
"""What differs from run to run in every application: dates, and the ids that the requests bring."""


_OWN_SPAN = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask", "FLASK_CHEST_SERVER_SPAN": "chest"}


@dataclass(frozen=True)
class Answer:
    """What a client got.

    Attributes:
        status: The status code; 101 of a web socket.
        headers: Names and values, sorted; without what differs from run to run.
        body: The body, or all messages of a web socket, without what differs from run to run.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass
class Run:
    """What came of one run of an application.

    Attributes:
        mode: Whether it is instrumented, and whose the server spans are.
        answers: In the order of the requests.
        spans: Its server spans by request id, in the order of the requests.
        others: Server spans that belong to none of the requests; those that ddtrace exports itself are not among them.
        durations: The newest points of the duration metric.
        log: What the application has written.
        status: The exit status after SIGTERM.
        ended_s: How long it took to end.
    """

    mode: Mode
    answers: list[Answer] = field(default_factory=list)
    spans: list[list[Span]] = field(default_factory=list)
    others: list[Span] = field(default_factory=list)
    durations: list[Point] = field(default_factory=list)
    log: str = ""
    status: int | None = None

    def noise(self) -> list[str]:
        """Lines about instrumentation; frames in tracebacks of the application are none."""
        about = re.compile("flask_chest|opentelemetry|otel", re.IGNORECASE)
        return [line for line in self.log.splitlines() if about.search(line) and not re.match(r'\s+File "', line)]

    def tracebacks(self) -> Counter[str]:
        """The last lines of tracebacks in its log: what was raised."""
        return Counter(re.findall(r"^Traceback .*\n(?:[ \t].*\n)+(\S.*)", self.log, re.MULTILINE))


class Running(Server):
    """One application on a loopback port, as its own documentation starts it."""

    stop_within_s = 15.0
    ready_within_s = 180.0  # MLflow imports for ten seconds of a core that has nothing else to do

    def __init__(self, folder: Path, application: Application, mode: Mode, receiver: OtlpReceiver) -> None:
        self.port = free_port()
        self._application = application
        self._mode = mode
        self._bin = bin_of(application.environment)
        instrumented = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": application.name,
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_LOGS_EXPORTER": "none",
            **(_OWN_SPAN if mode == "chest" else {}),
            "FLASK_CHEST_TRACKED_VARS": application.tracked,
            **application.instrumented,
        }
        # Flask's Allow header has the order of a set.
        plain = {"PYTHONPATH": str(PROGRAMS), "PYTHONHASHSEED": "0", "HOME": str(folder)}
        plain["PATH"] = f"{self._bin}:/usr/bin:/bin"
        settings = {name: self._filled(value, folder) for name, value in application.settings.items()}
        super().__init__(folder, plain | settings | (instrumented if mode != "alone" else {}))

    def prepare(self) -> None:
        """What is done once, before the first start."""
        for command in self._application.prepare:
            filled = [self._filled(word, self.folder) for word in command]
            subprocess.run(filled, cwd=self.folder, env=self.env, check=True, capture_output=True)

    def command(self) -> Sequence[str]:
        """The application's own command, under ``opentelemetry-instrument`` if it is instrumented."""
        own = [self._filled(word, self.folder) for word in self._application.command]
        own[0] = str(self._bin / own[0])
        return own if self._mode == "alone" else [str(self._bin / "opentelemetry-instrument"), *own]

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            url = f"http://127.0.0.1:{self.port}{self._application.ready}"
            return requests.get(url, timeout=2.0, allow_redirects=False).status_code > 0
        except requests.RequestException:
            return False

    def end(self) -> int | None:
        """Stop it with SIGTERM; the exit status."""
        process = self._process
        self.stop()
        return process.returncode if process is not None else None

    def _filled(self, word: str, folder: Path) -> str:
        return word.format(port=self.port, folder=folder, programs=PROGRAMS)


def run(application: Application, mode: Mode, folder: Path) -> Run:
    """One life of an application: start, requests, SIGTERM."""
    found = Run(mode)
    with OtlpReceiver() as receiver:
        running = Running(folder, application, mode, receiver)
        running.prepare()
        running.start()
        ids = [f"r-{mode}-{number}" for number in range(len(application.asks))]
        try:
            client = _Client(application, running.port)
            found.answers = [client.ask(ask, id_) for ask, id_ in zip(application.asks, ids, strict=True)]
            if mode != "alone":
                seen = {id_ for id_, ask in zip(ids, application.asks, strict=True) if ask.reaches}
                wait_until(lambda: seen <= {_id_of(span) for span in receiver.spans()})
                sockets = len([ask for ask in application.asks if ask.reaches and ask.says])
                found.durations = _durations(receiver, sockets, 2 if application.around else 1)
        finally:
            found.status = running.end()
            found.log = running.log()
        spans = receiver.spans()
    found.spans = [[span for span in spans if _id_of(span) == id_ and span["kind"] == "server"] for id_ in ids]
    servers = [span for span in spans if span["kind"] == "server" and span["scope"]]
    found.others = [span for span in servers if _id_of(span) not in ids]
    return found


def _durations(receiver: OtlpReceiver, sockets: int, times: int) -> list[Point]:
    """The points of the duration metric, as soon as all requests with a span but sockets are in them so many times."""
    name = "http.server.request.duration"

    def count() -> int:
        return len([span for span in receiver.spans() if span["kind"] == "server" and span["scope"]]) - sockets

    wait_until(lambda: sum(point["count"] or 0 for point in receiver.latest(name)) >= times * count(), 5.0)
    return receiver.latest(name)


def _id_of(span: Span) -> str | None:
    found: str | None = span["attributes"].get("flask.request_id")
    return found


class _Client:
    """Like a browser: it keeps cookies, and finds the token of a form in the page before it."""

    def __init__(self, application: Application, port: int) -> None:
        self._application = application
        self._port = port
        self._session = requests.Session()
        self._session.trust_env = False
        self._token = ""

    def ask(self, ask: Ask, request_id: str) -> Answer:
        """Send one request and read its whole answer."""
        headers = {"X-Request-ID": request_id, "Accept-Encoding": "identity", **ask.headers}
        path = ask.path.replace("{token}", self._token)
        if ask.says:
            status, said = talk(self._port, path, ask.says, headers, self._heard)
            return Answer(status, (), self._plain("\n".join(said)))
        body = ask.body.replace("{token}", self._token).encode() if ask.body is not None else None
        url = f"http://127.0.0.1:{self._port}{path}"
        got = self._session.request(ask.method, url, data=body, headers=headers, allow_redirects=False, timeout=30)
        self._heard(got.text)
        kept = sorted((name.lower(), value) for name, value in got.headers.items())
        named = tuple((name, self._plain(value)) for name, value in kept if name not in ("date", "content-length"))
        return Answer(got.status_code, named, self._plain(got.text))

    def _heard(self, text: str) -> None:
        token = re.search(self._application.hidden, text) if self._application.hidden else None
        if token is not None:
            self._token = token[1]

    def _plain(self, text: str) -> str:
        for pattern in (*_VARY, rf"127\.0\.0\.1:{self._port}", *self._application.vary):
            text = re.sub(pattern, "…", text)
        return text
