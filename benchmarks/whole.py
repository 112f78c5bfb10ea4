"""What a request costs the process that serves it, export included: ``make bench-whole``.

Requests run in process, a few thousand without a pause. The measured figure is the processor time of all threads of the
process, from the first request until everything has left for a sink in another process, for one request. Whatever
carries a record for each request has to arrive there, or the run fails. Garbage is collected as usual.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from opentelemetry import metrics, trace

from benchmarks import others
from benchmarks.measure import requests
from benchmarks.sink import Sink
from benchmarks.variants import app_by_hand, app_of, bare, plain_view, tracked_app

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 300
REPOSITORY = Path(__file__).parents[1]
TRACKED = [
    "user_id",
    "plan",
    {"name": "cart_total", "unit": "{EUR}"},
    {"name": "transaction", "metric": "counter"},
]


class Started(NamedTuple):
    """An application, and what sends everything that its requests have left."""

    app: Callable[[Any, Any], Any]
    flush: Callable[[], object]


def flush_providers() -> None:
    """Let the global providers send what they have."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        if provider.force_flush(60_000) is False:  # type: ignore[union-attr]  # the SDK's or ours
            raise RuntimeError("not everything was sent within a minute")


def untraced() -> Started:
    """No telemetry at all."""
    return Started(bare(), lambda: None)


