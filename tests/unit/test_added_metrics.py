"""``chest.add_metric``: the call of flask-cloudwatch-metric, on OpenTelemetry's instruments."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, abort, copy_current_request_context, stream_with_context
from flask.views import MethodView

from flask_chest_otel import (
    ChestConfigError,
    FlaskChest,
    FlaskChestInstrumentor,
    TrackedVar,
    _guard,
    count_failures,
    count_requests,
    flask_chest,
)
from flask_chest_otel._tracking.cloudwatch import UNITS, ucum
from flask_chest_otel.names import CLOUDWATCH_NAME
from flask_chest_otel.testing import capture
from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Rig


def test_in_the_words_of_the_predecessor(rig: Rig) -> None:
    """Name, value, unit and dimensions as they were written for CloudWatch; the SDK makes names lower case."""
    app = rig.plain()
    reporter = FlaskChest(app, **rig.providers)

    @app.get("/")
    def main() -> str:
        reporter.add_metric(metric_name="RequestCount", value=1, unit="Count", dimensions=[])
        reporter.add_metric("Latency", 0.25, unit="Seconds", dimensions=[{"Name": "Queue", "Value": "mail"}])
        return "ok"

    with capture(app) as records:
        for _ in range(2):
            app.test_client().get("/")
    (count,) = rig.points("requestcount")
    assert (count.count, count.sum, dict(count.attributes)) == (2, 2, {})
    (latency,) = rig.points("latency")
    assert (latency.count, latency.sum, dict(latency.attributes)) == (2, 0.5, {"Queue": "mail"})
    kept = [(one.metric, one.kind, one.value, one.unit) for one in records[0].metrics]
    assert kept == [("RequestCount", "histogram", 1, "{count}"), ("Latency", "histogram", 0.25, "s")]


def test_outside_of_a_request(rig: Rig) -> None:
    """In an application context alone it works too; without one it does nothing."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)
    with app.app_context():
        chest.add_metric("Jobs", 3, dimensions={"Kind": "nightly"})
        # At once, as no end of a request will come.
        assert [(point.sum, dict(point.attributes)) for point in rig.points("jobs")] == [(3, {"Kind": "nightly"})]


class CountsLines(logging.Handler):
    """As applications have them: each line is a metric."""

    def __init__(self, app: Flask, chest: FlaskChest) -> None:
        super().__init__()
        self._app = app
        self._chest = chest
        self.wanted = threading.Event()

    def filter(self, _record: logging.LogRecord) -> bool:
        # Before the handler's lock is taken.
        self.wanted.set()
        return True

    def emit(self, _record: logging.LogRecord) -> None:
        self.count()

    def count(self) -> None:
        with self._app.app_context():
            self._chest.add_metric("Lines", 1)


@pytest.fixture
def counted(rig: Rig, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[Flask, CountsLines]]:
    """An application whose first request logs a line, which is counted."""
    logger, app = logging.getLogger("flask_chest_otel"), rig.plain()
    handler = CountsLines(app, FlaskChest(app, export="store", meter_provider=rig.meter_provider))
    app.add_url_rule("/", "view", lambda: "ok")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(handler)
    yield app, handler
    logger.removeHandler(handler)


def first_request(app: Flask) -> tuple[threading.Thread, list[str]]:
    served: list[str] = []
    thread = threading.Thread(target=lambda: served.append(app.test_client().get("/").text), daemon=True)
    thread.start()
    return thread, served


def test_from_a_log_handler(rig: Rig, counted: tuple[Flask, CountsLines]) -> None:
    """A handler that counts lines counts that of the first request, which does not wait for itself."""
    thread, served = first_request(counted[0])
    thread.join(10)
    assert served == ["ok"]
    assert sum(point.sum for point in rig.points("lines")) == 1


@pytest.mark.slow
def test_from_a_log_handler_meanwhile(rig: Rig, counted: tuple[Flask, CountsLines]) -> None:
    """A handler that is at work in another thread, while the first request wants to log, does not wait for that."""
    app, handler = counted
    handler.acquire()
    thread, served = first_request(app)
    assert handler.wanted.wait(10)
    handler.count()
    assert not served
    handler.release()
    thread.join(10)
    assert served == ["ok"]
    assert sum(point.sum for point in rig.points("lines")) == 2


