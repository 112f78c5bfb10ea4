"""A real PostgreSQL of Debian's, asked with psql."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.backends.require import installed
from tests.backends.server import Server, ServerError, free_port
from tests.backends.unprivileged import as_nobody, ask, folder_of_nobody, initialise, remove

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

PACKAGE = "postgresql"


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's own programs, of the newest release that is there.

    Raises:
        MissingError: It is not installed.
    """
    # Debian keeps servers of several releases side by side, and off the PATH.
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return found[-1] if found else installed(name, PACKAGE)


class PostgreSQL(Server):
    """A PostgreSQL server with one user, one password and one database; its folder goes when it is removed."""

    # SIGTERM waits until every client has left.
    stop_signal = signal.SIGINT
    user = "chest"
    password = "word-of-the-tests"  # noqa: S105 - a loopback server that lives for seconds

    def __init__(self) -> None:
        super().__init__(folder_of_nobody("pg"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.url = f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/postgres"

    def command(self) -> Sequence[str]:
        """Return postgres with everything in this server's folder."""
        settings = [f"-cunix_socket_directories={self.folder}", "-clisten_addresses=127.0.0.1", "-cfsync=off"]
        return as_nobody([program("postgres"), "-D", self.data, "-p", str(self.port), *settings])

    def is_ready(self) -> bool:
        """Return whether it answers."""
        return self._psql("SELECT 1").returncode == 0

    def start(self) -> None:
        """Start it; the first time, make its files.

        Raises:
            ServerError: It could not be started.
        """
        if not self.data.exists():
            self._initialise()
        for attempt in range(20):
            try:
                super().start()
            except ServerError:
                # After a kill -9 the processes of the old one need a moment to notice.
                if attempt == 19 or "shared memory block" not in self.log():
                    raise
            else:
                return

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        remove(self.folder)

    def rows(self, query: str, database: str = "postgres") -> list[dict[str, Any]]:
        """Ask a query with psql; return its rows, as JSON has them; nothing for a statement without rows.

        Raises:
            ServerError: psql says that something is wrong.
        """
        is_query = query.startswith("SELECT")
        done = self._psql(f"SELECT row_to_json(asked) FROM ({query}) AS asked" if is_query else query, database)
        if done.returncode:
            raise ServerError(f"{query}: {done.stderr}")
        # Not splitlines, which also breaks at characters that JSON leaves inside of a text.
        return [json.loads(line) for line in done.stdout.split("\n") if line] if is_query else []

    def _psql(self, query: str, database: str = "postgres") -> subprocess.CompletedProcess[str]:
        client: list[str | Path] = [
            installed("psql", "postgresql-client"),
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
        ]
        address = ["--host=127.0.0.1", f"--port={self.port}", f"--username={self.user}", f"--dbname={database}"]
        settings = {"PGPASSWORD": self.password, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8"}
        return ask([*client, *address, "--command", query], settings)

    def _initialise(self) -> None:
        word = self.folder / "word"
        word.write_text(self.password)
        word.chmod(0o644)
        choices = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", f"--pwfile={word}"]
        initialise([program("initdb"), "-D", self.data, "-U", self.user, *choices], self.folder)


def check_installed() -> None:
    """Make sure that all its programs are there.

    Raises:
        MissingError: One is not installed.
    """
    program("postgres")
    program("initdb")
    installed("psql", "postgresql-client")
