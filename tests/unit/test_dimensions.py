"""Variables as dimensions of the HTTP metric: late values, too, bounded, and with exact sums."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, g, request, stream_with_context

from flask_chest_otel import TrackedVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Rig

DURATION, OLD_DURATION = "http.server.request.duration", "http.server.duration"
PLAN = TrackedVar("plan", dimension=True)


def counts(rig: Rig, *names: str, metric: str = DURATION) -> dict[tuple[Any, ...], int]:
    """How many requests each combination of values of these attributes stands for."""
    found: Counter[tuple[Any, ...]] = Counter()
    for point in rig.points(metric):
        found[tuple(point.attributes.get(name) for name in names)] += point.count
    return dict(found)


def views(app: Flask) -> None:
    @app.route("/view")
    def view() -> str:
        g.plan = "view"
        return "ok"

    @app.route("/raises")
    def raises() -> str:
        g.plan = "raises"
        raise ValueError("no")

    @app.route("/after")
    def after() -> str:
        g.late = True
        return "ok"

    @app.after_request
    def set_late(response: Response) -> Response:
        if "late" in g:
            g.plan = "after"
        return response

    @app.route("/stream")
    def stream() -> Response:
        def body() -> Iterator[str]:
            yield "begin"
            g.plan = "stream"
            yield "end"

        return Response(stream_with_context(body()))

    @app.route("/none")
    def none() -> str:
        g.plan = request.args.get("plan")
        return "ok"


def test_late_values(rig: Rig) -> None:
    """What the view, an after_request function or the body sets is on the metric, wherever else it is; none is none."""
    app = rig.app(tracked_vars=[PLAN, "late"], server_span="chest")
    views(app)
    for path in ("/view", "/raises", "/after", "/stream", "/none", "/none?plan=", "/nowhere"):
        app.test_client().get(path).get_data()
    assert counts(rig, "flask.g.plan", "http.route", "http.response.status_code", "error.type") == {
        ("view", "/view", 200, None): 1,
        ("raises", "/raises", 500, "ValueError"): 1,
        ("after", "/after", 200, None): 1,
        ("stream", "/stream", 200, None): 1,
        (None, "/none", 200, None): 2,
        (None, None, 404, None): 1,
    }


def test_under_the_old_names(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has both metrics has the dimension on both; the overflow point has nothing but itself."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    app = rig.app(tracked_vars=[PLAN], server_span="chest", cardinality_limit=4)
    views(app)
    for plan in ("a", "b", "c", "d", "e"):
        app.test_client().get(f"/none?plan={plan}")
    expected = {("a", None): 1, ("b", None): 1, ("c", None): 1, (None, True): 2}
    assert counts(rig, "flask.g.plan", "otel.metric.overflow") == expected
    assert counts(rig, "flask.g.plan", "otel.metric.overflow", metric=OLD_DURATION) == expected
    assert counts(rig, "http.target", metric=OLD_DURATION) == {("/none",): 3, (None,): 2}


def test_types_and_several_dimensions(rig: Rig) -> None:
    """True, 1 and 1.0 are three sets; each dimension has its attribute, and none can say how the request went."""
    values = [True, 1, 1.0, "1", ("a", "b")]
    variables = [TrackedVar("d", dimension=True), TrackedVar("tier", dimension=True, attribute="app.tier")]
    clash = TrackedVar("version", dimension=True, attribute="network.protocol.version")
    app = rig.app(tracked_vars=[*variables, clash], server_span="chest")

    @app.route("/<int:number>")
    def view(number: int) -> str:
        g.d, g.tier, g.version = values[number], "gold", "mine"
        return "ok"

    for number in range(len(values)):
        app.test_client().get(f"/{number}")
    points = rig.points(DURATION)
    assert {point.attributes["app.tier"] for point in points} == {"gold"}
    assert {point.attributes["network.protocol.version"] for point in points} == {"1.1"}
    assert [point.count for point in points] in ([1] * 5, [3, 1, 1])  # the SDK takes equal values for one
    assert counts(rig, "flask.g.d")["a,b",] == counts(rig, "flask.g.d")["1",] == 1


def test_a_variable_without_dimension_is_none(rig: Rig) -> None:
    """Other tracked variables stay off the metric."""
    app = rig.app(tracked_vars=["plan"], server_span="chest")
    views(app)
    app.test_client().get("/view")
    (point,) = rig.points(DURATION)
    assert not any(name.startswith("flask.g.") for name in point.attributes)


@pytest.mark.slow
def test_many_ids(rig: Rig) -> None:
    """However many values there are: no more series than the limit, exact sums, and no memory for each value."""
    app = rig.app(tracked_vars=[TrackedVar("user", dimension=True)], server_span="chest", cardinality_limit=100)

    @app.route("/<int:number>")
    def view(number: int) -> tuple[str, int]:
        g.user = f"user-{number}"
        return "ok", 500 if number % 10 == 0 else 200

    client = app.test_client()

    def ask(first: int, last: int) -> None:
        for number in range(first, last):
            client.get(f"/{number}", headers={"Host": f"shop-{number % 50}"})
            rig.exporter.clear()

    ask(0, 1000)
    tracemalloc.start()
    ask(1000, 1100)
    gc.collect()  # what is in circles is kept by nobody
    before, _ = tracemalloc.get_traced_memory()
    ask(1100, 3000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    points = rig.points(DURATION)
    assert len(points) == 100
    assert sum(point.count for point in points) == 3000
    assert counts(rig, "otel.metric.overflow") == {(None,): 99, (True,): 2901}
    assert after - before < 200_000
