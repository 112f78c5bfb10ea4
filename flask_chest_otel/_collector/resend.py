"""Sends again what targets have refused because of its content."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import parse_qsl, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["folder", "resend"]

FILES = ("refused.1.jsonl", "refused.jsonl")
"""The files that the collector writes, the older one first."""

TIMEOUT_S = 30.0


class Refused(TypedDict, total=False):
    """One line of these files: a request that a target refused, as the collector's guard writes it.

    Attributes:
        exporter: The exporter's name in the configuration, such as ``influxdb/metrics``.
        url: The address that it was sent to.
        content_type: The header ``Content-Type``, where it had one.
        content_encoding: The header ``Content-Encoding``, where it had one.
        body: Its body, base64.
    """

    exporter: str
    url: str
    content_type: str
    content_encoding: str
    body: str


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which the collector keeps refused requests."""
    queue = environ.get("CHEST_QUEUE_DIR") or "/var/lib/flask-chest/queue"
    return Path(environ.get("CHEST_REFUSED_DIR") or f"{queue}/refused")


def resend(
    where: Path, environ: Mapping[str, str] = os.environ, *, told: Callable[[str], None] = print
) -> tuple[int, int]:
    """Send all kept requests again; those that are refused once more are kept.

    Args:
        where: The folder with the files.
        environ: The environment of the collector, with addresses and credentials.
        told: Called with a line for each request that was refused again or could not be sent.

    Returns:
        How many requests were taken, and how many are still kept.
    """
    sent, kept = 0, 0
    for path in (where / name for name in FILES):
        if not path.exists():
            continue
        # The collector then begins a new file, so nothing that it writes now is lost.
        taken = path.with_suffix(".sending")
        path.rename(taken)
        stay = [line for line in taken.read_bytes().splitlines(keepends=True) if not _send(line, environ, told)]
        sent += taken.read_bytes().count(b"\n") - len(stay)
        kept += len(stay)
        if stay:
            with path.open("ab") as file:
                file.writelines(stay)
        taken.unlink()
    return sent, kept


def _send(line: bytes, environ: Mapping[str, str], told: Callable[[str], None]) -> bool:
    try:
        letter: Refused = json.loads(line)
        request = _request(letter, environ)
        with urllib.request.build_opener(*_proxies(request)).open(request, timeout=TIMEOUT_S):
            return True
    except urllib.error.HTTPError as error:
        with error:
            told(f"{letter['exporter']}: {error.code} {error.reason}: {error.read(300).decode('utf-8', 'replace')}")
    except (OSError, ValueError, KeyError) as error:
        told(f"not sent: {error}")
    return False


def _proxies(request: urllib.request.Request) -> list[urllib.request.BaseHandler]:
    loopback = (urlsplit(request.full_url).hostname or "") in ("localhost", "127.0.0.1", "::1")
    return [urllib.request.ProxyHandler({})] if loopback else []


def _request(letter: Refused, environ: Mapping[str, str]) -> urllib.request.Request:
    headers = {"Content-Type": letter.get("content_type"), "Content-Encoding": letter.get("content_encoding")}
    headers |= _credentials(letter["exporter"], environ)
    return urllib.request.Request(  # noqa: S310 - the operator's own address
        _address(letter, environ),
        base64.b64decode(letter["body"]),
        {name: value for name, value in headers.items() if value},
        method="POST",
    )


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


def _address(letter: Refused, environ: Mapping[str, str]) -> str:
    """Return the address of the refused request, with the server, organisation and bucket that are set now.

    Requests to AWS go to the collector's own queue, as only the collector can sign them.
    """
    if signal := _BY_QUEUE.get(letter["exporter"]):
        return f"http://127.0.0.1:{environ.get('CHEST_AWS_RESEND_PORT') or 14316}/v1/{signal}"
    then = urlsplit(str(letter["url"]))
    now = urlsplit(environ.get(_SERVERS.get(letter["exporter"], "")) or str(letter["url"]))
    names = _METRICS_QUERY if letter["exporter"] == "influxdb/metrics" else _QUERY
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
