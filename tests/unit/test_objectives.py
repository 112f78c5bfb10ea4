"""Objectives at work: what is good and bad, and that the counters say exactly that."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, abort, current_app, g, request, stream_with_context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from flask_chest_otel import SLO, TrackedVar
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel.testing import RequestRecord
    from tests.conftest import Put, Rig

REQUESTS, OBJECTIVE = "flask_chest.slo.requests", "flask_chest.slo.objective"
NAME, RESULT = "flask_chest.slo.name", "flask_chest.slo.result"


def counted(rig: Rig, name: str = "all") -> dict[str, int]:
    """What the counter says of one objective, over all that tells its series apart."""
    found: Counter[str] = Counter()
    for point in rig.points(REQUESTS):
        if point.attributes[NAME] == name:
            found[point.attributes[RESULT]] += point.value
    return dict(found)


def all_requests(**given: Any) -> SLO:
    return SLO("all", **{"objective": 99, **given})


def views(app: Flask) -> None:
    """Requests of every kind."""
    plain_views(app)
    views_of_other_kinds(app)


def plain_views(app: Flask) -> None:

    @app.route("/ok")
    def ok() -> str:
        return "ok"

    @app.route("/raises")
    def raises() -> str:
        raise ValueError("no")

    @app.route("/aborts/<int:status>")
    def aborts(status: int) -> str:
        abort(status)

    @app.route("/handled")
    def handled() -> str:
        raise KeyError("handled")

    @app.errorhandler(KeyError)
    def answer(_error: KeyError) -> tuple[str, int]:
        return "it is fine", 200


def views_of_other_kinds(app: Flask) -> None:
    @app.route("/stream/<word>")
    def stream(word: str) -> Response:
        def body() -> Iterator[str]:
            yield "begin"
            if word == "fails":
                raise ValueError("in the middle")
            yield "end"

        return Response(body())

    @app.route("/async")
    async def waits() -> str:
        await asyncio.sleep(0)
        return "ok"

    @app.route("/async-fails")
    async def fails() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    @app.route("/nested")
    def nested() -> str:
        return str(current_app.test_client().get("/raises").status_code)


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("/ok", 1, 0),
        ("/raises", 0, 1),
        ("/aborts/404", 1, 0),
        ("/aborts/503", 0, 1),
        ("/handled", 1, 0),
        ("/nowhere", 1, 0),
        ("/stream/works", 1, 0),
        ("/stream/fails", 0, 1),
        ("/async", 1, 0),
        ("/async-fails", 0, 1),
        ("/nested", 1, 1),
    ],
)
def test_every_kind_of_request(rig: Rig, path: str, good: int, bad: int) -> None:
    """Each request is counted once, when all of it is over, whatever it does."""
    app = rig.app(slos=[all_requests()])
    views(app)
    answer = app.test_client().get(path, buffered=False)
    if path == "/stream/fails":
        with pytest.raises(ValueError, match="in the middle"):
            answer.get_data()
    else:
        answer.get_data()
    answer.close()
    assert counted(rig) == {"good": good, "bad": bad}


def test_put_in_every_way(rig: Rig, put: Put) -> None:
    """The same verdicts as extension, beside upstream's server spans, and without code in the application."""
    app = rig.plain()
    views(app)
    records = put(app, slos=[all_requests(), SLO("aborts", objective=99, routes="/aborts/*", bad_status="4xx")])
    for path in ("/ok", "/raises", "/aborts/404", "/handled", "/nowhere"):
        app.test_client().get(path)
    assert counted(rig) == {"good": 4, "bad": 1}
    assert counted(rig, "aborts") == {"good": 0, "bad": 1}
    assert [record.slos for record in records] == [
        {"all": True},
        {"all": False},
        {"all": True, "aborts": False},
        {"all": True},
        {"all": True},
    ]


def test_both_series_begin_at_zero(rig: Rig) -> None:
    """Before anything is counted there are both series, with no further attribute, and the objective itself."""
    app = rig.app(slos=[all_requests(), SLO("other", objective=99.95, routes="/other")], tracked_vars=["plan"])
    app.route("/other")(lambda: "ok")
    app.test_client().get("/nowhere")
    points = {(point.attributes[NAME], point.attributes[RESULT]): point for point in rig.points(REQUESTS)}
    assert {key: point.value for key, point in points.items()} == {
        ("all", "good"): 1,
        ("all", "bad"): 0,
        ("other", "good"): 0,
        ("other", "bad"): 0,
    }
    assert all(set(point.attributes) == {NAME, RESULT} for point in points.values())
    assert {point.attributes[NAME]: point.value for point in rig.points(OBJECTIVE)} == {"all": 0.99, "other": 0.9995}


