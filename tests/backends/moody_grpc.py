"""A collector with moods that speaks gRPC: it answers as it is told, or hangs.

What it takes is decoded and kept by an `OtlpReceiver`; every attempt is counted, also those that come to nothing.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]  # its stubs are another distribution
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "/v1/traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "/v1/metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "/v1/logs",
}


class MoodyGrpc:
    """An OTLP/gRPC server whose `mood` may be changed while it runs.

    Args:
        mood: See below.
        address: Where to listen.
        certificate: Speak TLS with this certificate and its key, in one file.
        clients: Speak only with clients that have one of these certificates.
        most_bytes: How large a message it takes; gRPC's own 4 MiB unless given.

    Attributes:
        mood: ``OK``; ``hang``: never answer; or the name of a status.
        says: The words that go with a status.
        retry_after_s: What a ``RetryInfo`` with a status asks for.
        answer: The body of a success.
        attempts: When each request came, by the monotonic clock, seconds.
        headers: Of each request.
        receiver: What was taken.
    """

    def __init__(
        self,
        mood: str = "OK",
        *,
        address: str = "127.0.0.1:0",
        certificate: Path | None = None,
        clients: Path | None = None,
        most_bytes: int = 4194304,
    ) -> None:
        self.mood = mood
        self.says = "no"
        self.retry_after_s: float | None = None
        self.answer = b""
        self.attempts: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.receiver = OtlpReceiver()
        self._released = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", most_bytes)])
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    service, {"Export": grpc.unary_unary_rpc_method_handler(self._handler(path))}
                )
                for service, path in SERVICES.items()
            ]
        )
        if certificate is None:
            self.port: int = self._server.add_insecure_port(address)
        else:
            content = certificate.read_bytes()
            known = clients.read_bytes() if clients is not None else None
            credentials = grpc.ssl_server_credentials([(content, content)], known, clients is not None)
            self.port = self._server.add_secure_port(address, credentials)
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.stop(None).wait()
        self.receiver.stop()

    def _handler(self, path: str) -> Any:
        def export(body: bytes, context: Any) -> bytes:
            self.attempts.append(time.monotonic())
            self.headers.append({entry.key: entry.value for entry in context.invocation_metadata()})
            if self.mood == "hang":
                self._released.wait()
                return self.answer
            if self.mood != "OK":
                context.set_trailing_metadata(self._details())
                context.abort(grpc.StatusCode[self.mood], self.says)
            self.receiver.take(path, {}, body)
            return self.answer

        return export

    def _details(self) -> tuple[tuple[str, bytes], ...]:
        if self.retry_after_s is None:
            return ()
        delay = Duration()
        delay.FromMilliseconds(round(self.retry_after_s * 1000))
        status = Status(code=grpc.StatusCode[self.mood].value[0], message=self.says)
        status.details.add().Pack(RetryInfo(retry_delay=delay))
        return (("grpc-status-details-bin", status.SerializeToString()),)
