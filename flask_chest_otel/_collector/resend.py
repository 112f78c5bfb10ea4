"""Sends again what targets have refused because of its content."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask_chest_otel._base.addresses import without_secrets
from flask_chest_otel._collector.refused import NEWEST, folder, request_in, take
from flask_chest_otel._collector.requests import FAILURES, send
from flask_chest_otel._guard import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask_chest_otel._collector.refused import Refused

__all__ = ["resend"]

TIMEOUT_S = 30.0


def resend(environ: Mapping[str, str], *, told: Callable[[str], None]) -> tuple[int, int]:
    """Send all kept requests again; those that are refused once more are kept.

    Args:
        environ: The environment of the collector, with its folder, addresses and credentials.
        told: Called with a line for each request that was refused again or is none, and for each server that cannot
            be reached.

    Returns:
        How many requests were sent, and how many are still kept.

    Raises:
        InUseError: Another process does this now.
    """
    where = folder(environ)
    unreached: set[str] = set()

    def work(line: bytes) -> bool:
        try:
            refused = request_in(line)
        except ValueError:
            start = printable(line[:60].decode("utf-8", "replace"))
            told(f"a line is no request, or was cut off. To give it up, delete it from {where / NEWEST}: {start}…")
            return False
        exporter = refused["exporter"]
        try:
            return exporter not in unreached and _is_sent(refused, environ, told)
        except FAILURES as error:
            unreached.add(exporter)
            told(f"{exporter}: {_trouble(exporter, error, environ)}")
            return False

    return take(where, work)


def _trouble(exporter: str, error: Exception, environ: Mapping[str, str]) -> str:
    """Say why nothing was sent, and what to type; without the password in an address."""
    variable = _SERVERS.get(exporter, "")
    hint = f". Start the server, or type: export {variable}=URL" if variable else ""
    said = without_secrets(str(getattr(error, "reason", error)), {variable: environ.get(variable, "")})
    return f"not sent, and still kept: {printable(said)}{hint}"


def _is_sent(refused: Refused, environ: Mapping[str, str], told: Callable[[str], None]) -> bool:
    """Whether the target takes a request now.

    Raises:
        OSError, ValueError, HTTPException: It cannot be reached.
    """
    headers = {"Content-Type": refused.get("content_type"), "Content-Encoding": refused.get("content_encoding")}
    headers |= _credentials(refused["exporter"], environ)
    given = {name: value for name, value in headers.items() if value}
    try:
        with send(_address(refused, environ), given, base64.b64decode(refused["body"]), timeout_s=TIMEOUT_S):
            return True
    except HTTPError as error:
        with error:
            said = printable(error.read(300).decode("utf-8", "replace"))
            told(f"{refused['exporter']}: {error.code} {error.reason}: {said}")
        return False


_SERVERS = {
    "influxdb": "INFLUXDB_URL",
    "influxdb/links": "INFLUXDB_URL",
    "influxdb/metrics": "INFLUXDB_URL",
    "influxdb/v1": "INFLUXDB1_URL",
    "influxdb/v1_links": "INFLUXDB1_URL",
    "otlp_http/target": "OTLP_TARGET_URL",
    "otlp_http/splunk": "SPLUNK_INGEST_URL",
    "signalfx": "SPLUNK_INGEST_URL",
    "splunk_hec": "SPLUNK_HEC_URL",
    "zipkin": "ZIPKIN_URL",
    "prometheus_remote_write": "PROMETHEUS_REMOTE_WRITE_URL",
}
_BY_QUEUE = {"awsxray": "traces", "awsemf": "metrics", "awsemf/added": "metrics", "awscloudwatchlogs": "logs"}
"""What AWS refused goes to the collector that runs, which has a queue for it and the credentials."""

_QUERY = {"org": "INFLUXDB_ORG", "bucket": "INFLUXDB_SPANS_BUCKET", "db": "INFLUXDB1_DATABASE"}
_METRICS_QUERY = {**_QUERY, "bucket": "INFLUXDB_BUCKET"}


def _address(refused: Refused, environ: Mapping[str, str]) -> str:
    """Return the address of the refused request, with the server, organisation and bucket that are set now.

    Requests to AWS go to the collector's own queue, as only the collector can sign them.
    """
    if signal := _BY_QUEUE.get(refused["exporter"]):
        return f"http://127.0.0.1:{environ.get('CHEST_AWS_RESEND_PORT') or 14316}/v1/{signal}"
    then = urlsplit(str(refused["url"]))
    now = urlsplit(environ.get(_SERVERS.get(refused["exporter"], "")) or str(refused["url"]))
    names = _METRICS_QUERY if refused["exporter"] == "influxdb/metrics" else _QUERY
    query = {key: environ.get(names.get(key, "")) or value for key, value in parse_qsl(then.query)}
    address: str = then._replace(scheme=now.scheme, netloc=now.netloc, query=urlencode(query)).geturl()
    return address


def _credentials(exporter: str, environ: Mapping[str, str]) -> dict[str, str]:
    if exporter in ("influxdb", "influxdb/links", "influxdb/metrics"):
        return {"Authorization": f"Token {environ.get('INFLUXDB_TOKEN', '')}"}
    if exporter.startswith("influxdb/v1") and environ.get("INFLUXDB1_USER"):
        pair = f"{environ['INFLUXDB1_USER']}:{environ.get('INFLUXDB1_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if exporter in ("signalfx", "otlp_http/splunk"):
        return {"X-SF-Token": environ.get("SPLUNK_ACCESS_TOKEN", "")}
    if exporter == "splunk_hec":
        return {"Authorization": f"Splunk {environ.get('SPLUNK_HEC_TOKEN', '')}"}
    if exporter == "otlp_http/target":
        return _headers(environ.get("OTLP_TARGET_HEADERS", ""))
    return {}


def _headers(text: str) -> dict[str, str]:
    """Read headers from the one-line YAML map that `otlp.yaml` takes."""
    pairs = (part.partition(":") for part in text.strip().strip("{}[]").split(",") if ":" in part)
    # As the collector does: $$ is $.
    return {name.strip(" \"'"): value.strip(" \"'").replace("$$", "$") for name, _, value in pairs}
