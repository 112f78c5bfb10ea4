"""The same application, recorded in different ways; each variant runs in a process of its own."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any

from flask import Flask, g, request
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = [
    "VARIANTS",
    "app_by_hand",
    "app_of",
    "bare",
    "chest",
    "plain_view",
    "providers",
    "set_variables",
    "tracked_app",
    "upstream_and_by_hand",
]

ROUTE = "/cart/<int:cart_id>"


_folder = tempfile.TemporaryDirectory(prefix="chest-bench-", ignore_cleanup_errors=True)


class _Discard(SpanExporter):
    """Takes every span and keeps none: what is measured is the request's share."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the interface
        return SpanExportResult.SUCCESS


def providers(sampler: Sampler | None = None) -> None:
    """Global providers whose spans go nowhere."""
    tracer_provider = TracerProvider(sampler=sampler)
    tracer_provider.add_span_processor(BatchSpanProcessor(_Discard()))
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))


def set_variables() -> None:
    """What every view does."""
    g.user_id = "u-4711"
    g.plan = "pro"
    g.cart_total = 42.5
    g.transaction = 1


def app_of(view: Callable[..., str]) -> Flask:
    """One application, one route."""
    app = Flask("shop")
    app.add_url_rule(ROUTE, "cart", view, methods=["GET", "POST"])
    return app


def plain_view(cart_id: int) -> str:
    """A view without telemetry."""
    set_variables()
    return f"cart {cart_id}"


def bare() -> Flask:
    """No telemetry at all."""
    return app_of(plain_view)


def upstream() -> Flask:
    """opentelemetry-instrumentation-flask alone."""
    providers()
    app = app_of(plain_view)
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    return app


def upstream_and_by_hand(sampler: Sampler | None = None) -> Flask:
    """The same, and in the view four attributes, a counter and a histogram written by hand."""
    providers(sampler)
    app = app_by_hand()
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    return app


def app_by_hand() -> Flask:
    """Code by hand alone; whatever makes spans is not there yet."""
    meter = metrics.get_meter("shop")
    transactions = meter.create_counter("shop.transaction")
    totals = meter.create_histogram("shop.cart_total", "{EUR}")

    def view(cart_id: int) -> str:
        set_variables()
        span = trace.get_current_span()
        span.set_attribute("shop.user_id", g.user_id)
        span.set_attribute("shop.plan", g.plan)
        span.set_attribute("shop.cart_total", g.cart_total)
        span.set_attribute("shop.transaction", g.transaction)
        attributes = {"http.request.method": request.method, "http.route": str(request.url_rule)}
        transactions.add(g.transaction, attributes)
        totals.record(g.cart_total, attributes)
        return f"cart {cart_id}"

    return app_of(view)


def tracked_app() -> Flask:
    """The route's four variables named for the chest, which is not there yet."""
    from flask_chest_otel import TrackedVar, flask_chest  # noqa: PLC0415 - other variants do without

    tracked: list[str | TrackedVar] = [
        "user_id",
        "plan",
        TrackedVar("cart_total", unit="{EUR}"),
        TrackedVar("transaction", metric="counter"),
    ]
    return app_of(flask_chest(tracked_vars=tracked)(plain_view))


def _upstream_and_chest(**options: Any) -> Flask:
    from flask_chest_otel import FlaskChest  # noqa: PLC0415 - other variants do without

    providers()
    app = tracked_app()
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    FlaskChest(app, **options)
    return app


def upstream_and_chest() -> Flask:
    """The chest does it, every default on: request id, response header, redaction, limits."""
    return _upstream_and_chest()


def upstream_and_chest_without_headers() -> Flask:
    """The chest with ``response_headers=()``."""
    return _upstream_and_chest(response_headers=())


def chest(sampler: Sampler | None = None) -> Flask:
    """The chest alone, every default on: its server span in place of upstream's."""
    from flask_chest_otel import FlaskChest  # noqa: PLC0415 - other variants do without

    providers(sampler)
    app = tracked_app()
    FlaskChest(app)
    return app


def upstream_and_by_hand_sampled_out() -> Flask:
    """Upstream and code by hand, where the sampler keeps nothing."""
    return upstream_and_by_hand(ALWAYS_OFF)


def chest_sampled_out() -> Flask:
    """The chest alone, where the sampler keeps nothing."""
    return chest(ALWAYS_OFF)


def chest_with_its_providers(*, sampled_out: bool = False) -> Flask:
    """The chest alone, under providers that it builds, as with ``export="otlp"``.

    As in the other variants, a thread takes batches of spans off the queue and drops them, and nobody collects metrics.
    """
    from flask_chest_otel import FlaskChest  # noqa: PLC0415 - other variants do without
    from flask_chest_otel._outbox.exporters import OutboxSpanExporter  # noqa: PLC0415

    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"  # nothing is ever sent
    os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = str(24 * 3600 * 1000)
    if sampled_out:
        os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    setattr(OutboxSpanExporter, "export", _Discard.export)  # noqa: B010 - a type checker objects to the assignment
    logging.getLogger("flask_chest_otel").setLevel(logging.ERROR)  # at the end, the last metrics go nowhere
    app = tracked_app()
    FlaskChest(app, export="otlp", outbox_dir=_folder.name, shutdown_timeout_s=0.1)
    return app


def chest_with_its_providers_sampled_out() -> Flask:
    """The same, where the sampler keeps nothing."""
    return chest_with_its_providers(sampled_out=True)


def zero_code() -> Flask:
    """No line in the application: the class is wrapped, and every WSGI entry twice."""
    from flask_chest_otel import FlaskChestInstrumentor, TrackedVar  # noqa: PLC0415 - other variants do without

    providers()
    tracked = ["user_id", "plan", TrackedVar("cart_total", unit="{EUR}"), TrackedVar("transaction", metric="counter")]
    FlaskChestInstrumentor().instrument(tracked_vars=tracked)
    return app_of(plain_view)


VARIANTS: dict[str, Callable[[], Flask]] = {
    "bare Flask": bare,
    "upstream": upstream,
    "upstream + by hand": upstream_and_by_hand,
    "upstream + chest, response_headers=()": upstream_and_chest_without_headers,
    "upstream + chest, every default": upstream_and_chest,
    "chest alone, its own server span": chest,
    "upstream + by hand, sampled out": upstream_and_by_hand_sampled_out,
    "chest alone, sampled out": chest_sampled_out,
    "zero code, its own server span": zero_code,
    "chest alone, its own providers": chest_with_its_providers,
    "chest alone, its own providers, sampled out": chest_with_its_providers_sampled_out,
}
"""What is compared, by the name in the table."""
