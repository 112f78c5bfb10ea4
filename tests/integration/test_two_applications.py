"""Two applications in one process: each exports under its own name, whichever comes first."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.backends.outbox import kept
from tests.backends.require import require_module
from tests.backends.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver

PRELUDE = """
import os
from flask import Flask, g
from opentelemetry import metrics, trace
from flask_chest_otel import FlaskChest, TrackedVar

by_hand = trace.get_tracer("shared.library")

def make(name, **options):
    app = Flask(name, instance_path=os.getcwd())
    chest = FlaskChest(app, tracked_vars=["a", TrackedVar("n", metric="counter")], **options)

    @app.route("/")
    def view():
        g.a, g.n = 1, 1
        with by_hand.start_as_current_span("by hand"):
            return name

    return app, chest

one, chest_one = make("one", **OPTIONS_ONE)
two, chest_two = make("two", **OPTIONS_TWO)

def flush():
    assert trace.get_tracer_provider().force_flush()
    assert metrics.get_meter_provider().force_flush()
"""


@pytest.fixture
def run(run_python: Callable[..., str], receiver: OtlpReceiver, tmp_path: Path) -> Callable[..., str]:
    """Run code with both applications, which export to the receiver."""

    def run_both(
        code: str, *, one: str = "dict(export='otlp')", two: str = "dict(export='otlp')", **environ: str
    ) -> str:
        options = f"OPTIONS_ONE = {one}\nOPTIONS_TWO = {two}\n"
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "XDG_STATE_HOME": str(tmp_path / "state"), **environ}
        return run_python(options + PRELUDE + code, given)

    return run_both


def spans_by_service(receiver: OtlpReceiver, kind: str = "server") -> Counter[str]:
    return Counter(span["resource"]["service.name"] for span in receiver.spans() if span["kind"] == kind)


def sums_by_service(receiver: OtlpReceiver, name: str = "flask.g.n") -> dict[str, float]:
    found: Counter[str] = Counter()
    for point in receiver.latest(name):
        found[point["resource"]["service.name"]] += int(point["sum"] or 0)
    return dict(found)


def served_by_service(receiver: OtlpReceiver) -> dict[str, int]:
    found: Counter[str] = Counter()
    for point in receiver.latest("http.server.request.duration"):
        found[point["resource"]["service.name"]] += point["count"] or 0
    return dict(found)


BOTH = """
for _ in range(3):
    assert one.test_client().get("/").text == "one"
for _ in range(5):
    assert two.test_client().get("/").text == "two"
"""


@pytest.mark.parametrize(
    "end",
    [
        "flush()",
        "trace.get_tracer_provider().shutdown(); metrics.get_meter_provider().shutdown()",
        "from flask_chest_otel.servers import end_worker; end_worker()",
        "assert chest_two.force_flush(10); assert chest_one.force_flush(10)",
        "",
    ],
    ids=["flush", "shutdown", "end of a worker", "the applications' flush", "end of the process"],
)
def test_each_under_its_own_name(run: Callable[..., str], receiver: OtlpReceiver, end: str) -> None:
    """Spans and metrics of both arrive, counted exactly, each under its name; one id of the process for both."""
    run(BOTH + end)
    assert spans_by_service(receiver) == {"one": 3, "two": 5}
    assert sums_by_service(receiver) == {"one": 3, "two": 5}
    assert served_by_service(receiver) == {"one": 3, "two": 5}
    assert len({span["resource"]["service.instance.id"] for span in receiver.spans()}) == 1


def test_spans_made_by_hand_follow(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """A library's tracer of the global API makes spans of the application whose request is running."""
    run(BOTH + "one.test_client().get('/')\nwith by_hand.start_as_current_span('outside'): pass\n")
    assert spans_by_service(receiver, "internal") == {"one": 4 + 1, "two": 5}
    server = {
        span["span_id"]: span["resource"]["service.name"] for span in receiver.spans() if span["kind"] == "server"
    }
    inner = receiver.spans("by hand")
    assert [server[span["parent"]] for span in inner] == [span["resource"]["service.name"] for span in inner]


