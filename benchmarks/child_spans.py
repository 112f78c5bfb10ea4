"""What a request pays for its record and its event, and a child span for standing in a record: in turns.

``make bench-spans``.
"""

from __future__ import annotations

import logging
import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flask import Flask
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from benchmarks.forks import best_tenth, in_fork
from benchmarks.measure import CHUNK, chunk_us, requests, warmed
from benchmarks.yardstick import CALLS, yardstick_us
from flask_chest_otel import FlaskChest
from flask_chest_otel._request.child_spans import NOTHING
from flask_chest_otel._request.recorder import Recorder
from flask_chest_otel._request.span_processor import RequestSpanProcessor
from flask_chest_otel._request.span_watch import SpanWatch

if TYPE_CHECKING:
    from flask_chest_otel.testing import RequestRecord

SPANS = 20
TURNS, CHUNKS = 12, 8
QUERY: dict[str, str | int] = {
    "db.system.name": "sqlite",
    "db.query.text": "SELECT a.b AS c, a.d FROM a WHERE a.id = ? LIMIT ?",
    "db.namespace": "shop",
    "server.address": "127.0.0.1",
    "server.port": 5432,
}


class _Idle(SpanProcessor):
    """Does nothing, as somebody's processor is there in any case."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        pass

    def on_end(self, span: Any) -> None:
        pass


class _Chest:
    """Wants records, with or without child spans, and keeps none."""

    def __init__(self, *, keeps_spans: bool) -> None:
        self.name = "benchmark"
        self.keeps_spans = keeps_spans

    def put(self, record: RequestRecord) -> None:
        pass

    def flush(self, timeout_s: float) -> bool:
        return timeout_s >= 0

    close = flush


def _app(spans: int, chest: _Chest | None) -> Flask:
    provider = TracerProvider(shutdown_on_exit=False)
    if chest is None:
        provider.add_span_processor(_Idle())
    tracer = provider.get_tracer("library")
    app = Flask("shop")

    @app.route("/cart/<int:cart_id>", methods=["POST"])
    def cart(cart_id: int) -> str:
        for _ in range(spans):
            tracer.start_span("SELECT shop", kind=SpanKind.CLIENT, attributes=QUERY).end()
        return f"cart {cart_id}"

    chests = [] if chest is None else [chest]
    meters = MeterProvider(shutdown_on_exit=False)
    FlaskChest(app, tracer_provider=provider, meter_provider=meters, chests=chests, export=None)
    return app


def _sending_app(events: Literal["none", "all"], *chests: _Chest) -> Flask:
    """An application whose spans, metrics and events go to its outbox, as nobody takes them."""
    app = Flask("shop")
    app.add_url_rule("/cart/<int:cart_id>", view_func=lambda cart_id: f"cart {cart_id}", methods=["POST"])
    FlaskChest(app, export="otlp", events=events, chests=chests)
    return app


class _Cost(NamedTuple):
    """What a request or a child span pays, microseconds."""

    what: str
    us: float
    goal: float

    def __str__(self) -> str:
        """One line of the table."""
        verdict = "reached" if self.us <= self.goal else "NOT reached"
        return f"{self.what:<58} {self.us:+6.1f} µs; goal {self.goal:.0f} µs: {verdict}"


def _old_record() -> None:
    """Leave out of the record what it has beside values, ids, times and status: child spans, path, processor time."""

    def nothing(*_: object, **__: object) -> None:
        pass

    places = [(RequestSpanProcessor, "on_start"), (RequestSpanProcessor, "on_end"), (SpanWatch, "begin")]
    for owner, name in [*places, (Recorder, "begin")]:
        setattr(owner, name, nothing)
    setattr(SpanWatch, "finish", lambda *_: NOTHING)  # noqa: B010 - a method is not assigned to
    setattr(SpanWatch, "sees", lambda *_: True)  # noqa: B010 - a method is not assigned to


def _nothing() -> None:
    pass


def _chunks_us(app: Flask) -> list[float]:
    requests(app, CHUNK)
    return [chunk_us(app) for _ in range(CHUNKS)]


def _measure() -> dict[tuple[str, int], float]:
    """The best tenth of the chunks, in forks that take turns: whatever else the machine does only adds."""
    recorded = _Chest(keeps_spans=False)
    kinds = {"nobody": None, "counted": _Chest(keeps_spans=False), "kept": _Chest(keeps_spans=True)}
    apps = {(kind, spans): warmed(_app(spans, chest)) for kind, chest in kinds.items() for spans in (0, SPANS)}
    apps |= {("event", 0): warmed(_sending_app("all")), ("no event", 0): warmed(_sending_app("none"))}
    apps |= {("both", 0): warmed(_sending_app("all", recorded)), ("record", 0): warmed(_sending_app("none", recorded))}
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(TURNS):
        for place, app in [*apps.items(), (("old", 0), apps["kept", 0])]:
            way = _old_record if place[0] == "old" else _nothing
            times.setdefault(place, []).extend(in_fork(way, partial(_chunks_us, app)))
    return {place: best_tenth(found) for place, found in times.items()}


def main() -> None:
    """Print what a request and a child span pay, and what the SDK takes for such a span."""
    print(f"this machine takes {yardstick_us():.0f} µs for {CALLS} calls of an empty function")
    logging.disable()  # nobody takes what is sent
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": folder, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
        best = _measure()
    sdk = (best["nobody", SPANS] - best["nobody", 0]) / SPANS
    print(f"a span of the SDK with five attributes: {sdk:.1f} µs")
    print(f"a request's whole record, without child spans: {best['kept', 0] - best['nobody', 0]:+.1f} µs")
    print(_Cost("of that, what the record has beside values, ids and times", best["kept", 0] - best["old", 0], 1))
    print(_Cost("an event, where a chest takes records anyway", best["both", 0] - best["record", 0], 10))
    print(_Cost("an event and the record that is made for it alone", best["event", 0] - best["no event", 0], 10))
    for kind in ("counted", "kept"):
        request = best[kind, 0] - best["nobody", 0]
        each = (best[kind, SPANS] - best["nobody", SPANS] - request) / SPANS
        print(_Cost(f"a child span, {kind} ({each / sdk:.2f} of the SDK's)", each, 3))


if __name__ == "__main__":
    main()
