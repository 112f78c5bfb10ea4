"""A real Alertmanager, as Debian has it, and what it calls."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.backends.require import installed
from tests.backends.server import Server, free_port, request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


class Alertmanager(Server):
    """An Alertmanager with a configuration of its own.

    Args:
        folder: Its data, its configuration and its log.
        config: The configuration's text.
    """

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder)
        (folder / "alertmanager.yml").write_text(config)
        self.address = f"127.0.0.1:{free_port()}"

    def command(self) -> Sequence[str]:
        """Return Debian's alertmanager, alone."""
        return [
            str(installed("prometheus-alertmanager", "prometheus-alertmanager")),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]

    def is_ready(self) -> bool:
        """Return whether it says so."""
        return request(f"http://{self.address}/-/ready")[0] == 200


class Webhook:
    """What Alertmanager calls: keeps every alert that came, in order, with the path; a context manager."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, dict[str, Any]]] = []
        alerts = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                alerts.extend((self.path, alert) for alert in document["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
