"""Exceptions by ``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN``, on the wire: events of the span, log records, or both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver

    RunPython = Callable[..., str]

EVENT = "http.server.request.exception"

APP = """
import json
{before}
from flask import Flask, Response, abort
from flask_chest_otel import FlaskChest, flask_chest
app = Flask("shop")
chest = FlaskChest(app{options})
class Refused(Exception):
    pass
@app.errorhandler(Refused)
def refuse(error):
    return "refused", 409
@app.get("/handled/<int:number>")
@flask_chest(chests=["audit"])
def handled(number):
    raise Refused("out of stock")
@app.get("/unhandled/<int:number>")
def unhandled(number):
    raise LookupError("no such cart")
@app.get("/streamed/<int:number>")
def streamed(number):
    def body():
        yield "begun"
        raise OSError("disk is gone")
    return Response(body())
@app.get("/missing")
def missing():
    abort(404)
client = app.test_client()
def get(path):
    try:
        return client.get(path, headers={{"X-Request-ID": "r-" + path[1:3]}}, buffered=True).status_code
    except OSError:
        return 0
{code}
"""
GO = 'print([get(path) for path in ("/handled/1", "/unhandled/2", "/streamed/3", "/missing")])'
RAISED = {
    "handled": ("__main__.Refused", "out of stock"),
    "unhandled": ("LookupError", "no such cart"),
    "streamed": ("OSError", "disk is gone"),
}
UPSTREAM = "from opentelemetry.instrumentation.flask import FlaskInstrumentor; FlaskInstrumentor().instrument()"


def program(code: str = GO, options: str = "", before: str = "") -> str:
    return APP.format(code=code, options=options, before=before)


def by_route(found: list[Any]) -> dict[str, Any]:
    """What says a route, by its first word."""
    return {str(one["attributes"].get("http.route", "/")).split("/")[1]: one for one in found}


@pytest.mark.parametrize(("opt_in", "on_span", "as_log"), [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1)])
def test_where_an_exception_goes(
    run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str], opt_in: str, on_span: int, as_log: int
) -> None:
    """Handled, unhandled and out of a streamed body: an event of the server span, a log record in its context, or both.

    Whatever the signal, the span says that the request failed; an ``HTTPException`` is an answer, and neither.
    """
    assert run_python(program(), environ | {"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": opt_in}) == "[409, 500, 0, 404]\n"
    spans = by_route(receiver.wait_for_spans(4))
    logs = by_route(receiver.wait_for_logs(3 * as_log, event=EVENT))
    assert len(receiver.logs()) == 3 * as_log
    for name, (kind, message) in RAISED.items():
        span = spans[name]
        assert len(span["events"]) == on_span
        said = [event["attributes"] for event in span["events"]]
        if as_log:
            log = logs[name]
            said.append(log["attributes"])
            assert (log["trace_id"], log["span_id"], log["flags"]) == (span["trace_id"], span["span_id"], 1)
            assert (log["severity"], log["severity_text"]) == (17, "ERROR")
            assert log["body"] == f"{kind}: {message}"
            assert log["attributes"]["flask.request_id"] == f"r-{name[:2]}"
            assert log["attributes"]["http.request.method"] == "GET"
            assert log["resource"]["service.name"] == "shop"
            assert log["attributes"].get("flask.chests") == ("audit" if name == "handled" else None)
        for attributes in said:
            assert (attributes["exception.type"], attributes["exception.message"]) == (kind, message)
            # A handler has answered with less than 500.
            stack = attributes.get("exception.stacktrace", "")
            assert stack == "" if name == "handled" else message in stack and "Traceback" in stack
    assert spans["unhandled"]["status"] == spans["streamed"]["status"] == "error"
    assert spans["unhandled"]["attributes"]["error.type"] == "LookupError"
    assert spans["missing"]["events"] == []


def test_beside_upstream(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """Where upstream makes the span, log records come once each; its own event of what nobody handles stays on it."""
    environ = environ | {"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": "logs"}
    run_python(program(before=UPSTREAM), environ)
    logs, spans = by_route(receiver.wait_for_logs(2, event=EVENT)), by_route(receiver.wait_for_spans(4))
    assert sorted(logs) == ["handled", "unhandled"]
    assert len(receiver.logs()) == 2
    assert {name: len(spans[name]["events"]) for name in logs} == {"handled": 0, "unhandled": 1}
    assert all(logs[name]["span_id"] == spans[name]["span_id"] for name in logs)


def test_unsampled_and_without_spans(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """A sampler thins spans, not log records of exceptions; nor do they need a server span."""
    environ = environ | {"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": "logs"}
    run_python(program(), environ | {"OTEL_TRACES_SAMPLER": "always_off"})
    logs = receiver.wait_for_logs(3, event=EVENT)
    assert {(log["flags"], bool(log["span_id"])) for log in logs} == {(0, True)}
    run_python(program(options=", server_span=None"), environ)
    assert len(receiver.wait_for_logs(5, event=EVENT)) == 5
    assert receiver.spans() == []


def test_an_exception_that_a_teardown_function_raises(
    run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]
) -> None:
    """What is raised when the request seems to be over is a log record as well, and comes once."""
    code = """
app.config["PROPAGATE_EXCEPTIONS"] = True
@app.teardown_request
def broken(error):
    raise RuntimeError("teardown")
for path in ("/missing", "/unhandled/1"):
    try:
        get(path)
    except Exception as error:
        print(type(error).__name__)
"""
    environ = environ | {"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": "logs"}
    assert "RuntimeError" in run_python(program(code), environ)
    logs = receiver.wait_for_logs(2, event=EVENT)
    assert len(receiver.logs()) == 2
    assert "teardown" in {log["attributes"]["exception.message"] for log in logs}


def test_handled_exceptions_off(run_python: RunPython, receiver: OtlpReceiver, environ: dict[str, str]) -> None:
    """With ``handled_exceptions=False`` what an error handler answers is no log record either."""
    environ = environ | {"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": "logs/dup"}
    run_python(program(options=", handled_exceptions=False"), environ)
    receiver.wait_for_logs(2, event=EVENT)
    assert sorted(by_route(receiver.logs())) == ["streamed", "unhandled"]


def test_the_doctor(run_python: RunPython, environ: dict[str, str], tmp_path: Path) -> None:
    """The doctor says where exceptions go, where upstream's span ignores the opt-in, and which words say nothing."""
    code = """
from flask_chest_otel._doctor.examination import examine
parts = {part.key: part for part in examine(app, send=False, timeout_s=1)}
rows = [list(row) for row in parts["providers"].rows if row.name == "exceptions"]
print(json.dumps([rows, parts["providers"].problems]))
"""
    options = f", export=None, server_span={'auto'!r}"
    variable = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"

    def ask(opt_in: str, variables: dict[str, str], options: str = "", before: str = "") -> tuple[list[str], list[str]]:
        found = json.loads(run_python(program(code, options, before), variables | {variable: opt_in}))
        return [row[1] for row in found[0]], found[1]

    assert ask("", environ) == ([], [])
    assert ask("logs", environ) == (["the outbox, and by OTLP to the collector"], [])
    rows, problems = ask("logs", {}, options)
    assert rows == ["go nowhere"]
    assert problems[0].startswith(f"{variable}=logs goes nowhere: nobody takes log records; type ")
    assert ask("log", environ)[1] == [f"{variable}=log says nothing: type logs, or logs/dup for both signals"]
    rows, problems = ask("logs", environ, "", UPSTREAM)
    assert rows[1:] == ["events of the server span, too"]
