"""``flask chest doctor``: what it shows, what it finds wrong, how it ends."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from flask import Flask
from flask.cli import ScriptInfo
from opentelemetry.sdk.trace import TracerProvider

from flask_chest_otel import FlaskChest
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._store.file import APPLICATION_ID
from tests.backends.certificates import certificate
from tests.backends.moody import Moody
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from tests.conftest import Rig

pytestmark = pytest.mark.process

SHOP = """
from flask import Flask
from flask_chest_otel import FlaskChest

app = Flask("shop", instance_path={folder!r})
FlaskChest(app, tracked_vars=["a", "b"], request_id_secret="hunter2")
"""


PLAIN = """
from flask import Flask

app = Flask("shop", instance_path={folder!r})
"""

BIN = Path(sys.executable).parent


def doctor(
    folder: Path, *arguments: str, shop: str = SHOP, under: tuple[str, ...] = (), **environ: str
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the command, in a process of its own where global providers may be set."""
    (folder / "shop.py").write_text(shop.format(folder=str(folder)))
    command = [*under, str(BIN / "flask"), "--app", "shop", "chest", "doctor", "--json", *arguments]
    given = {**os.environ, "FLASK_CHEST_OUTBOX_DIR": str(folder / "box"), **environ}
    plain = {name: value for name, value in given.items() if value}
    done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=False)
    assert "hunter2" not in done.stdout + done.stderr
    # Under a distribution its own exporters log, old ones with a traceback.
    assert under or "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def row(report: dict[str, Any], key: str, name: str) -> tuple[str, str]:
    (found,) = [row for row in report[key] if row["name"] == name]
    return found["value"], found["why"]


def test_all_is_well(tmp_path: Path) -> None:
    """With a collector: status 0, a span and a metric at the far end, and settings with their sources."""
    with OtlpReceiver() as receiver:
        headers = "authorization=secret-of-the-headers"
        status, report = doctor(
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_HEADERS=headers,
            FLASK_CHEST_LIST_LIMIT="7",
        )
        assert [span["name"] for span in receiver.spans()] == ["flask chest doctor"]
        assert [point["value"] for point in receiver.latest("flask_chest.doctor")] == [1]
        assert receiver.headers[0]["authorization"] == "secret-of-the-headers"
    assert (status, report["problems"]) == (0, [])
    assert row(report, "settings", "list_limit") == ("7", "environment")
    assert row(report, "settings", "tracked_vars") == ("a,b", "argument")
    assert row(report, "settings", "request_id_secret") == ("***", "argument")
    assert row(report, "settings", "value_limit_chars") == ("1024", "default")
    assert row(report, "environment", "OTEL_EXPORTER_OTLP_HEADERS") == ("***", "")
    assert "secret-of-the-headers" not in json.dumps(report)
    assert row(report, "providers", "tracer provider")[1] == "the global one"
    assert row(report, "providers", "trace id") == ("ChestIdGenerator", "the request id decides")
    assert row(report, "entry_points", "instrumentor flask_chest")[0] == "skipped"


def test_batches_of_another_application(tmp_path: Path) -> None:
    """What one of the same name has in its outbox is a fact, and no problem of this application."""
    state = tmp_path / "state"
    with OtlpReceiver() as receiver:
        examine = partial(
            doctor,
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            FLASK_CHEST_OUTBOX_DIR="",
            XDG_STATE_HOME=str(state),
        )
        assert examine()[0] == 0
        (mine,) = state.rglob("outbox.sqlite3")
        other = mine.parent.with_name("0123abcd")
        outbox = Outbox(other / mine.name, 2**28, 1e9)
        outbox.put("somebody", [("traces", 1, b"1"), ("traces", 1, b"2")])
        outbox.settle([], {outbox.kept()[0].batch_id: "401 no"})
        outbox.connection.execute("UPDATE outbox_batches SET created_unix_ns = 1")
        outbox.close()
        status, report = examine()
        assert [span["name"] for span in receiver.spans()] == ["flask chest doctor"] * 2
    assert (status, report["problems"]) == (0, [])
    where, what = row(report, "kept", "outbox of the same name")
    assert where == str(other)
    assert what.startswith("2 batches lie there; ")
    assert f"flask chest outbox send --outbox {other}, " in what


def test_nobody_listens(tmp_path: Path) -> None:
    """Without a collector: status 1, a sentence on each signal with what to type, no password in it."""
    status, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://me:pass-word@127.0.0.1:{free_port()}")
    assert status == 1
    traces, metrics = report["problems"]
    assert "/v1/traces does not take traces (ConnectionRefusedError" in traces
    assert "/v1/metrics does not take metrics" in metrics
    assert all("OTEL_EXPORTER_OTLP_ENDPOINT=" in problem for problem in report["problems"])
    assert "pass-word" not in json.dumps(report)
    assert row(report, "sent", "span") == ("flask chest doctor", "not passed on")
    assert row(report, "kept", "outbox")[1].startswith("2 batches wait, 0 were refused, ")
    waiting = {entry["why"]: entry["value"] for entry in report["counters"] if "batches" in entry["name"]}
    assert waiting == {"flask_chest.state=waiting": "2", "flask_chest.state=refused": "0"}