def test_the_second_one_first(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """Which one is asked first decides nothing."""
    run("two.test_client().get('/')\n" + BOTH)
    assert spans_by_service(receiver) == {"one": 3, "two": 6}
    assert sums_by_service(receiver) == {"one": 3, "two": 6}


def test_mounted_in_one_dispatcher(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """Behind one WSGI callable, from several threads that begin together, each keeps its name."""
    run(
        """
from concurrent.futures import ThreadPoolExecutor
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

site = Client(DispatcherMiddleware(one, {"/two": two}))
with ThreadPoolExecutor(8) as pool:
    answers = list(pool.map(lambda number: site.get("/two/" if number % 4 else "/").text, range(100)))
assert answers == ["two" if number % 4 else "one" for number in range(100)]
"""
    )
    assert spans_by_service(receiver) == {"one": 25, "two": 75}
    assert spans_by_service(receiver, "internal") == {"one": 25, "two": 75}
    assert sums_by_service(receiver) == {"one": 25, "two": 75}
    assert served_by_service(receiver) == {"one": 25, "two": 75}


@pytest.mark.parametrize(("outer", "inner"), [("one", "two"), ("two", "one")])
def test_one_asks_the_other_inside_a_request(
    run: Callable[..., str], receiver: OtlpReceiver, outer: str, inner: str
) -> None:
    """A request in a request belongs to its own application, and what comes after it to the outer one again."""
    run(
        f"""
@{outer}.route("/outer")
def ask():
    g.n = 1
    with by_hand.start_as_current_span("before"):
        answer = {inner}.test_client().get("/").text
    with by_hand.start_as_current_span("after"):
        return answer

one.test_client().get("/")
assert {outer}.test_client().get("/outer").text == "{inner}"
"""
    )
    names = Counter((span["name"], span["resource"]["service.name"]) for span in receiver.spans())
    assert names["before", outer] == names["after", outer] == names["GET /outer", outer] == 1
    assert names["by hand", inner] == 1 + (inner == "one")
    assert sums_by_service(receiver) == {"one": 2, "two": 1}


def test_one_name_for_all(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """``OTEL_SERVICE_NAME`` names both: one provider, one series."""
    run(BOTH, OTEL_SERVICE_NAME="shop")
    assert spans_by_service(receiver) == {"shop": 8}
    assert sums_by_service(receiver) == {"shop": 8}
    assert len(receiver.latest("flask.g.n")) == 1


def test_a_name_in_the_resource_is_for_all(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """So does ``service.name`` in ``OTEL_RESOURCE_ATTRIBUTES``."""
    run(BOTH, OTEL_RESOURCE_ATTRIBUTES="service.name=shop,team=blue")
    assert spans_by_service(receiver) == {"shop": 8}
    assert sums_by_service(receiver) == {"shop": 8}
    assert {span["resource"]["team"] for span in receiver.spans()} == {"blue"}


def test_from_the_environment_alone(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """With ``export="auto"``, the second one takes the first one's global providers for nobody's."""
    run(BOTH, one="{}", two="{}")
    assert spans_by_service(receiver) == {"one": 3, "two": 5}
    assert sums_by_service(receiver) == {"one": 3, "two": 5}


def test_one_that_exports_nothing_stays_with_the_store(
    run: Callable[..., str], receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """Beside one that exports, ``export="store"`` keeps its requests to itself."""
    run(BOTH, two="dict(export='store')")
    assert spans_by_service(receiver) == {"one": 3}
    (path,) = tmp_path.glob("*.sqlite3")
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT service, count(*) FROM chest_requests GROUP BY service").fetchall() == [("two", 5)]


def test_with_upstreams_instrumentation(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """Spans and duration of upstream's instrumentation, brought by the extension, are each application's own."""
    options = "dict(export='otlp', server_span='upstream')"
    run(BOTH, one=options, two=options, OTEL_SEMCONV_STABILITY_OPT_IN="http")
    assert spans_by_service(receiver) == {"one": 3, "two": 5}
    assert spans_by_service(receiver, "internal") == {"one": 3, "two": 5}
    assert served_by_service(receiver) == {"one": 3, "two": 5}


def test_destinations_of_both(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """``chests=`` of both applications' routes is on each of their spans, and on no other."""
    run(
        """
from flask_chest_otel import flask_chest
for app in (one, two):
    @app.route("/audit", endpoint="audit")
    @flask_chest(chests=["audit"])
    def audit():
        with by_hand.start_as_current_span("by hand"):
            return "audited"

for app in (one, two):
    app.test_client().get("/audit")
    app.test_client().get("/")
"""
    )
    marked = [span for span in receiver.spans() if "flask.chests" in span["attributes"]]
    assert Counter(span["resource"]["service.name"] for span in marked) == {"one": 2, "two": 2}
    assert len(receiver.spans()) == 8


def test_active_requests_of_both(run: Callable[..., str], receiver: OtlpReceiver) -> None:
    """``http.server.active_requests`` counts those of each application under its name."""
    run(
        """
@two.route("/slow")
def slow():
    flush()
    return ""

one.test_client().get("/")
two.test_client().get("/slow")
"""
    )
    seen = {
        (point["resource"]["service.name"], point["value"]) for point in receiver.metrics("http.server.active_requests")
    }
    assert ("two", 1.0) in seen
    assert ("one", 1.0) not in seen


def test_metrics_that_prometheus_fetches(run: Callable[..., str]) -> None:
    """The exporter has one port: the metrics of both are there, added up where they are alike."""
    require_module("opentelemetry.exporter.prometheus", "opentelemetry-exporter-prometheus")
    port = str(free_port())
    page = run(
        BOTH
        + f"import urllib.request\nprint(urllib.request.urlopen('http://127.0.0.1:{port}/metrics').read().decode())",
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
        OTEL_EXPORTER_PROMETHEUS_PORT=port,
    )
    assert [float(line.split()[-1]) for line in page.splitlines() if line.startswith("flask_g_n_total")] == [8.0]


def test_what_the_second_one_left_behind(run: Callable[..., str], receiver: OtlpReceiver, tmp_path: Path) -> None:
    """What waits in the outbox of an earlier process is sent, though another application came first this time."""
    receiver.status = 503
    run("two.test_client().get('/')", FLASK_CHEST_SHUTDOWN_TIMEOUT_S="0.2")
    receiver.status = 200
    assert receiver.spans() == []
    run(BOTH + "import time; time.sleep(1)")
    assert spans_by_service(receiver) == {"one": 3, "two": 5 + 1}
    assert [row for path in tmp_path.glob("state/flask_chest_otel/*/*") for row in kept(path)] == []


def test_one_that_wants_each_request_written(run: Callable[..., str], receiver: OtlpReceiver, tmp_path: Path) -> None:
    """``durability="request"`` of the second one holds, though the first one's exporters are used."""
    receiver.status = 503
    run(
        "one.test_client().get('/')\nfor _ in range(5):\n    two.test_client().get('/')\nos._exit(0)",
        two="dict(export='otlp', durability='request')",
    )
    receiver.status = 200
    run("one.test_client().get('/')\nimport time; time.sleep(1)")
    assert spans_by_service(receiver)["two"] == 5