def test_recorded_together_at_the_end(rig: Rig) -> None:
    """In a request values wait for its end, also where the view raises; more than a thousand do not pile up."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)
    seen = []

    @app.get("/<int:times>")
    def view(times: int) -> str:
        for _ in range(times):
            chest.add_metric("Rows", 1)
        seen.append(sum(point.count for point in rig.points("rows")))
        raise RuntimeError

    assert app.test_client().get("/3").status_code == 500
    assert seen == [0]
    assert app.test_client().get("/1100").status_code == 500
    assert seen == [0, 103]
    assert [(point.count, point.sum) for point in rig.points("rows")] == [(1103, 1103)]


def test_added_by_other_threads_and_generators(rig: Rig) -> None:
    """What a thread with a copied context adds, and a stream after its headers, is recorded once."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)
    threads = []

    @app.get("/thread")
    def thread() -> str:
        ended = threading.Event()

        @copy_current_request_context
        def add() -> None:
            chest.add_metric("Rows", 1)
            ended.wait(10)
            chest.add_metric("Rows", 1)

        threads.append((threading.Thread(target=add), ended))
        threads[0][0].start()
        return "ok"

    @app.get("/stream")
    def stream() -> Any:
        def parts() -> Iterator[str]:
            chest.add_metric("Rows", 1)
            yield "a"

        return stream_with_context(parts())

    with app.test_client() as client:
        assert client.get("/thread").text == "ok"
    threads[0][1].set()
    threads[0][0].join()
    assert app.test_client().get("/stream").text == "a"
    assert [point.count for point in rig.points("rows")] == [3]


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("name", "value", "unit", "dimensions"),
    [
        ("Bad", float("nan"), "Count", ()),
        ("Bad", -1, "Count", ()),
        ("Bad", "three", "Count", ()),
        ("", 1, "Count", ()),
        ("a\nb", 1, "Count", ()),
        (None, 1, "Count", ()),
        ("Bad", 1, "Count", "Name"),
        ("Bad", 1, "Count", [{"Nam": "x"}]),
        ("Bad", 1, "Count", 7),
        ("Bad", 1, "ü", ()),
    ],
)
def test_nothing_is_raised(rig: Rig, name: str, value: Any, unit: str, dimensions: Any) -> None:
    """What cannot be recorded is counted, and the view goes on."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)

    @app.get("/")
    def view() -> str:
        chest.add_metric(name, value, unit, dimensions)
        return "ok"

    assert app.test_client().get("/").text == "ok"
    assert {name for name in rig.metric_names() if not name.startswith(("http.server.", "flask_chest."))} == set()
    assert sum(_guard.counts.values()) == 1


@pytest.mark.guard_on
def test_names_are_made_legal(rig: Rig) -> None:
    """Instruments take fewer characters than CloudWatch does; the description has the name as it was given."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)
    with app.app_context():
        for name in ("4XXError", "Time to Näxt", "a" * 300):
            chest.add_metric(name, 1)
    data = rig.reader.get_metrics_data()
    assert data is not None
    found = {metric.name: metric.description for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    assert found == {
        "metric_4xxerror": "CloudWatch name: 4XXError",
        "time_to_n_xt": "CloudWatch name: Time to Näxt",
        "a" * 255: "CloudWatch name: " + "a" * 300,
    }
    assert _guard.counts == {}


@pytest.mark.guard_on
def test_one_name_is_one_metric(rig: Rig) -> None:
    """The same name with another unit or spelling is refused and counted, not mixed into the first."""
    app = rig.app(tracked_vars=[TrackedVar("total", metric_name="Total")])
    chest = FlaskChest()
    with app.app_context():
        chest.add_metric("Latency", 1, "Seconds")
        chest.add_metric("Latency", 1000, "Milliseconds")
        chest.add_metric("latency", 1, "Seconds")
        chest.add_metric("Total", 1)
    assert [point.sum for point in rig.points("latency")] == [1]
    assert rig.points("total") == []
    assert list(_guard.counts.values()) == [3]


def test_cardinality_and_destinations(rig: Rig) -> None:
    """Dimensions count towards the limit; a route's destinations are on its metrics."""
    app = rig.plain()
    chest = FlaskChest(app, cardinality_limit=3, **rig.providers)

    @app.get("/<number>")
    @flask_chest(chests=["influxdb"])
    def view(number: str) -> str:
        chest.add_metric("Seen", 1, dimensions={"Number": number})
        return "ok"

    for number in range(5):
        app.test_client().get(f"/{number}")
    found = sorted((str(dict(point.attributes)), point.sum) for point in rig.points("seen"))
    assert found == [
        ("{'Number': '0', 'flask.chests': 'influxdb'}", 1),
        ("{'Number': '1', 'flask.chests': 'influxdb'}", 1),
        ("{'otel.metric.overflow': True}", 3),
    ]


@pytest.mark.parametrize("late", [False, True], ids=["in time", "after the response"])
def test_destinations_of_threads(rig: Rig, *, late: bool) -> None:
    """What a thread with a copied context adds goes where its request goes, whoever of them ends first."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)
    answered = threading.Event()
    threads = []

    @app.get("/")
    @flask_chest(chests=["influxdb"])
    def view() -> str:
        @copy_current_request_context
        def add() -> None:
            if late:
                answered.wait(10)
            chest.add_metric("Rows", 1)

        threads.append(threading.Thread(target=add))
        threads[0].start()
        if not late:
            threads[0].join()
        return "ok"

    with capture(app) as records:
        assert app.test_client().get("/").text == "ok"
    answered.set()
    threads[0].join()
    assert [(point.count, dict(point.attributes)) for point in rig.points("rows")] == [
        (1, {"flask.chests": "influxdb"})
    ]
    assert [one.metric for one in records[0].metrics] == ([] if late else ["Rows"])


def test_the_order_of_dimensions_is_none_of_the_set_s(rig: Rig) -> None:
    """The same set in another order takes no second place of the limit."""
    app = rig.plain()
    chest = FlaskChest(app, cardinality_limit=2, **rig.providers)
    with app.app_context():
        for dimensions in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 2}):
            chest.add_metric("Seen", 1, dimensions=dimensions)
    assert sorted((repr(sorted(point.attributes.items())), point.sum) for point in rig.points("seen")) == [
        ("[('a', 1), ('b', 2)]", 2),
        ("[('otel.metric.overflow', True)]", 1),
    ]


def test_units() -> None:
    """Every unit of CloudWatch has its UCUM, none of which Prometheus takes for a ratio."""
    assert len(UNITS) == 27
    assert "1" not in UNITS.values()
    assert [ucum(unit) for unit in ("Megabits/Second", "Kilobytes", "Percent", None, "By")] == [
        "Mbit/s",
        "kBy",
        "%",
        "",
        "By",
    ]


def test_the_target_for_cloudwatch_knows_every_unit(pytestconfig: pytest.Config) -> None:
    """Its fragment maps each unit back, and takes what begins a description for what it is."""
    fragment = (pytestconfig.rootpath / "collector-config" / "aws.yaml").read_text("utf-8")
    for name, unit in UNITS.items():
        assert not unit or f'set(metric.unit, "{name}") where metric.unit == "{unit}"' in fragment
    assert fragment.count(f'"^{CLOUDWATCH_NAME}"') == 7


def sums(rig: Rig, name: str) -> dict[str, tuple[int, float]]:
    """Dimension to how often a metric was given and what it adds up to."""
    return {",".join(map(str, point.attributes.values())): (point.count, point.sum) for point in rig.points(name)}


@pytest.mark.parametrize("zero_code", [False, True])
def test_counting_decorators(rig: Rig, *, zero_code: bool) -> None:
    """Requests, errors (4xx) and faults (5xx) of a route, however its answer came about; others are not counted."""
    app = rig.plain()
    if zero_code:
        FlaskChestInstrumentor().instrument(**rig.providers)
    else:
        # Nothing else asks for the status.
        FlaskChest(app, server_span=None, response_headers=(), **rig.providers)

    @app.get("/<int:status>")
    @count_requests
    @count_failures(dimensions={"Page": "index"})
    @flask_chest("user_id")
    def view(status: int) -> Any:
        if status == 599:
            raise RuntimeError
        return abort(status) if status == 404 else ("", status)

    app.add_url_rule("/other", view_func=lambda: "ok")
    client = app.test_client()
    answers = [client.get(f"/{status}").status_code for status in (200, 302, 404, 410, 503, 599)]
    assert answers == [200, 302, 404, 410, 503, 500]
    client.get("/other")
    assert sums(rig, "requestcount") == {"GET,/<int:status>": (6, 6)}
    assert sums(rig, "error") == {"index": (6, 2)}
    assert sums(rig, "fault") == {"index": (6, 2)}


def test_counting_leaves_the_view_alone(rig: Rig) -> None:
    """The decorators return what they are given, and go on classes and methods; a name counts once per request."""

    def plain() -> str:
        return "ok"

    assert count_requests(plain) is plain
    assert count_failures()(plain) is plain
    app = rig.app()

    @count_requests(metric_name="Of class", dimensions=[{"Name": "Page", "Value": 3}])
    class Page(MethodView):
        @count_requests(metric_name="Of method")
        @count_requests(metric_name="Of class")
        def get(self) -> str:
            return "ok"

        def post(self) -> str:
            return "ok"

    app.add_url_rule("/", view_func=Page.as_view("page"))
    app.test_client().get("/")
    app.test_client().post("/")
    assert sum(count for count, _ in sums(rig, "of_class").values()) == 2
    assert sums(rig, "of_method") == {"GET,/": (1, 1)}


def test_two_counted_routes_are_two_series(rig: Rig) -> None:
    """Without dimensions of its own, what is counted says of which method and route it is."""
    app = rig.app()
    for path in ("/a", "/b"):
        app.add_url_rule(path, path, count_failures(lambda: ("", 500)))
    for path in ("/a", "/b", "/b"):
        app.test_client().get(path)
    found = {point.attributes["http.route"]: (point.count, point.sum) for point in rig.points("fault")}
    assert found == {"/a": (1, 1), "/b": (2, 2)}
    assert {point.attributes["http.request.method"] for point in rig.points("fault")} == {"GET"}


@pytest.mark.parametrize(
    ("decorate", "words"),
    [
        (lambda: count_requests(metric_name=""), "metric_name=''"),
        (lambda: count_failures(fault_name="a\tb"), "fault_name="),
        (lambda: count_failures(dimensions=[{"Nam": "x"}]), "dimensions="),
        (lambda: count_requests("name"), "a view below it"),  # type: ignore[call-overload]
    ],
)
def test_wrong_counting(decorate: Callable[[], object], words: str) -> None:
    """Arguments that cannot be used raise where they are written."""
    with pytest.raises(ChestConfigError, match=words):
        decorate()


def test_in_a_job_without_any_request(run_python: Callable[..., str], tmp_path: Path) -> None:
    """In a command or a job no first request sets up the exports: the first metric does."""
    with OtlpReceiver() as receiver:
        run_python(
            """
            from flask import Flask
            from flask_chest_otel import FlaskChest

            app = Flask("job")
            chest = FlaskChest(app)
            with app.app_context():
                chest.add_metric("Jobs", 3, "Count")
            assert chest.force_flush(10)
            """,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
                "NO_PROXY": "127.0.0.1",
            },
        )
        assert [point["sum"] for point in receiver.latest("jobs")] == [3.0]


def test_a_value_that_nobody_takes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a command of an application that has the store alone, one line says that it goes nowhere; not in requests."""
    app = Flask("shop", instance_path=str(tmp_path))
    chest = FlaskChest(app, export="store")
    with app.app_context():
        chest.add_metric("Jobs", 1)
        chest.add_metric("Jobs", 2)
    assert caplog.text.count("add_metric('Jobs') goes nowhere: outside of a request") == 1
