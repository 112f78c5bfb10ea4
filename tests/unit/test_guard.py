"""Nothing of ours reaches the application, through whole requests, as in production."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from flask import Flask, g
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from werkzeug.test import Client

from flask_chest_otel import FlaskChest, TrackedVar, _guard, flask_chest
from flask_chest_otel._guard import Refusal, count_refusal, guarded, reraising
from flask_chest_otel._store.store import STORE_FILENAME
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from flask_chest_otel.testing import RequestRecord
    from tests.conftest import Put, Rig

pytestmark = pytest.mark.guard_on


class Raising:
    """Everything that a value may be asked raises."""

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        raise RuntimeError("hash")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Lying(str):
    """A text that lies about itself."""

    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError

    def isprintable(self) -> bool:
        raise RuntimeError


def cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


EVIL: dict[str, Callable[[], Any]] = {
    "raising": Raising,
    "lying": lambda: Lying("x"),
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "huge int": lambda: 10**400,
    "10 MB": lambda: "x" * 10_000_000,
    "surrogate": lambda: "\ud800",
    "controls": lambda: "\x00\x1b[31m\x7f",
    "bytes": lambda: b"\xff\xfe",
    "nested": lambda: {"a": [{"b": {1, 2}}], "password": "hunter2"},
    "cycle": cycle,
    "list of evil": lambda: [Raising()],
    "dict of evil": lambda: {Raising: Raising()},
    "class": lambda: Raising,
    "module": lambda: logging,
    "generator": lambda: (x for x in [1]),
}


def send(app: Flask, path: str = "/") -> RequestRecord:
    with capture(app) as records:
        assert app.test_client().get(path).text == "ok"
    (record,) = records
    return record


@pytest.mark.parametrize("name", EVIL)
def test_evil_values(rig: Rig, put: Put, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Any value becomes a bounded, legal attribute or a refusal; the good ones beside it survive."""
    app = rig.plain()

    @app.route("/")
    def view() -> str:
        g.first, g.evil, g.last = 1, EVIL[name](), "z"
        return "ok"

    put(app, tracked_vars=["first", "evil", "last"])
    record = send(app)
    assert (record.variables["first"], record.variables["last"]) == (1, "z")
    assert rig.tracked()["first"] == 1
    assert rig.tracked()["last"] == "z"
    assert rig.points("flask.g.first")[0].sum == 1
    assert "hunter2" not in repr(record)
    assert len(repr(record.variables.get("evil"))) < 10_000
    if record.refused:
        assert sum(_guard.counts.values()) == 1
    assert not [about for reason, about in _guard.counts if reason != Refusal.VALUE or not about.startswith("evil")]
    caplog.clear()
    encode_spans(rig.spans).SerializeToString()
    assert caplog.messages == []


def test_only_refused_metric(rig: Rig) -> None:
    """NaN, infinity and negatives where they do not belong are counted; their attributes stay."""
    app = rig.app(tracked_vars=["a", TrackedVar("b", metric="counter"), TrackedVar("c", metric="gauge")])

    @app.route("/<value>")
    def view(value: str) -> str:
        g.a = g.b = g.c = float(value)
        return "ok"

    assert set(send(app, "/nan").refused or {}) == {"a", "b", "c"}
    assert set(send(app, "/inf").refused or {}) == {"a", "b", "c"}
    record = send(app, "/-1")
    assert set(record.refused or {}) == {"a", "b"}
    assert dict(record.variables) == {"a": -1.0, "b": -1.0, "c": -1.0}
    assert [point.value for point in rig.points("flask.g.c")] == [-1.0]
    assert rig.points("flask.g.a") == rig.points("flask.g.b") == []
    assert sum(_guard.counts.values()) == 8


