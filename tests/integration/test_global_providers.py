"""Global providers, which are final: each test in a process of its own."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]  # its stubs are another distribution
import pytest
from opentelemetry import propagate
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRELUDE = """
import sys
from flask import Flask, g
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from flask_chest_otel import FlaskChest, FlaskChestInstrumentor, trace_id_for
from flask_chest_otel.testing import capture

exporter = InMemorySpanExporter()
reader = InMemoryMetricReader()

def set_providers():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))

app = Flask("shop", instance_path=sys.path[0] or "/dev/null/nowhere")
app.testing = True

@app.route("/")
def view():
    g.a = 1
    return "ok"

def ask(request_id):
    return app.test_client().get("/", headers={"X-Request-ID": request_id})

def traces():
    return [f"{span.context.trace_id:032x}" for span in exporter.get_finished_spans()]
"""


def test_provider_set_after_the_extension(run_python: Callable[..., str]) -> None:
    """A provider set after ``FlaskChest(app)`` and before the first request gets everything."""
    run_python(
        PRELUDE
        + """
FlaskChest(app, tracked_vars=["a"])
set_providers()
ask("r-1")
assert traces() == [trace_id_for("r-1")], traces()
assert exporter.get_finished_spans()[0].attributes["flask.g.a"] == 1
assert "flask.g.a" in reader.get_metrics_data().to_json()
"""
    )


def test_nothing_beside_the_applications_providers(run_python: Callable[..., str], tmp_path: Path) -> None:
    """Whoever has set up OpenTelemetry exports by that alone: no store, and nothing to the collector that is named."""
    with OtlpReceiver() as receiver:
        run_python(
            PRELUDE.replace('sys.path[0] or "/dev/null/nowhere"', repr(str(tmp_path)))
            + """
app.testing = False
set_providers()
chest = FlaskChest(app, tracked_vars=["a"])
ask("r-1")
assert chest.force_flush(5)
assert traces() == [trace_id_for("r-1")], traces()
""",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox")},
        )
        assert (receiver.spans(), receiver.metrics(), receiver.refused) == ([], [], 0)
    assert list(tmp_path.iterdir()) == []


def test_provider_set_after_the_first_request(run_python: Callable[..., str]) -> None:
    """Under the instrumentor a provider set after the first request is used from then on, mapped ids included."""
    run_python(
        PRELUDE
        + """
FlaskChestInstrumentor().instrument(tracked_vars=["a"])
with capture(app) as records:
    ask("r-1")
    set_providers()
    ask("r-2")
assert [record.trace_id for record in records] == [None, trace_id_for("r-2")], records
assert traces() == [trace_id_for("r-2")]
assert "flask.g.a" in reader.get_metrics_data().to_json()
"""
    )


def test_late_provider_is_not_refused(run_python: Callable[..., str]) -> None:
    """With the embedded store no global provider is taken, so that one set later is not refused."""
    out = run_python(
        PRELUDE
        + """
import logging
logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
FlaskChest(app, tracked_vars=["a"])
with capture(app) as records:
    ask("r-1")
assert records[0].trace_id == trace_id_for("r-1")
set_providers()
assert isinstance(trace.get_tracer_provider(), TracerProvider)
ask("r-2")
"""
    )
    assert out == ""


def test_sdk_disabled(run_python: Callable[..., str]) -> None:
    """With ``OTEL_SDK_DISABLED`` records stay complete, and nothing fails."""
    run_python(
        PRELUDE
        + """
set_providers()
FlaskChest(app, tracked_vars=["a"])
with capture(app) as records:
    assert ask("r-1").headers["X-Request-ID"] == "r-1"
assert (dict(records[0].variables), records[0].trace_id) == ({"a": 1}, None)
assert exporter.get_finished_spans() == ()
""",
        {"OTEL_SDK_DISABLED": "true"},
    )


def test_id_generator_entry_point(run_python: Callable[..., str]) -> None:
    """``OTEL_PYTHON_ID_GENERATOR=flask_chest`` is found, and maps."""
    run_python(
        PRELUDE
        + """
from opentelemetry.sdk._configuration import _get_id_generator, _import_id_generator
from flask_chest_otel import ChestIdGenerator
assert isinstance(_import_id_generator(_get_id_generator()), ChestIdGenerator)
""",
        {"OTEL_PYTHON_ID_GENERATOR": "flask_chest"},
    )


def test_an_unknown_protocol_is_said_and_http_is_used(run_python: Callable[..., str], tmp_path: Path) -> None:
    """A slip in OTEL_EXPORTER_OTLP_PROTOCOL loses nothing."""
    with OtlpReceiver() as receiver:
        said = run_python(
            PRELUDE
            + """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