def test_the_sdk_is_switched_off(tmp_path: Path) -> None:
    """Nothing was passed on, and the variable that is to blame is named."""
    with OtlpReceiver() as receiver:
        status, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SDK_DISABLED="True")
        assert (receiver.spans(), receiver.latest("flask_chest.doctor")) == ([], [])
    assert status == 1
    assert "OTEL_SDK_DISABLED=true switches OpenTelemetry off" in report["problems"][0]
    assert [row(report, "sent", name)[1] for name in ("span", "metric")] == ["nobody exports it"] * 2


def test_signals_that_nobody_exports(tmp_path: Path) -> None:
    """What no exporter was wanted for has not been passed on."""
    with OtlpReceiver() as receiver:
        _, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_TRACES_EXPORTER="none")
        assert [point["value"] for point in receiver.latest("flask_chest.doctor")] == [1]
    assert row(report, "sent", "span")[1] == "nobody exports it"
    assert row(report, "sent", "metric")[1].startswith("passed on in ")


def test_refused_by_the_collector(tmp_path: Path) -> None:
    """A wrong key: the collector's status, and where keys are given; the next visit tells of what still waits."""
    with OtlpReceiver(status=401) as receiver:
        status, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert status == 1
        assert any("not take traces (401" in problem and "_HEADERS" in problem for problem in report["problems"])
        _, again = doctor(tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert re.match(r"[2-9] batches wait, 0 were refused", row(again, "kept", "outbox")[1])
    assert "sent" not in again


def test_one_batch(tmp_path: Path) -> None:
    """One is not called many."""
    with closing(Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)) as outbox:
        outbox.put("somebody", [("traces", 3, b"bad"), ("metrics", 5, b"good")])
        outbox.settle([], {outbox.kept()[0].batch_id: "400"})
    _, report = doctor(tmp_path, "--no-send")
    assert row(report, "kept", "outbox")[1].startswith("1 batch waits, 1 was refused, ")
    assert "refused 1 batch for good" in report["problems"][0]


def test_what_is_logged_once_stands_without_that(tmp_path: Path) -> None:
    """A report is no log: a line that is logged once has its words, and not that it is logged once."""
    with OtlpReceiver() as receiver:
        _, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL="smoke")
    assert "neither grpc nor http/protobuf" in str(report["problems"])
    assert "logged once" not in str(report["problems"])


@dataclass(frozen=True)
class Wrong:
    """Variables of which the doctor says that they are wrong.

    Attributes:
        environ: The variables.
        problem: What it says of them.
        arguments: Those of the command.
        whole: Whether that is all of the only problem; otherwise it is a part of the first one.
    """

    environ: dict[str, Any]
    problem: str
    arguments: tuple[str, ...] = ()
    whole: bool = True


