"""Two real services: what one knows of its request arrives in the other, which it calls with ``requests``."""

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Response, redirect, request
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from werkzeug.serving import make_server

from flask_chest_otel import FlaskChest, TrackedVar
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from tests.conftest import Rig

TRACKED: list[str | TrackedVar] = [TrackedVar("correlation_id", attribute="correlation.id"), "depth"]


@dataclass
class Order:
    """What both services know of a request."""

    correlation_id: str = "nobody's"
    depth: int = 0


@pytest.fixture(autouse=True)
def instrumented(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Outgoing calls are traced, and past any proxy of the machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.1")
    RequestsInstrumentor().instrument(tracer_provider=rig.tracer_provider, meter_provider=rig.meter_provider)
    yield
    RequestsInstrumentor().uninstrument()


@contextmanager
def served(app: Flask) -> Iterator[int]:
    """The port on which ``app`` is served by threads of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def callee(rig: Rig) -> Iterator[tuple[Flask, int]]:
    """A service that says which correlation id it sees, and which baggage it got."""
    app = rig.plain("callee")
    chest = FlaskChest[Order](
        app, context=Order, propagate=["correlation_id", "depth"], tracked_vars=TRACKED, **rig.providers
    )

    @app.get("/seen")
    def seen() -> dict[str, Any]:
        chest.context.depth += 1
        return {**vars(chest.context), "baggage": request.headers.get("baggage")}

    @app.get("/unseen")
    def unseen() -> str:
        return "not asked for"

    with served(app) as port:
        yield app, port


def calling(rig: Rig, url: str, **options: Any) -> Flask:
    """A service that sets its fields from its own query and answers what ``url`` does."""
    app = rig.plain("caller")
    chest = FlaskChest[Order](
        app, context=Order, propagate=["correlation_id", "depth"], tracked_vars=TRACKED, **{**rig.providers, **options}
    )

    @app.get("/")
    def index() -> Any:
        chest.context.correlation_id = request.args["id"]
        chest.context.depth = 1
        return requests.get(url, timeout=10, headers={"X-Own": "kept"}).content

    return app


def test_a_correlation_id_crosses_services(rig: Rig, callee: tuple[Flask, int]) -> None:
    """The caller's fields are the callee's, with their types, on the spans of both, in one trace."""
    app, port = callee
    with served(calling(rig, f"http://127.0.0.1:{port}/seen")) as outer, capture(app) as records:
        answer = requests.get(f"http://127.0.0.1:{outer}/", params={"id": "c-17"}, timeout=10).json()
        requests.get(f"http://127.0.0.1:{outer}/", params={"id": "c-18"}, timeout=10)
    assert answer == {"correlation_id": "c-17", "depth": 2, "baggage": "correlation_id=c-17,depth=1"}
    assert [dict(record.variables) for record in records] == [
        {"correlation_id": "c-17", "depth": 2},
        {"correlation_id": "c-18", "depth": 2},
    ]
    of_first = [span for span in rig.servers() if (span.attributes or {})["correlation.id"] == "c-17"]
    assert sorted(rig.tracked(span)["depth"] for span in of_first) == [1, 2]
    assert len({span.context.trace_id for span in of_first}) == 1
    assert len(rig.servers()) == 4


def test_it_is_recorded_where_nobody_asks(rig: Rig, callee: tuple[Flask, int]) -> None:
    """The callee's span has the id also where its view does not know of it."""
    with served(calling(rig, f"http://127.0.0.1:{callee[1]}/unseen")) as outer:
        requests.get(f"http://127.0.0.1:{outer}/", params={"id": "c-17"}, timeout=10)
    assert [(span.attributes or {})["correlation.id"] for span in rig.servers()] == ["c-17", "c-17"]


@pytest.mark.parametrize(("host", "gets_it"), [("127.0.0.1", True), ("127.1", False)])
def test_a_host_that_is_not_listed_gets_nothing(
    rig: Rig, callee: tuple[Flask, int], host: str, *, gets_it: bool
) -> None:
    """The same server under two names: only the listed one gets the baggage; both calls work and are one trace."""
    app = calling(rig, f"http://{host}:{callee[1]}/seen", propagate_to=["127.0.0.1"])
    with served(app) as outer:
        headers = {"baggage": "correlation_id=of-the-client,tenant=t1"}
        answer = requests.get(f"http://127.0.0.1:{outer}/", params={"id": "c-17"}, timeout=10, headers=headers).json()
    assert answer["correlation_id"] == ("c-17" if gets_it else "nobody's")
    assert answer["baggage"] == ("tenant=t1,correlation_id=c-17,depth=1" if gets_it else "tenant=t1")
    assert len({span.context.trace_id for span in rig.servers()}) == 1


def with_urllib(url: str) -> Any:
    """The standard library's client, and what an instrumentation of it does."""
    headers: dict[str, str] = {}
    with trace.get_tracer("urllib").start_as_current_span(
        "GET", kind=trace.SpanKind.CLIENT, attributes={"url.full": url}
    ):
        propagate.inject(headers)
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return json.load(answer)


CLIENTS: dict[str, Callable[[str], Any]] = {
    "requests": lambda url: requests.get(url, timeout=10, headers={"X-Own": "kept"}).json(),
    "urllib": with_urllib,
    "requests with a session": lambda url: requests.Session().get(url, timeout=10).json(),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("target", "gets_it"), [("127.0.0.1", True), ("localhost", False)])
def test_a_redirection_to_a_host_that_is_not_listed(
    rig: Rig, callee: tuple[Flask, int], client: str, target: str, monkeypatch: pytest.MonkeyPatch, *, gets_it: bool
) -> None:
    """A listed host sends the client elsewhere: our fields stay behind, entries of others and headers go along."""
    app, port = callee
    app.add_url_rule("/moved", view_func=lambda: redirect(f"http://{target}:{port}/seen"))
    monkeypatch.setattr(trace, "get_tracer", rig.tracer_provider.get_tracer)
    caller = rig.plain("caller")
    chest = FlaskChest[Order](
        caller, context=Order, propagate=["correlation_id"], propagate_to=["127.0.0.1"], **rig.providers
    )

    @caller.get("/")
    def index() -> Any:
        chest.context.correlation_id = "c-17"
        return CLIENTS[client](f"http://127.0.0.1:{port}/moved")

    for arriving, others in (("correlation_id=theirs,tenant=t1", "tenant=t1"), ("correlation_id=theirs", None)):
        answer = caller.test_client().get("/", headers={"baggage": arriving}).get_json()
        expected = ",".join(filter(None, [others, "correlation_id=c-17"])) if gets_it else others
        assert answer["baggage"] == expected


@pytest.mark.parametrize(("target", "gets_it"), [("other.test", True), ("elsewhere.test", False)])
def test_a_redirection_behind_a_proxy(rig: Rig, callee: tuple[Flask, int], target: str, *, gets_it: bool) -> None:
    """It is the host behind the proxy that has to be listed."""
    app, port = callee
    app.add_url_rule("/moved", view_func=lambda: redirect(f"http://{target}/seen"))
    caller = rig.plain("caller")
    rig.chest(caller, context=Order, propagate=["correlation_id"], propagate_to=["other.test"])
    proxies = {"http": f"http://127.0.0.1:{port}"}
    caller.add_url_rule(
        "/", view_func=lambda: requests.get("http://other.test/moved", proxies=proxies, timeout=10).json()
    )
    answer = caller.test_client().get("/").get_json()
    assert answer["baggage"] == ("correlation_id=nobody%27s" if gets_it else None)


@pytest.mark.parametrize(("host", "gets_it"), [("127.0.0.1", True), ("localhost", False)])
def test_streams_and_threads(rig: Rig, callee: tuple[Flask, int], host: str, *, gets_it: bool) -> None:
    """Without a request around them they know no fields; what OpenTelemetry would pass on goes to listed hosts only."""
    url = f"http://{host}:{callee[1]}/seen"
    caller = rig.plain("caller")
    rig.chest(caller, context=Order, propagate=["correlation_id"], propagate_to=["127.0.0.1"])
    seen: list[Any] = []

    def ask() -> None:
        seen.append(requests.get(url, timeout=10).json()["baggage"])

    @caller.get("/")
    def index() -> Response:
        here = otel_context.get_current()

        def work() -> None:
            token = otel_context.attach(here)
            ask()
            otel_context.detach(token)

        def body() -> Iterator[str]:
            ask()
            yield "ok"

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return Response(body())

    arriving = {"baggage": "correlation_id=theirs,tenant=t1"}
    assert caller.test_client().get("/", headers=arriving).text == "ok"
    assert seen == ["correlation_id=theirs,tenant=t1" if gets_it else "tenant=t1"] * 2


@pytest.mark.guard_on
@pytest.mark.parametrize(
    "evil",
    [
        "a,b=c;d=e",
        "line\r\nX-Evil: 1\n\nbody",
        "100% \N{GRINNING FACE} \u0414 %2C%zz +",
        '"quoted\\" \t',
        "=;,",
    ],
)
def test_evil_values_survive(rig: Rig, callee: tuple[Flask, int], evil: str) -> None:
    """Separators, line ends, percent signs and every script arrive as they were sent, and are nothing but a value."""
    with served(calling(rig, f"http://127.0.0.1:{callee[1]}/seen")) as outer:
        answer = requests.get(f"http://127.0.0.1:{outer}/", params={"id": evil}, timeout=10).json()
    assert answer["correlation_id"] == evil
    assert answer["baggage"].count(",") == 1


@pytest.mark.guard_on
def test_an_oversized_value_is_left_out(rig: Rig, callee: tuple[Flask, int]) -> None:
    """The call is made, with the fields for which there is room."""
    with served(calling(rig, f"http://127.0.0.1:{callee[1]}/seen")) as outer:
        answer = requests.get(f"http://127.0.0.1:{outer}/", params={"id": "\u20ac" * 1500}, timeout=10).json()
    assert answer == {"correlation_id": "nobody's", "depth": 2, "baggage": "depth=1"}
