"""An OTLP receiver that is a process: each request becomes a file, and is answered when that is on disk."""

from __future__ import annotations

import os
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        signal = self.path.rpartition("/")[2]
        path = self.folder / f"{uuid.uuid4()}.part"
        path.write_bytes(body)
        path.rename(path.with_suffix(f".{signal}"))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the log readable."""


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[2])
    os.makedirs(Handler.folder, exist_ok=True)  # noqa: PTH103 - a second life finds it
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
