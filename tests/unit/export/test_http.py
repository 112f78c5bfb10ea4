"""What servers and proxies do on the way that no tidy collector does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._otlp.http import HttpClient
from tests.backends.moody import Moody
from tests.backends.outbox import kept
from tests.backends.raw_http import RawHttp, head_of, request_of
from tests.faults.served import wait_until
from tests.unit.export.batches import route_to, spans

pytestmark = pytest.mark.usefixtures("impatient")

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig

    Begin = Callable[[WorkerConfig], OutboxWorker]

TOO_LARGE = b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\ntoo much"
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


def test_an_answer_before_the_end_of_the_request() -> None:
    """A server that answers from the head alone and closes has answered: its status is what counts."""

    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(TOO_LARGE)

    with RawHttp(talk) as server:
        target = HttpClient(address_of("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}))
        answer = target.post(b"x" * 30_000_000)
        target.close()
    assert (answer.status, answer.says) == ("413", "too much")
    assert not answer.retryable


def test_an_answer_of_somebody_who_reads_no_further() -> None:
    """The same where the connection stays open: the answer is read when the time for sending is over."""
    released = threading.Event()

    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(TOO_LARGE)
        released.wait(5.0)

    with RawHttp(talk) as server:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}
        target = HttpClient(address_of("traces", environ))
        answer = target.post(b"x" * 30_000_000)
        released.set()
        target.close()
    assert (answer.status, answer.retryable) == ("413", False)


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n", b"HTTP/1.1 102 Busy\r\n\r\n"]
)
def test_interim_answers_are_none(begin: Begin, tmp_path: Path, interim: bytes) -> None:
    """However many of them there are, the answer is what comes after them; the connection is used again."""
    bodies: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        for status in (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", TAKEN):
            bodies.append(request_of(connection))
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + interim * 2 + status)

    with RawHttp(talk) as server:
        dispatch = begin(route_to(server.url, tmp_path))
        dispatch.put("traces", 1, spans("a"))
        wait_until(lambda: kept(tmp_path) == [])
        assert server.connections == 1
    assert bodies == [spans("a")] * 2


WRONG = {
    "a page": ("text/html; charset=utf-8", b"<html>Log in</html>"),
    "a word": ("text/plain", b"OK"),
    "a page without a word of its type": ("", b"<html>Log in</html>"),
    "an empty page": ("text/html", b""),
    "no protobuf": ("application/x-protobuf", b"<html>Log in</html>"),
    "a message of somebody else": ("application/json", b'{"error": "log in"}'),
    "no JSON": ("application/json", b"{"),
    "no object": ("application/json", b'"OK"'),
}


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("kind", WRONG)
def test_somebody_else_answers(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, status: int
) -> None:
    """A success that is no answer in OTLP, such as a page to log in, deletes nothing: kept, tried again, said."""
    content_type, body = WRONG[kind]
    with Moody(status) as moody:
        moody.headers, moody.body = {"Content-Type": content_type} if content_type else {}, body
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.put("traces", 1, spans("a"))
        moody.wait_for_attempts(2)
        (waiting,) = kept(tmp_path)
        assert waiting.refused is None
        assert "no OTLP endpoint" in caplog.text
        moody.mood = "ok"
        moody.receiver.wait_for_spans(1)
        assert dispatch.flush(5.0)


NOTHING_REJECTED = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess())

RIGHT = {
    "nothing": ("", b""),
    "nothing, of its type": ("application/x-protobuf", b""),
    "the message": ("application/x-protobuf", ExportTraceServiceResponse().SerializeToString()),
    "the message without its type": (
        "",
        ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess()).SerializeToString(),
    ),
    "another name of the type": ("application/protobuf", b""),
    "the message in JSON": ("application/json; charset=utf-8", b"{}"),
    "nothing, called JSON": ("application/json", b""),
    "all of it in JSON": ("application/json", b'{"partialSuccess": {"rejectedSpans": "0", "errorMessage": ""}}'),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RIGHT)
def test_answers_of_collectors(begin: Begin, tmp_path: Path, kind: str) -> None:
    """OTLP's own message, in protobuf or JSON, or nothing at all: that is a success."""
    content_type, body = RIGHT[kind]
    with Moody(200) as moody:
        moody.headers, moody.body = {"Content-Type": content_type} if content_type else {}, body
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.put("traces", 1, spans("a"))
        assert dispatch.flush(5.0)
    assert kept(tmp_path) == []


def test_a_part_is_rejected_in_json(begin: Begin, tmp_path: Path) -> None:
    """What was not taken is read in JSON, too."""
    with Moody(200) as moody:
        moody.headers = {"Content-Type": "application/json"}
        moody.body = b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too long a name"}}'
        dispatch = begin(route_to(moody.url, tmp_path))
        dispatch.put("traces", 2, spans("a", "b"))
        assert dispatch.flush(5.0)
    (aside,) = kept(tmp_path)
    assert aside.refused == "200 1 items rejected: too long a name"


@pytest.mark.parametrize(
    ("host", "exception"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("127.0.0.1", "elsewhere.example, 127.0.0.1"),
        ("127.0.0.1", "10.0.0.0/8,127.0.0.1/32"),
        ("127.0.0.1", "*"),
        ("::1", "::1"),
        ("::1", "[::1]"),
        ("::1", "::/64"),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, host: str, exception: str) -> None:
    """Addresses and networks in ``NO_PROXY`` are spoken to directly, also those of IPv6."""
    said: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        said.append(request_of(connection))
        connection.sendall(TAKEN)

    with RawHttp(talk, host=host) as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", exception)
        target = HttpClient(address_of("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}))
        answer = target.post(b"")
        target.close()
    assert answer.taken
    assert said == [b""]


@pytest.mark.parametrize("exception", ["10.0.0.0/8", "::1", "no network/8", "127.0.0.1/99", ""])
def test_a_proxy_for_all_others(monkeypatch: pytest.MonkeyPatch, exception: str) -> None:
    """An address that no exception names, or one that says nothing, goes through the proxy."""
    heads: list[dict[str, str]] = []

    def talk(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(TAKEN)

    with RawHttp(talk) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", exception)
        target = HttpClient(address_of("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.2:4318"}))
        answer = target.post(b"")
        target.close()
    assert answer.taken
    assert heads[0]["host"] == "127.0.0.2:4318"
