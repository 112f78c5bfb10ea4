"""ClickHouse's own engine (chDB, which is ClickHouse as a library) behind the HTTP interface that the exporter uses.

    python -m tests.backends.clickhouse PORT FOLDER

The real thing reads the Native blocks and answers SQL; only the HTTP in front of it is written here.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from tests.backends.require import REPOSITORY
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ClickHouse(Server):
    """ClickHouse with every table in its folder; a stopped one knows everything when it starts again."""

    database = "chest"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"PYTHONPATH": str(REPOSITORY)})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return this module as a program."""
        return [sys.executable, "-m", "tests.backends.clickhouse", str(self.port), str(self.folder / "data")]

    def is_ready(self) -> bool:
        """Return whether it answers."""
        return request(self.url, b"SELECT 1")[0] == 200

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `clickhouse.yaml` wants to know."""
        return {"CLICKHOUSE_URL": f"{self.url}?compress=none", "CLICKHOUSE_DATABASE": self.database}

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask in SQL; return the rows."""
        status, answer = request(self.url, f"{sql} FORMAT JSONEachRow".encode())
        if status != 200:
            raise ServerError(f"{self} answered {status} to {sql}: {answer.decode(errors='replace')}")
        return [json.loads(line) for line in answer.splitlines()]


_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_PACKING = {"UInt8": "<B", "UInt32": "<I", "UInt64": "<Q"}


class _Handler(BaseHTTPRequestHandler):
    session: Any
    one_at_a_time = threading.Lock()

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        size = self.headers["Content-Length"]
        self._answer(self._chunks() if size is None else self.rfile.read(int(size)))

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, body: bytes) -> None:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        try:
            with self.one_at_a_time:
                answer = self._insert(asked["query"], body) if "query" in asked else self._select(body.decode(), asked)
            self._send(200, answer)
        except Exception as error:  # noqa: BLE001 - whatever the engine says
            sys.stderr.write(f"{asked.get('query', body[:500])!r}: {error}\n")
            self._send(500, str(error).encode())

    def _insert(self, query: str, body: bytes) -> bytes:
        # The engine as a library takes no data beside a query: they come from a file.
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(body)
            file.flush()
            into = query.rpartition("FORMAT")[0] or query
            columns = into[into.index("(") + 1 : into.rindex(")")] if "(" in into else "*"
            self.session.query(f"{into} SELECT {columns} FROM file('{file.name}', Native)")
        return b""

    def _select(self, query: str, asked: Mapping[str, str]) -> bytes:
        if asked.get("database", "default") != "default":
            self.session.query(f"USE {asked['database']}")
        if "client_protocol_version" not in asked:
            return cast("bytes", self.session.query(query, "TSV").bytes())
        answer = self.session.query(query, "JSONCompact").bytes()
        return _native(json.loads(answer)) if answer else b""

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


def _native(answer: dict[str, Any]) -> bytes:
    """Return a small answer as a Native block for a client of a protocol version, which the library cannot be told."""
    rows, columns = answer["data"], answer["meta"]
    if not rows:
        return b""
    block = _BLOCK_INFO + bytes([len(columns), len(rows)])
    for at, column in enumerate(columns):
        packing = _PACKING.get(column["type"])
        # The zero: no serialisation of a special kind.
        block += _text(column["name"]) + _text(column["type"] if packing else "String") + b"\0"
        block += b"".join(struct.pack(packing, int(row[at])) if packing else _text(row[at]) for row in rows)
    return block


def _text(value: Any) -> bytes:
    raw = str(value).encode()
    size, head = len(raw), b""
    while size >= 0x80:
        head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
    return head + bytes([size]) + raw


def main(port: int, folder: Path) -> None:
    """Serve until killed."""
    # Not installed everywhere, also where types are checked.
    _Handler.session = import_module("chdb.session").Session(str(folder))
    _Handler.protocol_version = "HTTP/1.1"
    ThreadingHTTPServer(("127.0.0.1", port), _Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