WRONG = {
    "an exporter that nobody has installed": Wrong(
        {"OTEL_TRACES_EXPORTER": "zipkn"}, "OTEL_TRACES_EXPORTER='zipkn' cannot be used", whole=False
    ),
    "a value that no setting takes": Wrong(
        {"FLASK_CHEST_LIST_LIMIT": "x"},
        "FLASK_CHEST_LIST_LIMIT='x' cannot be used: give a whole number",
        whole=False,
    ),
    "a misspelt setting, beside an option of the commands": Wrong(
        {"FLASK_CHEST_LIST_LIMT": "3", "FLASK_CHEST_CLI_STORE": "x"},
        "the environment variable FLASK_CHEST_LIST_LIMT is no setting: type FLASK_CHEST_LIST_LIMIT",
        ("--no-send",),
    ),
    "a misspelt variable of OpenTelemetry, beside one of an instrumentation": Wrong(
        {"OTEL_EXPORTER_OTLP_ENDPONT": "http://127.0.0.1:4318", "OTEL_PYTHON_FLASK_EXCLUDED_URLS": "health"},
        "the environment variable OTEL_EXPORTER_OTLP_ENDPONT says nothing to OpenTelemetry: "
        "type OTEL_EXPORTER_OTLP_ENDPOINT",
        ("--no-send",),
    ),
    "an address without its scheme": Wrong(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"},
        "OTEL_EXPORTER_OTLP_ENDPOINT='localhost:4318' cannot be used: "
        "give its scheme, too: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_variables_that_are_wrong(tmp_path: Path, wrong: Wrong) -> None:
    """A wrong variable is a problem with its name and what to type, as JSON, too; no traceback."""
    status, report = doctor(tmp_path, *wrong.arguments, **wrong.environ)
    assert status == 1
    assert wrong.problem in report["problems"][0]
    if wrong.whole:
        assert report["problems"] == [wrong.problem]


def test_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    """Where one variable stops the application, the doctor names the other wrong ones in the same answer."""
    wrong: dict[str, Any] = {
        "FLASK_CHEST_LIST_LIMIT": "many",
        "FLASK_CHEST_STORE_SPANS": "some",
        "FLASK_CHEST_TRACKD_VARS": "user_id",
        "OTEL_EXPORTER_OTLP_ENDPONT": "http://x",
    }
    status, report = doctor(tmp_path, **wrong)
    assert status == 1
    assert len(report["problems"]) == len(wrong)
    for name in wrong:
        (problem,) = (one for one in report["problems"] if name in one)
        assert "type " in problem or "give " in problem


def test_figures_for_people(tmp_path: Path) -> None:
    """Sizes and ages have a unit that says something, not thousands of bytes and hundreds of seconds."""
    outbox = Outbox(tmp_path / "box" / FILENAME, 2**28, 1e9)
    outbox.put("somebody", [("traces", 1, b"1" * 3_000_000)])
    outbox.connection.execute("UPDATE outbox_batches SET created_unix_ns = ?", (time.time_ns() - 700 * 10**9,))
    outbox.close()
    nobody = f"http://127.0.0.1:{free_port()}"
    _, report = doctor(tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT=nobody)
    assert re.search(r"^1 batch waits, 0 were refused, \d\.\d+ MiB$", row(report, "kept", "outbox")[1])
    assert any("has been waiting for 12 minutes: " in one for one in report["problems"])


@pytest.mark.parametrize("command", [["outbox", "list"], ["requests"], ["collector", "render", "--target", "file"]])
def test_other_commands_do_the_same(chest: Callable[..., Result], command: list[str]) -> None:
    """A bad setting ends every command with that sentence and status 1."""

    def create_app() -> Flask:
        app = Flask("shop")
        FlaskChest(app, list_limit=0)
        return app

    result = chest(*command, info=ScriptInfo(create_app=create_app))
    assert result.exit_code == 1
    assert result.output.startswith("Error: list_limit=0 cannot be used: give a whole number")


def test_without_a_chest(chest: Callable[..., Result]) -> None:
    """An application that nobody has put a chest on is told how; nothing of it is started."""
    result = chest("doctor")
    assert result.exit_code == 1
    assert "this application has no FlaskChest: type FlaskChest(app)" in result.output


def test_the_store(chest: Callable[..., Result], app: Flask) -> None:
    """Without OTLP: where the store is, and nothing is made there."""
    FlaskChest(app)
    result = chest("doctor")
    assert result.exit_code == 0, result.output
    assert "flask_chest.sqlite3" in result.output
    assert "No problem was found." in result.output
    assert not Path(app.instance_path).exists()


def test_zero_code(tmp_path: Path) -> None:
    """Under `opentelemetry-instrument`, the instrumentor's settings count, and the probe arrives."""
    with OtlpReceiver() as receiver:
        status, report = doctor(
            tmp_path,
            shop=PLAIN,
            under=(str(BIN / "opentelemetry-instrument"),),
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_LOGS_EXPORTER="none",
            FLASK_CHEST_TRACKED_VARS="user_id",
        )
        assert "flask chest doctor" in [span["name"] for span in receiver.spans()]
        assert [point["value"] for point in receiver.latest("flask_chest.doctor")] == [1]
    assert (status, report["problems"]) == (0, [])
    assert row(report, "settings", "tracked_vars") == ("user_id", "environment")
    assert row(report, "entry_points", "instrumentor flask_chest") == ("loaded", "it instruments this process")
    assert row(report, "sent", "span")[1].startswith("passed on")


def test_zero_code_with_nobody_listening(tmp_path: Path) -> None:
    """The distribution's exporters complain, and the doctor says what to type."""
    status, report = doctor(
        tmp_path,
        "--timeout",
        "2",
        shop=PLAIN,
        under=(str(BIN / "opentelemetry-instrument"),),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_LOGS_EXPORTER="none",
        FLASK_CHEST_TRACKED_VARS="user_id",
    )
    assert status == 1
    assert any("OTEL_EXPORTER_OTLP_ENDPOINT=" in problem for problem in report["problems"])
    assert row(report, "sent", "span")[1] == "not passed on"


def test_a_malformed_variable_without_code(tmp_path: Path) -> None:
    """The instrumentor takes the default for it; the doctor says so, with the value masked where it may be secret."""
    status, report = doctor(
        tmp_path,
        "--no-send",
        shop=PLAIN,
        under=(str(BIN / "opentelemetry-instrument"),),
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        FLASK_CHEST_LIST_LIMIT="many",
        FLASK_CHEST_CHESTS="postgresql://me:hunter2@host/db",
        FLASK_CHEST_TRACKED_VARS="user_id",
    )
    assert status == 1
    chests, limit = sorted(report["problems"])
    assert chests.startswith("FLASK_CHEST_CHESTS='postgresql://***' cannot be used: give an object")
    assert limit.startswith("FLASK_CHEST_LIST_LIMIT='many' cannot be used: give a whole number from 1 (")
    assert limit.endswith("; its default is used until then")
    assert row(report, "settings", "list_limit") == ("64", "default")
    assert row(report, "settings", "tracked_vars") == ("user_id", "environment")


def test_an_endpoint_with_the_port_of_another_protocol(tmp_path: Path) -> None:
    """A port that belongs to gRPC is a problem where nothing gets through; under a distribution as well."""
    port = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 has the port on which collectors speak grpc"
    status, report = doctor(tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317")
    (problem,) = report["problems"]
    assert (status, problem.startswith(port)) == (1, True)
    status, report = doctor(
        tmp_path,
        "--no-send",
        shop=PLAIN,
        under=(str(BIN / "opentelemetry-instrument"),),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318",
        OTEL_LOGS_EXPORTER="none",
    )
    # Its default is gRPC.
    (problem,) = report["problems"]
    assert "type OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317, or OTEL_EXPORTER_OTLP_PROTOCOL=http" in problem


def test_grpc(tmp_path: Path) -> None:
    """A span and a metric go out by gRPC; where it cannot be spoken, that is said with what to type."""
    asked = partial(doctor, tmp_path, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    with MoodyGrpc() as collector, OtlpReceiver() as other:
        status, report = asked(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        assert (status, report["problems"]) == (0, [])
        assert [span["name"] for span in collector.receiver.spans()] == ["flask chest doctor"]
        assert collector.receiver.metrics("flask_chest.doctor")
        wrong: dict[str, Any] = {
            other.url: "type the collector's port for it, or OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            f"127.0.0.1:{collector.port}": "no TLS is spoken there: type an address that begins with http://",
            f"http://127.0.0.1:{free_port()}": "or type another address: OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4317",
        }
        for address, advice in wrong.items():
            status, report = asked(OTEL_EXPORTER_OTLP_ENDPOINT=address)
            assert status == 1
            assert len(report["problems"]) == 2
            assert all(advice in problem for problem in report["problems"]), report["problems"]


def test_an_odd_endpoint_that_works(tmp_path: Path) -> None:
    """Ports and paths are customs: what gets through is no problem."""
    with OtlpReceiver() as receiver:
        base = f"{receiver.url}/v1/traces"
        status, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=base, OTEL_METRICS_EXPORTER="none")
        assert (status, report["problems"]) == (0, [])
        status, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=base, OTEL_METRICS_EXPORTER="none")
    assert status == 1
    assert report["problems"][0].endswith(f" behind it: type OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}")
    assert any("refused traces (404" in problem for problem in report["problems"])


def test_what_waits_is_refused_first(tmp_path: Path) -> None:
    """The sender says it about what waits from earlier, before the probe: it is heard, and nothing was passed on."""
    with closing(Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)) as outbox:
        outbox.put("somebody", [("traces", 1, b""), ("metrics", 1, b"")])
    with OtlpReceiver(status=404) as receiver:
        status, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert status == 1
    (refused,) = [problem for problem in report["problems"] if "refused traces (404" in problem]
    assert refused.endswith(
        "; nothing takes OTLP there: type another address: OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318"
    )
    assert row(report, "sent", "span") == ("flask chest doctor", "not passed on")


def test_tls_where_there_is_none(tmp_path: Path) -> None:
    """https:// for a server that speaks http is told as that."""
    with OtlpReceiver() as receiver:
        address = receiver.url.replace("http://", "https://")
        _, report = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_METRICS_EXPORTER="none")
    assert report["problems"][0].endswith("type an address that begins with http://")


def test_a_certificate_of_an_authority_that_is_not_known(tmp_path: Path) -> None:
    """Not to start the collector is told, but how to know who signed its certificate; with that, all is well."""
    public = certificate(tmp_path, "IP:127.0.0.1")
    with Moody(certificate=public) as collector:
        asked = partial(doctor, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_METRICS_EXPORTER="none")
        _, report = asked()
        (problem,) = report["problems"]
        assert problem.endswith("PEM file: OTEL_EXPORTER_OTLP_CERTIFICATE=/path/ca.pem")
        _, report = asked(OTEL_EXPORTER_OTLP_CERTIFICATE=str(public))
    assert report["problems"] == []


@pytest.mark.parametrize("variable", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "broken"])
def test_certificates_that_cannot_be_used(tmp_path: Path, variable: str, content: str | None) -> None:
    """The file is named, and the variables where another one is given; not the collector is to blame."""
    path = tmp_path / "known.pem"
    if content is not None:
        path.write_text(content)
    address = f"https://127.0.0.1:{free_port()}"
    variables = {f"OTEL_EXPORTER_OTLP_{variable}": str(path), "OTEL_EXPORTER_OTLP_ENDPOINT": address}
    _, report = doctor(tmp_path, shop=SHOP, under=(), OTEL_METRICS_EXPORTER="none", **variables)
    (problem,) = report["problems"]
    assert f"does not take traces (OSError: certificates {path} cannot be used: " in problem
    assert "type the path of a PEM file: OTEL_EXPORTER_OTLP_CERTIFICATE=…" in problem


