"""Real applications under ``opentelemetry-instrument``, beside themselves without it."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps.applications import APPLICATIONS, SUITE
from tests.apps.driving import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.apps.applications import Ask
    from tests.apps.driving import Mode, Run

CHOSEN = os.environ.get("APPS", "").split() or [*APPLICATIONS, SUITE]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apps")


@cache
def _once(name: str, mode: Mode, folder: Path) -> Run:
    return run(APPLICATIONS[name], mode, folder / f"{name}-{mode}")


@pytest.fixture(params=[name for name in CHOSEN if name != SUITE])
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def alone(name: str, folder: Path) -> Run:
    """The run without instrumentation."""
    return _once(name, "alone", folder)


@pytest.fixture(params=["chest", "upstream"])
def instrumented(name: str, folder: Path, request: pytest.FixtureRequest) -> Run:
    """The run with this package's own server span, and the one with upstream's."""
    return _once(name, request.param, folder)


def test_answers_are_the_same(name: str, alone: Run, instrumented: Run) -> None:
    """Every status, header and body is what the application answers without instrumentation."""
    asks = APPLICATIONS[name].asks
    assert [answer.status for answer in alone.answers] == [ask.status for ask in asks]
    for ask, before, after in zip(asks, alone.answers, instrumented.answers, strict=True):
        assert after == before, f"{ask.method} {ask.path}"


def test_one_server_span_for_each_request(name: str, instrumented: Run) -> None:
    """Each request that reaches Flask has one server span, with its route and status; there is no other server span."""
    if APPLICATIONS[name].around and instrumented.mode == "upstream":
        pytest.skip("upstream's span is inside the server span, and has the request's id")
    for ask, spans in zip(APPLICATIONS[name].asks, instrumented.spans, strict=True):
        assert len(spans) == (1 if ask.reaches else 0), f"{ask.method} {ask.path}"
        for span in spans if _is_told(ask, instrumented) else ():
            # Upstream takes what a socket's view returns for an answer.
            status = 200 if ask.says and instrumented.mode == "upstream" else ask.status
            said = span["attributes"].get("http.route"), span["attributes"].get("http.response.status_code")
            route = APPLICATIONS[name].around or ask.route
            assert said == (route, status), f"{ask.method} {ask.path}"
            if instrumented.mode == "chest":
                # A request hook may say more.
                assert span["name"].startswith(f"{ask.method} {route}" if route else ask.method)
    if instrumented.mode == "chest":
        # The question whether the application is up.
        assert {span["attributes"]["url.path"] for span in instrumented.others} <= {APPLICATIONS[name].ready}


def _is_told(ask: Ask, instrumented: Run) -> bool:
    return ask.reaches and (ask.upstream or instrumented.mode == "chest")


def test_variables_and_exceptions(name: str, instrumented: Run) -> None:
    """What the application puts on ``flask.g``, and what its views raise, stands on the span."""
    for ask, spans in zip(APPLICATIONS[name].asks, instrumented.spans, strict=True):
        for span in spans if _is_told(ask, instrumented) else ():
            tracked = {key[8:]: value for key, value in span["attributes"].items() if key.startswith("flask.g.")}
            assert tracked == ask.variables, f"{ask.method} {ask.path}"
            raised = {event["attributes"]["exception.type"] for event in span["events"] if event["name"] == "exception"}
            assert raised == ({ask.error} if ask.error else set()), f"{ask.method} {ask.path}"


def test_durations(name: str, instrumented: Run) -> None:
    """Every request is in the duration metric once, but web sockets, whose duration says nothing."""
    if instrumented.mode == "upstream":
        pytest.skip("upstream measures the requests")
    around = APPLICATIONS[name].around
    asked = Counter((ask.route, ask.status) for ask in APPLICATIONS[name].asks if ask.reaches and not ask.says)
    others = [_place(span["attributes"]) for span in instrumented.others]
    asked += Counter((None if route == around else route, status) for route, status in others)
    counted: Counter[tuple[str | None, int]] = Counter()
    for point in instrumented.durations:
        if around is None or point["scope"] == "flask_chest_otel":  # the other one measures by its own routes
            counted[_place(point["attributes"])] += point["count"] or 0
    assert counted == asked


def _place(attributes: Mapping[str, Any]) -> tuple[str | None, int]:
    return attributes.get("http.route"), attributes["http.response.status_code"]


def test_quiet_and_clean(alone: Run, instrumented: Run) -> None:
    """The log has no line about instrumentation and no further traceback; SIGTERM ends it as before."""
    assert instrumented.noise() == []
    assert instrumented.tracebacks() == alone.tracebacks()
    assert instrumented.status == alone.status
