"""What this package says of itself, beside the application's metrics."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import g
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import flask_chest_otel
from flask_chest_otel import FlaskChest, TrackedVar, _guard, _self_metrics, names
from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._otlp.batching import Batching
from flask_chest_otel._outbox import span_processor
from flask_chest_otel.chests import WebhookChest
from tests.backends.outbox import kept
from tests.backends.server import free_port
from tests.unit.export.batches import route_to, spans
from tools.wire_names import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig
    from tests.conftest import Rig


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests of this process have made is not asked."""
    for name in ("_watched", "_chests"):
        monkeypatch.setattr(_self_metrics, name, WeakObjects())


def said(rig: Rig, name: str) -> dict[Any, float]:
    """Points of one metric: value by the value of its attribute."""
    return {next(iter(point.attributes.values()), None): point.value for point in rig.points(name)}


def test_nothing_happened(rig: Rig) -> None:
    """A healthy application without an outbox has no metric more than before."""
    app = rig.app(tracked_vars=["a"])
    app.test_client().get("/")
    assert not [name for name in rig.metric_names() if name.startswith("flask_chest.")]


def test_refusals(rig: Rig) -> None:
    """Refused values, inbound ids and what is beyond a limit are counted apart."""
    app = rig.app(tracked_vars=[TrackedVar("a", metric="counter"), "b", "c"], variables_limit=2)

    @app.route("/")
    def view() -> str:
        g.a, g.b, g.c = -1, 1, 1
        return ""

    for _ in range(3):
        app.test_client().get("/", headers={"X-Request-ID": "not legal"})
    assert said(rig, names.REFUSED) == {"value": 3, "request_id": 3, "limit": 3}


@pytest.mark.guard_on
def test_errors(rig: Rig) -> None:
    """Errors of our own are counted by what was being done."""

    def generator() -> str:
        raise RuntimeError

    app = rig.app(request_id_generator=generator)
    app.test_client().get("/")
    app.test_client().get("/")
    assert said(rig, names.ERRORS) == {"request_id_generator": 2}


def test_records(rig: Rig) -> None:
    """Records that a chest dropped are counted under its name."""
    chest = WebhookChest(f"http://127.0.0.1:{free_port()}/", name="audit", capacity=1)
    chest.close()
    app = rig.app(chests=[chest])
    for _ in range(2):
        app.test_client().get("/")
    assert said(rig, names.RECORDS_DROPPED) == {"audit": 2}


def test_spans(rig: Rig) -> None:
    """Spans that came faster than they could be written are counted."""
    rig.app().test_client().get("/")
    line = span_processor._SpanQueue(rig.exporter, Batching(capacity=3))  # noqa: SLF001 - a thread would empty it
    _self_metrics.watch(line)
    for _ in range(5):
        line.put(rig.spans[0])
    assert said(rig, names.SPANS_DROPPED) == {None: 2}


def test_the_outbox(rig: Rig, tmp_path: Path, begin: Callable[[WorkerConfig], OutboxWorker]) -> None:
    """Batches by state, bytes and age, and what the bounds have cost."""
    app = rig.app()
    app.test_client().get("/")
    dispatch = begin(route_to(f"http://127.0.0.1:{free_port()}", tmp_path / "box", max_bytes=200_000))
    for _ in range(3):
        dispatch.put("traces", 1, spans("x"))
    time.sleep(0.05)
    assert said(rig, names.OUTBOX_BATCHES) == {"waiting": 3, "refused": 0}
    assert 0.05 <= said(rig, names.OUTBOX_AGE)[None] < 10
    assert 0 < said(rig, names.OUTBOX_SIZE)[None] < 200_000
    assert said(rig, names.OUTBOX_DROPPED) == {None: 0}
    for _ in range(10):
        dispatch.put("traces", 7, spans("x" * 50_000))
    dropped = said(rig, names.OUTBOX_DROPPED)[None]
    assert dropped >= 3 + 7
    assert dropped + sum(batch.items for batch in kept(tmp_path / "box")) == 3 + 70


def test_two_applications_and_one_provider(rig: Rig) -> None:
    """Figures of the process are there once for each provider, not once for each application."""
    other = InMemoryMetricReader()
    first, second, third = rig.plain("first"), rig.plain("second"), rig.plain("third")
    rig.chest(first)
    rig.chest(second)
    FlaskChest(
        third, tracer_provider=rig.tracer_provider, meter_provider=MeterProvider([other], shutdown_on_exit=False)
    )
    for app in (first, second, third):
        app.test_client().get("/", headers={"X-Request-ID": "not legal"})
    assert said(rig, names.REFUSED) == {"request_id": 3}
    data: Any = other.get_metrics_data()
    found = [metric for one in data.resource_metrics for metric in one.scope_metrics[0].metrics]
    (points,) = [metric.data.data_points for metric in found if metric.name == names.REFUSED]
    assert [point.value for point in points] == [3]


@pytest.mark.slow
def test_every_refusal_has_a_reason() -> None:
    """Every reason is one that the reference lists, and is given somewhere in the package."""
    listed = next(row.sentence for row in REFERENCE if row.name == names.REASON)
    reasons = set(re.findall(r"`(\w+)`", listed))
    given = set()
    for path in Path(flask_chest_otel.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "count_refusal":
                reason = node.args[0]
                assert isinstance(reason, ast.Attribute), ast.unparse(node)
                given.add(_guard.Refusal[reason.attr].value)
    assert given == {one.value for one in _guard.Refusal} == reasons


def test_kinds_are_bounded() -> None:
    """However many names an application makes up, what is told apart stays bounded, and nothing is uncounted."""
    for number in range(_guard.MOST_KINDS + 500):
        _guard.count_refusal(_guard.Refusal.VALUE, f"name{number}: x", "%s", number)
    assert len(_guard.counts) == _guard.MOST_KINDS + 1
    assert _guard.totals() == ({"value": _guard.MOST_KINDS + 500}, {})


FORK = """
import json, os, sys
from flask_chest_otel import _guard

def refuse():
    _guard.count_refusal(_guard.Refusal.VALUE, "x: y", "%s", "words")

refuse()
refuse()
pid = os.fork()
if not pid:
    before = _guard.totals()
    refuse()
    print(json.dumps([before, _guard.totals()]), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(json.dumps(_guard.totals()))
"""


def test_a_child_begins_from_zero(run_python: Callable[..., str]) -> None:
    """What a process has counted before a fork is not counted by its children again."""
    child, parent = run_python(FORK).splitlines()
    assert child == '[[{}, {}], [{"value": 1}, {}]]'
    assert parent == '[{"value": 2}, {}]'