chest = FlaskChest(app, tracked_vars=["a"], export="otlp")
ask("r-1")
assert chest.force_flush(10)
""",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "htpp",
                "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
                "NO_PROXY": "127.0.0.1",
            },
        )
        assert "OTEL_EXPORTER_OTLP_PROTOCOL='htpp' is neither grpc nor http/protobuf" in said
        assert [span["attributes"]["flask.request_id"] for span in receiver.wait_for_spans(1)] == ["r-1"]


@pytest.mark.parametrize(
    ("interval", "said"), [("0", True), ("-5", True), ("soon", True), ("nan", True), ("inf", False), ("1e300", False)]
)
def test_how_often_metrics_are_exported(
    run_python: Callable[..., str], tmp_path: Path, interval: str, *, said: bool
) -> None:
    """An interval that is none is said and a minute is used; with any, also the longest, they come at the end."""
    with OtlpReceiver() as receiver:
        out = run_python(
            PRELUDE
            + """
import logging
logging.basicConfig(stream=sys.stdout, level=logging.WARNING)
FlaskChest(app, export="otlp")
ask("r-1")
""",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_METRIC_EXPORT_INTERVAL": interval,
                "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
            },
        )
        assert [point["count"] for point in receiver.latest("http.server.request.duration")] == [1]
    sentence = f"OTEL_METRIC_EXPORT_INTERVAL='{interval}' is no number greater than 0: the default is used"
    assert (sentence in out, len(out.splitlines())) == ((True, 1) if said else (False, 0)), out


NUMBERS = (
    *("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"),
    *("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"),
    *("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    *("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
    *("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"),
)
"""Variables with numbers that the SDK reads for the providers that are built, or that are read in its place."""

NAMES = ("OTEL_METRICS_EXEMPLAR_FILTER", "OTEL_TRACES_SAMPLER")
OTHERS = (
    "OTEL_PROPAGATORS",
    *("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "OTEL_SDK_DISABLED"),
    *("OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
)


@pytest.mark.parametrize("value", ["", "perhaps", "-1"])
def test_variables_of_the_sdk_that_cannot_be_used(run_python: Callable[..., str], tmp_path: Path, value: str) -> None:
    """Empty, they count as not set; wrong, each is one line and its default: spans and metrics arrive either way."""
    wrong = (*NUMBERS, *NAMES) if value.strip() else (*NUMBERS, *NAMES, *OTHERS)
    with OtlpReceiver() as receiver:
        out = run_python(
            """
import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(name)s: %(message)s")
from flask import Flask
from flask_chest_otel import FlaskChest
app = Flask("shop")
app.add_url_rule("/", view_func=lambda: "ok")
chest = FlaskChest(app, export="otlp")
assert app.test_client().get("/").text == "ok"
assert chest.force_flush(20)
""",
            {
                **dict.fromkeys(wrong, value),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
            },
        )
        assert [point["count"] for point in receiver.latest("http.server.request.duration")] == [1]
        assert len(receiver.spans()) == 1
    ours = [line for line in out.splitlines() if line.startswith("flask_chest_otel: ")]
    for variable in wrong if value.strip() else ():
        said = [line for line in out.splitlines() if variable in line or "recognize sampler" in line]
        assert len(said) >= 1, (variable, out)
    assert bool(ours) == bool(value.strip()), out
    assert len(ours) == len({line.split("=")[0] for line in ours}), out


@pytest.mark.parametrize("size", ["100", "0", "-5", "many", ""])
def test_the_queue_of_a_named_exporter(run_python: Callable[..., str], size: str) -> None:
    """An exporter by name gets its spans, also with a queue that is smaller than a batch, or that is no number."""
    out = run_python(
        """
from flask import Flask
from flask_chest_otel import FlaskChest
app = Flask("shop")
app.add_url_rule("/", view_func=lambda: "ok")
chest = FlaskChest(app, export="otlp")
assert app.test_client().get("/").text == "ok"
assert chest.force_flush(20)
""",
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_MAX_QUEUE_SIZE": size},
    )
    assert out.count('"name": "GET /"') == 1, out


def test_an_address_that_cannot_be_used(run_python: Callable[..., str], tmp_path: Path) -> None:
    """At the first request: one line with the host and what to type, no traceback; the requests are served."""
    said = run_python(
        PRELUDE
        + """
import logging
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
FlaskChest(app, tracked_vars=["a"], export="otlp")
for name in ("r-1", "r-2"):
    assert (ask(name).text, ask(name).headers["X-Request-ID"]) == ("ok", name)
""",
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318", "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox")},
    )
    assert said == (
        "flask_chest_otel failed at export; requests go on (logged once): OTEL_EXPORTER_OTLP_ENDPOINT='localhost:4318' "
        "cannot be used: give its scheme, too: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318\n"
    )


class Traces(TraceServiceServicer):
    """Keeps what arrives by gRPC."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - gRPC's
        self.names += [
            span.name for group in request.resource_spans for scope in group.scope_spans for span in scope.spans
        ]
        return ExportTraceServiceResponse()


