"""``flask chest outbox``: list, resend, send, clear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider

from flask_chest_otel import FlaskChest
from flask_chest_otel._cli import chest_cli
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._outbox.owner import OwnerLock
from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result
    from flask import Flask


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """One batch waits, one was refused by a collector that forges lines."""
    opened = Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)
    opened.put("somebody", [("traces", 3, b"bad"), ("metrics", 5, b"good")])
    opened.settle([], {opened.kept()[0].batch_id: "400 no\x1b[31m"})
    yield opened
    opened.close()


def run(outbox: Outbox, *arguments: str) -> str:
    done = CliRunner().invoke(chest_cli, ["outbox", *arguments, "--outbox", str(outbox.path.parent)])
    assert done.exit_code == 0, done.output
    return done.output


def test_list(outbox: Outbox) -> None:
    """Every batch with its size and its state; nothing that a collector said reaches the terminal raw."""
    output = run(outbox, "list")
    assert [line.split()[3:5] for line in output.splitlines()[-2:]] == [["traces", "3"], ["metrics", "5"]]
    assert "refused: 400 no" in output
    assert "waiting" in output
    assert "\x1b" not in output


def test_list_for_programs(outbox: Outbox) -> None:
    """JSON has every figure."""
    first, second = json.loads(run(outbox, "list", "--json"))
    assert (first["signal"], first["items"], first["size_bytes"]) == ("traces", 3, 3)
    assert (second["signal"], second["refused"]) == ("metrics", None)


def test_resend(outbox: Outbox) -> None:
    """What was refused waits again, for whoever comes first."""
    assert "1 refused" in run(outbox, "resend")
    assert [kept.refused for kept in outbox.kept()] == [None, None]


def send(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    """Exit status and output of `flask chest outbox send`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "chest", "outbox", "send", "--outbox", str(folder), *arguments],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def spans(count: int) -> list[tuple[str, int, bytes]]:
    """Batches of one span each, as an application writes them."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("test")
    found = []
    for number in range(count):
        with tracer.start_as_current_span(f"span {number}") as span:
            pass
        found.append(("traces", 1, encode_spans([span]).SerializeToString()))  # type: ignore[list-item]  # it has ended
    return found


@pytest.mark.process
def test_send(tmp_path: Path) -> None:
    """All that waits for the dead arrives, in its order; the exit status says that nothing is left."""
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.put("somebody who died", spans(50))
    outbox.close()
    with OtlpReceiver() as receiver:
        status, output = send(tmp_path, receiver.url)
        names = [span["name"] for span in receiver.spans()]
    assert (status, names) == (0, [f"span {number}" for number in range(50)])
    assert "50 batches wait." in output
    assert output.count("Nothing is left.") == 1


@pytest.mark.process
def test_send_to_nobody(tmp_path: Path) -> None:
    """It ends in time, with exit status 1, and says why, and what is left; nothing is lost."""
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.put("somebody who died", spans(3))
    began = time.monotonic()
    status, output = send(tmp_path, "http://127.0.0.1:9", "--timeout", "1")
    assert status == 1
    assert time.monotonic() - began < 15
    assert "3 batches wait still, and nothing is lost" in output
    assert "Connection refused" in output
    assert [kept.refused for kept in outbox.kept()] == [None] * 3
    outbox.close()


@pytest.mark.process
def test_send_what_is_refused(tmp_path: Path) -> None:
    """What the collector refuses for good is left, and said."""
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.put("somebody who died", spans(1))
    outbox.close()
    with OtlpReceiver(status=400) as receiver:
        status, output = send(tmp_path, receiver.url)
    assert status == 1
    assert "1 batch was refused for good: flask chest outbox list says why" in output


@pytest.mark.process
def test_send_with_a_wrong_token(tmp_path: Path) -> None:
    """It says that the caller is refused, and keeps what waits."""
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.put("somebody who died", spans(1))
    with OtlpReceiver(status=401) as receiver:
        status, output = send(tmp_path, receiver.url, "--timeout", "1")
    assert status == 1
    assert "(401 " in output
    assert "1 batch waits still, and nothing is lost" in output
    assert [kept.refused for kept in outbox.kept()] == [None]
    outbox.close()


@pytest.mark.process
def test_send_beside_a_process_that_runs(tmp_path: Path) -> None:
    """Batches of the living are theirs to send."""
    outbox = Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    living = OwnerLock(tmp_path, "living")
    outbox.put("living", spans(2))
    with OtlpReceiver() as receiver:
        status, output = send(tmp_path, receiver.url)
        assert receiver.spans() == []
    assert status == 1
    assert "2 batches wait for processes that run: stop them first" in output
    living.release()
    outbox.close()


def test_clear(outbox: Outbox) -> None:
    """Refused batches go, waiting ones only when it is asked for."""
    assert "1 batch deleted" in run(outbox, "clear")
    assert [kept.signal for kept in outbox.kept()] == ["metrics"]
    assert "1 batch deleted" in run(outbox, "clear", "--everything", "--yes")
    assert outbox.kept() == []
    assert run(outbox, "list") == "Nothing waits, and nothing was refused.\n"


def test_nobody_to_ask(outbox: Outbox) -> None:
    """Without a terminal, waiting batches are deleted only with --yes; where none waits there is no question."""
    arguments = ["outbox", "clear", "--everything", "--outbox", str(outbox.path.parent)]
    done = CliRunner().invoke(chest_cli, arguments, input="y\n")
    assert (done.exit_code, len(outbox.kept())) == (1, 2)
    assert "Error: 1 batch waits to be sent, and would be lost" in done.output
    assert "type --yes" in done.output
    outbox.settle([], {outbox.kept()[1].batch_id: "400"})
    assert "2 batches deleted" in run(outbox, "clear", "--everything")


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("answer", "left"), [("n", 2), ("y", 0)])
def test_a_question_before_anything_is_lost(outbox: Outbox, answer: str, left: int) -> None:
    """On a terminal: how many wait, and only a yes deletes."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from flask_chest_otel._cli import chest_cli; chest_cli()", "outbox", "clear"]
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [*command, "--everything", "--outbox", str(outbox.path.parent)],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "1 batch waits to be sent, and would be lost. Delete? [y/N]" in done.stdout + done.stderr
    assert (done.returncode, len(outbox.kept())) == (0 if answer == "y" else 1, left)


