"""A real Zipkin, asked through its HTTP interface."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.backends.require import built, installed
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HOUR_MS = 3_600_000


class Zipkin(Server):
    """A Zipkin server that keeps spans in memory: what it knew is gone when it stops."""

    # A Java server on a busy machine.
    ready_within_s = 90.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"STORAGE_TYPE": "mem"})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return the jar with one HTTP port on loopback and little memory."""
        java = str(installed("java", "default-jre-headless"))
        port = {"ip": "127.0.0.1", "port": str(self.port), "protocols[0]": "http"}
        options = [f"--armeria.ports[0].{name}={value}" for name, value in port.items()]
        # Half the start is spent on compiling what runs once.
        return [java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", str(built("zipkin")), *options]

    def is_ready(self) -> bool:
        """Return whether it says that it is well."""
        return request(f"{self.url}/health")[0] == 200

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `zipkin.yaml` wants to know."""
        return {"ZIPKIN_URL": f"{self.url}/api/v2/spans"}

    def spans(self, query: str = "") -> list[dict[str, Any]]:
        """Return all spans of the traces that match an annotation query, such as `http.request.method=POST`."""
        asked = {"annotationQuery": query, "limit": "100000", "lookback": str(HOUR_MS)}
        status, answer = request(f"{self.url}/api/v2/traces?" + urlencode(asked))
        if status != 200:
            raise ServerError(f"{self} answered {status} to {query}: {answer.decode(errors='replace')}")
        return [span for trace in json.loads(answer) for span in trace]