def test_grpc_needs_no_scheme(run_python: Callable[..., str]) -> None:
    """With gRPC, an address is a host and a port, as its exporter takes it; spans arrive."""
    server = grpc.server(ThreadPoolExecutor(2))
    traces = Traces()
    add_TraceServiceServicer_to_server(traces, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        said = run_python(
            PRELUDE
            + """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
chest = FlaskChest(app, tracked_vars=["a"], export="otlp")
assert ask("r-1").text == "ok"
assert chest.force_flush(10)
""",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
                "OTEL_METRICS_EXPORTER": "none",
                "NO_PROXY": "127.0.0.1",
            },
        )
    finally:
        server.stop(None)
    assert (said, traces.names) == ("", ["GET /"])


TESTED = """
from contextlib import nullcontext
import os
chest = FlaskChest(app, tracked_vars=["a"], export={export!r})
app.testing = {testing}
with {block} as records:
    assert "X-Request-ID" in ask("r-1").headers
assert chest.force_flush(10)
if records is not None:
    assert [record.trace_id for record in records] == [trace_id_for("r-1")]
    assert records[0].variables == {{"a": 1}}
print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__)
print(sorted(os.listdir(app.instance_path) + os.listdir(os.environ["FLASK_CHEST_OUTBOX_DIR"])))
"""
NO_PROVIDERS = "ProxyTracerProvider _ProxyMeterProvider"


@pytest.mark.parametrize(
    ("export", "testing", "block", "arrives"),
    [
        ("auto", False, "capture(app)", False),
        ("auto", True, "capture(app)", False),
        ("otlp", False, "capture(app)", False),
        ("auto", True, "nullcontext()", False),
        ("otlp", True, "nullcontext()", True),
        ("auto", False, "nullcontext()", True),
    ],
)
def test_what_tests_send(
    run_python: Callable[..., str], tmp_path: Path, export: str, testing: bool, block: str, arrives: bool
) -> None:
    """A test leaves nothing anywhere, though the environment names a collector, unless it asks with ``export=``."""
    instance, outbox = tmp_path / "instance", tmp_path / "outbox"
    instance.mkdir()
    outbox.mkdir()
    with OtlpReceiver() as receiver:
        said = run_python(
            PRELUDE.replace('sys.path[0] or "/dev/null/nowhere"', repr(str(instance)))
            + TESTED.format(export=export, testing=testing, block=block),
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "FLASK_CHEST_OUTBOX_DIR": str(outbox),
                "NO_PROXY": "127.0.0.1",
            },
        )
        providers, files = said.splitlines()
        if arrives:
            assert [span["attributes"]["flask.request_id"] for span in receiver.wait_for_spans(1)] == ["r-1"]
            assert providers != NO_PROVIDERS
        else:
            # The process has ended, and what it had to say before its end was sent by then.
            assert (receiver.spans(), receiver.metrics(), receiver.refused) == ([], [], 0)
            assert (providers, files) == (NO_PROVIDERS, "[]")


def test_a_test_of_the_store(run_python: Callable[..., str], tmp_path: Path) -> None:
    """Who asks for the store by name gets it in a test, too."""
    said = run_python(
        PRELUDE.replace('sys.path[0] or "/dev/null/nowhere"', repr(str(tmp_path)))
        + TESTED.format(export="store", testing=True, block="capture(app)"),
        {"FLASK_CHEST_OUTBOX_DIR": str(tmp_path)},
    )
    assert "flask_chest.sqlite3" in said
    assert NO_PROVIDERS in said


@pytest.mark.skipif('"none"' not in inspect.getsource(propagate), reason="this OpenTelemetry knows no propagator none")
@pytest.mark.parametrize(("propagators", "taken"), [("tracecontext", True), ("none", False)])
def test_a_caller_s_trace_can_be_left_out(run_python: Callable[..., str], propagators: str, *, taken: bool) -> None:
    """``OTEL_PROPAGATORS=none`` begins a trace here, whatever ``traceparent`` says, and the request id decides it."""
    run_python(
        PRELUDE
        + f"""
FlaskChest(app, tracked_vars=["a"])
set_providers()
headers = {{"X-Request-ID": "r-1", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}}
with capture(app) as records:
    app.test_client().get("/", headers=headers)
assert records[0].trace_id == ({'"4bf92f3577b34da6a3ce929d0e0e4736"' if taken else 'trace_id_for("r-1")'})
assert len(traces()) == {0 if taken else 1}, "the caller decides about sampling where its trace goes on"
""",
        {"OTEL_PROPAGATORS": propagators},
    )