NO_OTLP: list[tuple[dict[str, str], bool, str]] = [
    ({}, False, "does not export by OTLP; it keeps its requests: flask chest requests. To have it export: OTEL_EXP"),
    ({"FLASK_CHEST_EXPORT": "none"}, False, "does not export by OTLP; it exports nothing (export=None). To have it"),
    ({}, True, "it uses OpenTelemetry providers of its own. To give those that the environment configures an outbox"),
]


@pytest.mark.parametrize(("environ", "own_provider", "sentence"), NO_OTLP)
def test_an_application_without_otlp(
    environ: dict[str, str],
    own_provider: bool,
    sentence: str,
    chest: Callable[..., Result],
    app: Flask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has no outbox, and nothing is wrong with that: a sentence, no error, and nothing is made."""
    for name, value in {**environ, "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "box")}.items():
        monkeypatch.setenv(name, value)
    FlaskChest(app, tracer_provider=TracerProvider(shutdown_on_exit=False) if own_provider else None)
    result = chest("outbox", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert sentence in result.stderr
    assert json.loads(chest("outbox", "list", "--json").stdout) == []
    result = chest("outbox", "resend")
    assert (result.exit_code, sentence in result.stderr) == (1, True)
    assert not (tmp_path / "box").exists()
    # One that is there, from another time or another set-up, is listed.
    Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0).close()
    assert "Nothing waits, and nothing was refused." in chest("outbox", "list").stderr


def test_an_application_that_exports_without_one(
    chest: Callable[..., Result], app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exporters of others there is none, and a sentence on what would bring one; half of it is enough for one."""
    monkeypatch.setenv("FLASK_CHEST_OUTBOX_DIR", str(tmp_path / "box"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp_proto_grpc")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    FlaskChest(app)
    result = chest("outbox", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "this application exports without an outbox. To give it one: no other OTEL_TRACES_EX" in result.stderr
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
    assert chest("outbox", "list").exit_code == 1


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"])
def test_an_application_that_has_not_exported_yet(
    variable: str, chest: Callable[..., Result], app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there should be an outbox, its absence is an error, also with exporters that the environment names."""
    monkeypatch.setenv("FLASK_CHEST_OUTBOX_DIR", str(tmp_path / "box"))
    monkeypatch.setenv(variable, "flask_chest_otlp" if variable == "OTEL_TRACES_EXPORTER" else "http://h:4318")
    FlaskChest(app, tracer_provider=TracerProvider(shutdown_on_exit=False) if "TRACES" in variable else None)
    result = chest("outbox", "list")
    assert result.exit_code == 1
    assert f"there is no outbox in {tmp_path / 'box'}: name the application" in result.stderr


def test_no_outbox(tmp_path: Path) -> None:
    """Where there is none, that is said, with what to type; and none is made."""
    done = CliRunner().invoke(chest_cli, ["outbox", "list", "--outbox", str(tmp_path)])
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "there is no outbox" in done.output
    assert "--app" in done.output


def test_no_outbox_of_ours(tmp_path: Path) -> None:
    """A file that is something else is said to be so, and left alone."""
    (tmp_path / FILENAME).write_bytes(b"something else" * 1000)
    done = CliRunner().invoke(chest_cli, ["outbox", "clear", "--outbox", str(tmp_path)])
    assert done.exit_code == 1
    assert "cannot be read" in done.output


@pytest.mark.parametrize("wrong", ["\x1b[2J\n", b"\x1b\xff", 2.5, -(2**63), 2**63 - 1, ""])
def test_a_file_that_somebody_else_wrote(outbox: Outbox, wrong: object) -> None:
    """A column of any type and any text ends in no traceback, and cannot drive the terminal."""
    outbox.connection.execute(
        "UPDATE outbox_batches SET signal = ?, created_unix_ns = ?, items = ?, refused = ?", [wrong] * 4
    )
    assert all(sign.isprintable() for sign in run(outbox, "list").replace("\n", ""))
    assert len(json.loads(run(outbox, "list", "--json"))) == 2
