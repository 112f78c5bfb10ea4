"""What an instrumented application sends, made with OpenTelemetry's SDK and its real exporters.

Nothing of `flask_chest_otel` takes part: the collector's configuration must hold for whatever speaks OTLP with
the names of the contract. Each `request` is a server span, a child span and the metrics of one request; what was
served is remembered, to be compared with what a back end answers.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, set_span_in_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from tests.backends.collector import Collector
    from tests.backends.server import Server

NEVER_MS = 86_400_000
"""Metrics are exported when a test says so, with `flush`."""

DURATION = "http.server.request.duration"
"""The upstream instrumentation's metric, which knows nothing of destinations."""


@dataclass
class Served:
    """What an application knows about the requests that it has served."""

    durations_s: dict[str, list[float]] = field(default_factory=dict)
    """By HTTP method."""
    variables: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By request id."""

    @property
    def total(self) -> int:
        """Number of requests."""
        return sum(len(durations) for durations in self.durations_s.values())

    def average_s(self, method: str) -> float:
        """Average response time of one method, in seconds."""
        durations = self.durations_s[method]
        return sum(durations) / len(durations)


class Traffic:
    """An application that exports to `url` by OTLP/HTTP; a context manager."""

    def __init__(
        self, url: str, *, service: str = "shop", resource: Mapping[str, Any] | None = None, queue: int = 20_000
    ) -> None:
        self.served = Served()
        # One per process in real life; the SDK gives all providers of this process the same one.
        instance = {"service.name": service, "service.instance.id": str(uuid.uuid4())}
        attributes = instance | dict(resource or {})
        self._traces = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
        self._traces.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces", timeout=5), max_queue_size=queue)
        )
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{url}/v1/metrics", timeout=5), export_interval_millis=NEVER_MS
        )
        self._metrics = MeterProvider([reader], Resource.create(attributes), shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("tests")
        self._meter = self._metrics.get_meter("tests")
        self._duration = self._meter.create_histogram(DURATION, unit="s")
        self._instruments: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def request(
        self,
        request_id: str,
        variables: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        route: str = "/cart",
        duration_s: float = 0.0125,
        chests: str | None = None,
    ) -> None:
        """Send the telemetry of one request; `chests` is the route's list of destinations."""
        variables = variables or {}
        destinations = {} if chests is None else {"flask.chests": chests}
        named = {f"flask.g.{name}": value for name, value in variables.items()}
        about = {"http.request.method": method, "http.route": route}
        end = time.time_ns()
        start = end - round(duration_s * 1e9)
        server = self._tracer.start_span(
            f"{method} {route}",
            kind=SpanKind.SERVER,
            start_time=start,
            attributes={"flask.request_id": request_id, **about, **named, **destinations},
        )
        child = self._tracer.start_span("query", set_span_in_context(server), start_time=start, attributes=destinations)
        child.end(end)
        server.end(end)
        self._duration.record(duration_s, about)
        for name, value in named.items():
            if isinstance(value, float):
                self._histogram(name).record(value, about | destinations)
        self.served.durations_s.setdefault(method, []).append(duration_s)
        self.served.variables[request_id] = dict(variables)

    def _histogram(self, name: str) -> Any:
        if name not in self._instruments:
            self._instruments[name] = self._meter.create_histogram(name)
        return self._instruments[name]

    def flush(self) -> None:
        """Hand everything over now."""
        self._traces.force_flush()
        self._metrics.force_flush()

    def close(self) -> None:
        """Hand over what is left and stop."""
        self._traces.shutdown()
        self._metrics.shutdown()


def serve_through_an_outage(traffic: Traffic, collector: Collector, target: Server) -> None:
    """Serve 1 101 requests, most of them while the target is down; the collector is killed meanwhile."""
    target.stop()
    for number in range(500):
        traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.01 * (1 + number % 2))
        traffic.request(f"s-{number}", method="GET", duration_s=3.0)
    traffic.request("elsewhere", chests="influxdb", method="GET")
    traffic.flush()
    collector.kill9()
    collector.start()
    for number in range(100):
        traffic.request(f"t-{number}", duration_s=0.015)
    traffic.flush()
    target.start()


def eventually(ask: Callable[[], Any], expected: Any, within_s: float = 20.0) -> None:
    """Ask until the answer is the expected one; fail with the last answer when it does not come in time."""
    deadline = time.monotonic() + within_s
    answer = ask()
    while answer != expected and time.monotonic() < deadline:
        time.sleep(0.1)
        answer = ask()
    assert answer == expected, f"after {within_s} s the answer is {answer!r} instead of {expected!r}"
