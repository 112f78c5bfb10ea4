"""A real InfluxDB 1.x, as Debian has it, asked in InfluxQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.backends.influxdb2 import influxql_rows
from tests.backends.require import installed
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  max-values-per-tag = 0
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


class InfluxDB1(Server):
    """An InfluxDB 1.x server with one database."""

    database = "chest"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        text = CONFIGURATION.format(folder=folder, port=self.port, rpc_port=free_port())
        (folder / "influxdb.conf").write_text(text)

    def command(self) -> Sequence[str]:
        """Return Debian's influxd with a configuration of this server's own."""
        return [str(installed("influxd", "influxdb")), "-config", str(self.folder / "influxdb.conf")]

    def is_ready(self) -> bool:
        """Return whether it answers a ping."""
        return request(f"{self.url}/ping")[0] == 204

    def start(self) -> None:
        """Start it and make the database, which neither server nor collector does."""
        super().start()
        self.influxql(f"CREATE DATABASE {self.database}")

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `influxdb1.yaml` wants to know."""
        return {"INFLUXDB1_URL": self.url, "INFLUXDB1_DATABASE": self.database}

    def influxql(self, query: str) -> list[dict[str, Any]]:
        """Ask an InfluxQL query; return its rows, tags of GROUP BY included."""
        body = urlencode({"db": self.database, "q": query}).encode()
        status, answer = request(f"{self.url}/query", body)
        if status != 200:
            raise ServerError(f"{self} answered {status} to {query}: {answer.decode(errors='replace')}")
        return influxql_rows(query, answer)