def test_a_tracer_provider_alone(chest: Callable[..., Result], app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """Traces without metrics: the doctor says it, and the log once at the first request."""
    FlaskChest(app, tracer_provider=TracerProvider(shutdown_on_exit=False))
    result = chest("doctor")
    assert result.exit_code == 1
    assert "there is a TracerProvider but no MeterProvider" in result.output
    assert result.output.count("set_meter_provider") == 1


def test_the_log_says_it_once(rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application whose metrics go nowhere has one line in the log; one with both providers has none."""
    monkeypatch.setattr("flask_chest_otel._providers.export_policy._said", set())
    rig.app().test_client().get("/")
    assert "MeterProvider" not in caplog.text
    for name in ("one", "two"):
        app = rig.plain(name)
        FlaskChest(app, tracer_provider=rig.tracer_provider)
        app.test_client().get("/")
        app.test_client().get("/")
    assert caplog.text.count("there is a TracerProvider but no MeterProvider") == 1


class SlottedGenerator:
    """Has no place for changes."""

    __slots__ = ()

    def generate_span_id(self) -> int:
        return 1

    def generate_trace_id(self) -> int:
        return 1

    def is_trace_id_random(self) -> bool:
        return False


def test_an_id_generator_that_cannot_be_taught(chest: Callable[..., Result], app: Flask, rig: Rig) -> None:
    """A provider whose ids stay its own is named, with the setting that helps."""
    provider = TracerProvider(id_generator=cast("IdGenerator", SlottedGenerator()), shutdown_on_exit=False)
    FlaskChest(app, tracer_provider=provider, meter_provider=rig.meter_provider)
    result = chest("doctor")
    assert result.exit_code == 1
    assert "SlottedGenerator cannot be taught" in result.output
    assert "OTEL_PYTHON_ID_GENERATOR=flask_chest" in result.output


@pytest.mark.parametrize(
    ("ini", "problem"),
    [
        ("[uwsgi]\nmaster = true\n", True),
        ("[uwsgi]\nenable-threads = false\n", True),
        ("[uwsgi]\nmaster\nenable-threads\n", False),
        ("[uwsgi]\nthreads = 4\n", False),
        ("[flake8]\nmaster = true\n", False),
    ],
)
def test_uwsgi(
    chest: Callable[..., Result],
    app: Flask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ini: str,
    *,
    problem: bool,
) -> None:
    """A configuration of uWSGI without threads is found where the command is typed."""
    FlaskChest(app)
    (tmp_path / "site.ini").write_text(ini)
    monkeypatch.chdir(tmp_path)
    result = chest("doctor", "--no-send")
    assert ("site.ini: uWSGI runs no threads there" in result.output) is problem
    assert result.exit_code == int(problem)


def test_entry_points(tmp_path: Path) -> None:
    """A broken one is a problem with what to type, a disabled one is skipped for that reason."""
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nbroken = no_such_module:Thing\n")
    disabled = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    status, report = doctor(tmp_path, PYTHONPATH=str(tmp_path), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="flask")
    assert row(report, "entry_points", "instrumentor flask") == ("skipped", f"{disabled} names it")
    assert row(report, "entry_points", "instrumentor broken") == ("broken", "it cannot be imported")
    assert status == 1
    assert "'broken' cannot be loaded (ModuleNotFoundError" in report["problems"][0]


@pytest.mark.parametrize("given", ["inf", "nan", "0", "1e999", "soon"])
def test_a_time_that_is_none(chest: Callable[..., Result], app: Flask, given: str) -> None:
    """A time that nobody can wait for is a usage error."""
    FlaskChest(app)
    result = chest("doctor", "--timeout", given)
    assert result.exit_code == 2
    assert "type seconds, from 0.1 to 3600" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/?token=sesame-open",
        "http://127.0.0.1:9/?mail=me@sesame-open",
        "http://me:open/sesame-open@127.0.0.1:9",
        "me:sesame-open@127.0.0.1:9",
        "http://me:sesame-open",
    ],
)
@pytest.mark.parametrize("under", [(), (str(BIN / "opentelemetry-instrument"),)], ids=["extension", "zero code"])
def test_no_secret_of_an_address(tmp_path: Path, address: str, under: tuple[str, ...]) -> None:
    """Neither the table nor a sentence shows passwords, queries and keys, whoever quotes them."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_HEADERS": "sesame-header,a=b",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_LOGS_EXPORTER": "none",
    }
    _, report = doctor(tmp_path, "--timeout", "1", shop=PLAIN if under else SHOP, under=under, **variables)
    assert "sesame" not in json.dumps(report)
    assert report["problems"]


def test_a_header_without_a_name(tmp_path: Path) -> None:
    """A key without its name is said to be none, in the doctor and in the log, and not shown; the others are sent."""
    with OtlpReceiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "sesame, a=c%20d, x = y z",
        }
        _, report = doctor(tmp_path, shop=SHOP, under=(), **variables)
        assert {"a": "c d", "x": "y z"}.items() <= receiver.headers[0].items()
    (problem,) = report["problems"]
    assert "has an entry that is no header and is not sent: type OTEL_EXPORTER_OTLP_HEADERS=name=value" in problem
    assert "sesame" not in json.dumps(report)


