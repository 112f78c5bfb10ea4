"""Requests as OTLP log records, seen by a real receiver: what is in them, when they leave, and which way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._version import __version__
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.outbox import kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    RunPython = Callable[..., str]

EVENT = "flask_chest.request"

APP = """
import json
from flask import Flask, g, Response
from flask_chest_otel import FlaskChest, TrackedVar, flask_chest
app = Flask("shop")
{before}
chest = FlaskChest(app, tracked_vars=["user_id", TrackedVar("plan", attribute="shop.plan")], {options})
@app.get("/cart/<int:cart_id>")
@flask_chest(chests=["influxdb", "audit"])
def cart(cart_id):
    g.user_id, g.plan = "u1", "gold"
    return "ok"
@app.get("/away")
def away():
    return "no", 503
@app.get("/raise")
def raise_():
    raise LookupError("no such cart")
client = app.test_client()
def get(path, **headers):
    return client.get(path, headers={{name.replace("_", "-"): text for name, text in headers.items()}}).status_code
{code}
"""

GO = 'print(get("/cart/7?secret=1", X_Request_ID="r-17"), get("/away"), get("/raise"), get("/nowhere/%C3%A4"))'


def program(code: str = GO, options: str = 'events="all"', before: str = "") -> str:
    return APP.format(code=code, options=options, before=before)


def test_what_is_in_an_event(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """A request leaves with its ids, its outcome, its variables as they stand on the span, and its destinations."""
    assert run_python(program(), environ).split() == ["200", "503", "500", "404"]
    logs = receiver.wait_for_logs(4, event=EVENT)
    spans = {span["span_id"]: span for span in receiver.spans()}
    cart, away, raised, nowhere = sorted(logs, key=lambda log: log["time_ns"])
    span = spans[cart["span_id"]]
    attributes = dict(cart["attributes"])
    assert len(attributes.pop("log.record.uid")) == 32
    assert 0 < attributes.pop("http.server.request.duration") < 5
    assert attributes.pop("event.name", EVENT) == EVENT, "only where OTLP messages are older than the field"
    assert attributes == {
        "flask.request_id": "r-17",
        "flask.g.user_id": "u1",
        "shop.plan": "gold",
        "flask.chests": "audit,influxdb",
        "http.request.method": "GET",
        "http.route": "/cart/<int:cart_id>",
        "url.path": "/cart/7",
        "http.response.status_code": 200,
    }
    assert cart["body"] == "GET /cart/7 200"
    assert (cart["trace_id"], cart["flags"]) == (span["trace_id"], 1)
    assert span["start_ns"] <= cart["time_ns"] <= span["end_ns"] + 50_000_000
    assert cart["observed_ns"] >= cart["time_ns"]
    assert (cart["scope"], cart["scope_version"]) == ("flask_chest_otel", __version__)
    assert cart["resource"]["service.name"] == "shop"
    assert cart["resource"]["service.instance.id"] == span["resource"]["service.instance.id"]
    assert [(log["severity"], log["severity_text"]) for log in (cart, away, raised, nowhere)] == [
        (9, "INFO"),
        (17, "ERROR"),
        (17, "ERROR"),
        (9, "INFO"),
    ]
    assert away["attributes"]["error.type"] == "503"
    assert raised["attributes"]["error.type"] == spans[raised["span_id"]]["attributes"]["error.type"] == "LookupError"
    assert "http.route" not in nowhere["attributes"]
    assert nowhere["attributes"]["url.path"] == "/nowhere/%C3%A4"
    assert "secret" not in str(logs), "the query stays out"
    assert all(log["span_id"] in spans for log in logs)


def test_a_body_that_is_streamed(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """Its event leaves when the body is over, with the whole duration; one that breaks is an error all the same."""
    code = """
import time
@app.get("/stream/<how>")
def stream(how):
    g.user_id = how
    def body():
        yield "begun"
        time.sleep(0.3)
        if how == "broken":
            raise OSError("disk is gone")
    return Response(body())
for how in ("whole", "broken"):
    try:
        client.get(f"/stream/{how}", buffered=True)
    except OSError:
        pass
