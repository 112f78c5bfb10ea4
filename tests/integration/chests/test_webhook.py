"""WebhookChest to a real HTTP server, with TLS and without."""

from __future__ import annotations

import math
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel.chests import WebhookChest
from tests.backends.raw_http import RawHttp, head_of, request_of
from tests.integration.chests.conftest import Ingest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord

    MakeRecord = Callable[..., RequestRecord]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies of the machine are for the world outside."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def secure(certificate: Path) -> Iterator[Ingest]:
    """An HTTPS server whose certificate nobody has signed."""
    server = Ingest(certificate=certificate)
    yield server
    server.stop()


def test_the_default_payload(ingest: Ingest, make_record: MakeRecord) -> None:
    """All variables of a batch are one post: name, value and request id of each, as JSON."""
    variables = {"user_id": 'u"1\N{GRINNING FACE}', "cart_total": 42.5, "tags": ("a", "b"), "nan": math.nan}
    with closing(WebhookChest(f"{ingest.url}/in")) as chest:
        chest.put(make_record(request_id="r-1", variables=variables))
        chest.put(make_record(request_id="r-2", variables={"vip": True}))
        assert chest.flush(20)
    ((body, path, headers),) = ingest.posts
    assert path == "/in"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("flask_chest_otel/")
    assert body == {
        "variables": [
            {"name": "user_id", "value": 'u"1\N{GRINNING FACE}', "request_id": "r-1"},
            {"name": "cart_total", "value": 42.5, "request_id": "r-1"},
            {"name": "tags", "value": ["a", "b"], "request_id": "r-1"},
            {"name": "nan", "value": None, "request_id": "r-1"},
            {"name": "vip", "value": True, "request_id": "r-2"},
        ]
    }


def test_generator_headers_and_parameters(ingest: Ingest, make_record: MakeRecord) -> None:
    """The generator gets (name, value, request id) and its result is posted, with the headers and parameters given."""
    seen: list[Any] = []

    def payload(entries: list[tuple[str, Any, str]]) -> Any:
        seen.extend(entries)
        return [{"metric": name, "value": value} for name, value, _ in entries]

    with closing(
        WebhookChest(
            f"{ingest.url}/v2/datapoint?a=1",
            payload_generator=payload,
            headers={"X-SF-Token": "t0ken", "Content-Type": "application/x-chest"},
            params={"b": "2 3"},
        )
    ) as chest:
        chest.put(make_record(request_id="r-1", variables={"total": 1}))
        assert chest.flush(20)
    ((body, path, headers),) = ingest.posts
    assert (body, path) == ([{"metric": "total", "value": 1}], "/v2/datapoint?a=1&b=2+3")
    assert (headers["X-SF-Token"], headers["Content-Type"]) == ("t0ken", "application/x-chest")
    assert seen == [("total", 1, "r-1")]


def test_nothing_to_say_is_not_posted(ingest: Ingest, make_record: MakeRecord) -> None:
    """Requests without variables, and a generator that returns None, post nothing and lose nothing."""
    with closing(WebhookChest(ingest.url)) as chest:
        chest.put(make_record(variables={}))
        assert chest.flush(20)
    with closing(WebhookChest(ingest.url, payload_generator=lambda _: None)) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    assert ingest.posts == []


