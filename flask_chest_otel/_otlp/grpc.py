"""Posts OTLP over gRPC. The requests in the outbox are sent as they are, without another encoding."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped]  # its stubs are another distribution
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from grpc.experimental.gevent import init_gevent  # type: ignore[import-untyped]

from flask_chest_otel._base.process import PerProcess
from flask_chest_otel._otlp.certificates import context_for
from flask_chest_otel._otlp.client import PostResult, in_short, speaks_of_size, success, unanswered
from flask_chest_otel._otlp.signals import OTLP_SIGNALS
from flask_chest_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask_chest_otel._otlp.client import OtlpEndpoint

__all__ = ["GrpcClient"]

# https://opentelemetry.io/docs/specs/otlp/#failures: RESOURCE_EXHAUSTED only with a RetryInfo.
_TRY_AGAIN = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})

_DENIED = ("UNAUTHENTICATED", "PERMISSION_DENIED")

_COMPRESSIONS = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}

HALVED_FROM_BYTES = 64 * 1024
"""A smaller request that is answered RESOURCE_EXHAUSTED without a message is not taken as too large, bytes."""

_DETAILS = "grpc-status-details-bin"


class GrpcClient:
    """A channel to a gRPC server.

    Args:
        address: The server, and how to send to it.
    """

    def __init__(self, address: OtlpEndpoint) -> None:
        self._address = address
        self._channel: grpc.Channel | None = None

    def post(self, body: bytes) -> PostResult:
        """Post one OTLP request. Errors are part of the result and are not raised."""
        try:
            if self._channel is None:
                self._channel = self._connect()
            # Use a future, as a plain call waits outside of Python, where the interpreter's end cannot interrupt it.
            content = self._channel.unary_unary(OTLP_SIGNALS[self._address.signal].method).future(
                body,
                timeout=self._address.timeout_s,
                metadata=self._address.headers,
                compression=_COMPRESSIONS[self._address.compression],
            )
            return success(self._address.signal, "OK", "", content.result())
        except grpc.RpcError as error:
            # A channel that failed waits longer with each try. Close it: `SignalSender` decides how long to wait.
            self.close()
            return _failure(error, len(body))
        except (OSError, ValueError) as error:  # a certificate file, or a header that gRPC rejects
            return unanswered(error)

    def close(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def give_up(self) -> bool:
        """Close the channel, which ends a post.

        Under gevent, gRPC has a thread that ends with the last channel. gRPC also ends it by a function of ``atexit``,
        but not where the first channel is opened while such functions run; the process would then hang for ever.
        """
        is_open = self._channel is not None
        self.close()
        return is_open

    def _connect(self) -> grpc.Channel:
        monkey = sys.modules.get("gevent.monkey")
        if monkey is not None and monkey.is_module_patched("threading"):
            _yielding.get()
        options = (
            ("grpc.primary_user_agent", f"flask_chest_otel/{__version__}"),
            ("grpc.use_local_subchannel_pool", 1),
        )
        if not self._address.encrypted:
            return grpc.insecure_channel(self._address.url, options)
        # Read the files once with OpenSSL: gRPC does not say what is wrong with one, and writes lines of its own to
        # stderr.
        context_for(self._address)
        certificate, key = self._address.client_certificate or (None, None)
        credentials = grpc.ssl_channel_credentials(
            _content(self._address.certificate), _content(key or certificate), _content(certificate)
        )
        return grpc.secure_channel(self._address.url, credentials, options)


_yielding = PerProcess(lambda: (init_gevent(),))
"""Under gevent, makes gRPC wait in gevent's way: its waiting would stop all greenlets. Each call is kept by gRPC."""


def _content(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _failure(error: grpc.RpcError, size_bytes: int) -> PostResult:
    """Return the result of a failed call. In gRPC the call object is the exception."""
    status: str = error.code().name
    retry_after_s = _retry_after_s(error.trailing_metadata() or ())
    # Show the last error only: gRPC lists all addresses that failed before it.
    says = in_short((error.details() or "").rpartition("last error: ")[2])
    too_large = retry_after_s is None and (
        # Without a message the reason may also be a quota; many small requests would use it up.
        speaks_of_size(says) or (status == "RESOURCE_EXHAUSTED" and size_bytes > HALVED_FROM_BYTES)
    )
    return PostResult(
        taken=False,
        retryable=not too_large and (status in _TRY_AGAIN or retry_after_s is not None),
        status=status,
        says=says,
        retry_after_s=retry_after_s,
        too_large=too_large,
        denied=status in _DENIED,
    )


def _retry_after_s(metadata: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Return the delay of ``RetryInfo`` in the details of a status, seconds; ``None``: there is none."""
    status, found = Status(), RetryInfo()
    try:
        status.ParseFromString(dict(metadata).get(_DETAILS, b""))
        asked = any(detail.Unpack(found) for detail in status.details)
    except DecodeError:
        return None
    return float(found.retry_delay.ToTimedelta().total_seconds()) if asked else None
