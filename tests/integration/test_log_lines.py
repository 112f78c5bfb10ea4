"""Log lines under real servers: each is compared with what the client sent."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel import trace_id_for
from tests.backends.require import REPOSITORY
from tests.backends.server import Server, free_port, request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no gunicorn for Windows"),
]
BIN = Path(sys.executable).parent
REQUESTS = 1000
CLIENTS = 24

GUNICORN = {
    "sync": ("--workers", "2"),
    "gthread": ("--workers", "2", "--threads", "4", "--worker-class", "gthread"),
    "gevent": ("--workers", "2", "--worker-class", "gevent"),
}


class Site(Server):
    """The application under one of the servers."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.port = free_port()
        self.kind = kind
        super().__init__(folder, {"PYTHONPATH": f"{Path(__file__).parent / 'apps'}:{REPOSITORY}"})

    def command(self) -> Sequence[str]:
        """As users start it."""
        if self.kind == "werkzeug":
            return [sys.executable, "-c", f"import log_site; log_site.serve({self.port})"]
        bind = ["--bind", f"127.0.0.1:{self.port}", "--no-control-socket", "--access-logfile", "unused.log"]
        return [str(BIN / "gunicorn"), *bind, *GUNICORN[self.kind], "log_site:app"]

    def is_ready(self) -> bool:
        """Whether it answers, to a request that is no business of the chest's."""
        return request(f"http://127.0.0.1:{self.port}/ready")[0] == 404

    def ask(self, path: str, number: int) -> int:
        """One request, with an id that its path tells."""
        url = f"http://127.0.0.1:{self.port}/{path}/{number}"
        return request(url, headers={"X-Request-ID": f"req-{number}"}, timeout_s=60)[0]

    def lines(self, name: str) -> list[tuple[str, ...]]:
        """What it has written into one file: request id, trace id, span id and text."""
        texts = (self.folder / f"{name}.log").read_text().splitlines()
        if name in ("json", "structlog"):
            keys = ("request_id", "trace_id", "span_id", "message" if name == "json" else "event")
            return [tuple(json.loads(line)[key] for key in keys) for line in texts]
        return [tuple(re.sub(r"\x1b\[\d+m", "", line).split(" ", 3)) for line in texts]


@pytest.fixture(params=["werkzeug", *GUNICORN], scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that has answered its requests: plain ones, streams and failures, among others that are excluded."""
    kind: str = request.param
    with Site(tmp_path_factory.mktemp(kind), kind) as running:
        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = list(pool.map(lambda number: running.ask(path_of(number), number), range(REQUESTS)))
        assert {status for number, status in enumerate(statuses) if path_of(number) != "fails"} == {200}
        yield running


def path_of(number: int) -> str:
    """Of ten requests one is a stream, one fails, one is none of ours."""
    return {7: "stream", 8: "fails", 9: "ready"}.get(number % 10, "item")


def right(line: tuple[str, ...], number: int) -> bool:
    """Whether a line has the ids of this request."""
    request_id, trace_id, span_id, _ = line
    expected = f"req-{number}", trace_id_for(f"req-{number}")
    return (request_id, trace_id) == expected and re.fullmatch("[0-9a-f]{16}", span_id) is not None


@pytest.mark.parametrize("name", ["text", "json", "structlog", "loguru"])
def test_every_line_of_the_application_has_its_ids(site: Site, name: str) -> None:
    """Whoever writes it, also in threads and while a body is sent: as many lines as there were, all right."""
    per_path = {"item": 2, "stream": 3, "fails": 1} if name == "text" else {"item": 1}
    expected = [number for number in range(REQUESTS) for _ in range(per_path.get(path_of(number), 0))]
    found = site.lines(name)
    assert sorted(int(line[3]) for line in found) == expected
    assert [line for line in found if not right(line, int(line[3]))] == []


def test_every_access_line_has_its_ids(site: Site) -> None:
    """The server's line of each request, and none of another's on those that are excluded."""
    numbered = [(int(match[1]), line) for line in site.lines("access") if (match := re.search(r"/(\d+) HTTP", line[3]))]
    assert sorted(number for number, _ in numbered) == list(range(REQUESTS))
    ours = [(number, line) for number, line in numbered if path_of(number) != "ready"]
    assert [line for number, line in ours if not right(line, number)] == []
    assert {line[:3] for number, line in numbered if path_of(number) == "ready"} == {("-", "-", "-")}


def test_every_request_has_its_line(site: Site) -> None:
    """One line of ``request_log`` each, with the ids of that request in it and on it."""
    found = site.lines("request")
    numbers = []
    for line in found:
        said = dict(part.split("=", 1) for part in line[3].split(" "))
        number = int(said["request_id"].removeprefix("req-"))
        numbers.append(number)
        assert right(line, number)
        assert said["trace_id"] == line[1]
        assert said["status"] == ("500" if path_of(number) == "fails" else "200")
    assert sorted(numbers) == [number for number in range(REQUESTS) if path_of(number) != "ready"]


def test_logging_had_nothing_to_complain_of(site: Site) -> None:
    """No line lacked a field that its format asks for."""
    assert "Logging error" not in site.log()