@pytest.mark.parametrize("status", [500, 503, 429, 401, 302])
def test_an_answer_that_may_change_is_tried_again(
    status: int, ingest: Ingest, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """After a passing refusal or a redirection the same payload is posted to the same address until it is taken."""
    ingest.answers = [status, status]
    with closing(WebhookChest(f"{ingest.url}/in")) as chest:
        chest.put(make_record(variables={"total": 1}))
        assert chest.flush(20)
        assert chest.lost == 0
    assert [path for _, path, _ in ingest.posts] == ["/in"] * 3
    assert caplog.messages == []


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(
    status: int, ingest: Ingest, make_record: MakeRecord, until: Callable[..., None]
) -> None:
    """The next try comes when the server has asked for it, and not after the usual tenth of a second."""
    ingest.answers, ingest.retry_after = [status], "1"
    with closing(WebhookChest(ingest.url)) as chest:
        chest.put(make_record())
        until(lambda: len(ingest.posts) == 2)
        assert (chest.flush(20), chest.lost) == (True, 0)
    assert 1.0 <= ingest.times[1] - ingest.times[0] < 5


def test_retry_after_holds_no_exit_up(ingest: Ingest, make_record: MakeRecord, until: Callable[..., None]) -> None:
    """A chest whose server wants a year is closed in its time all the same; what it held is counted."""
    ingest.answers, ingest.retry_after = [503] * 9, "31536000"
    chest = WebhookChest(ingest.url)
    chest.put(make_record())
    until(lambda: len(ingest.posts) == 1)
    begun = time.monotonic()
    chest.close(0.2)
    until(lambda: chest.lost == 1)
    assert time.monotonic() - begun < 5


def test_own_success_codes(ingest: Ingest, make_record: MakeRecord) -> None:
    """Only the given answers are successes: 200 is tried again where 207 is wanted."""
    ingest.answers = [200, 207]
    with closing(WebhookChest(ingest.url, success_status_codes=(207,))) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    assert len(ingest.posts) == 2


def test_a_refused_batch_is_posted_one_by_one(
    ingest: Ingest, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """After 400 each request is posted alone: what is refused then is lost and counted, the others arrive."""
    ingest.answers = [400, 200, 400, 200]
    with closing(WebhookChest(ingest.url)) as chest:
        for number in range(3):
            chest.put(make_record(request_id=f"r-{number}", variables={"total": number}))
        assert not chest.flush(20)
        assert chest.lost == 1
    assert [[one["value"] for one in body["variables"]] for body, _, _ in ingest.posts] == [[0, 1, 2], [0], [1], [2]]
    assert len(caplog.messages) == 1
    assert "answered 400" in caplog.messages[0]


def failing(entries: list[tuple[str, Any, str]]) -> Any:
    if any(value == "bad" for _, value, _ in entries):
        raise RuntimeError("cannot")
    return [value for _, value, _ in entries]


def unholdable(entries: list[tuple[str, Any, str]]) -> Any:
    return [{"bad": object()} if value == "bad" else value for _, value, _ in entries]


def not_json(entries: list[tuple[str, Any, str]]) -> Any:
    return [math.nan if value == "bad" else value for _, value, _ in entries]


@pytest.mark.parametrize("generator", [failing, unholdable, not_json])
def test_a_broken_generator_costs_only_its_record(
    generator: Callable[[Any], Any], ingest: Ingest, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """A generator that raises, or returns what JSON cannot hold, loses that request alone and is reported once."""
    with closing(WebhookChest(ingest.url, payload_generator=generator)) as chest:
        for value in ("a", "bad", "b", "bad"):
            chest.put(make_record(variables={"value": value}))
        assert not chest.flush(20)
        assert chest.lost == 2
    assert [body for body, _, _ in ingest.posts] == [["a"], ["b"]]
    assert len(caplog.messages) == 1
    assert "payload_generator" in caplog.messages[0]


@pytest.mark.real
def test_certificates_are_checked(
    secure: Ingest, make_record: MakeRecord, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is posted to a server whose certificate nobody has signed; one line says why, without the token."""
    chest = WebhookChest(f"{secure.url}/in?token=s3cr3t", params={"key": "s3cr3t"})
    chest.put(make_record())
    until(lambda: caplog.messages and not chest.flush(0.1))
    chest.close(0.1)
    until(lambda: chest.lost == 1)
    assert secure.posts == []
    assert "SSLError" in caplog.messages[0]
    assert "s3cr3t" not in caplog.text + repr(chest)


@pytest.mark.real
def test_a_certificate_of_ones_own(secure: Ingest, certificate: Path, make_record: MakeRecord) -> None:
    """With the path of the certificate the server is trusted."""
    with closing(WebhookChest(secure.url, verify=str(certificate))) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    assert len(secure.posts) == 1


@pytest.mark.real
def test_unchecked_certificates_are_warned_of_once(
    secure: Ingest, make_record: MakeRecord, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """verify=False posts to anybody, with one warning when the chest is made and none with each post."""
    with closing(WebhookChest(secure.url, verify=False)) as chest:
        for _ in range(3):
            chest.put(make_record())
            assert chest.flush(20)
    assert len(secure.posts) == 3
    assert len(caplog.messages) == 1
    assert "verify=False" in caplog.messages[0]
    assert len(recwarn) == 0


def test_through_a_proxy(ingest: Ingest, make_record: MakeRecord) -> None:
    """A proxy gets the whole address and passes the post on."""
    with closing(WebhookChest("http://ingest.example/in", proxies={"http": ingest.url})) as chest:
        chest.put(make_record())
        assert chest.flush(20)
    assert ingest.posts[0][1] == "http://ingest.example/in"


def test_an_answer_that_drips_holds_nothing_up(ingest: Ingest, make_record: MakeRecord) -> None:
    """The status counts; the body is waited for as long as the timeout says, all of it together."""
    ingest.drip_s = 0.1
    with closing(WebhookChest(ingest.url, timeout_s=0.5)) as chest:
        for number in range(2):
            chest.put(make_record(request_id=f"r-{number}"))
            started = time.monotonic()
            assert chest.flush(20)
            assert time.monotonic() - started < 5
        assert chest.lost == 0
    assert len(ingest.posts) == 2


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_interim_answers_are_none(make_record: MakeRecord) -> None:
    """The answer is what comes after 102 and 103: posted once, on one connection."""
    bodies: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while True:
            bodies.append(request_of(connection))
            interim = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 102 Busy\r\n\r\n"
            connection.sendall(interim * 2 + OK)

    with RawHttp(talk) as server, closing(WebhookChest(server.url)) as chest:
        for _ in range(2):
            chest.put(make_record())
            assert chest.flush(5)
        assert (len(bodies), server.connections) == (2, 1)


@pytest.mark.real
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_batch_refused_before_its_end_is_posted_one_by_one(
    certificate: Path, make_record: MakeRecord, encrypted: bool
) -> None:
    """A server that answers 413 to a large post without reading it gets each request's variables alone."""
    bodies: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        size = int(head_of(connection)["content-length"])
        if size > 1_000_000:
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        body = b""
        while len(body) < size:
            body += connection.recv(size)
        bodies.append(body)
        connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    with (
        RawHttp(talk, certificate=certificate if encrypted else None) as server,
        closing(WebhookChest(server.url, verify=str(certificate))) as chest,
    ):
        for _ in range(100):
            chest.put(make_record(variables={"text": "x" * 50_000}))
        assert chest.flush(20)
        assert (chest.lost, len(bodies)) == (0, 100)


@pytest.mark.parametrize("piece", [b"X-Slow: 1\r\n", b"\r\nHTTP/1.1 103 Early Hints\r\n"])
def test_an_answer_without_an_end_is_none(make_record: MakeRecord, until: Callable[..., None], piece: bytes) -> None:
    """Headers that drip, or interim answers for ever: given up after the timeout, and tried again."""
    bodies: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        bodies.append(request_of(connection))
        if len(bodies) > 1:
            connection.sendall(OK)
            return
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n")
        while True:
            connection.sendall(piece)
            time.sleep(0.1)

    with RawHttp(talk) as server, closing(WebhookChest(server.url, timeout_s=0.5)) as chest:
        chest.put(make_record())
        until(lambda: server.connections > 0)
        assert chest.flush(8)
        assert (chest.lost, len(bodies)) == (0, 2)


def test_a_late_answer_leaves_the_next_post_its_time(make_record: MakeRecord) -> None:
    """The next post on the same connection has its whole timeout, however little the last answer left."""
    bodies: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        bodies.append(request_of(connection))
        time.sleep(0.8)
        connection.sendall(OK)
        time.sleep(0.6)
        bodies.append(request_of(connection))
        connection.sendall(OK)

    with RawHttp(talk) as server, closing(WebhookChest(server.url, timeout_s=1.0)) as chest:
        for size in (1, 20_000_000):
            chest.put(make_record(variables={"text": "x" * size}))
            assert chest.flush(5)
        assert (chest.lost, len(bodies), server.connections) == (0, 2, 1)
