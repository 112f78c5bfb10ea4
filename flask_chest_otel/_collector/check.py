"""Checks a configuration on this machine before the collector runs: a sentence for each problem, with what to type."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit

from flask_chest_otel._base.addresses import shown_address, without_secrets
from flask_chest_otel._collector import binary as collector_binary
from flask_chest_otel._collector.fragments import ADD_ONS, ALIAS, TARGETS, read, unknown, variables_of
from flask_chest_otel._collector.locks import lock_problems
from flask_chest_otel._collector.requests import FAILURES, send
from flask_chest_otel._collector.room import room_problems, stranded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask_chest_otel._collector.application import Application
    from flask_chest_otel._collector.compose import Composition

__all__ = ["problems", "unset"]

TIMEOUT_S = 3.0
_DOLLARS = re.compile(r"\$\$|\$\{[^}]*\}")
_BUCKETS = {"metrics": "INFLUXDB_BUCKET", "traces": "INFLUXDB_SPANS_BUCKET", "logs": "INFLUXDB_SPANS_BUCKET"}
NOBODY = 0
"""Used in place of an HTTP status where nobody answered."""

OK, NO_CONTENT, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 204, 401, 403, 404
REFUSED = (UNAUTHORIZED, FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of variables: from the environment, else the defaults of the fragments.

    Attributes:
        environ: The environment that the collector will have.
        defaults: The variables of the configuration with their defaults.
        unused: Variables that this configuration reads but that no chosen signal needs.
    """

    environ: Mapping[str, str]
    defaults: Mapping[str, str | None]
    unused: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> str:
        """Return the value that the collector will see; ``""`` where the variable has none or is not needed."""
        if name in self.unused:
            return ""
        return self.environ.get(name) or self.defaults.get(name) or ""


def problems(
    composition: Composition,
    text: str,
    environ: Mapping[str, str] = os.environ,
    *,
    application: Application | None = None,
) -> list[str]:
    """Find the problems that a configuration would have on this machine.

    Args:
        composition: What was asked for.
        text: The rendered configuration.
        environ: The environment that the collector will have.
        application: The application whose destinations have to exist, where one is loaded.

    Returns:
        A sentence for each problem: what is wrong, then what to type. Secrets in it are masked.
    """
    signals = composition.signals.get("influxdb", frozenset(_BUCKETS))
    unused = frozenset(_BUCKETS.values()) - {_BUCKETS[signal] for signal in signals}
    settings = Settings(environ, variables_of(text), unused)
    found = [f"chests= in the application: {unknown(name)}" for name in _unknown_targets(application)]
    found += [*unset(composition, environ), *_misread(settings)]
    for name in [*composition.targets, *(["kafka_consumer"] if composition.from_kafka else [])]:
        found += _target_problems(name, settings)
    found += [*_taken_ports(settings), *_folder_problems(settings), *_collector_problems(text)]
    # Messages of servers, sockets and the collector may quote a secret that they were given.
    given = {name: environ[name] for name in settings.defaults if name in environ}
    found = [without_secrets(one, given) for one in found]
    # These sentences quote names of files, never a secret.
    found += [*lock_problems(environ, secure=composition.secure), *room_problems(text, environ)]
    return list(dict.fromkeys([*found, *stranded(text, environ)]))


def _unknown_targets(application: Application | None) -> list[str]:
    targets = application.targets if application is not None else ()
    return [name for name in targets if name not in (*TARGETS, ALIAS)]


