"""Auto-instrumentation of applications without a line about us, seen by a real OTLP receiver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel import trace_id_for
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.outbox import kept
from tests.backends.require import require_module
from tests.backends.server import free_port
from tests.faults.served import wait_until
from tests.integration.zero_code.served import get, serve

if TYPE_CHECKING:
    from pathlib import Path

INSTRUMENT = ("opentelemetry-instrument",)
FLASK_RUN = (*INSTRUMENT, "flask", "--app", "plain_app", "run", "--port", "{port}", "--no-debugger", "--no-reload")
EARLY = (
    "python",
    "-c",
    """
import early_site
import opentelemetry.instrumentation.auto_instrumentation.sitecustomize
import early_app
early_app.app.run(port={port})
""",
)


def test_variables_are_on_spans_and_in_metrics(receiver: OtlpReceiver) -> None:
    """A plain application under `opentelemetry-instrument flask run` shows its variables at a real receiver."""
    with serve(FLASK_RUN, receiver.url) as url:
        assert get(f"{url}/cart/7", X_Request_ID="r-17") == 200
        span = receiver.wait_for_spans(1)[0]
        point = receiver.wait_for_metric("flask.g.cart_total")[-1]
    assert span["kind"] == "server"
    assert span["attributes"]["flask.g.user_id"] == "u1"
    assert span["attributes"]["flask.g.cart_total"] == 7.5
    assert span["attributes"]["flask.request_id"] == "r-17"
    assert span["trace_id"] == trace_id_for("r-17")
    assert (point["count"], point["sum"]) == (1, 7.5)
    assert point["attributes"] == {"http.request.method": "GET", "http.route": "/cart/<int:cart_id>"}
    assert point["scope"] == "flask_chest_otel"


@pytest.mark.parametrize(
    "settings",
    [{}, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask", "FLASK_CHEST_SERVER_SPAN": "chest"}],
    ids=["upstream", "chest"],
)
def test_a_request_hook_by_environment(receiver: OtlpReceiver, settings: dict[str, str]) -> None:
    """A hook that the environment names puts an attribute onto the span, and a variable onto g that is a dimension."""
    tracked = '[{"name": "tenant", "dimension": true}, "cart_total"]'
    hook = {"FLASK_CHEST_REQUEST_HOOK": "hooks:name_tenant", "FLASK_CHEST_TRACKED_VARS": tracked}
    with serve(FLASK_RUN, receiver.url, **settings, **hook) as url:
        assert get(f"{url}/cart/7", X_Tenant="acme") == 200
        (span,) = receiver.wait_for_spans(1)
        point = receiver.wait_for_metric("flask.g.cart_total")[-1]
    assert span["attributes"]["shop.path"] == "/cart/7"
    assert span["attributes"]["flask.g.tenant"] == "acme"
    assert point["attributes"]["flask.g.tenant"] == "acme"


def test_objectives_from_the_environment(receiver: OtlpReceiver) -> None:
    """Objectives in JSON are counted in an application that has not a line about them."""
    cart, everything = '{"name": "cart", "objective": 99.9, "routes": ["/cart/*"]}', '{"name": "all", "objective": 99'
    slos = f'[{cart}, {everything}, "by": "user_id"}}]'
    with serve(FLASK_RUN, receiver.url, FLASK_CHEST_SLOS=slos) as url:
        assert [get(f"{url}{path}") for path in ("/cart/7", "/fail", "/plain", "/cart/8")] == [200, 500, 200, 200]
        wait_until(lambda: sum(point["value"] or 0 for point in receiver.latest("flask_chest.slo.requests")) == 6)
    found = {
        tuple(value for name, value in sorted(point["attributes"].items(), reverse=True)): point["value"]
        for point in receiver.latest("flask_chest.slo.requests")
    }
    assert found == {
        ("good", "cart"): 2,
        ("bad", "cart"): 0,
        ("good", "all"): 1,
        ("bad", "all"): 0,
        ("good", "all", "u1"): 2,
        ("bad", "all", "u1"): 0,
        ("good", "all", "u2"): 0,
        ("bad", "all", "u2"): 1,
    }
    objectives = receiver.latest("flask_chest.slo.objective")
    assert {point["attributes"]["flask_chest.slo.name"]: point["value"] for point in objectives} == {
        "cart": 0.999,
        "all": 0.99,
    }


def test_failing_and_untracked_requests(receiver: OtlpReceiver) -> None:
    """A broken view keeps its values; a request that tracks nothing and brought no id looks untouched."""
    with serve(FLASK_RUN, receiver.url) as url:
        assert get(f"{url}/fail") == 500
        assert get(f"{url}/plain") == 200
        receiver.wait_for_spans(2)
    by_route = {span["attributes"]["http.route"]: span["attributes"] for span in receiver.spans()}
    assert by_route["/fail"]["flask.g.user_id"] == "u2"
    assert "flask.request_id" in by_route["/fail"]
    assert not [key for key in by_route["/plain"] if key.startswith("flask.")]


def test_nothing_in_responses(receiver: OtlpReceiver) -> None:
    """Zero code leaves responses as the application made them."""
    import urllib.request  # noqa: PLC0415 - headers are needed here only

    with serve(FLASK_RUN, receiver.url) as url, urllib.request.urlopen(f"{url}/cart/1", timeout=10) as answer:
        headers = {name.lower() for name in answer.headers}
    assert headers <= {"server", "date", "content-type", "content-length", "connection"}


def test_application_made_through_an_early_import(receiver: OtlpReceiver) -> None:
    """An application that upstream's instrumentation misses gets its server span from the chest."""
    with serve(EARLY, receiver.url) as url:
        assert get(f"{url}/cart/3", X_Request_ID="early-1") == 200
        span = receiver.wait_for_spans(1)[0]
        receiver.wait_for_metric("flask.g.cart_total")
    assert len(receiver.spans()) == 1
    assert span["kind"] == "server"
    assert span["scope"] == "flask_chest_otel"
    assert span["attributes"]["flask.g.cart_total"] == 3.5
    assert span["trace_id"] == trace_id_for("early-1")