def test_each_refusal_is_logged_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A value refused in every request fills the counts, not the log."""
    app = rig.app(tracked_vars=["a"])

    @app.route("/")
    def view() -> str:
        g.a = float("nan")
        return "ok"

    for _ in range(5):
        send(app)
    assert sum(_guard.counts.values()) == 5
    assert len([line for line in caplog.messages if "g.a" in line]) == 1


def test_raising_redaction(rig: Rig) -> None:
    """A failing redaction never lets the raw value through, on any signal."""

    def failing(value: Any) -> Any:
        raise RuntimeError(value)

    app = rig.app(tracked_vars=[TrackedVar("a", redact=failing), "b"])

    @app.route("/")
    def view() -> str:
        g.a, g.b = "hunter2", "fine"
        return "ok"

    record = send(app)
    assert dict(record.variables) == {"b": "fine"}
    assert rig.tracked() == {"b": "fine"}
    assert "hunter2" not in repr(_guard.counts) + repr(record)


REDACTED: list[tuple[str, Any, Any]] = [
    ("password", "auto", "[REDACTED]"),
    ("a", "mask", "[REDACTED]"),
    ("a", "drop", None),
    ("password", None, 7),
    ("a", (lambda value: value + 1), 8),
    ("a", (lambda _value: None), None),
]


@pytest.mark.parametrize(("name", "redact", "expected"), REDACTED)
def test_redaction_end_to_end(rig: Rig, name: str, redact: Any, expected: Any) -> None:
    """Span, metric, dimension and record all hold what redaction made of the value, never the value."""
    app = rig.app(tracked_vars=[TrackedVar(name, redact=redact, dimension=True, metric="histogram"), "other"])

    @app.route("/")
    def view() -> str:
        setattr(g, name, 7)
        g.other = 1
        return "ok"

    record = send(app)
    wanted = {} if expected is None else {name: expected}
    assert dict(record.variables) == {**wanted, "other": 1}
    assert rig.tracked() == {**wanted, "other": 1}
    (other,) = rig.points("flask.g.other")
    assert other.attributes.get(f"flask.g.{name}") == expected
    sums = [point.sum for point in rig.points(f"flask.g.{name}")]
    assert sums == ([expected] if isinstance(expected, int) else [])


def test_hash_redaction(rig: Rig) -> None:
    """A hash is the same for the same value, keyed by the secret, and says nothing."""
    app = rig.app(tracked_vars=[TrackedVar("a", redact="hash")], request_id_secret="s")  # noqa: S106 - a test's

    @app.route("/<value>")
    def view(value: str) -> str:
        g.a = value
        return "ok"

    one, again, two = (send(app, path).variables["a"] for path in ("/x", "/x", "/y"))
    assert one == again != two
    assert len(one) == 16


def test_limits(rig: Rig) -> None:
    """Characters, elements and variables are bounded, on the span as in the record."""
    names = [f"v{number}" for number in range(5)]
    app = rig.app(tracked_vars=["text", "items", *names], value_limit_chars=16, list_limit=3, variables_limit=4)

    @app.route("/")
    def view() -> str:
        g.text, g.items = "x" * 100, list(range(100))
        for name in names:
            setattr(g, name, 1)
        return "ok"

    record = send(app)
    assert dict(record.variables) == {"text": "x" * 16, "items": (0, 1, 2), "v0": 1, "v1": 1}
    assert rig.tracked() == dict(record.variables)
    assert _guard.counts[Refusal.LIMIT, "variables"] == 1


def test_everything_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``*``, names that come from clients cannot fill the process with instruments or plans."""
    monkeypatch.setattr("flask_chest_otel._tracking.plan._MOST_WILD_NAMES", 20)
    app = rig.app(tracked_vars="*")

    @app.route("/<name>")
    def view(name: str) -> str:
        setattr(g, name, 1)
        return "ok"

    client = app.test_client()
    for number in range(50):
        client.get(f"/name{number}")
    client.get("/not an identifier")
    assert len({name for name in rig.metric_names() if name.startswith("flask.g.")}) == 20


