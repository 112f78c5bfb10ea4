"""What taking child spans into records costs: with and without, in turns, so that the machine's moods hit both.

``make bench-spans``.
"""

from __future__ import annotations

import gc
import statistics
from typing import TYPE_CHECKING, Any

from flask import Flask
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from benchmarks.measure import chunk_us, warmed
from flask_chest_otel import FlaskChest

if TYPE_CHECKING:
    from flask_chest_otel.testing import RequestRecord

SPANS = 20
TURNS = 30
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


def main() -> None:
    """Print what a request and a child span pay, and what the SDK takes for such a span."""
    kinds = {"nobody": None, "counted": _Chest(keeps_spans=False), "kept": _Chest(keeps_spans=True)}
    apps = {(kind, spans): warmed(_app(spans, chest)) for kind, chest in kinds.items() for spans in (0, SPANS)}
    gc.disable()
    turns = [{place: chunk_us(app) for place, app in apps.items()} for _ in range(TURNS)]
    median = {place: statistics.median(turn[place] for turn in turns) for place in apps}
    sdk = (median["nobody", SPANS] - median["nobody", 0]) / SPANS
    print(f"a span of the SDK with five attributes: {sdk:.1f} µs")
    for kind in ("counted", "kept"):
        request = statistics.median(turn[kind, 0] - turn["nobody", 0] for turn in turns)
        child = statistics.median(turn[kind, SPANS] - turn["nobody", SPANS] for turn in turns)
        each = (child - request) / SPANS
        print(
            f"{kind}: a request {request:+.1f} µs (its record included), "
            f"a child span {each:+.1f} µs, {each / sdk:.2f} of the SDK's"
        )


if __name__ == "__main__":
    main()