PLAIN = "from flask import Flask\n\napp = Flask(__name__)"
SILENT = """
from flask import Flask, g
from flask_chest_otel import FlaskChest, flask_chest

app = Flask("shop", instance_path={folder!r})
chest = FlaskChest(app, export="store")

@app.route("/bare")
@flask_chest
def bare():
    return ""

@flask_chest("lost")
@app.route("/upside-down")
def upside_down():
    return ""

@flask_chest("never")
def no_route():
    return ""

@app.route("/cart")
@flask_chest("cart_total", "cart_totl")
def cart():
    g.cart_total = 1.0
    return ""
"""


def test_what_says_nothing(tmp_path: Path) -> None:
    """Decorators without effect and names that no request has had are listed; they are no problems."""
    (tmp_path / "shop.py").write_text(SILENT.format(folder=str(tmp_path)))
    visit = "import shop; shop.app.test_client().get('/cart'); assert shop.chest.force_flush(5)"
    subprocess.run([sys.executable, "-c", visit], cwd=tmp_path, check=True)
    status, report = doctor(tmp_path, shop=SILENT)
    assert (status, report["problems"]) == (0, [])
    assert {entry["name"]: entry["value"] for entry in report["silent"]} == {
        "shop.no_route": "no route of this application has it",
        "bare": "@flask_chest tracks nothing here",
        "g.cart_totl": "no request in the store has had it",
        "g.lost": "no request in the store has had it",
    }


