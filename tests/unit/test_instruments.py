"""Instruments: exact sums, and the exact number of attribute sets, from any number of threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import g, request

from flask_chest_otel import ChestConfigError, TrackedVar
from flask_chest_otel._tracking.instruments import Instruments
from flask_chest_otel._values.attribute_sets import AttributeSets
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from tests.conftest import Rig


@pytest.fixture
def quick_switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def overflow_of(points: list[Any]) -> list[Any]:
    return [point for point in points if dict(point.attributes) == {"otel.metric.overflow": True}]


def shop(rig: Rig, *, limit: int, metric: Any = "counter") -> Flask:
    variables = [TrackedVar("n", metric=metric), TrackedVar("who", dimension=True)]
    app = rig.app(tracked_vars=variables, cardinality_limit=limit)

    @app.route("/")
    def view() -> str:
        g.n, g.who = 1, request.args["who"]
        return "ok"

    return app


def test_limit_through_requests(rig: Rig) -> None:
    """One attribute set less than the limit, one overflow point, and a sum that is exact."""
    app = shop(rig, limit=10)
    client = app.test_client()
    with capture(app) as records:
        for _ in range(2):
            for number in range(30):
                client.get(f"/?who=u{number}")
    points = rig.points("flask.g.n")
    assert len(points) == 10
    (overflow,) = overflow_of(points)
    assert overflow.value == 2 * (30 - 9)
    assert sum(point.value for point in points) == 60
    assert dict(records[29].metrics[0].attributes) == {"otel.metric.overflow": True}
    assert records[29].variables["who"] == "u29"


@pytest.mark.slow
@pytest.mark.parametrize("rounds", range(3))
@pytest.mark.usefixtures("quick_switching")
def test_exact_from_threads(rig: Rig, rounds: int) -> None:
    """Eight threads that bring the same sets at once fill every place: 1999 and the overflow."""
    instruments = Instruments(rig.meter_provider.get_meter("m"), 2000)
    instrument = instruments.get("n", "counter", TrackedVar("n", metric="counter"))
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for number in range(2500):
            instrument.record(1.0, ("k", number), {"k": number}, None)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    points = rig.points("n")
    assert len(points) == 2000
    assert len(overflow_of(points)) == 1
    assert sum(point.value for point in points) == 8 * 2500


def test_dimension_values(rig: Rig) -> None:
    """Dimensions of different types are different sets; texts are bounded and of one line."""
    app = rig.app(tracked_vars=[TrackedVar("n", metric="counter"), TrackedVar("d", dimension=True)])
    values = [True, 1, 1.0, "1", "a\nb", "x" * 300, ["a", 1], None]

    @app.route("/<int:number>")
    def view(number: int) -> str:
        g.n, g.d = 1, values[number]
        return "ok"

    for number in range(len(values)):
        app.test_client().get(f"/{number}")
    got = [point.attributes.get("flask.g.d", "absent") for point in rig.points("flask.g.n")]
    assert {repr(value) for value in got} >= {repr("1"), repr("a b"), repr("x" * 255), repr("a,1"), repr("absent")}
    assert sum(point.value for point in rig.points("flask.g.n")) == len(values)


@pytest.mark.parametrize("kind", ["histogram", "counter", "up_down_counter", "gauge"])
def test_every_kind(rig: Rig, kind: Any) -> None:
    """Each kind of instrument takes floats, and says so in the record."""
    app = rig.app(tracked_vars=[TrackedVar("n", metric=kind, metric_name="Shop.N", unit="{EUR}", description="d")])

    @app.route("/")
    def view() -> str:
        g.n = 2
        return "ok"

    with capture(app) as records:
        app.test_client().get("/")
    (point,) = rig.points("shop.n")
    number = point.sum if kind == "histogram" else point.value
    assert (number, type(number)) == (2.0, float)
    (measured,) = records[0].metrics
    assert (measured.metric, measured.kind, measured.unit, measured.value) == ("Shop.N", kind, "{EUR}", 2.0)


def test_buckets_reach_the_sdk(rig: Rig) -> None:
    """Advised buckets are used, the conventions' own for seconds."""
    app = rig.app(tracked_vars=[TrackedVar("n", buckets=(1, 2)), TrackedVar("t", unit="s")])

    @app.route("/")
    def view() -> str:
        g.n = g.t = 1
        return "ok"

    app.test_client().get("/")
    assert rig.points("flask.g.n")[0].explicit_bounds == (1.0, 2.0)
    assert rig.points("flask.g.t")[0].explicit_bounds[0] == 0.005


def test_booleans_are_no_numbers(rig: Rig) -> None:
    """True and False stay attributes."""
    app = rig.app(tracked_vars=["n"])

    @app.route("/")
    def view() -> str:
        g.n = True
        return "ok"

    app.test_client().get("/")
    assert rig.tracked() == {"n": True}
    assert rig.points("flask.g.n") == []


def test_a_number_that_is_masked_by_its_name_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """It has no metric, which nobody asked for; where somebody did, nothing is said."""
    app = rig.app(tracked_vars=["token_count", TrackedVar("pin_tries", redact="mask"), "token_name"])

    @app.route("/")
    def view() -> str:
        g.token_count = g.pin_tries = 3
        g.token_name = request.path
        return "ok"

    for _ in range(2):
        app.test_client().get("/")
    assert rig.points("flask.g.token_count") == rig.points("flask.g.pin_tries") == []
    (line,) = caplog.messages
    assert "TrackedVar('token_count', redact=None)" in line


def test_a_definition_that_comes_too_late(rig: Rig) -> None:
    """A bare name gives way to a definition until its instrument is made; afterwards the definition is refused."""
    instruments = Instruments(rig.meter_provider.get_meter("m"), 2000)
    bare, defined = TrackedVar("n"), TrackedVar("n", unit="s")
    for name in ("early", "late"):
        instruments.declare(name, bare)
    instruments.declare("early", defined)
    instruments.get("late", "histogram", bare)
    with pytest.raises(ChestConfigError, match="already a metric"):
        instruments.declare("late", defined)
    with pytest.raises(ChestConfigError, match="already a metric"):
        instruments.declare("early", bare)


class Slow:
    """A key that is looked up by somebody else while this process forks."""

    def __init__(self) -> None:
        self.looked_up = threading.Event()
        self.go_on = threading.Event()

    def __hash__(self) -> int:
        self.looked_up.set()
        self.go_on.wait(10.0)
        return 1


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_a_set_is_admitted() -> None:
    """The child waits for no thread that it has not."""
    sets, slow = AttributeSets(10), Slow()
    thread = threading.Thread(target=sets.admit, args=(slow, {}))
    thread.start()
    slow.looked_up.wait(10.0)
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if sets.admit("key", {"a": 1}) == {"a": 1} else 1)
    _, status = os.waitpid(child, 0)
    slow.go_on.set()
    thread.join()
    assert status == 0
