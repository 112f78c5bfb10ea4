"""The lock on the door: several tokens, changed while it runs; a certificate of the caller; who is refused is told."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import grpc  # type: ignore[import-untyped]  # its stubs are another distribution
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from flask_chest_otel._collector import Composition, render
from tests.backends import jsonl
from tests.backends.moody import Moody
from tests.backends.raw_otlp import HEADERS, post, trace_request
from tests.backends.require import require_installed
from tests.backends.server import free_port
from tests.backends.traffic import eventually
from tests.faults.served import Gunicorn, Traffic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

OLD, NEW = "the-old-token-0123456789", "the-new-token-0123456789"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for this machine that is its own authority; return it and its key."""
    require_installed("openssl", "openssl")
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(make, check=True, capture_output=True)
    return paths


def send(url: str, trust: ssl.SSLContext, token: str) -> int:
    """Send a span; return the status, 0 where there was no answer."""
    headers = {**HEADERS, "Authorization": f"Bearer {token}"}
    message = urllib.request.Request(f"{url}/v1/traces", trace_request(1), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with opener.open(message, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def test_tokens_change_while_it_runs(start_collector: StartCollector, tmp_path: Path) -> None:
    """Each token of the file is good, without a restart when the file changes; others are refused, counted, logged."""
    public, key = certificate(tmp_path, "door")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{OLD}\n")
    env = {"CHEST_OTLP_TOKEN": "", "CHEST_OTLP_TOKEN_FILE": str(tokens)}
    env |= {"CHEST_TLS_CERT": str(public), "CHEST_TLS_KEY": str(key)}
    collector = start_collector("debug", "secure", env=env)
    trust = ssl.create_default_context(cafile=str(public))
    assert (send(collector.otlp_http, trust, OLD), send(collector.otlp_http, trust, NEW)) == (200, 401)
    assert collector.own_metric("otelcol_chest_callers_refused") == 1
    assert "A caller is refused" in collector.log()
    assert NEW not in collector.log()
    tokens.write_text(f"{OLD}\n{NEW} the new one\n")
    eventually(lambda: send(collector.otlp_http, trust, NEW), 200)
    assert send(collector.otlp_http, trust, OLD) == 200
    tokens.write_text(f"{NEW} the new one\n")
    eventually(lambda: send(collector.otlp_http, trust, OLD), 401)
    # Without TLS, or by someone who does not trust it: the log says from where.
    assert send(collector.otlp_http, ssl.create_default_context(), NEW) == 0
    eventually(lambda: "TLS handshake error from 127.0.0.1" in collector.log(), expected=True)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_tokens_changed_in_the_wrong_order(start_collector: StartCollector, tmp_path: Path, protocol: str) -> None:
    """What an application sends with a token that is not good yet waits in its outbox, and arrives when it is good."""
    public, key = certificate(tmp_path, "door")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{OLD}\n")
    env = {"CHEST_OTLP_TOKEN": "", "CHEST_OTLP_TOKEN_FILE": str(tokens)}
    env |= {"CHEST_TLS_CERT": str(public), "CHEST_TLS_KEY": str(key)}
    collector = start_collector("file", "secure", env=env)
    sending = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{NEW}",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(public),
    }
    url = collector.otlp_http if protocol != "grpc" else f"https://{collector.otlp_grpc}"
    traffic = Traffic()
    with Gunicorn(tmp_path / "app", url, "--threads", "2", **sending) as server:
        traffic.send(server.port, range(50))
        eventually(lambda: collector.own_metric("otelcol_chest_callers_refused") >= 3, expected=True)
        tokens.write_text(f"{NEW}\n")
        traffic.send(server.port, range(50, 60))
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len([span for span in jsonl.spans(path) if "flask.g.number" in span["attributes"]]), 60)
        said = "401" if protocol != "grpc" else "UNAUTHENTICATED"
        assert server.log().count(f"does not take traces ({said} ") == 1
        assert [batch.refused for batch in server.kept() if batch.refused] == []
    assert traffic.served == set(range(60))


def test_callers_show_a_certificate(start_collector: StartCollector, tmp_path: Path) -> None:
    """With CHEST_TLS_CLIENT_CA, who has no certificate of that authority does not come in, token or not."""
    public, key = certificate(tmp_path, "door")
    caller, caller_key = certificate(tmp_path, "caller")
    env = {"CHEST_OTLP_TOKEN": NEW, "CHEST_TLS_CERT": str(public), "CHEST_TLS_KEY": str(key)}
    collector = start_collector("debug", "secure", env={**env, "CHEST_TLS_CLIENT_CA": str(caller)})
    without = ssl.create_default_context(cafile=str(public))
    assert send(collector.otlp_http, without, NEW) == 0
    known = ssl.create_default_context(cafile=str(public))
    known.load_cert_chain(caller, caller_key)
    assert send(collector.otlp_http, known, NEW) == 200
    assert send(collector.otlp_http, known, OLD) == 401


