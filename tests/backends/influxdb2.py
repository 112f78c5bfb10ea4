"""A real InfluxDB 2.7, set up through its API and asked in its own two languages."""

from __future__ import annotations

import csv
import io
import json
import signal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.backends.require import built
from tests.backends.server import Server, ServerError, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def influxql_rows(query: str, answer: bytes) -> list[dict[str, Any]]:
    """Return the rows of the answer to an InfluxQL query, the same in 1.x and 2.x.

    Raises:
        ServerError: The answer is an error.
    """
    rows: list[dict[str, Any]] = []
    for result in json.loads(answer)["results"]:
        if "error" in result:
            raise ServerError(f"{query}: {result['error']}")
        for series in result.get("series", ()):
            tags = series.get("tags", {})
            rows += [tags | dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
    return rows


class InfluxDB2(Server):
    """An InfluxDB 2.7 server with one organisation, one bucket (more can be made) and one token.

    Args:
        folder: Everything of it.
        certificate: With its key in the same file: then it speaks TLS and nothing else.
    """

    # SIGTERM ends it at once, without closing its files.
    stop_signal = signal.SIGINT
    org = "chest"
    bucket = "chest"
    token = "token-of-the-tests"  # noqa: S105 - a loopback server that lives for seconds

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        self._certificate = certificate

    def command(self) -> Sequence[str]:
        """Return influxd with every path in this server's folder."""
        return [
            str(built("influxd")),
            "--http-bind-address",
            f"127.0.0.1:{self.port}",
            "--bolt-path",
            str(self.folder / "influxd.bolt"),
            "--sqlite-path",
            str(self.folder / "influxd.sqlite"),
            "--engine-path",
            str(self.folder / "engine"),
            "--reporting-disabled",
            "--log-level",
            "warn",
            *(["--tls-cert", str(self._certificate), "--tls-key", str(self._certificate)] if self._certificate else []),
        ]

    def is_ready(self) -> bool:
        """Return whether it says that it is well."""
        return request(f"{self.url}/health", trusted=self._certificate)[0] == 200

    def start(self) -> None:
        """Start it; the first time, set it up."""
        fresh = not (self.folder / "influxd.bolt").exists()
        super().start()
        if fresh:
            self._call("/api/v2/setup", self._setup())

    def _setup(self) -> bytes:
        return json.dumps(
            {
                "username": "chest",
                "password": "chest-of-the-tests",
                "org": self.org,
                "bucket": self.bucket,
                "token": self.token,
            }
        ).encode()

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `influxdb.yaml` wants to know."""
        return {
            "INFLUXDB_URL": self.url,
            "INFLUXDB_ORG": self.org,
            "INFLUXDB_BUCKET": self.bucket,
            "INFLUXDB_SPANS_BUCKET": self.bucket,
            "INFLUXDB_TOKEN": self.token,
        }

    def make_bucket(self, name: str, **more: Any) -> str:
        """Make another bucket in the same organisation; return its id."""
        [org] = json.loads(self._call("/api/v2/orgs"))["orgs"]
        made = self._call("/api/v2/buckets", json.dumps({"orgID": org["id"], "name": name, **more}).encode())
        return str(json.loads(made)["id"])

    def make_token(self, action: str, *bucket_ids: str) -> str:
        """Make a token that may do nothing but this (`read`, `write`), and that with these buckets alone."""
        [org] = json.loads(self._call("/api/v2/orgs"))["orgs"]
        resources = [{"type": "buckets", "id": one, "orgID": org["id"]} for one in bucket_ids]
        allowed = [{"action": action, "resource": resource} for resource in resources]
        made = self._call("/api/v2/authorizations", json.dumps({"orgID": org["id"], "permissions": allowed}).encode())
        return str(json.loads(made)["token"])

    def influxql(self, query: str, bucket: str | None = None) -> list[dict[str, Any]]:
        """Ask an InfluxQL query; return its rows, tags of GROUP BY included."""
        address = "/query?" + urlencode({"db": bucket or self.bucket, "q": query})
        return influxql_rows(query, self._call(address, headers={"Accept": "application/json"}))

    def flux(self, query: str) -> list[dict[str, str]]:
        """Ask a Flux query; return the rows of its CSV answer, all values as text."""
        address = "/api/v2/query?" + urlencode({"org": self.org})
        headers = {"Content-Type": "application/vnd.flux", "Accept": "application/csv"}
        text = self._call(address, query.encode(), headers=headers).decode()
        # Tables follow one another, each with a header of its own after an empty line.
        tables = text.replace("\r\n", "\n").strip("\n").split("\n\n")
        return [row for table in tables for row in csv.DictReader(io.StringIO(table))]

    def _call(self, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None) -> bytes:
        every = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        every |= dict(headers or {})
        status, answer = request(self.url + path, body, headers=every, timeout_s=30, trusted=self._certificate)
        if status not in (200, 201):
            raise ServerError(f"{self} answered {status} to {path}: {answer.decode(errors='replace')}")
        return answer