@pytest.mark.slow
def test_what_is_bad(rig: Rig) -> None:
    """Status, latency, a variable's value and the application's own word, each alone."""
    slos = [
        SLO("status", objective=99, bad_status="429,500-502"),
        SLO("latency", objective=99, latency_s=1.5),
        SLO("variable", objective=99, bad_when={"outcome": ("declined", 1)}),
        SLO("word", objective=99, good=lambda record: record.variables.get("outcome") != "lost"),
        SLO("posts", objective=99, methods=["POST"]),
    ]
    app = rig.app(slos=slos, tracked_vars=["outcome"])

    @app.route("/", methods=["GET", "POST"])
    def view() -> tuple[str, int]:
        g.outcome = json.loads(request.args.get("outcome", "null"))
        threading.Event().wait(float(request.args.get("wait", 0)))
        return "ok", int(request.args.get("status", 200))

    client = app.test_client()
    for query in ("status=429", "status=502", "status=503", "wait=1.6"):
        client.get(f"/?{query}")
    for outcome in ('"declined"', "1", "true", "1.0", '"lost"', '"fine"'):
        client.get("/", query_string={"outcome": outcome})
    client.post("/?status=500")
    assert counted(rig, "status") == {"good": 8, "bad": 3}
    # Beside the three with 502, 503 and 500: the slow one; declined, 1 and 1.0, which are one number; the lost one.
    assert counted(rig, "latency") == {"good": 7, "bad": 4}
    assert counted(rig, "variable") == {"good": 5, "bad": 6}
    assert counted(rig, "word") == {"good": 7, "bad": 4}
    assert counted(rig, "posts") == {"good": 0, "bad": 1}