def call(address: str, credentials: grpc.ChannelCredentials | None, token: str) -> str:
    """Send a span by gRPC, with these credentials or in plain text; return the name of the status."""
    channel = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
    message = ExportTraceServiceRequest.FromString(trace_request(1))
    with channel:
        try:
            # Made by protoc, without types.
            stub: Any = cast("Any", TraceServiceStub)(channel)
            stub.Export(message, timeout=5, metadata=[("authorization", f"Bearer {token}")])
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def test_who_is_refused_by_tls_is_told(start_collector: StartCollector, tmp_path: Path) -> None:
    """Over gRPC as over HTTP: no trust, plain text, no certificate of one's own are counted and in the log."""
    public, key = certificate(tmp_path, "door")
    caller, caller_key = certificate(tmp_path, "caller")
    env = {"CHEST_OTLP_TOKEN": NEW, "CHEST_TLS_CERT": str(public), "CHEST_TLS_KEY": str(key)}
    collector = start_collector("debug", "secure", env={**env, "CHEST_TLS_CLIENT_CA": str(caller)})
    trusting, own = public.read_bytes(), (caller_key.read_bytes(), caller.read_bytes())

    def refused(why: str) -> float:
        return collector.own_metric("otelcol_chest_callers_refused", why=why)

    def is_more(than: float) -> bool:
        return refused("tls") > than

    assert call(collector.otlp_grpc, grpc.ssl_channel_credentials(trusting, *own), NEW) == "OK"
    # Somebody who only looks whether the port is open.
    socket.create_connection(("127.0.0.1", int(collector.env["CHEST_OTLP_GRPC_PORT"]))).close()
    socket.create_connection(("127.0.0.1", int(collector.env["CHEST_OTLP_HTTP_PORT"]))).close()
    assert call(collector.otlp_grpc, grpc.ssl_channel_credentials(trusting, *own), OLD) == "UNAUTHENTICATED"
    assert (refused("tls"), refused("token")) == (0, 1)
    wrong = [grpc.ssl_channel_credentials(caller.read_bytes(), *own), None, grpc.ssl_channel_credentials(trusting)]
    for credentials in wrong:
        before = refused("tls")
        assert call(collector.otlp_grpc, credentials, NEW) == "UNAVAILABLE"
        eventually(partial(is_more, before), expected=True)
    # Once a minute, not for each of them.
    assert collector.log().count("TLS handshake error from 127.0.0.1") == 1
    before = refused("tls")
    distrusting = ssl.create_default_context()
    distrusting.load_cert_chain(caller, caller_key)
    for url in (collector.otlp_http, collector.otlp_http.replace("https", "http")):
        send(url, distrusting, NEW)
    send(collector.otlp_http, ssl.create_default_context(cafile=str(public)), NEW)
    eventually(lambda: refused("tls"), before + 3)
    assert collector.log().count("TLS handshake error from 127.0.0.1") == 2
    assert refused("token") == 1


def test_trying_again_is_seen(start_collector: StartCollector) -> None:
    """At the documented log level (info) the log says that a target is away and that it is tried again."""
    collector = start_collector("otlp", env={"OTLP_TARGET_URL": "http://127.0.0.1:9"})
    body = trace_request(1)
    message = urllib.request.Request(f"{collector.otlp_http}/v1/traces", body, HEADERS)
    with urllib.request.urlopen(message, timeout=10) as answer:
        assert answer.status == 200
    eventually(lambda: "Exporting failed. Will retry" in collector.log(), expected=True)


def test_a_changed_file_is_read_on_sighup(start_collector: StartCollector, tmp_path: Path) -> None:
    """SIGHUP makes the same process read its file again: a target that is new there gets what comes from then on."""
    collector = start_collector(whole=render(Composition(("debug",))))
    path = tmp_path / "rendered0.yaml"
    text = render(Composition(("file",))).replace("${env:CHEST_FILE_GATE_PORT:-14302}", str(free_port()))
    path.write_text(text.replace("${env:CHEST_FILE_QUEUE_PORT:-14303}", str(free_port())))
    os.kill(collector.pid, signal.SIGHUP)
    eventually(lambda: collector.log().count("Everything is ready"), 2)
    assert post(collector.otlp_http, "traces", trace_request(3)) == 200
    eventually(lambda: len(jsonl.spans(collector.folder / "telemetry.jsonl")), 3)


def test_sighup_loses_nothing(start_collector: StartCollector) -> None:
    """What waits in the queues when the file is read again, and what comes meanwhile, arrives afterwards."""
    with Moody(503) as target:
        collector = start_collector(whole=render(Composition(("otlp",))), env={"OTLP_TARGET_URL": target.url})
        accepted = set()
        # The door is closed while it reads: an application would keep what it is told to.
        for number in range(400):
            if number in (50, 150, 250):
                os.kill(collector.pid, signal.SIGHUP)
            if post(collector.otlp_http, "traces", trace_request(1, name=f"n{number}")) == 200:
                accepted.add(f"n{number}")
            time.sleep(0.05)
        eventually(lambda: collector.log().count("Everything is ready"), 4)
        assert len(accepted) > 200
        target.mood = "ok"
        eventually(lambda: accepted - {span["name"] for span in target.receiver.spans()}, set(), within_s=90)
        assert collector.own_metric("otelcol_exporter_send_failed_spans") == 0