@pytest.mark.parametrize("order", ["flask,flask_chest", "flask_chest,flask"])
def test_before_and_after_the_flask_instrumentation(receiver: OtlpReceiver, order: str) -> None:
    """Whichever of the two instrumentors comes first: one server span, with the variables."""
    command = ("python", "in_order.py", order, "{port}")
    with serve(command, receiver.url) as url:
        assert get(f"{url}/cart/2") == 200
        receiver.wait_for_metric("flask.g.cart_total")
        spans = receiver.wait_for_spans(1)
    assert [span["attributes"]["flask.g.cart_total"] for span in spans] == [2.5]


def test_gunicorn_with_two_workers(receiver: OtlpReceiver) -> None:
    """Under gunicorn with two workers every request arrives, each worker with an identity of its own."""
    command = (*INSTRUMENT, "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "plain_app:app")
    with serve(command, receiver.url) as url:
        for number in range(40):
            assert get(f"{url}/cart/{number}") == 200
        receiver.wait_for_spans(40)
    spans = receiver.spans()
    assert sorted(span["attributes"]["flask.g.cart_total"] for span in spans) == [n + 0.5 for n in range(40)]
    # By their start, as early SDKs give both workers one identity; cumulative, so the highest count is the last.
    counts: dict[int, int] = {}
    for point in receiver.metrics("flask.g.cart_total"):
        counts[point["start_ns"]] = max(counts.get(point["start_ns"], 0), point["count"] or 0)
    assert sum(counts.values()) == 40


def test_the_outbox_by_its_entry_points(tmp_path: Path) -> None:
    """Exporters named ``flask_chest_otlp`` keep what a collector that is down cannot take, for the next start, too."""
    outbox = {
        "OTEL_TRACES_EXPORTER": "flask_chest_otlp",
        "OTEL_METRICS_EXPORTER": "flask_chest_otlp",
        "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
        "FLASK_CHEST_SHUTDOWN_TIMEOUT_S": "0.5",
    }
    port = free_port()
    away = f"http://127.0.0.1:{port}"
    with serve(FLASK_RUN, away, **outbox) as url:
        assert [get(f"{url}/cart/{number}") for number in range(20)] == [200] * 20
        # The SDK's processor and reader stand before the exporter, and Flask's server dies of SIGTERM on the spot.
        time.sleep(1.2)
    with (
        OtlpReceiver(port=port) as receiver,
        serve(FLASK_RUN, away, **outbox) as url,
    ):
        assert get(f"{url}/cart/20") == 200
        spans = receiver.wait_for_spans(21)
        wait_until(lambda: len(receiver.latest("flask.g.cart_total")) == 2)
    assert sorted(span["attributes"]["flask.g.cart_total"] for span in spans) == [n + 0.5 for n in range(21)]
    assert sorted(point["count"] or 0 for point in receiver.latest("flask.g.cart_total")) == [1, 20]


LOGS = {
    "OTEL_LOGS_EXPORTER": "flask_chest_otlp",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true",
    "FLASK_CHEST_EVENTS": "all",
}


def test_logs_by_their_entry_point(tmp_path: Path) -> None:
    """``OTEL_LOGS_EXPORTER=flask_chest_otlp``: lines and events outlive an outage and the end of the process."""
    settings = {
        **LOGS,
        "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
        "FLASK_CHEST_SHUTDOWN_TIMEOUT_S": "0.5",
        # Longer than the process lives: the end has to bring them into the outbox.
        "OTEL_BLRP_SCHEDULE_DELAY": "60000",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    }
    port = free_port()
    away = f"http://127.0.0.1:{port}"
    command = (*INSTRUMENT, "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "plain_app:app")
    with serve(command, away, **settings) as url:
        assert [get(f"{url}/log/{number}", X_Request_ID=f"r-{number}") for number in range(20)] == [200] * 20
    assert {batch.signal for batch in kept(tmp_path / "outbox")} == {"logs"}
    with OtlpReceiver(port=port) as receiver, serve(command, away, **settings) as url:
        assert get(f"{url}/nowhere") == 404
        logs = receiver.wait_for_logs(40)
        wait_until(lambda: kept(tmp_path / "outbox") == [])
    lines = [log for log in logs if log["body"] and str(log["body"]).startswith("line ")]
    events = [log for log in logs if log["event"] == "flask_chest.request"]
    assert sorted(log["attributes"]["cart"] for log in lines) == list(range(20))
    assert {(log["severity"], log["scope"]) for log in lines} <= {
        (13, "shop"),
        (13, "opentelemetry.sdk._logs._internal"),
    }
    assert sorted(log["attributes"]["flask.request_id"] for log in events) == sorted(f"r-{n}" for n in range(20))
    # A line and the event of its request are of one span.
    assert {log["span_id"] for log in lines} == {log["span_id"] for log in events}


def test_a_short_life_under_gevent(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """Exporters named ``flask_chest_otlp`` send all spans of a worker that ends before the SDK's first export, at once.

    The SDK's exporting thread is older than gevent's patches.
    """
    require_module("gevent", "gevent")
    settings = {
        "OTEL_TRACES_EXPORTER": "flask_chest_otlp",
        "OTEL_METRICS_EXPORTER": "flask_chest_otlp",
        "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    }
    command = (*INSTRUMENT, "gunicorn", "-k", "gevent", "--bind", "127.0.0.1:{port}", "plain_app:app")
    with serve(command, receiver.url, **settings) as url:
        assert [get(f"{url}/cart/{number}") for number in range(21)] == [200] * 21
        ending = time.monotonic()
    took_s = time.monotonic() - ending
    assert sorted(span["attributes"]["flask.g.cart_total"] for span in receiver.spans()) == [n + 0.5 for n in range(21)]
    assert sum(point["count"] or 0 for point in receiver.latest("flask.g.cart_total")) == 21
    assert kept(tmp_path / "outbox") == []
    assert took_s < 4


@pytest.mark.parametrize(
    "off", [{"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask"}, {"FLASK_CHEST_SERVER_SPAN": "none"}], ids=str
)
def test_metrics_only_where_spans_are_switched_off(receiver: OtlpReceiver, off: dict[str, str]) -> None:
    """With the Flask instrumentation disabled, nobody brings a server span back, and metrics go on."""
    settings = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask", **off}
    with serve(FLASK_RUN, receiver.url, **settings) as url:
        assert get(f"{url}/cart/7") == 200
        point = receiver.wait_for_metric("flask.g.cart_total")[-1]
    assert point["sum"] == 7.5
    assert receiver.spans() == []


def test_no_traces_exporter(receiver: OtlpReceiver) -> None:
    """With OTEL_TRACES_EXPORTER=none metrics arrive and no span does."""
    with serve(FLASK_RUN, receiver.url, OTEL_TRACES_EXPORTER="none") as url:
        assert get(f"{url}/cart/7") == 200
        receiver.wait_for_metric("flask.g.cart_total")
    assert receiver.spans() == []


def test_malformed_settings_keep_the_process_instrumented(receiver: OtlpReceiver) -> None:
    """A setting that cannot be used gets its default; the application runs and the rest is recorded."""
    with serve(FLASK_RUN, receiver.url, FLASK_CHEST_LIST_LIMIT="many", FLASK_CHEST_NO_SUCH_THING="1") as url:
        assert get(f"{url}/cart/7") == 200
        span = receiver.wait_for_spans(1)[0]
    assert span["attributes"]["flask.g.cart_total"] == 7.5


def test_id_generator_by_its_entry_point(receiver: OtlpReceiver) -> None:
    """OTEL_PYTHON_ID_GENERATOR=flask_chest loads, and maps ids the same way."""
    with serve(FLASK_RUN, receiver.url, OTEL_PYTHON_ID_GENERATOR="flask_chest") as url:
        assert get(f"{url}/cart/7", X_Request_ID="r-18") == 200
        span = receiver.wait_for_spans(1)[0]
    assert span["trace_id"] == trace_id_for("r-18")