MANY = """
from flask import Flask, g
from flask_chest_otel import FlaskChest, TrackedVar

app = Flask("shop", instance_path={folder!r})
tracked = [TrackedVar("user", dimension=True), TrackedVar("plan", dimension=True), "cart_total"]
chest = FlaskChest(app, tracked_vars=tracked, export="store", cardinality_limit=50, server_span={span!r})

@app.route("/<int:number>")
def view(number):
    g.user, g.plan, g.cart_total = f"u{{number}}", "gold", 1.0
    return ""
"""


@pytest.mark.parametrize(("span", "requests"), [("chest", 40), ("chest", 10), ("upstream", 10)])
def test_dimensions(tmp_path: Path, span: str, requests: int) -> None:
    """Instruments that come near the limit are named, and dimensions that upstream's metric cannot have."""
    shop = MANY.replace("{span!r}", repr(span))
    (tmp_path / "shop.py").write_text(shop.format(folder=str(tmp_path)))
    visits = f"[shop.app.test_client().get(f'/{{n}}') for n in range({requests})]"
    visit = f"import shop; {visits}; assert shop.chest.force_flush(5)"
    subprocess.run([sys.executable, "-c", visit], cwd=tmp_path, check=True)
    status, report = doctor(tmp_path, shop=shop)
    assert (status, report["problems"]) == (0, [])
    near = ["flask.g.cart_total", "http.server.request.duration"] if requests >= 40 else []
    impossible = ["g.plan", "g.user"] if span == "upstream" else []
    assert [entry["name"] for entry in report["silent"]] == [*impossible, *near]
    if near:
        said = ("40 attribute sets in the store, of 50", "plan, user as no dimension")
        assert row(report, "silent", "http.server.request.duration") == said
    if impossible:
        assert row(report, "silent", "g.plan")[1] == 'server_span="chest"'


def test_what_the_store_knows_and_lacks(tmp_path: Path) -> None:
    """With the store alone, metrics by name go nowhere; with a collector, which names requests set is not known."""
    status, report = doctor(tmp_path, "--no-send")
    assert (status, row(report, "providers", "add_metric")[0]) == (0, "goes nowhere")
    assert row(report, "kept", "store")[0].endswith("flask_chest.sqlite3")
    status, report = doctor(tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert (status, "add_metric" in {entry["name"] for entry in report["providers"]}) == (0, False)
    assert row(report, "kept", "store") == (
        "none",
        "without a store, nobody can tell which tracked names requests have had",
    )


def test_decorators_without_a_chest(tmp_path: Path) -> None:
    """The application's problem is that it has none; nothing else is called silent."""
    status, report = doctor(tmp_path, shop=SILENT.replace('FlaskChest(app, export="store")', "None"))
    assert status == 1
    assert report["problems"][0].startswith("this application has no FlaskChest")
    assert [entry["name"] for entry in report["silent"]] == ["shop.no_route"]
    _, report = doctor(tmp_path, shop=PLAIN, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="tea, flask_chest")
    assert report["problems"][0].endswith("take flask_chest (or *) out of OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")


def test_a_distribution_that_failed(tmp_path: Path) -> None:
    """Where `opentelemetry-instrument` could set nothing up, its own words are named, and nobody is told to type it."""
    under = (str(BIN / "opentelemetry-instrument"),)
    status, report = doctor(tmp_path, shop=PLAIN, under=under, OTEL_TRACES_EXPORTER="nonsense")
    assert status == 1
    assert report["problems"][0].startswith("opentelemetry-instrument started this process and instrumented nothing")


@pytest.mark.parametrize(
    ("variables", "advice"),
    [
        ({"OTEL_TRACES_SAMPLER": "tea"}, "tea: every request is sampled until then; type OTEL_TRACES_SAMPLER="),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
            "type a number from 0 to 1, as in OTEL_TRACES_SAMPLER_ARG=0.1",
        ),
        ({"OTEL_RESOURCE_ATTRIBUTES": "tea"}, "type OTEL_RESOURCE_ATTRIBUTES=name=value,name=value"),
    ],
)
def test_what_the_sdk_does_not_say(tmp_path: Path, variables: dict[str, str], advice: str) -> None:
    """The SDK's own words name neither the variable nor what it takes: the doctor does."""
    status, report = doctor(
        tmp_path, "--no-send", shop=SHOP, under=(), OTEL_TRACES_EXPORTER="flask_chest_otlp", **variables
    )
    assert status == 1
    assert any(advice in problem for problem in report["problems"]), report["problems"]