def by_hand() -> Started:
    """The Flask instrumentation, code by hand, and the SDK's exporters."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
    app = app_by_hand()
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    return Started(app, flush_providers)


def chest(events: Literal["none", "all"] = "none") -> Started:
    """The chest alone, every default on."""
    from flask_chest_otel import FlaskChest  # noqa: PLC0415 - other variants do without

    app = tracked_app()
    chest = FlaskChest(app, export="otlp", events=events)

    def flush() -> None:
        if not chest.force_flush(60.0):
            raise RuntimeError("not everything was sent within a minute")

    return Started(app, flush)


def chest_with_events() -> Started:
    """The same, and each request is an event, too."""
    return chest("all")


def zero_code_by_hand() -> Started:
    """Code by hand under ``opentelemetry-instrument``, which brings the rest."""
    return Started(app_by_hand(), flush_providers)


def zero_code_chest() -> Started:
    """An application without telemetry under ``opentelemetry-instrument``."""
    return Started(app_of(plain_view), flush_providers)


def logfire() -> Started:
    """Pydantic Logfire, which sends to the sink by OTLP."""
    return Started(others.logfire(), flush_providers)


def sentry() -> Started:
    """Sentry, every request traced; its queue takes all of them."""
    import sentry_sdk  # noqa: PLC0415

    address = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].removeprefix("http://")
    return Started(others.sentry(f"http://key@{address}/1", transport_queue_size=100_000), lambda: sentry_sdk.flush(60))


def prometheus() -> Started:
    """The exporter for Prometheus, which counts and measures requests; asked once."""
    from prometheus_client import generate_latest  # noqa: PLC0415
    from prometheus_flask_exporter import PrometheusMetrics  # noqa: PLC0415

    app = app_of(plain_view)
    registry = PrometheusMetrics(app).registry
    return Started(app, lambda: generate_latest(registry))


def dashboard() -> Started:
    """Flask-MonitoringDashboard, which writes into a database in the folder where it runs.

    It begins a thread for each request; without waiting for that, more of them than it can bear are there at once.
    """
    import flask_monitoringdashboard  # noqa: PLC0415
    from flask_monitoringdashboard.core.profiler.base_profiler import BaseProfiler  # noqa: PLC0415

    app = app_of(plain_view)
    app.config["SECRET_KEY"] = "benchmark"  # noqa: S105 - nobody logs in
    flask_monitoringdashboard.bind(app)

    def one_by_one(environ: Any, start_response: Any) -> Any:
        wait()
        return app(environ, start_response)

    def wait() -> None:
        for thread in threading.enumerate():
            if isinstance(thread, BaseProfiler):
                thread.join()

    return Started(one_by_one, wait)


class Variant(NamedTuple):
    """One way to record requests.

    Attributes:
        start: Makes the application.
        arrives: What the sink has to count once for each request.
        environ: What the environment says besides the address.
        instrumented_by: Run by ``opentelemetry-instrument`` with these instrumentations.
    """

    start: Callable[[], Started]
    arrives: str = ""
    environ: tuple[tuple[str, str], ...] = ()
    instrumented_by: tuple[str, ...] = ()


_GRPC = (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),)
_OURS = (
    ("OTEL_TRACES_EXPORTER", "flask_chest_otlp"),
    ("OTEL_METRICS_EXPORTER", "flask_chest_otlp"),
    ("FLASK_CHEST_TRACKED_VARS", json.dumps(TRACKED)),
)
_OWN = ("FLASK_CHEST_SERVER_SPAN", "chest")
BARE, BY_HAND = "bare Flask", "upstream + by hand, the SDK's exporters"
VARIANTS = {
    BARE: Variant(untraced),
    BY_HAND: Variant(by_hand, "spans"),
    "chest alone, HTTP": Variant(chest, "spans"),
    "chest alone, gRPC": Variant(chest, "spans", _GRPC),
    "chest alone, HTTP, events=all": Variant(chest_with_events, "events"),
    "zero code: upstream + by hand": Variant(zero_code_by_hand, "spans", (), ("flask",)),
    "zero code: upstream + chest": Variant(zero_code_chest, "spans", _OURS, ("flask", "flask_chest")),
    "zero code: chest alone": Variant(zero_code_chest, "spans", (*_OURS, _OWN), ("flask_chest",)),
    "logfire": Variant(logfire, "spans"),
    "sentry-sdk": Variant(sentry, "transactions"),
    "prometheus-flask-exporter": Variant(prometheus),
    "Flask-MonitoringDashboard": Variant(dashboard),
}
"""What is compared, by the name in the table."""


def measured_us(variant: Variant, count: int) -> float:
    """Microseconds of this process per request."""
    started = variant.start()
    requests(started.app, WARM_UP)
    started.flush()
    begin = time.process_time()
    requests(started.app, count)
    started.flush()
    return (time.process_time() - begin) / count * 1e6


def _in_process(name: str, count: int, sink: Sink) -> float:
    """Measure in a fresh process, and see that everything has arrived."""
    variant = VARIANTS[name]
    command = [sys.executable, "-m", "benchmarks.whole", "--one", name, "--requests", str(count)]
    if variant.instrumented_by:
        command.insert(0, str(Path(sys.executable).with_name("opentelemetry-instrument")))
    before = sink.counts()
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=folder, env=_environ(variant, sink, folder)
        )
    if variant.arrives:
        came = getattr(sink.counts(), variant.arrives) - getattr(before, variant.arrives)
        if came != count + WARM_UP:
            raise RuntimeError(f"{name}: {came} {variant.arrives} of {count + WARM_UP} requests arrived")
    return float(ran.stdout.splitlines()[-1])


def _environ(variant: Variant, sink: Sink, folder: str) -> dict[str, str]:
    chosen = dict(variant.environ)
    unwanted = {entry.name for entry in entry_points(group="opentelemetry_instrumentor")} - {*variant.instrumented_by}
    return {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "NO_PROXY": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.grpc if variant.environ == _GRPC else sink.http,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        # Requests come without a pause here; by default the SDK would drop some of them.
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
        "OTEL_LOGS_EXPORTER": "none" if variant.instrumented_by else "otlp",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(sorted(unwanted)),
        "FLASK_CHEST_OUTBOX_DIR": str(Path(folder, "outbox")),
        **chosen,
    }


def _table(found: dict[str, list[float]]) -> str:
    bare_us, reference_us = statistics.median(found[BARE]), statistics.median(found.get(BY_HAND, found[BARE]))
    lines = [f"{'variant':<42} {'us/request':>10} {'over bare':>10} {'ratio':>6}   single rounds"]
    for name, times in found.items():
        over_us = statistics.median(times) - bare_us
        ratio = f"{over_us / (reference_us - bare_us):6.2f}" if reference_us != bare_us and name != BARE else " " * 6
        single = ", ".join(f"{one:.0f}" for one in times)
        lines.append(f"{name:<42} {over_us + bare_us:10.1f} {over_us:10.1f} {ratio}   {single}")
    return "\n".join(lines)


def main() -> None:
    """Measure each variant in fresh processes, in rounds of changing order, and print medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole", description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000, help="of each process (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="processes of each variant (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="these variants")
    parser.add_argument("--one", choices=list(VARIANTS), help="measure one, here")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(measured_us(VARIANTS[arguments.one], arguments.requests))
        return
    found: dict[str, list[float]] = {name: [] for name in arguments.only}
    with Sink() as sink:
        for _ in range(arguments.rounds):
            for name in random.sample(arguments.only, len(arguments.only)):
                found[name].append(_in_process(name, arguments.requests, sink))
    print(_table(found))


if __name__ == "__main__":
    main()