class Broken:
    """Every method of a third party's object raises."""

    def __getattr__(self, name: str) -> Any:
        def method(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(name)

        return method


class BrokenSpan(trace.NonRecordingSpan):
    """A span that breaks wherever it is asked to take something."""

    kind = trace.SpanKind.SERVER

    def is_recording(self) -> bool:
        return True

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        raise RuntimeError("set_attributes")


class BrokenTracerProvider(trace.TracerProvider):
    """Its tracers make broken spans; nothing else about it works."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return BrokenTracer()

    @property
    def id_generator(self) -> Any:
        raise RuntimeError("id_generator")

    def add_span_processor(self, processor: Any) -> None:
        raise RuntimeError("add_span_processor")


class BrokenTracer(trace.Tracer):
    """Makes broken spans."""

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return BrokenSpan(trace.SpanContext(1, 2, is_remote=False))

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError


def test_broken_tracer_provider(rig: Rig) -> None:
    """A tracer provider that raises costs the span's attributes; id, metrics, record and answer stay."""
    app = rig.app(tracer_provider=BrokenTracerProvider(), tracked_vars=["a"], chests=["x"])

    @app.route("/")
    @flask_chest(chests=["x"])
    def view() -> str:
        g.a = 1
        return "ok"

    with capture(app) as records:
        response = app.test_client().get("/", headers={"X-Request-ID": "r-1"})
    assert (response.text, response.headers["X-Request-ID"]) == ("ok", "r-1")
    assert dict(records[0].variables) == {"a": 1}
    assert rig.points("flask.g.a")[0].sum == 1
    assert any(str(step).startswith("span") for step, _ in _guard.counts)


class BrokenMeter(metrics.NoOpMeter):
    """Its instruments raise."""

    def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
        return Broken()


class BrokenMeterProvider(metrics.MeterProvider):
    """Hands out broken meters, or breaks at once."""

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once

    def get_meter(self, *args: Any, **kwargs: Any) -> metrics.Meter:
        if self.at_once:
            return Broken()  # type: ignore[return-value]  # the point
        return BrokenMeter("broken")


@pytest.mark.parametrize("at_once", [True, False])
def test_broken_meter_provider(rig: Rig, at_once: bool) -> None:
    """A meter provider that raises costs the metrics; span, record and answer stay."""
    app = rig.app(meter_provider=BrokenMeterProvider(at_once=at_once), tracked_vars=["a"], server_span=None)

    @app.route("/")
    def view() -> str:
        g.a = 1
        return "ok"

    with rig.tracer_provider.get_tracer("x").start_as_current_span("outer", kind=trace.SpanKind.SERVER):
        record = send(app)
    assert dict(record.variables) == {"a": 1}
    assert rig.tracked() == {"a": 1}
    own = {("own metrics", "RuntimeError"): 1} if at_once else {}
    assert _guard.counts == {("metrics", "RuntimeError"): 1, **own}


def test_export_that_cannot_start(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names an unknown exporter costs the export, once; requests keep ids and answers."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "no_such_exporter")
    app = rig.plain()
    FlaskChest(app, tracked_vars=["a"], export="otlp")

    @app.route("/")
    def view() -> str:
        g.a = 1
        return "ok"

    # Not inside a capture, which exports nothing.
    assert "X-Request-ID" in app.test_client().get("/").headers
    for _ in range(3):
        assert dict(send(app).variables) == {"a": 1}
    assert _guard.counts == {("export", "ChestConfigError"): 1}


class FailingChest:
    """A direct chest that breaks its contract."""

    name = "failing"

    def put(self, record: RequestRecord) -> None:
        raise RuntimeError

    def flush(self, timeout_s: float) -> bool:
        return True

    def close(self, timeout_s: float) -> bool:
        return True


def test_failing_chest(rig: Rig) -> None:
    """A direct chest whose ``put`` raises does not take the request along."""
    app = rig.app(chests=[FailingChest()], tracked_vars=["a"])

    @app.route("/")
    def view() -> str:
        g.a = 1
        return "ok"

    assert dict(send(app).variables) == {"a": 1}
    assert rig.tracked() == {"a": 1}
    assert sum(_guard.counts.values()) == 1


def test_valid_wsgi(rig: Rig, put: Put) -> None:
    """Under the reference validator nothing we do breaks the WSGI contract."""
    app = rig.plain()
    app.add_url_rule("/", "view", lambda: "ok")
    app.add_url_rule("/stream", "stream", lambda: (part for part in ("o", "k")))
    put(app, tracked_vars=["a"])
    client = Client(validator(app))
    for path in ("/", "/stream"):
        response = client.get(path, headers={"X-Request-ID": "r-1"}, query_string="a=b")
        assert response.text == "ok"
        response.close()
    client.get("/missing").close()


def test_a_log_that_needs_a_request(unlogged: logging.Logger, tmp_path: Path) -> None:
    """What raises in the application's logging costs lines of ours: the first request is served, and kept."""
    with pytest.raises(RuntimeError, match="outside of request context"):
        unlogged.info("so it does")
    app = Flask(__name__, instance_path=str(tmp_path))
    chest = FlaskChest(app, tracked_vars=["a"], export="store")
    app.add_url_rule("/", "view", lambda: "ok")
    assert [app.test_client().get("/").text for _ in range(3)] == ["ok"] * 3
    assert chest.force_flush()
    with closing(sqlite3.connect(tmp_path / STORE_FILENAME)) as store:
        assert store.execute("SELECT count(*) FROM chest_requests").fetchone() == (3,)
    count_refusal(Refusal.VALUE, "kind", "a refusal")
    _guard.report_error("step", ValueError())
    assert _guard.counts == {(Refusal.VALUE, "kind"): 1, ("step", "ValueError"): 1}


def test_guard_as_decorator_and_context() -> None:
    """Exceptions are swallowed and counted; what is no Exception passes; in tests everything does."""

    @guarded("step")
    def failing(error: BaseException) -> None:
        raise error

    assert failing(ValueError()) is None
    with guarded("step"):
        raise ValueError
    assert _guard.counts == {("step", "ValueError"): 2}
    with pytest.raises(KeyboardInterrupt):
        failing(KeyboardInterrupt())
    with reraising():
        with pytest.raises(ValueError, match="out"):
            failing(ValueError("out"))
        with pytest.raises(ValueError, match="out"), guarded("step"):
            raise ValueError("out")


def test_note_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first refusal of a kind is logged, with its arguments; all are counted."""
    count_refusal(Refusal.VALUE, "kind", "100%% of %s", "it")
    count_refusal(Refusal.VALUE, "kind", "100%% of %s", "it")
    assert _guard.counts[Refusal.VALUE, "kind"] == 2
    assert caplog.messages == ["100% of it (logged once, counted from now on)"]