def test_the_log_says_what_is_misspelt(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of OpenTelemetry that nobody reads is one line at the first request."""
    monkeypatch.setattr("flask_chest_otel._providers.export_policy._said", set())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPONT", "http://127.0.0.1:4318")
    client = rig.app().test_client()
    for _ in range(2):
        client.get("/")
    assert caplog.text.count("OTEL_EXPORTER_OTLP_ENDPONT says nothing to OpenTelemetry: type") == 1


def test_how_full_it_is(tmp_path: Path, chest: Callable[..., Result], app: Flask) -> None:
    """The store's bounds and use stand beside its path; what is near them is said, and of an outbox it is a problem."""
    FlaskChest(app)
    assert "0.0 of 256 MiB, requests of the last 7 days" in " ".join(chest("doctor", "--json").stdout.split())
    path = Path(app.instance_path) / "flask_chest.sqlite3"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(250 * 1024 * 1024)
    assert "nearly full: the oldest requests go first" in chest("doctor", "--json").stdout
    with closing(Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)) as outbox:
        outbox.put("somebody", [("traces", 3, b"x" * 1_020_000)])
    _, report = doctor(tmp_path, "--no-send", FLASK_CHEST_OUTBOX_MAX_BYTES="1048576")
    assert any("is nearly full" in problem and "OUTBOX_MAX_BYTES" in problem for problem in report["problems"])


