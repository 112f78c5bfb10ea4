"""A real VictoriaLogs, which takes OTLP and is asked in LogsQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.backends.require import built
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class VictoriaLogs(Server):
    """One VictoriaLogs server with its data in its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return the server with every path in its folder."""
        data = f"-storageDataPath={self.folder / 'data'}"
        return [str(built("victoria-logs")), data, f"-httpListenAddr=127.0.0.1:{self.port}"]

    def is_ready(self) -> bool:
        """Return whether it says that it is well."""
        return request(f"{self.url}/health")[0] == 200

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `otlp.yaml` wants to know."""
        return {"OTLP_TARGET_URL": f"{self.url}/insert/opentelemetry"}

    def query(self, logsql: str) -> list[dict[str, str]]:
        """Ask in LogsQL; return the records, each a flat dict of texts."""
        status, answer = request(f"{self.url}/select/logsql/query?" + urlencode({"query": logsql}))
        if status != 200:
            raise ServerError(f"{self} answered {status} to {logsql}: {answer.decode(errors='replace')}")
        return [json.loads(line) for line in answer.splitlines()]
