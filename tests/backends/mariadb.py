"""A real MariaDB of Debian's, asked with its own command-line client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.backends.require import installed
from tests.backends.server import Server, ServerError, free_port
from tests.backends.unprivileged import as_nobody, ask, folder_of_nobody, initialise, remove

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

SERVER = "mariadb-server-core"
CLIENT = "mariadb-client-core"


class MariaDB(Server):
    """A MariaDB server with one user, one password and one database; its folder goes when it is removed."""

    user = "chest"
    password = "word-of-the-tests"  # noqa: S105 - a loopback server that lives for seconds
    database = "chest"

    def __init__(self) -> None:
        super().__init__(folder_of_nobody("my"))
        self.data = self.folder / "data"
        self.socket = self.folder / "socket"
        self.port = free_port()
        self.url = f"mariadb://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def command(self) -> Sequence[str]:
        """Return mariadbd with everything in this server's folder."""
        return as_nobody(
            [
                installed("mariadbd", SERVER),
                "--no-defaults",
                f"--datadir={self.data}",
                f"--socket={self.socket}",
                "--bind-address=127.0.0.1",
                f"--port={self.port}",
                "--skip-name-resolve",
                # What is committed survives a kill -9, though no power cut.
                "--innodb-flush-log-at-trx-commit=2",
            ]
        )

    def is_ready(self) -> bool:
        """Return whether it answers."""
        return self._client("SELECT 1", user="root").returncode == 0

    def start(self) -> None:
        """Start it; the first time, make its files, the user and the database."""
        fresh = not self.data.exists()
        if fresh:
            self._initialise()
        super().start()
        if fresh:
            # The server's own default is latin1, as on a plain Debian: the tables have to say what they want.
            self._ask(f"CREATE DATABASE {self.database} CHARACTER SET latin1", user="root")
            self._ask(f"CREATE USER {self.user} IDENTIFIED BY '{self.password}'", user="root")
            self._ask(f"GRANT ALL ON {self.database}.* TO {self.user}", user="root")

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        remove(self.folder)

    def rows(self, query: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Ask for `columns` of a query with the mariadb client; return its rows, as JSON has them."""
        pairs = ", ".join(f"'{column}', {column}" for column in columns)
        said = self._ask(f"SELECT JSON_OBJECT({pairs}) FROM ({query}) AS asked")
        return [json.loads(line) for line in said.splitlines()]

    def run(self, statement: str) -> None:
        """Run a statement as the user of the tests."""
        self._ask(statement)

    def as_root(self, statement: str) -> None:
        """Run a statement as the server's administrator."""
        self._ask(statement, user="root")

    def _ask(self, query: str, *, user: str | None = None) -> str:
        done = self._client(query, user=user or self.user)
        if done.returncode:
            raise ServerError(f"{query}: {done.stderr}")
        return done.stdout

    def _client(self, query: str, *, user: str) -> subprocess.CompletedProcess[str]:
        options = ["--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]
        database = [] if user == "root" else [self.database]
        client: list[str | Path] = [
            installed("mariadb", CLIENT),
            "--no-defaults",
            f"--socket={self.socket}",
            f"--user={user}",
        ]
        password = {"MYSQL_PWD": "" if user == "root" else self.password}
        return ask([*client, *options, f"--execute={query}", *database], password)

    def _initialise(self) -> None:
        choices = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        program = installed("mariadb-install-db", SERVER)
        initialise([program, "--no-defaults", f"--datadir={self.data}", *choices], self.folder)


def check_installed() -> None:
    """Make sure that all its programs are there.

    Raises:
        MissingError: One is not installed.
    """
    installed("mariadbd", SERVER)
    installed("mariadb-install-db", SERVER)
    installed("mariadb", CLIENT)