@pytest.mark.guard_on
def test_good_that_raises(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """The request counts as good, the response is untouched, and one line says so."""
    app = rig.app(slos=[all_requests(good=lambda record: record.variables["nothing"] > 0)])
    views(app)
    answers = [app.test_client().get("/ok") for _ in range(3)]
    assert [answer.text for answer in answers] == ["ok"] * 3
    assert counted(rig) == {"good": 3, "bad": 0}
    assert [record.message.splitlines()[0] for record in caplog.records if "SLO all" in record.message] == [
        "flask_chest_otel failed at SLO all: KeyError; the request goes on (logged once)"
    ]


def test_by_a_variable(rig: Rig) -> None:
    """Counts are told apart by the variable's value under the variable's own attribute, set late or never."""
    slos = [all_requests(by="plan")]
    app = rig.app(slos=slos, tracked_vars=[TrackedVar("plan", attribute="app.plan", dimension=True)])

    @app.route("/<plan>/<int:status>")
    def view(plan: str, status: int) -> Response:
        def body() -> Iterator[str]:
            if plan != "none":
                g.plan = plan
            yield "ok"

        return Response(stream_with_context(body()), status)

    for plan, status in (("gold", 200), ("gold", 500), ("free", 500), ("none", 200)):
        app.test_client().get(f"/{plan}/{status}").get_data()
    found = {
        (point.attributes.get("app.plan"), point.attributes[RESULT]): point.value for point in rig.points(REQUESTS)
    }
    assert found == {
        (None, "good"): 1,
        (None, "bad"): 0,
        ("gold", "good"): 1,
        ("gold", "bad"): 1,
        ("free", "good"): 0,
        ("free", "bad"): 1,
    }


@pytest.mark.slow
def test_bounded_and_exact(rig: Rig) -> None:
    """Past the limit, values go to one series of their objective and result: sums stay exact for each."""
    slos = [all_requests(by="user"), SLO("other", objective=99)]
    app = rig.app(slos=slos, tracked_vars=["user"], cardinality_limit=20)

    @app.route("/<int:number>")
    def view(number: int) -> tuple[str, int]:
        g.user = f"u{number}"
        return "ok", 500 if number % 5 == 0 else 200

    client = app.test_client()
    for number in [*range(200), *range(200)]:
        client.get(f"/{number}")
    points = rig.points(REQUESTS)
    assert len(points) == 20
    assert counted(rig) == counted(rig, "other") == {"good": 320, "bad": 80}
    overflow = [point for point in points if point.attributes.get("otel.metric.overflow")]
    assert {tuple(point.attributes) for point in overflow} == {(NAME, RESULT, "otel.metric.overflow")}


@pytest.mark.slow
def test_exact_with_threads(rig: Rig) -> None:
    """Many threads at once lose and double nothing."""
    app = rig.app(slos=[all_requests(by="plan")], tracked_vars=["plan"])

    @app.route("/<int:number>")
    def view(number: int) -> tuple[str, int]:
        g.plan = f"p{number % 7}"
        return "ok", 500 if number % 3 == 0 else 200

    def ask() -> None:
        client = app.test_client()
        for number in range(60):
            client.get(f"/{number}")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(rig) == {"good": 8 * 40, "bad": 8 * 20}


@pytest.mark.parametrize("rate", ["0.0", "1.0"])
def test_never_sampled(rig: Rig, monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    """Sampling decides on spans, and counts nothing away."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", rate)
    app = rig.app(slos=[all_requests()], tracer_provider=rig.provider())
    views(app)
    for _ in range(20):
        app.test_client().get("/ok")
    assert counted(rig) == {"good": 20, "bad": 0}
    assert len(rig.spans) == (20 if rate == "1.0" else 0)


def test_two_applications_with_one_provider(rig: Rig) -> None:
    """The objectives of both are observed: of a second instrument the SDK would ignore the callback."""
    for name in ("shop", "stock"):
        app = rig.plain(name)
        rig.chest(app, slos=[SLO(name, objective=99)])
        views(app)
        app.test_client().get("/ok")
    assert {point.attributes[NAME] for point in rig.points(OBJECTIVE)} == {"shop", "stock"}
    assert (counted(rig, "shop"), counted(rig, "stock")) == ({"good": 1, "bad": 0}, {"good": 1, "bad": 0})


def test_without_a_chest_that_wants_records(rig: Rig) -> None:
    """Where nobody takes records, requests are judged all the same, and the exceptions of requests are known."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    seen: list[RequestRecord] = []

    def good(record: RequestRecord) -> bool:
        seen.append(record)
        return True

    app = rig.app(slos=[all_requests(good=good, bad_status=())], meter_provider=provider, response_headers=())
    views(app)
    app.test_client().get("/raises")
    app.test_client().get("/ok?q=1")
    assert [(record.route, record.path, record.error) for record in seen] == [("/ok", "/ok", None)]


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("slo", "said"),
    [
        ({"routes": "/chekout"}, "SLO('all', routes)='/chekout' cannot be used: give a URL rule that the application "),
        ({"routes": ["/ok", "/cart/*"]}, "SLO('all', routes)='/cart/*' cannot be used"),
        ({"routes": "/ok", "methods": "POST"}, "SLO('all', methods)=('POST',) cannot be used: give one that /ok takes"),
        ({"by": "paln"}, "SLO('all', by)='paln' cannot be used: give a variable that some route tracks (did you mean"),
        ({"bad_when": {"outcome": "x"}}, "(type tracked_vars=['outcome'])"),
    ],
)
def test_what_only_the_application_can_tell(
    rig: Rig, caplog: pytest.LogCaptureFixture, slo: dict[str, Any], said: str
) -> None:
    """A route, method or variable that there is not is named at the first request, once; requests are served."""
    app = rig.app(slos=[all_requests(**slo)], tracked_vars=["plan"])
    views(app)
    app.route("/checkout")(lambda: "ok")
    for _ in range(2):
        assert app.test_client().get("/ok").status_code == 200
    lines = [record.message for record in caplog.records if record.message.startswith("SLO(")]
    assert len(lines) == 1
    assert said in lines[0]


def test_what_the_application_has_is_not_complained_about(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Patterns that match, variables that are tracked, or any where ``*`` is: no line."""
    app = rig.app(slos=[all_requests(routes=["/stream/*", "/*"], by="plan")], tracked_vars="*")
    views(app)
    app.test_client().get("/ok")
    assert not [record for record in caplog.records if "SLO" in record.message]


def test_nothing_without_objectives(rig: Rig) -> None:
    """Without ``slos`` there is no metric of them, and records have none."""
    app = rig.app()
    views(app)
    with capture(app) as records:
        app.test_client().get("/ok")
    assert not rig.points(REQUESTS)
    assert not rig.points(OBJECTIVE)
    assert records[0].slos == {}