def unset(composition: Composition, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield a sentence for each variable that a target needs and that is not set."""
    parts = {**TARGETS, **ADD_ONS}
    for name in composition.fragments:
        for variable in parts[name].must if name in parts else ():
            if not environ.get(variable) and not environ.get(f"{variable}_FILE"):
                yield f"{name}: {variable} is not set. Type: export {variable}={_explanation(name, variable)}"


def _misread(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each value that the collector would read in another way than it was meant.

    The rules: https://opentelemetry.io/docs/collector/configuration/
    """
    for variable, default in settings.defaults.items():
        value = settings.environ.get(variable)
        if value == "" and default:
            yield (
                f"{variable} is set, but empty: the collector takes that, and not its default {default}. "
                f"Type: unset {variable}"
            )
        elif value and _DOLLARS.search(value):
            # The value is not shown: it may be a password.
            yield f"{variable}: the collector reads $$ as $, and ${{…}} as a variable. Type every $ in the value twice."
        elif value and default and default.isdigit() and not value.isdigit():
            yield f"{variable}={value} is no whole number, such as {default}. Type: export {variable}={default}"


def _explanation(name: str, variable: str) -> str:
    """Return what the fragment's opening comment says about a variable, to be shown as its value."""
    for line in read(name).splitlines():
        words = line.removeprefix("#").split(None, 1)
        if len(words) > 1 and words[0].rstrip(",") == variable:
            return f"…   ({' '.join(words[1].split())})"
    return "…"


def _target_problems(name: str, settings: Settings) -> Iterator[str]:
    for variable in {**TARGETS, **ADD_ONS}[name].where:
        for address in filter(None, settings[variable].split(",")):
            yield from _address_problems(name, variable, address.strip(), settings)
    if name == "aws" and not _has_aws_credentials(settings.environ):
        yield (
            "aws: no credentials in the environment or ~/.aws. Type: export AWS_ACCESS_KEY_ID=… "
            "AWS_SECRET_ACCESS_KEY=…, unless this machine has a role."
        )


def _address_problems(name: str, variable: str, address: str, settings: Settings) -> Iterator[str]:
    shown = shown_address(address)
    if variable.endswith("_URL") and "://" not in address:
        yield f"{name}: {variable}={shown} has no scheme. Type: export {variable}=http://{shown}"
        return
    if not address.startswith("http"):
        server = urlsplit(address).netloc.rpartition("@")[2] if "://" in address else address
        if not _takes_connections(server):
            yield f"{name}: nobody answers at {shown}. Start it, or type: export {variable}=…"
        return
    status, answer = _ask(address) if name not in _PROBES else _PROBES[name](address, settings)
    if status == NOBODY:
        yield f"{name}: nobody answers at {shown} ({answer}). Start it, or type: export {variable}=URL"
    elif status in REFUSED and name in _PROBES:
        yield f"{name}: {shown} refuses the credentials ({status}). Type: export {_CREDENTIALS[name]}=…"
    elif status == NOT_FOUND and name in _MISSING:
        yield f"{name}: {_MISSING[name].format(address=shown, settings=settings, answer=answer)}"


def _probe_influxdb(url: str, settings: Settings) -> tuple[int, str]:
    """Send an empty write to each bucket: a token that may only write can neither list nor read buckets."""
    headers = {"Authorization": f"Token {settings['INFLUXDB_TOKEN']}"}
    for bucket in filter(None, (settings[variable] for variable in dict.fromkeys(_BUCKETS.values()))):
        there = urlencode({"bucket": bucket, "org": settings["INFLUXDB_ORG"]}, quote_via=quote)
        status, answer = _ask(f"{url.rstrip('/')}/api/v2/write?{there}", headers, body=b"")
        if status == NOT_FOUND:
            return NOT_FOUND, bucket
        if status not in (OK, NO_CONTENT):
            return status, answer
    return OK, ""


def _probe_influxdb1(url: str, settings: Settings) -> tuple[int, str]:
    asked = {"q": "SHOW DATABASES", "u": settings["INFLUXDB1_USER"], "p": settings["INFLUXDB1_PASSWORD"]}
    query = urlencode({key: value for key, value in asked.items() if value})
    status, answer = _ask(f"{url.rstrip('/')}/query?{query}")
    known = f'["{settings["INFLUXDB1_DATABASE"]}"]' in answer
    return (NOT_FOUND, answer) if status == OK and not known else (status, answer)


def _probe_splunk(url: str, settings: Settings) -> tuple[int, str]:
    headers = {"X-SF-Token": settings["SPLUNK_ACCESS_TOKEN"], "Content-Type": "application/x-protobuf"}
    return _ask(f"{url.rstrip('/')}/v2/datapoint", headers, body=b"")


def _probe_splunk_hec(url: str, settings: Settings) -> tuple[int, str]:
    """Send an empty request: Splunk answers 400 where the token is good, 401 or 403 where it is not."""
    headers = {"Authorization": f"Splunk {settings['SPLUNK_HEC_TOKEN']}"}
    path = "" if urlsplit(url).path.strip("/") else "/services/collector"
    return _ask(f"{url.rstrip('/')}{path}", headers, body=b"")


def _probe_remote_write(url: str, _settings: Settings) -> tuple[int, str]:
    return _ask(url, body=b"")


_PROBES = {
    "influxdb": _probe_influxdb,
    "influxdb1": _probe_influxdb1,
    "splunk": _probe_splunk,
    "splunk_hec": _probe_splunk_hec,
    "prometheus_remote_write": _probe_remote_write,
}
"""Target to the function that asks whether its credentials are good; none of them writes anything."""

_CREDENTIALS = {
    "influxdb": "INFLUXDB_TOKEN",
    "influxdb1": "INFLUXDB1_USER=… INFLUXDB1_PASSWORD",
    "splunk": "SPLUNK_ACCESS_TOKEN",
    "splunk_hec": "SPLUNK_HEC_TOKEN",
    "prometheus_remote_write": "PROMETHEUS_REMOTE_WRITE_URL",
}

_MISSING = {
    "influxdb": "{address} has no bucket {answer!r} in the organisation "
    "{settings[INFLUXDB_ORG]!r}. Make it, or type: export INFLUXDB_BUCKET=… "
    "INFLUXDB_SPANS_BUCKET=… INFLUXDB_ORG=…",
    "influxdb1": "{address} has no database {settings[INFLUXDB1_DATABASE]!r}. Make it: CREATE DATABASE, "
    "or type: export INFLUXDB1_DATABASE=…",
    "prometheus_remote_write": "{address} takes no remote writes. Start Prometheus with "
    "--web.enable-remote-write-receiver, or type: export PROMETHEUS_REMOTE_WRITE_URL=URL",
}


def _ask(url: str, headers: Mapping[str, str] | None = None, *, body: bytes | None = None) -> tuple[int, str]:
    try:
        with send(url, headers, body, timeout_s=TIMEOUT_S) as answer:
            return int(answer.status), str(answer.read(100_000), "utf-8", "replace")
    except HTTPError as error:
        with error:
            return error.code, ""
    except FAILURES as error:
        return NOBODY, str(getattr(error, "reason", error))


def _takes_connections(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host or "127.0.0.1", int(port)), timeout=TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True


def _has_aws_credentials(environ: Mapping[str, str]) -> bool:
    names = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    return any(environ.get(name) for name in names) or (Path.home() / ".aws" / "credentials").exists()


def _taken_ports(settings: Settings) -> Iterator[str]:
    for variable in sorted(settings.defaults):
        if not variable.endswith("_PORT"):
            continue
        value = settings[variable]
        host = settings[f"{variable.removesuffix('_PORT').removesuffix('_GRPC').removesuffix('_HTTP')}_HOST"]
        reason = _why_not_bound(host or "127.0.0.1", value)
        if reason:
            yield (
                f"port {value} ({variable}) cannot be used: {reason}. Is a collector running already? "
                f"Stop it, or type: export {variable}=ANOTHER_PORT"
            )


def _why_not_bound(host: str, port: str) -> str:
    try:
        with socket.socket() as probe:
            # As the collector does: a port in TIME_WAIT can be used.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _folder_problems(settings: Settings) -> Iterator[str]:
    for variable in ("CHEST_QUEUE_DIR", "CHEST_FILE_PATH"):
        if variable in settings.defaults:
            path = Path(settings[variable])
            there = next(parent for parent in (path, *path.parents) if parent.exists())
            # No folder can be made below a file or in its place, so only CHEST_FILE_PATH itself may be a file.
            fits = there.is_dir() or (there == path and variable == "CHEST_FILE_PATH")
            if not fits or not os.access(there, os.W_OK):
                yield f"{path} ({variable}) cannot be written by this user. Type: export {variable}=ANOTHER_PATH"


def _collector_problems(text: str) -> Iterator[str]:
    binary = collector_binary.find()
    if binary is None:
        yield collector_binary.HOW_TO_GET_ONE
        return
    said = collector_binary.validate(binary, text)
    if said:
        yield f"{binary} refuses this configuration: {said}"
