"""Takes what is exported, in a process of its own, and counts it: OTLP by HTTP and gRPC, and Sentry's envelopes."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import threading
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import ProxyHandler, build_opener

import grpc  # type: ignore[import-untyped]  # its stubs are another distribution
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Counts", "Sink"]

_SERVICES = {"traces": "trace.v1.TraceService", "metrics": "metrics.v1.MetricsService", "logs": "logs.v1.LogsService"}
# The header of an item of https://develop.sentry.dev/sdk/foundations/transport/envelopes/
_TRANSACTION = re.compile(rb'^\{"type":"transaction","content_type":', re.MULTILINE)
_UNPACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}


class Counts(NamedTuple):
    """What came so far."""

    spans: int
    metrics: int
    events: int
    transactions: int


class Sink:
    """The process; used as a context manager.

    Attributes:
        http: Its address for HTTP.
        grpc: Its address for gRPC.
    """

    def __enter__(self) -> Self:
        """Start it, and learn its addresses."""
        self._process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        self.http, self.grpc = (f"http://127.0.0.1:{port}" for port in line.split())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def counts(self) -> Counts:
        """What came so far."""
        with build_opener(ProxyHandler({})).open(self.http, timeout=10) as answer:
            return Counts(**json.load(answer))


_came: Counter[str] = Counter(dict.fromkeys(Counts._fields, 0))
_one_at_a_time = threading.Lock()


def _count(path: str, body: bytes) -> None:
    with _one_at_a_time:
        if path == "/v1/traces":
            _came["spans"] += sum(
                len(scope.spans)
                for group in ExportTraceServiceRequest.FromString(body).resource_spans
                for scope in group.scope_spans
            )
        elif path == "/v1/metrics":
            _came["metrics"] += sum(
                len(scope.metrics)
                for group in ExportMetricsServiceRequest.FromString(body).resource_metrics
                for scope in group.scope_metrics
            )
        elif path == "/v1/logs":
            _came["events"] += sum(
                len(scope.log_records)
                for group in ExportLogsServiceRequest.FromString(body).resource_logs
                for scope in group.scope_logs
            )
        else:
            _came["transactions"] += len(_TRANSACTION.findall(body))


class _Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        _count(self.path, _UNPACK.get(self.headers.get("Content-Encoding", ""), bytes)(body))
        self._answer(b"")

    def do_GET(self) -> None:
        with _one_at_a_time:
            self._answer(json.dumps(_came).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size + 2)[:size])
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _grpc_handler(signal: str, service: str) -> Any:
    def export(body: bytes, _context: Any) -> bytes:
        _count(f"/v1/{signal}", body)
        return b""

    return grpc.method_handlers_generic_handler(
        f"opentelemetry.proto.collector.{service}", {"Export": grpc.unary_unary_rpc_method_handler(export)}
    )


def main() -> None:
    """Serve until killed; both ports are on the first line."""
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)])
    server.add_generic_rpc_handlers([_grpc_handler(*names) for names in _SERVICES.items()])
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    taker = ThreadingHTTPServer(("127.0.0.1", 0), _Http)
    print(taker.server_address[1], grpc_port, flush=True)
    taker.serve_forever()


if __name__ == "__main__":
    main()
