"""A real Prometheus, as Debian has it, and VictoriaMetrics, which answers the same language."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.backends.require import installed
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONFIG = """
rule_files: [rules-*.yaml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanager}]}}]}}]}}
scrape_configs:
  - job_name: {job}
    honor_labels: true
    scrape_interval: 1s
    static_configs: [{{targets: [{target}]}}]
"""


class _PromQl(Server):
    """A server that is asked in PromQL."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def query(self, promql: str) -> list[float]:
        """Ask for the present; return the values of all series in the answer."""
        return [float(series["value"][1]) for series in self.api("query", {"query": promql})["result"]]

    def api(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Ask its HTTP interface for anything; return the answer's `data`."""
        status, answer = request(f"{self.url}/api/v1/{path}?" + urlencode(parameters))
        if status != 200:
            asked = f"{path} {dict(parameters)}"
            raise ServerError(f"{self} answered {status} to {asked}: {answer.decode(errors='replace')}")
        return json.loads(answer)["data"]


class Prometheus(_PromQl):
    """A Prometheus that scrapes `scrape`, if given, and takes remote writes.

    Args:
        folder: Its data, its configuration and its log.
        scrape: `host:port` to fetch from, every second.
        job: Name of that scrape.
        rules: Rule files; they are evaluated every second, and each of their minutes becomes a second.
        plain_rules: Rule files that are taken as they are.
        alertmanager: `host:port` of who hears of alerts.
        lookback_s: How long a series that gets no more samples still counts as there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        scrape: str | None = None,
        job: str = "flask-chest",
        rules: Sequence[Path] = (),
        plain_rules: Sequence[Path] = (),
        alertmanager: str = "",
        lookback_s: int = 300,
    ) -> None:
        super().__init__(folder)
        self._lookback_s = lookback_s
        (folder / "prometheus.yml").write_text(CONFIG.format(job=job, target=scrape or "", alertmanager=alertmanager))
        for number, path in enumerate(rules):
            sooner = re.sub(r"\b(\d+)m\b", r"\1s", path.read_text())
            often = re.sub(r"^( +interval:) .+$", r"\1 1s", sooner, flags=re.MULTILINE)
            (folder / f"rules-{number}.yaml").write_text(often)
        for number, path in enumerate(plain_rules):
            (folder / f"rules-plain-{number}.yaml").write_text(path.read_text())

    def command(self) -> Sequence[str]:
        """Return Debian's prometheus with both doors open."""
        return [
            str(installed("prometheus", "prometheus")),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-remote-write-receiver",
            "--enable-feature=exemplar-storage",
            f"--query.lookback-delta={self._lookback_s}s",
            "--log.level=warn",
        ]

    def is_ready(self) -> bool:
        """Return whether it says so."""
        return request(f"{self.url}/-/ready")[0] == 200

    @property
    def remote_write_url(self) -> str:
        """Where remote writes go."""
        return f"{self.url}/api/v1/write"


class VictoriaMetrics(_PromQl):
    """A single VictoriaMetrics server, which takes remote writes."""

    def command(self) -> Sequence[str]:
        """Return Debian's victoria-metrics."""
        binary = str(installed("victoria-metrics", "victoria-metrics"))
        data = f"-storageDataPath={self.folder / 'data'}"
        # New points would stay invisible for 30 s.
        return [binary, data, f"-httpListenAddr=127.0.0.1:{self.port}", "-search.latencyOffset=0s"]

    def is_ready(self) -> bool:
        """Return whether it says that it is well."""
        return request(f"{self.url}/health")[0] == 200

    @property
    def remote_write_url(self) -> str:
        """Where remote writes go."""
        return f"{self.url}/api/v1/write"