"""
    run_python(program(code), environ)
    whole, broken = sorted(receiver.wait_for_logs(2, event=EVENT), key=lambda log: log["time_ns"])
    assert [log["attributes"]["url.path"] for log in (whole, broken)] == ["/stream/whole", "/stream/broken"]
    assert all(log["attributes"]["http.server.request.duration"] >= 0.3 for log in (whole, broken))
    assert [log["attributes"]["flask.g.user_id"] for log in (whole, broken)] == ["whole", "broken"]
    assert (whole["severity"], broken["severity"]) == (9, 17)
    assert broken["attributes"]["error.type"] == "OSError"


def test_children_of_a_process(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """Requests before and after a fork leave once each, under the name of the process that served them."""
    code = """
import multiprocessing
get("/cart/1", X_Request_ID="parent-1")
def work(number):
    get("/cart/2", X_Request_ID=f"child-{number}")
children = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(3)]
for child in children:
    child.start()
for child in children:
    child.join()
get("/cart/3", X_Request_ID="parent-2")
"""
    run_python(program(code), environ)
    logs = receiver.wait_for_logs(5, event=EVENT)
    ids = sorted(log["attributes"]["flask.request_id"] for log in logs)
    assert ids == ["child-0", "child-1", "child-2", "parent-1", "parent-2"]
    instances = {log["attributes"]["flask.request_id"]: log["resource"]["service.instance.id"] for log in logs}
    assert instances["parent-1"] == instances["parent-2"]
    assert len(set(instances.values())) == 4


def test_two_applications(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """Each application in a process says by itself whether its requests are events, under its own name."""
    code = """
other = Flask("other")
quiet = Flask("quiet")
FlaskChest(other, events="all")
FlaskChest(quiet)
for one in (other, quiet):
    one.test_client().get("/nowhere")
get("/cart/1")
"""
    run_python(program(code), environ)
    logs = receiver.wait_for_logs(2, event=EVENT)
    assert sorted(log["resource"]["service.name"] for log in logs) == ["other", "shop"]
    assert len(receiver.logs()) == 2


def test_the_end_with_a_collector_that_hangs(
    run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str], tmp_path: Path
) -> None:
    """The process ends within its time, and all events wait in the outbox."""
    receiver.delay_s = 20
    code = """
import atexit, time
started = []
atexit.register(lambda: print(time.monotonic() - started[0]))  # registered first, it runs last
for number in range(50):
    get(f"/cart/{number}")