def test_no_send_sends_nothing(tmp_path: Path) -> None:
    """Not even what is counted about the package itself, at the end of the process; and nothing is left to send."""
    with OtlpReceiver() as receiver:
        status, report = doctor(tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert (status, report["problems"]) == (0, [])
        assert not receiver.headers
    assert not (tmp_path / "box").exists()


def test_an_outbox_below_a_file(tmp_path: Path) -> None:
    """It cannot be made, which is a problem that is found without sending."""
    (tmp_path / "file").touch()
    box = str(tmp_path / "file" / "outbox")
    status, report = doctor(
        tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", FLASK_CHEST_OUTBOX_DIR=box
    )
    assert (status, report["problems"]) == (
        1,
        [f"{tmp_path / 'file'} is no folder: remove it, or FLASK_CHEST_OUTBOX_DIR=/another/folder"],
    )


def test_an_outbox_that_nobody_sends_from(tmp_path: Path) -> None:
    """Where the application does not export, starting it would not help."""
    with closing(Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)) as outbox:
        outbox.put("somebody", [("traces", 3, b"x")])
        outbox.connection.execute(f"UPDATE outbox_batches SET created_unix_ns = {time.time_ns() - 90 * 10**9}")
    for endpoint, advice in (
        ("", f"type flask chest outbox send --outbox {tmp_path / 'box'}"),
        ("http://127.0.0.1:9", "the application, which sends what waits"),
    ):
        _, report = doctor(tmp_path, "--no-send", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        (problem,) = report["problems"]
        assert problem.endswith(f"start the collector, and {advice}")


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE chest_requests (a)")


def _newer(path: Path) -> None:
    _foreign(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 700")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "is no file, so no request is kept: type FLASK_CHEST_STORE_PATH=/another/file"),
        (_foreign, "is no store of flask_chest_otel, so no request is kept: type FLASK_CHEST_STORE_PATH"),
        (_newer, "has schema 700, this flask_chest_otel reads"),
        (
            lambda path: path.write_bytes(b"no database" * 1000),
            "the store is broken, and will be set aside for a new one",
        ),
    ],
    ids=["folder", "foreign", "newer", "broken"],
)
def test_a_store_that_keeps_nothing(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    """The application would say so with its first request; the doctor says it before."""
    path = tmp_path / "kept.sqlite3"
    make(path)
    status, report = doctor(tmp_path, "--no-send", FLASK_CHEST_STORE_PATH=str(path))
    assert status == 1
    assert any(said in problem for problem in report["problems"])


def test_settings_that_come_too_late(
    chest: Callable[..., Result], app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """What stands in `app.config` after the settings were read, misspelt or not, is a problem, and one log line."""
    FlaskChest(app, list_limit=7)
    app.config |= {"FLASK_CHEST_TRACKED_VARS": ["user_id"], "FLASK_CHEST_TRACKD": 1, "FLASK_CHEST_LIST_LIMIT": 8}
    for _ in range(2):
        app.test_client().get("/")
    problems = json.loads(chest("doctor", "--no-send", "--json").stdout)["problems"]
    for said in (problems, caplog.messages):
        late = [line for line in said if "was set after this package had read the settings" in line]
        assert [line.partition("'")[2].partition("'")[0] for line in late] == [
            "FLASK_CHEST_TRACKED_VARS",
            "FLASK_CHEST_TRACKD",
        ]


def test_testing_is_left_on(tmp_path: Path) -> None:
    """Nothing is kept then, and the row of the store says why."""
    _, report = doctor(tmp_path, "--no-send", shop=SHOP + "app.testing = True\n")
    assert row(report, "kept", "store")[1].startswith("TESTING is set: nothing is stored or exported")


LOGS = """
import logging, logging.config, logging.handlers, queue
from flask import Flask
from flask_chest_otel import FlaskChest

def factory(*args, **kwargs):
    record = logging.LogRecord(*args, **kwargs)
    record.tenant = "t"
    return record

def broken(record):
    raise RuntimeError("no request")

logging.setLogRecordFactory(factory)
logging.config.dictConfig({{
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {{"request": {{"()": "flask_chest_otel.logs.RequestFields", "fields": ["plan"]}},
                 "broken": {{"()": lambda: broken}}}},
    "formatters": {{
        "good": {{"format": "%(request_id)s %(tenant)s %(message)s"}},
        "typo": {{"format": "{{requst_id}} {{message}}", "style": "{{"}},
        "plan": {{"format": "%(plan)s %(message)s"}},
        "span": {{"format": "%(span_id)s %(message)s"}},
    }},
    "handlers": {{
        **{{name: {{"class": "logging.NullHandler", "formatter": name}} for name in ("good", "typo", "plan", "span")}},
        "filtered": {{"class": "logging.StreamHandler", "formatter": "plan", "filters": ["request"]}},
        "broken": {{"class": "logging.FileHandler", "filename": "log", "formatter": "plan", "filters": ["broken"]}},
        "sink": {{"class": "logging.StreamHandler", "formatter": "typo"}},
        "buffer": {{"class": "logging.handlers.MemoryHandler", "capacity": 10, "target": "sink"}},
    }},
    "root": {{"handlers": ["good"]}},
    "loggers": {{
        "a": {{"handlers": ["typo"]}}, "b": {{"handlers": ["plan"]}}, "c": {{"handlers": ["span"]}},
        "d": {{"handlers": ["filtered"]}}, "e": {{"handlers": ["broken"]}},
        "f": {{"handlers": ["buffer"]}},
    }},
}})
waiting = logging.handlers.QueueHandler(queue.Queue())
waiting.listener = logging.handlers.QueueListener(waiting.queue, logging.getLogger("f").handlers[0].target)
logging.getLogger("g").addHandler(waiting)
app = Flask("shop", instance_path={folder!r})
FlaskChest(app, log_fields=["request_id", "trace_id"], request_log="json", export=None)
"""


def test_who_puts_what_on_log_lines(tmp_path: Path) -> None:
    """Fields and who gives them; a format that asks for another one is a problem, with what to type."""
    status, report = doctor(tmp_path, "--no-send", shop=LOGS)
    assert status == 1
    assert report["problems"] == [
        "the format of NullHandler of the logger a asks for 'requst_id', which nobody puts on records: type request_id",
        (
            "the format of NullHandler of the logger b asks for 'plan', which nobody puts on records: take it out of "
            "the format, or name it in log_fields= if it is a tracked variable"
        ),
        (
            "the format of NullHandler of the logger c asks for 'span_id', which nobody puts on records: "
            "type log_fields=['request_id', 'trace_id', 'span_id']"
        ),
        # Behind a handler that formats nothing.
        *(
            f"the format of StreamHandler of the logger {name} asks for 'requst_id', which nobody puts on records: "
            "type request_id"
            for name in ("f", "g")
        ),
    ]
    assert row(report, "logs", "log_fields") == ("request_id, trace_id", "argument")
    assert row(report, "logs", "request_log") == ("json", "on the logger flask_chest.request")
    assert row(report, "logs", "record factory")[0] == "shop.factory"
    assert row(report, "logs", "NullHandler of the logger root")[0] == "has what its format asks for"
    assert row(report, "logs", "StreamHandler of the logger d") == ("has what its format asks for", "RequestFields")
    assert (tmp_path / "log").read_text() == ""


def test_a_request_log_that_is_switched_off(tmp_path: Path) -> None:
    """``dictConfig`` after the first request disables the logger of the requests' lines."""
    late = """
app.test_client().get("/")
logging.config.dictConfig({{"version": 1}})
"""
    status, report = doctor(
        tmp_path,
        "--no-send",
        shop=LOGS.partition("def factory")[0]
        + """
app = Flask("shop", instance_path={folder!r})
FlaskChest(app, request_log="json", export=None)
"""
        + late,
    )
    assert status == 1
    assert report["problems"][0].startswith("the logger flask_chest.request is disabled: no request gets its line")
