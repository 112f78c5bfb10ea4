"""Events of Flask-SocketIO under ``opentelemetry-instrument``: what a real client sees, and what is told of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps.applications import APPLICATIONS
from tests.apps.driving import PROGRAMS, Running
from tests.apps.environments import bin_of
from tests.apps.test_applications import CHOSEN
from tests.backends.otlp_receiver import OtlpReceiver
from tests.faults.served import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apps.driving import Mode
    from tests.backends.otlp_receiver import Point, Span

NAMES = [name for name in ("flask-socketio-threading", "flask-socketio-gevent") if name in CHOSEN]
TRANSPORTS = ("polling", "websocket")

SEEN = [
    ["ordered", 6],
    ["order", 9],
    ["made-up", "made-up"],
    ["lenient", "sorry: sold out"],
    ["thanked", True],
    ["refused", {"message": "no token in {'token': None}"}],
    ["not connected"],
]
"""What the client sees, beside the transport."""

TOLD: dict[str, tuple[int, dict[str, object], set[str]]] = {
    "connect": (200, {"pieces": 0}, set()),
    "order": (200, {"pieces": 3}, set()),
    "broken": (500, {"pieces": 5}, {"LookupError"}),
    "*": (200, {}, set()),
    "/lenient order": (500, {}, {"LookupError"}),
    "question": (200, {}, set()),
    "(callback)": (200, {"pieces": 7}, set()),
    "disconnect": (200, {"pieces": 9}, set()),
    "/closed connect": (403, {}, set()),
}
"""Each event of one client: its status, its variables, and what was raised in it."""


@dataclass
class Life:
    """What came of one life of the application, with one client for each transport."""

    seen: dict[str, list[Any]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    log: str = ""
    status: int | None = None

    def noise(self) -> list[str]:
        """Lines about instrumentation; frames in tracebacks of the application are none."""
        about = re.compile(r"^(?!\s+File).*(?:flask_chest|opentelemetry|otel)", re.IGNORECASE | re.MULTILINE)
        return about.findall(self.log)

    def records(self) -> list[dict[str, Any]]:
        """Its lines about finished requests and events: a record each."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["method"] == "SOCKETIO"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("socketio")


@cache
def _once(name: str, mode: Mode, folder: Path) -> Life:
    life = Life()
    application = replace(APPLICATIONS[name], instrumented={"FLASK_CHEST_REQUEST_LOG": "json"})
    with OtlpReceiver() as receiver:
        running = Running(folder / f"{name}-{mode}", application, mode, receiver)
        running.start()
        try:
            for transport in TRANSPORTS:
                life.seen[transport] = _client(application.environment, running.port, transport)
            if mode != "alone":
                events = len(TRANSPORTS) * len(TOLD)
                wait_until(lambda: len([span for span in receiver.spans() if span["kind"] == "consumer"]) >= events)
                wait_until(lambda: sum(point["count"] or 0 for point in receiver.latest("flask.g.pieces")) >= 10)
                life.points = receiver.latest("flask.g.pieces")
        finally:
            life.status = running.end()
            life.log = running.log()
        life.spans = receiver.spans()
    return life


def _client(environment: str, port: int, transport: str) -> list[Any]:
    command = [str(bin_of(environment) / "python"), str(PROGRAMS / "socketio_client.py"), str(port), transport]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    seen: list[Any] = json.loads(done.stdout)
    return seen


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def alone(name: str, folder: Path) -> Life:
    """The life without instrumentation."""
    return _once(name, "alone", folder)


@pytest.fixture(params=["chest", "upstream"])
def instrumented(name: str, folder: Path, request: pytest.FixtureRequest) -> Life:
    """The life with this package's own server span, and the one with upstream's."""
    return _once(name, request.param, folder)


def test_clients_see_the_same(alone: Life, instrumented: Life) -> None:
    """Answers, acknowledgements and refusals are those without instrumentation, over both transports."""
    for transport in TRANSPORTS:
        first, *_ = [seen for seen in alone.seen[transport] if seen[0] == "transport"]
        assert first == ["transport", transport]
        # An event and an acknowledgement may change places.
        assert sorted(alone.seen[transport]) == sorted([*SEEN, first])
        assert sorted(instrumented.seen[transport]) == sorted(alone.seen[transport])
    assert instrumented.status == alone.status
    assert sorted(_tracebacks(instrumented)) == sorted(_tracebacks(alone))
    assert instrumented.noise() == []


def _tracebacks(life: Life) -> list[str]:
    return re.findall(r"^(\w*Error: .*)$", life.log, re.MULTILINE)


def test_one_span_for_each_event(instrumented: Life) -> None:
    """Each event has one span, in a trace of its own, with its variables and what was raised."""
    spans = [span for span in instrumented.spans if span["kind"] == "consumer"]
    assert Counter(span["name"] for span in spans) == {f"socketio {name}": len(TRANSPORTS) for name in TOLD}
    assert len({span["trace_id"] for span in spans}) == len(spans)
    for span in spans:
        _, variables, raised = TOLD[span["name"].removeprefix("socketio ")]
        attributes = span["attributes"]
        assert attributes["messaging.system"] == "socket.io"
        assert {key[8:]: value for key, value in attributes.items() if key.startswith("flask.g.")} == variables
        assert {event["attributes"]["exception.type"] for event in span["events"]} == raised
    assert [span for span in instrumented.spans if span["kind"] == "server" and "socket.io" in str(span)] == []


def test_one_record_for_each_event(instrumented: Life) -> None:
    """Each event has one record, with the trace of its span, its status and its variables."""
    records = instrumented.records()
    assert Counter(record["route"] for record in records) == dict.fromkeys(TOLD, len(TRANSPORTS))
    traces = {span["trace_id"]: span["name"] for span in instrumented.spans if span["kind"] == "consumer"}
    for record in records:
        status, variables, _ = TOLD[record["route"]]
        assert (record["status"], record["variables"]) == (status, variables), record
        assert traces[record["trace_id"]] == f"socketio {record['route']}"


def test_metrics_by_event(instrumented: Life) -> None:
    """A variable's metric has a point for each event that sets it."""
    counted = {
        (point["attributes"]["messaging.destination.name"], point["attributes"]["messaging.socket.io.event_name"]): (
            point["count"]
        )
        for point in instrumented.points
    }
    names = {name for name, (_, variables, _) in TOLD.items() if variables}
    assert counted == {("/", name): len(TRANSPORTS) for name in names}
