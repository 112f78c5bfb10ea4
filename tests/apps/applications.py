"""The applications: what each needs, how its own documentation starts it, what it is asked, what must come of that."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a dataclass's field
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["APPLICATIONS", "ENVIRONMENTS", "Application", "Ask"]


@dataclass(frozen=True)
class Ask:
    """One request, and what its span must say.

    Attributes:
        method: The HTTP method.
        path: With its query; ``{token}`` is what the application's ``token`` has found last.
        route: The rule that must stand on the span; ``None``: no rule matches.
        status: What must be answered.
        body: The request's body; ``{token}`` as in the path.
        headers: Further headers of the request.
        variables: What must stand on the span, by name.
        error: The type of the exception that must be an event of the span.
        says: Texts to say on a web socket; not empty: it is one.
    """

    method: str
    path: str
    route: str | None
    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Application:
    """One application.

    Attributes:
        name: What ``make test-apps APPS=…`` calls it.
        needs: Its requirements, the application itself first, with exact versions.
        command: How it is started; ``{port}``, ``{folder}`` and ``{programs}`` are filled in.
        asks: The requests, one after the other, by one client with cookies.
        tracked: Tracked variables.
        settings: Its environment.
        instrumented: Environment of the runs with instrumentation only.
        prepare: Commands that make its data.
        ready: A path that is asked to see whether it is up.
        token: A regular expression whose first group is what forms must bring back.
        vary: Regular expressions of what differs from run to run in its answers.
        environment: The environment that it runs in; its own unless said.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    asks: tuple[Ask, ...]
    tracked: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    instrumented: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[tuple[str, ...], ...] = ()
    ready: str = "/not-there"
    token: str = ""
    vary: tuple[str, ...] = ()
    environment: str = ""

    def __post_init__(self) -> None:
        if not self.environment:
            object.__setattr__(self, "environment", self.name)


def _flask_run(program: str) -> tuple[str, ...]:
    return ("flask", "--app", program, "run", "--port", "{port}", "--no-debugger", "--no-reload")


_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

_ORDERS = (
    Ask("POST", "/orders", "/orders", 201, '{"item": "tea", "pieces": 3}', _JSON, {"item": "tea", "pieces": 3}),
    Ask("POST", "/orders", "/orders", 422, '{"item": "tea"}', _JSON),
    Ask("GET", "/orders/7", "/orders/<int:number>", variables={"number": 7}),
    Ask("GET", "/orders/404", "/orders/<int:number>", 404, variables={"number": 404}),
    Ask("GET", "/orders/500", "/orders/<int:number>", 500, variables={"number": 500}, error="RuntimeError"),
    Ask("DELETE", "/orders", None, 405),
    Ask("GET", "/nowhere", None, 404),
)
"""What the small programs are asked that do the same with different frameworks."""


_TRACKED = "item,pieces,number"


def _but(asks: tuple[Ask, ...], changes: Mapping[int, Mapping[str, Any]]) -> tuple[Ask, ...]:
    """Requests with other expectations of those with these numbers."""
    return tuple(replace(ask, **changes.get(number, {})) for number, ask in enumerate(asks))


APPLICATIONS = {
    application.name: application
    for application in (
        Application(
            "httpbin",
            ("httpbin==0.10.4", "gunicorn==27.0.1"),
            ("gunicorn", "--bind", "127.0.0.1:{port}", "--worker-class", "gthread", "httpbin:app"),
            (
                Ask("GET", "/get?a=1", "/get"),
                Ask("POST", "/post", "/post", body="a=1&b=2", headers=_FORM),
                Ask("PUT", "/anything/x", "/anything/<path:anything>", body="text"),
                Ask("GET", "/status/418", "/status/<codes>", 418),
                Ask("GET", "/status/503", "/status/<codes>", 503),
                Ask("GET", "/redirect/2", "/redirect/<int:n>", 302),
                Ask("GET", "/stream/3", "/stream/<int:n>"),
                Ask("GET", "/stream-bytes/5000?seed=3&chunk_size=1000", "/stream-bytes/<int:n>"),
                Ask("GET", "/drip?numbytes=4&duration=0.4&delay=0", "/drip"),
                Ask("GET", "/basic-auth/u/p", "/basic-auth/<user>/<passwd>", 401),
                Ask("GET", "/gzip", "/gzip"),
                Ask("GET", "/cookies/set?a=b", "/cookies/set", 302),
                Ask("GET", "/cookies", "/cookies"),
                Ask("HEAD", "/get", "/get"),
                Ask("OPTIONS", "/get", "/get"),
                Ask("DELETE", "/get", None, 405),
                Ask("GET", "/nowhere", None, 404),
            ),
        ),
        Application(
            "flask-sock",
            ("flask-sock==0.7.0",),
            _flask_run("sock_site"),
            (
                Ask("GET", "/", "/"),
                Ask("GET", "/echo", "/echo", 101, says=("one", "two"), variables={"texts": 2}),
                Ask("GET", "/echo", None, 400),
            ),
            tracked="texts",
        ),
        Application(
            "apiflask",
            ("apiflask==3.1.2",),
            _flask_run("apiflask_site"),
            _but(
                _ORDERS,
                # Exceptions of its own, which its handler answers.
                {1: {"error": "apiflask.exceptions._ValidationError"}, 3: {"error": "apiflask.exceptions.HTTPError"}},
            ),
            tracked=_TRACKED,
        ),
        Application("flask-smorest", ("flask-smorest==0.47.0",), _flask_run("smorest_site"), _ORDERS, tracked=_TRACKED),
        Application(
            "flask-restx",
            ("flask-restx==1.3.2",),
            _flask_run("restx_site"),
            _but(_ORDERS, {1: {"status": 400}}),
            tracked=_TRACKED,
        ),
    )
}

ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    application.environment: application.needs for application in APPLICATIONS.values()
}
