"""What one exported span costs outside the request: ``make bench-export``.

A real collector on this machine takes the spans. Each variant is a process of its own that exports the spans of the
benchmark's request again and again; its processor time is what the application's other threads go without.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.measure import warmed
from benchmarks.variants import tracked_app
from flask_chest_otel import FlaskChest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

ENCODED = "OpenTelemetry's encoder alone"
WRITTEN = "the chest's encoder alone"
OUTBOX, OUTBOX_GRPC = "the chest's outbox, HTTP", "the chest's outbox, gRPC"
HTTP, GRPC = "the SDK's, HTTP", "the SDK's, gRPC"
COMPRESSIONS = ("none", "gzip")
BATCHES = (32, 128, 512, 2048)
USUAL = 512


class Case(NamedTuple):
    """One way to export."""

    exporter: str
    compression: str
    batch: int


CASES = (
    Case(ENCODED, "none", USUAL),
    *(Case(WRITTEN, "none", batch) for batch in BATCHES),
    *(Case(OUTBOX, "none", batch) for batch in BATCHES),
    Case(OUTBOX, "gzip", USUAL),
    *(Case(exporter, compression, USUAL) for exporter in (OUTBOX_GRPC, HTTP, GRPC) for compression in COMPRESSIONS),
)


class Cost(NamedTuple):
    """Of one span: processor time and elapsed time, microseconds; size of its share of the body, bytes."""

    busy_us: float
    elapsed_us: float
    size: float


def spans_of_requests(count: int) -> list[ReadableSpan]:
    """Finished server spans, as the chest records them."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    app = tracked_app()
    FlaskChest(app, tracer_provider=provider)
    warmed(app)
    found = memory.get_finished_spans()
    return [found[number % len(found)] for number in range(count)]


def measure(case: Case, count: int) -> Cost:
    """Export ``count`` spans in batches, and wait until the collector has all of them."""
    spans = spans_of_requests(case.batch)
    export, finish = _exporting(case)
    export(spans)
    finish()
    busy, elapsed = time.process_time(), time.perf_counter()
    batches = max(1, count // case.batch)
    for _ in range(batches):
        export(spans)
    finish()
    sent = batches * case.batch
    return Cost(
        (time.process_time() - busy) / sent * 1e6,
        (time.perf_counter() - elapsed) / sent * 1e6,
        len(_encoded(spans)) / case.batch,
    )


def _encoded(spans: Sequence[ReadableSpan]) -> bytes:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - see below

    return bytes(encode_spans(spans).SerializeToString())


def _exporting(case: Case) -> tuple[Callable[[Sequence[ReadableSpan]], object], Callable[[], None]]:
    """What exports one batch, and what waits for the rest."""
    if case.exporter == ENCODED:
        return _encoded, lambda: None
    if case.exporter == WRITTEN:
        from flask_chest_otel._otlp.spans import SpanEncoder  # noqa: PLC0415 - see below

        return SpanEncoder(lambda _resource: None).encode, lambda: None
    if case.compression != "none":  # which the SDK's gRPC exporter does not know
        os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = case.compression
    exporter = _made(case.exporter)

    def export(spans: Sequence[ReadableSpan]) -> None:
        if exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise RuntimeError("the collector did not take a batch")

    def finish() -> None:
        if not exporter.force_flush(60_000):
            raise RuntimeError("the collector did not take everything within a minute")

    return export, finish


def _made(name: str) -> SpanExporter:
    # Each variant imports its own exporter only.
    if name == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        return OTLPSpanExporter(insecure=True)
    if name == HTTP:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter as HttpSpanExporter,
        )

        return HttpSpanExporter()
    from flask_chest_otel._outbox.exporters import OutboxSpanExporter  # noqa: PLC0415

    if name == OUTBOX_GRPC:
        from flask_chest_otel._outbox.config import worker_config_of  # noqa: PLC0415

        return OutboxSpanExporter(worker_config_of(os.environ, protocols={"traces": "grpc"}))
    return OutboxSpanExporter()


def _in_process(case: Case, count: int, http: str, grpc: str, folder: str) -> Cost:
    environ = {
        **os.environ,
        "NO_PROXY": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{grpc}" if case.exporter in (GRPC, OUTBOX_GRPC) else http,
        "FLASK_CHEST_OUTBOX_DIR": folder,
    }
    command = [sys.executable, "-m", "benchmarks.export", "--spans", str(count), "--one", *map(str, case)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    return Cost(*map(float, ran.stdout.split()))


def main() -> None:
    """Measure every case in a process of its own, three times, and print the cheapest of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--spans", type=int, default=20_000, help="spans of each run (default: %(default)s)")
    parser.add_argument("--one", nargs=3, metavar=("EXPORTER", "COMPRESSION", "BATCH"), help="measure one, here")
    arguments = parser.parse_args()
    if arguments.one is not None:
        exporter, compression, batch = arguments.one
        print(*measure(Case(exporter, compression, int(batch)), arguments.spans))
        return
    from tests.backends.collector import Collector  # noqa: PLC0415 - the measured processes do without

    with tempfile.TemporaryDirectory() as folder, Collector("debug", folder=Path(folder, "collector")) as collector:
        print(f"{'exporter':<34} {'compression':<12} {'batch':>6} {'busy us/span':>13} {'elapsed':>9} {'bytes':>7}")
        for case in CASES:
            runs = [
                _in_process(case, arguments.spans, collector.otlp_http, collector.otlp_grpc, folder) for _ in range(3)
            ]
            busy_us, elapsed_us, size = min(runs)
            place = f"{case.exporter:<34} {case.compression:<12} {case.batch:>6}"
            print(f"{place} {busy_us:13.1f} {elapsed_us:9.1f} {size:7.0f}", flush=True)


if __name__ == "__main__":
    main()
