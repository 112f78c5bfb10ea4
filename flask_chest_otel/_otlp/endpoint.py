"""Where OTLP shall go and how it is spoken, as the standard variables say; and what is wrong with that.

The variables: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask_chest_otel._base.addresses import shown_address
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = [
    "EXPORTER",
    "GRPC",
    "HTTP",
    "PORTS",
    "SIGNALS",
    "exporters_of",
    "grpc_target_of",
    "problems",
    "protocol_of",
    "url_of",
]

EXPORTER = "flask_chest_otlp"
"""The exporters with an outbox, as the environment names them."""

GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
DEFAULT = "http://localhost:4318"
GRPC, HTTP = "grpc", "http/protobuf"
SIGNALS = ("traces", "metrics", "logs")
"""Signals by the names that OTLP's paths and OpenTelemetry's variables have."""

PORTS = {GRPC: 4317, HTTP: 4318}
"""Where a collector listens for each protocol, unless it is told otherwise."""

_SPOKEN = {EXPORTER: HTTP, "otlp_proto_http": HTTP, "otlp_proto_grpc": GRPC}


def url_of(signal: str, environ: Mapping[str, str]) -> str:
    """The full URL that ``signal`` is posted to with HTTP.

    Raises:
        ChestConfigError: There is no such address.
    """
    variable, value = _given(signal, environ)
    value = _checked(variable, value or DEFAULT)
    # The specification: only the general variable's path is a base.
    return f"{value.rstrip('/')}/v1/{signal}" if variable == GENERAL else value


def grpc_target_of(signal: str, environ: Mapping[str, str], *, insecure: bool) -> tuple[str, bool]:
    """The server that ``signal`` goes to with gRPC, and whether encrypted.

    gRPC has addresses of many forms: ``host:4317``, ``unix:///run/c.sock``, ``dns:///c:4317``.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        environ: The environment.
        insecure: Whether an address that is no ``http://`` or ``https://`` is spoken to without TLS.

    Raises:
        ChestConfigError: There is no such address.
    """
    variable, value = _given(signal, environ)
    value = value or f"http://localhost:{PORTS[GRPC]}"
    if not value.startswith(("http://", "https://")):
        return value, not insecure
    return urlsplit(_checked(variable, value)).netloc.rpartition("@")[2], value.startswith("https:")


def protocol_of(
    signal: str, environ: Mapping[str, str], on_unknown: Callable[[str, str], None] = lambda _variable, _value: None
) -> str:
    """``grpc`` or ``http/protobuf``, the specification's default; a collector listens to both.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        environ: The environment.
        on_unknown: Told the name and the value of a variable that says something else.
    """
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        given = environ.get(variable, "").strip()
        if given in PORTS:
            return given
        if given:
            on_unknown(variable, given)
    return HTTP


def exporters_of(signal: str, environ: Mapping[str, str]) -> list[str]:
    """Names of the exporters that the environment wants for ``signal``."""
    wanted = environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    return [name for name in map(str.strip, wanted.split(",")) if name not in ("", "none")]


def problems(environ: Mapping[str, str], signals: Sequence[str] = ("traces", "metrics")) -> list[str]:
    """What is wrong with the addresses that the environment gives to OTLP, with what to type.

    Args:
        environ: The environment.
        signals: Those that are exported.
    """
    found = [
        problem
        for signal in signals
        for exporter in exporters_of(signal, environ)
        for problem in _problems(signal, _SPOKEN.get(exporter) or protocol_of(signal, environ), exporter, environ)
    ]
    return list(dict.fromkeys(found))


def _problems(signal: str, protocol: str, exporter: str, environ: Mapping[str, str]) -> Iterator[str]:
    variable, value = _given(signal, environ)
    if not value or (exporter != "otlp" and exporter not in _SPOKEN):
        return
    # gRPC has addresses of many forms: host:4317, unix:/run/c.sock, dns:///c:4317.
    if protocol == HTTP or value.startswith(("http://", "https://")):
        try:
            _checked(variable, value)
        except ChestConfigError as error:
            yield str(error)
            return
    meant = _meant(variable, value, signal, protocol)
    wrong = list(_wrong_port(variable, value, protocol, exporter, meant))
    yield from wrong or _wrong_path(variable, value, meant)


def _meant(variable: str, value: str, signal: str, protocol: str) -> str:
    """The address with the path that its variable wants."""
    shown = shown_address(value).rstrip("/")
    if variable == GENERAL:
        return re.sub("/v1/(traces|metrics|logs)$", "", shown)
    return f"{shown}/v1/{signal}" if protocol == HTTP and not urlsplit(value).path.strip("/") else shown


def _wrong_port(variable: str, value: str, protocol: str, exporter: str, meant: str) -> Iterator[str]:
    other = GRPC if protocol == HTTP else HTTP
    wrong, right = f":{PORTS[other]}", f":{PORTS[protocol]}"
    shown = shown_address(value)
    if re.search(f"{wrong}(/|$)", shown):
        # Other names of exporters are those of one protocol.
        instead = f", or OTEL_EXPORTER_OTLP_PROTOCOL={other}" if exporter == "otlp" else ""
        yield (
            f"{variable}={shown} has the port on which collectors speak {other}, and is spoken to in {protocol}: type "
            f"{variable}={meant.replace(wrong, right, 1)}{instead}"
        )


def _wrong_path(variable: str, value: str, meant: str) -> Iterator[str]:
    shown = shown_address(value).rstrip("/")
    if meant != shown:
        why = "gets each signal's path behind it" if variable == GENERAL else "is used as it is, without a path"
        yield f"{variable}={shown} {why}: type {variable}={meant}"


def _given(signal: str, environ: Mapping[str, str]) -> tuple[str, str]:
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
    value = environ.get(own, "").strip()
    return (own, value) if value else (GENERAL, environ.get(GENERAL, "").strip())


def _checked(variable: str, value: str) -> str:
    if _is_usable(value):
        return value
    shown, allowed = shown_address(value), f"an address such as {DEFAULT!r}"
    if not re.search("//|:/", value) and _is_usable(f"http://{value}"):
        allowed = f"its scheme, too: {variable}=http://{shown}"
    raise ChestConfigError(variable, shown, allowed)


def _is_usable(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
