"""Two real services: what one knows of its request arrives in the other, which it calls with ``requests``."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import request
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from werkzeug.serving import make_server

from flask_chest_otel import FlaskChest, TrackedVar
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
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


@pytest.mark.parametrize(("host", "gets_it"), [("127.0.0.1", True), ("localhost", False)])
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
