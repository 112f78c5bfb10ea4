"""A real FerretDB, which speaks MongoDB's wire protocol, asked with pymongo."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.backends.require import built
from tests.backends.server import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FerretDB(Server):
    """A FerretDB server that keeps everything in SQLite files of its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}/chest"

    def command(self) -> Sequence[str]:
        """Return the server with every file in this folder."""
        return [str(built("ferretdb")), f"127.0.0.1:{self.port}", str(self.folder)]

    def is_ready(self) -> bool:
        """Return whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