started.append(time.monotonic())
"""
    took_s = float(run_python(program(code), environ).split()[-1])
    assert took_s < 4
    assert sum(batch.items for batch in kept(tmp_path / "outbox") if batch.signal == "logs") == 50


def test_grpc(run_python: RunPython, environ: dict[str, str]) -> None:
    """By the standard variables of logs they go to the logs service of a gRPC server, with headers of their own."""
    with MoodyGrpc() as server:
        own = {
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{server.port}",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-key=k1",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "gzip",
        }
        run_python(program(), environ | own)
        assert len(server.receiver.wait_for_logs(4, event=EVENT)) == 4
        assert server.headers[-1]["x-key"] == "k1"


@pytest.mark.parametrize(
    ("options", "variables"),
    [("", {}), ('events="all"', {"OTEL_LOGS_EXPORTER": "none"}), ("", {"FLASK_CHEST_EVENTS": "none"})],
)
def test_nothing_unless_asked(
    run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str], options: str, variables: dict[str, str]
) -> None:
    """Without the setting, or where the environment wants no logs, spans leave and no log record does."""
    run_python(program(options=options), environ | variables)
    receiver.wait_for_spans(4)
    assert receiver.logs() == []


def test_unsampled(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """Every request arrives once: those that are sampled as spans, all others as events that say so."""
    code = 'assert {get(f"/cart/{n}", X_Request_ID=f"r-{n}") for n in range(200)} == {200}'
    sampler = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    run_python(program(code, 'events="unsampled"'), environ | sampler)
    logs = receiver.wait_for_logs(50, event=EVENT)
    by_span = [span["attributes"]["flask.request_id"] for span in receiver.spans()]
    by_log = [log["attributes"]["flask.request_id"] for log in logs]
    assert sorted(by_span + by_log) == sorted(f"r-{n}" for n in range(200))
    assert 50 < len(by_span) < 150
    assert {log["flags"] for log in logs} == {0}
    assert all(log["trace_id"] for log in logs)


PROVIDER = """
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, export
from opentelemetry.sdk.resources import Resource
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
provider = LoggerProvider(resource=Resource.create({"service.name": "own"}))
provider.add_log_record_processor(export.BatchLogRecordProcessor(OTLPLogExporter()))
set_logger_provider(provider)
"""


@pytest.mark.parametrize("export", ["auto", "store", None])
def test_a_logger_provider_of_the_application(
    run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str], tmp_path: Path, export: str | None
) -> None:
    """Where the application has one, events go through it, whatever is exported otherwise."""
    options = f'events="all", export={export!r}'
    run_python(program(GO + "\nassert chest.force_flush(5)", options, PROVIDER), environ)
    cart, *_ = sorted(receiver.wait_for_logs(4, event=EVENT), key=lambda log: log["time_ns"])
    assert cart["resource"]["service.name"] == "own"
    assert (cart["severity"], cart["scope"]) == (9, "flask_chest_otel")
    assert cart["attributes"]["flask.g.user_id"] == "u1"
    assert cart["attributes"]["flask.request_id"] == "r-17"
    assert len(receiver.logs()) == 4
    if export == "auto":
        assert cart["trace_id"] in {span["trace_id"] for span in receiver.spans()}
    assert "logs" not in {batch.signal for batch in kept(tmp_path / "outbox")}


def test_beside_the_store(
    run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str], tmp_path: Path
) -> None:
    """With ``export="store"`` events go where ``OTEL_LOGS_EXPORTER`` says, and nowhere without it, which is said."""
    options = 'events="all", export="store"'
    before = f"app.instance_path = {str(tmp_path / 'instance')!r}"
    code = f"{GO}\nprint(chest.force_flush(5))"
    run_python(program(code, options, before), environ)
    assert receiver.logs() == []
    assert "True" in run_python(program(code, options, before), environ | {"OTEL_LOGS_EXPORTER": "otlp"})
    assert len(receiver.wait_for_logs(4, event=EVENT)) == 4
    assert receiver.spans() == []


def test_an_outage(run_python: RunPython, environ: dict[str, str], tmp_path: Path) -> None:
    """What a collector that is down cannot take waits in the outbox as ``logs``; the next process sends it, once."""
    with OtlpReceiver() as gone:
        port = gone.port
    environ = environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "FLASK_CHEST_SHUTDOWN_TIMEOUT_S": "0.2",
    }
    run_python(program(), environ)
    assert sum(batch.items for batch in kept(tmp_path / "outbox") if batch.signal == "logs") == 4
    with OtlpReceiver(port=port) as back:
        run_python(program("get('/cart/8')\nassert chest.force_flush(10)"), environ)
        logs = back.wait_for_logs(5, event=EVENT)
    assert len({log["attributes"]["log.record.uid"] for log in logs}) == len(logs) == 5
    assert kept(tmp_path / "outbox") == []


def test_the_command_line_knows_logs(run_python: RunPython, environ: dict[str, str], tmp_path: Path) -> None:
    """``flask chest outbox list`` shows what waits as ``logs``, and ``send`` sends it."""
    with OtlpReceiver() as gone:
        port = gone.port
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "FLASK_CHEST_SHUTDOWN_TIMEOUT_S": "0.2"}
    environ = environ | away
    run_python(program(), environ)
    command = "from flask_chest_otel._cli import chest_cli; chest_cli(['outbox', {}, '--outbox', 'outbox'])"
    (logs,) = [line for line in run_python(command.format("'list'"), environ).splitlines() if " logs " in line]
    assert logs.split()[4] == "4"
    with OtlpReceiver(port=port) as back:
        run_python(command.format("'send'"), environ)
        assert len(back.logs(EVENT)) == 4


def test_the_doctor_says_where_events_go(run_python: RunPython, environ: dict[str, str], tmp_path: Path) -> None:
    """The doctor has a row for events, and a problem with what to type where they go nowhere."""
    code = """
from flask_chest_otel._doctor.examination import examine
parts = {part.key: part for part in examine(app, send=False, timeout_s=1)}
print(json.dumps([[list(row) for row in parts["providers"].rows], parts["providers"].problems]))
"""

    def asked(variables: dict[str, str], options: str) -> tuple[Any, Any]:
        before = f"app.instance_path = {str(tmp_path / 'instance')!r}"
        rows, problems = json.loads(run_python(program(code, options, before), variables))
        return next((row for row in rows if row[0] == "events"), None), problems

    row, problems = asked({}, 'events="all"')
    assert row[1] == "go nowhere"
    assert "events='all' goes nowhere" in problems[0]
    assert asked({}, "") == (None, [])
    row, problems = asked(environ, 'events="unsampled"')
    assert row[1:] == ["the outbox, and by OTLP to the collector", "events='unsampled'"]
    assert problems == []
