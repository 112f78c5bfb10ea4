"""The example shop under gunicorn, and its customers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.backends.require import REPOSITORY
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EXPORT_SOON = {
    # The defaults are 60 s for metrics and 5 s for spans: nobody wants to wait for that.
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    # InfluxDB would get a measurement of its own for these.
    "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
}


class Shop(Server):
    """The example shop with some gunicorn workers, exporting by OTLP/HTTP to `otlp_http`."""

    def __init__(self, folder: Path, otlp_http: str, *, workers: int = 2, env: Mapping[str, str] | None = None) -> None:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_http,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "shop",
            "PYTHONPATH": str(REPOSITORY),
        }
        super().__init__(folder, settings | EXPORT_SOON | dict(env or {}))
        self.workers = workers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return gunicorn from this very environment."""
        application = f"examples.shop.app:create_app({str(self.folder / 'instance')!r})"
        gunicorn = [sys.executable, "-m", "gunicorn", "--workers", str(self.workers)]
        return [*gunicorn, "--bind", f"127.0.0.1:{self.port}", application]

    def is_ready(self) -> bool:
        """Return whether a worker answers; this page is not recorded."""
        return request(f"{self.url}/health")[0] == 200

    def visit(self, requests: int, *, clients: int = 4) -> dict[str, Any]:
        """Send customers; return the report of what they were answered.

        Raises:
            ServerError: The customers gave up.
        """
        command = [sys.executable, "-m", "examples.shop.traffic", "--url", self.url, "--json"]
        command += ["--requests", str(requests), "--clients", str(clients)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"the customers ended with {done.returncode}: {done.stderr}\n{self.log()[-2000:]}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report
