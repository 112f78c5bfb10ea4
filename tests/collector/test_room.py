"""`check`, `run` and `drain` on the queues: do they fit, does another collector have them, what waits for nobody."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flask_chest_otel._cli.collector import command
from flask_chest_otel._collector import Composition, render
from flask_chest_otel._collector.check import problems
from flask_chest_otel._collector.queues import queues_of, waiting
from tests.backends.moody import Moody
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_installed
from tests.backends.server import free_port
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

DEBUG = Composition(("debug",))


def said(composition: Composition, environ: dict[str, str]) -> str:
    return "\n".join(problems(composition, render(composition), environ))


def test_every_queue_is_known(start_collector: StartCollector) -> None:
    """The files that a collector makes are those that its configuration is said to have."""
    names = (
        "influxdb",
        "influxdb1",
        "splunk",
        "splunk_hec",
        "aws",
        "file",
        "prometheus_remote_write",
        "zipkin",
        "kafka",
        "otlp",
    )
    text = render(Composition(names, raw_values=False, span_metrics=True))
    collector = start_collector(whole=text)
    made = {path.name for path in (collector.folder / "queue").glob("exporter_*")}
    assert made == {queue.file for queue in queues_of(text, {})}


def test_queues_that_do_not_fit(tmp_path: Path) -> None:
    """`check` and `run` say what the queues may become and what the disk has, and `run` does not start."""
    env = {
        "CHEST_QUEUE_DIR": str(tmp_path),
        "CHEST_FILE_PATH": str(tmp_path / "f"),
        "CHEST_GATE_BYTES": "1000000000000000",
    }
    told = said(Composition(("file",)), env)
    assert "the 6 queues may become" in told
    assert "export CHEST_FILE_QUEUE_BYTES=… CHEST_GATE_BYTES=…" in told
    run = CliRunner().invoke(command, ["run", "--target", "file"], env=env)
    assert run.exit_code == 1
    assert "a long outage would fill it" in run.output
    assert "queues" not in said(Composition(("file",)), {**env, "CHEST_GATE_BYTES": "4000000"})


def test_a_file_is_not_much_larger_than_what_waits(start_collector: StartCollector) -> None:
    """What a queue takes on disk is at most a quarter and 32 MiB more than what waits in it, as `check` assumes."""
    with Moody(503) as away:
        collector = start_collector("otlp", env={"OTLP_TARGET_URL": away.url})
        for number in range(100):
            body = trace_request(200, {"text": os.urandom(1000).hex()}, name=f"batch {number}")
            assert post(collector.otlp_http, "traces", body) == 200
        sizes = {"exporter": "otlp_http/target"}
        eventually(lambda: collector.own_metric("otelcol_exporter_queue_size", **sizes) > 40e6, expected=True)
        collector.stop()
    file = collector.folder / "queue" / "exporter_otlp_http_target_traces"
    assert file.stat().st_blocks * 512 < 1.25 * 100 * len(body) + (32 << 20)


def test_a_second_collector_on_the_same_queues(start_collector: StartCollector) -> None:
    """`check` and `run` name the folder that another collector has."""
    collector = start_collector("file")
    env = {"CHEST_QUEUE_DIR": collector.env["CHEST_QUEUE_DIR"], "CHEST_FILE_PATH": collector.env["CHEST_FILE_PATH"]}
    sentence = f"another collector uses the queues in {env['CHEST_QUEUE_DIR']}"
    assert sentence in said(Composition(("file",)), env)
    run = CliRunner().invoke(command, ["run", "--target", "file"], env=env)
    assert (run.exit_code, sentence in run.output) == (1, True)


def test_what_waits_for_nobody_is_told_and_sent(start_collector: StartCollector, tmp_path: Path) -> None:
    """A queue of a target that is no longer chosen is told by `check`; `drain` sends it, beside a running collector."""
    port = free_port()
    env = {"OTLP_TARGET_URL": f"http://127.0.0.1:{port}"}
    collector = start_collector("otlp", env=env)
    for _ in range(5):
        assert post(collector.otlp_http, "traces", trace_request(10)) == 200
    gate = {"exporter": "otlp_grpc/otlp_gate"}
    eventually(lambda: collector.own_metric("otelcol_exporter_sent_spans", **gate), 50)
    collector.stop()
    queue = collector.env["CHEST_QUEUE_DIR"]
    held = {"CHEST_QUEUE_DIR": queue}
    other = start_collector("debug", env=held)
    file = f"{queue}/exporter_otlp_http_target_traces"
    told = said(DEBUG, held)
    assert f"{file}: " in told
    assert "Type: flask chest collector drain --target otlp" in told
    drain = [sys.executable, "-m", "flask", "chest", "collector", "drain", "--target", "otlp", "--within", "30"]
    with OtlpReceiver() as target:
        given = {**os.environ, **held, "OTLP_TARGET_URL": target.url}
        done = subprocess.run(drain, env=given, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout == "Sent what waited for otlp.\n"
        assert "\tinfo\t" not in done.stderr
        assert len(target.wait_for_spans(50)) == 50
    assert "drain" not in said(DEBUG, held)
    assert post(other.otlp_http, "traces", trace_request(1)) == 200
    done = subprocess.run(drain, env=given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == f"Nothing waits for otlp in {queue}.\n"


def test_what_is_no_queue_holds_nothing(tmp_path: Path) -> None:
    """A file of any other kind is not taken for a queue."""
    for number, content in enumerate((b"", b"x", bytes(9000), os.urandom(9000))):
        path = tmp_path / f"exporter_{number}"
        path.write_bytes(content)
        assert waiting(path) == 0


def make_certificate(folder: Path, name: str, *, days: int) -> dict[str, str]:
    require_installed("openssl", "openssl")
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    end = dt.datetime.now(tz=dt.timezone.utc) + dt.timedelta(days=days)
    subject = ["-subj", f"/CN={name}", "-days", "1"]
    if days < 0:
        subject = ["-subj", f"/CN={name}", "-not_before", "20200101000000Z", "-not_after", f"{end:%Y%m%d%H%M%SZ}"]
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
        *subject,
    ]
    done = subprocess.run(make, capture_output=True, text=True, check=False)
    if done.returncode and days < 0:
        expired(key, certificate)
    return {"CHEST_TLS_CERT": str(certificate), "CHEST_TLS_KEY": str(key)}


def expired(key: Path, certificate: Path) -> None:
    """Make a certificate of yesterday where openssl is too old to be told so."""
    require_installed("faketime", "faketime")
    make = ["faketime", "2020-01-01", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run([*make, "-keyout", key, "-out", certificate, "-subj", "/CN=old"], check=True, capture_output=True)


def test_the_lock_is_looked_at(tmp_path: Path) -> None:
    """An expired certificate, a key of another one and a short token are told; a good lock is not."""
    secure = Composition(("debug",), secure=True)
    good = {"CHEST_OTLP_TOKEN": "0123456789abcdef", "CHEST_QUEUE_DIR": str(tmp_path)}
    good |= make_certificate(tmp_path, "good", days=1)
    assert "secure:" not in said(secure, good)
    assert "CHEST_OTLP_TOKEN has a token of 1 characters" in said(secure, {**good, "CHEST_OTLP_TOKEN": "x"})
    other = make_certificate(tmp_path, "other", days=1)
    told = said(secure, {**good, "CHEST_TLS_KEY": other["CHEST_TLS_KEY"]})
    assert f"CHEST_TLS_KEY={other['CHEST_TLS_KEY']} belongs to another certificate" in told
    assert "certificate has expired" in said(secure, {**good, **make_certificate(tmp_path, "old", days=-1)})
    assert "cannot be read" in said(secure, {**good, "CHEST_TLS_CERT": str(tmp_path / "nowhere")})
    tokens = tmp_path / "tokens"
    tokens.write_text("0123456789abcdef the old one\nshort\n")
    from_file = {**good, "CHEST_OTLP_TOKEN": "", "CHEST_OTLP_TOKEN_FILE": str(tokens)}
    assert "has a token of 5 characters" in said(secure, from_file)
    tokens.write_text("0123456789abcdef the old one\n")
    assert "secure:" not in said(secure, from_file)


def test_a_rendered_file_is_checked(tmp_path: Path) -> None:
    """`check --config` knows of a rendered file what it is for, and looks at it as at what it would render."""
    path = tmp_path / "collector.yaml"
    path.write_text(render(Composition(("file", "splunk"), secure=True)))
    checked = CliRunner().invoke(command, ["check", "--config", str(path)], env={"CHEST_QUEUE_DIR": str(tmp_path)})
    assert checked.exit_code == 1
    assert "splunk: SPLUNK_ACCESS_TOKEN is not set" in checked.output
    assert "secure: CHEST_OTLP_TOKEN is not set" in checked.output


def test_what_an_upgrade_changes_is_said(tmp_path: Path) -> None:
    """`render --diff` says which settings are new, gone or different; the same file again changes nothing."""
    path = tmp_path / "old.yaml"
    text = render(Composition(("file",)))
    path.write_text(text)
    same = CliRunner().invoke(command, ["render", "--target", "file", "--diff", str(path)])
    assert same.output == "nothing changes\n"
    path.write_text(text.replace("max_backups: 8", "max_backups: 3"))
    told = CliRunner().invoke(command, ["render", "--target", "file", "--target", "debug", "--diff", str(path)])
    assert "changed: exporters > file > rotation > max_backups: 3 becomes 8\n" in told.output
    assert "new: exporters > debug > " in told.output
    assert "gone" not in told.output


def test_an_open_door_is_told(tmp_path: Path) -> None:
    """An address of the network without --secure is told."""
    env = {"CHEST_QUEUE_DIR": str(tmp_path)}
    assert "Add --secure" in said(DEBUG, {**env, "CHEST_OTLP_HOST": "0.0.0.0"})  # noqa: S104 - that is the mistake
    assert "--secure" not in said(DEBUG, {**env, "CHEST_OTLP_HOST": "127.0.0.1"})


def test_a_bad_number_is_told_by_its_variable(tmp_path: Path) -> None:
    """A size with a unit is told with the name of the variable."""
    env = {"CHEST_QUEUE_DIR": str(tmp_path), "CHEST_FILE_QUEUE_BYTES": "1GiB", "CHEST_FILE_PATH": str(tmp_path / "f")}
    assert "CHEST_FILE_QUEUE_BYTES=1GiB is no whole number" in said(Composition(("file",)), env)
