"""A stand-in for AWS: moto's server, asked through the HTTP interface of CloudWatch Logs and X-Ray."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

REGION = "us-east-1"
LOG_GROUP = "/flask-chest/metrics"
LINES_GROUP = "/flask-chest/logs"


class Aws(Server):
    """CloudWatch Logs and X-Ray as moto knows them; everything is forgotten when it stops."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return moto's server from this very environment."""
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def is_ready(self) -> bool:
        """Return whether its own interface answers."""
        return request(f"{self.url}/moto-api/")[0] == 200

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `aws.yaml` wants to know."""
        return {
            "CHEST_AWS_ENDPOINT": self.url,
            "CHEST_AWS_LOCAL_MODE": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def metric_events(self, name: str, *, stream: str = "collector") -> list[dict[str, Any]]:
        """Return the log events in embedded metric format that declare a metric."""
        streams = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True, "limit": 10_000}
        status, answer = self._call("logs", "/", streams, target="Logs_20140328.GetLogEvents")
        if status == 400 and b"ResourceNotFound" in answer:
            return []
        if status != 200:
            raise ServerError(f"{self} answered {status}: {answer.decode(errors='replace')}")
        events = [json.loads(event["message"]) for event in json.loads(answer)["events"]]
        return [event for event in events if name in _declared(event)]

    def log_lines(self, pattern: str) -> list[dict[str, Any]]:
        """Return the log records whose JSON has what a filter pattern asks for, in the order of their time."""
        asked = {"logGroupName": LINES_GROUP, "filterPattern": pattern, "limit": 10_000}
        status, answer = self._call("logs", "/", asked, target="Logs_20140328.FilterLogEvents")
        if status == 400 and b"ResourceNotFound" in answer:
            return []
        if status != 200:
            raise ServerError(f"{self} answered {status}: {answer.decode(errors='replace')}")
        events = sorted(json.loads(answer)["events"], key=lambda event: event["timestamp"])
        return [json.loads(event["message"]) | {"timestamp": event["timestamp"]} for event in events]

    def segments(self, trace_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the X-Ray segments of traces, by their OpenTelemetry ids."""
        ids = [f"1-{one[:8]}-{one[8:]}" for one in trace_ids]
        status, answer = self._call("xray", "/Traces", {"TraceIds": ids})
        if status != 200:
            raise ServerError(f"{self} answered {status}: {answer.decode(errors='replace')}")
        traces = json.loads(answer)["Traces"]
        return [json.loads(segment["Document"]) for trace in traces for segment in trace["Segments"]]

    def _call(self, service: str, path: str, body: Any, *, target: str = "") -> tuple[int, bytes]:
        # moto reads the service from the scope of the credential and checks nothing else.
        scope = f"AWS4-HMAC-SHA256 Credential=testing/20260101/{REGION}/{service}/aws4_request"
        headers = {"Authorization": scope, "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        return request(self.url + path, json.dumps(body).encode(), headers=headers)


def _declared(event: dict[str, Any]) -> set[str]:
    declarations = event.get("_aws", {}).get("CloudWatchMetrics", ())
    return {metric["Name"] for one in declarations for metric in one["Metrics"]}
