"""What the ingest of Splunk Observability (SignalFx) takes, since no such server can be had.

Traces are decoded by OpenTelemetry's generated classes; SignalFx data points by a decoder of the protobuf wire
format written here from the published message definition (`signal_fx_protocol_buffers.proto`): neither shares code
with the exporter.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.backends.otlp_receiver import HTTP_OK, OtlpReceiver, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "token-of-the-tests"  # noqa: S105 - of a server that lives for seconds
KINDS = {0: "gauge", 1: "counter", 2: "enum", 3: "cumulative_counter"}


class DataPoint(NamedTuple):
    """One SignalFx data point."""

    metric: str
    kind: str
    value: float
    timestamp_ms: int
    dimensions: dict[str, str]


class SplunkIngest(OtlpReceiver):
    """Takes `/v2/datapoint` and `/v2/trace/otlp`, from those who have the token."""

    def __init__(self, *, status: int = HTTP_OK, delay_s: float = 0.0, port: int = 0) -> None:
        super().__init__(status=status, delay_s=delay_s, port=port)
        self._datapoints: list[DataPoint] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Keep one request; return the status and the body of its answer."""
        if headers.get("x-sf-token") != TOKEN:
            return 401, b""
        if path == "/v2/trace/otlp":
            return super().take("/v1/traces", headers, body)
        if path == "/v2/datapoint" and self.status == HTTP_OK:
            self._datapoints += datapoints(unpacked(headers, body))
            return HTTP_OK, b'"OK"'
        return self.status, b""

    def datapoints(self, metric: str) -> list[DataPoint]:
        """Return the data points of a metric, in order of arrival."""
        return [point for point in self._datapoints if point.metric == metric]

    def total(self, metric: str, **dimensions: str) -> float:
        """Return the sum over the newest points of a cumulative metric's series, dots in names written as `__`."""
        wanted = {(key.replace("__", "."), value) for key, value in dimensions.items()}
        # By their own time: after an outage an older point may arrive behind a newer one.
        points = sorted(self.datapoints(metric), key=lambda point: point.timestamp_ms)
        newest = {tuple(sorted(point.dimensions.items())): point.value for point in points}
        return sum(value for series, value in newest.items() if wanted <= set(series))


def datapoints(message: bytes) -> list[DataPoint]:
    """Decode a DataPointUploadMessage."""
    return [_datapoint(content) for number, content in _fields(message) if number == 1]


def _datapoint(message: bytes) -> DataPoint:
    metric, kind, value, timestamp_ms, dimensions = "", 0, 0.0, 0, {}
    for number, content in _fields(message):
        if number == 2:
            metric = content.decode()
        elif number == 3:
            timestamp_ms = content
        elif number == 4:
            value = _datum(content)
        elif number == 5:
            kind = content
        elif number == 6:
            pair = dict(_fields(content))
            dimensions[pair[1].decode()] = pair.get(2, b"").decode()
    return DataPoint(metric, KINDS[kind], value, timestamp_ms, dimensions)


def _datum(message: bytes) -> float:
    [(number, content)] = _fields(message)
    return float(struct.unpack("<d", content)[0] if number == 2 else content)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and content of each field: an int for varints, bytes for the other wire types."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            content: Any
            content, at = _varint(message, at)
        else:
            size, at = _varint(message, at) if wire_type == 2 else ({1: 8, 5: 4}[wire_type], at)
            content, at = message[at : at + size], at + size
        yield number, content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
