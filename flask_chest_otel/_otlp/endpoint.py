"""Reads addresses, protocols and exporters of OTLP from OpenTelemetry's variables, and finds mistakes in them.

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
    "POST_NOT_TAKEN",
    "POST_REFUSED",
    "SIGNALS",
    "exporters_of",
    "grpc_target_of",
    "problems",
    "protocol_of",
    "url_of",
]

EXPORTER = "flask_chest_otlp"
"""Name of the exporters with an outbox, in variables such as ``OTEL_TRACES_EXPORTER``."""

GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
DEFAULT = "http://localhost:4318"
GRPC, HTTP = "grpc", "http/protobuf"
SIGNALS = ("traces", "metrics", "logs")
"""Names of the signals in OTLP's URL paths and in OpenTelemetry's variables."""

PORTS = {GRPC: 4317, HTTP: 4318}
"""Port on which a collector listens by default, by protocol."""

POST_REFUSED = "%s refused %s (%s): put aside, not sent again; see: flask chest outbox"
"""Log line: a collector refused batches for good. Its arguments are the address, the signal and the reason."""

POST_NOT_TAKEN = "%s does not take %s (%s): kept in the outbox and tried again"
"""Log line: a collector may take the batches later. Its arguments are the same."""

_SPOKEN = {EXPORTER: HTTP, "otlp_proto_http": HTTP, "otlp_proto_grpc": GRPC}


def url_of(signal: str, environ: Mapping[str, str]) -> str:
    """Return the full URL of ``signal`` for OTLP over HTTP.

    Raises:
        ChestConfigError: The variable has no usable address.
    """
    variable, value = _given(signal, environ)
    value = _checked(variable, value or DEFAULT)
    # The specification appends /v1/… only to the general variable; a signal's own variable is used as it is.
    return f"{value.rstrip('/')}/v1/{signal}" if variable == GENERAL else value


def grpc_target_of(signal: str, environ: Mapping[str, str], *, insecure: bool) -> tuple[str, bool]:
    """Return the server of ``signal`` for OTLP over gRPC, and whether to use TLS.

    gRPC accepts addresses of many forms: ``host:4317``, ``unix:///run/c.sock``, ``dns:///c:4317``.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        environ: The environment variables.
        insecure: Whether an address without ``http://`` or ``https://`` is used without TLS.

    Raises:
        ChestConfigError: The variable has no usable address.
    """
    variable, value = _given(signal, environ)
    value = value or f"http://localhost:{PORTS[GRPC]}"
    if not value.startswith(("http://", "https://")):
        return value, not insecure
    return urlsplit(_checked(variable, value)).netloc.rpartition("@")[2], value.startswith("https:")


def protocol_of(
    signal: str, environ: Mapping[str, str], on_unknown: Callable[[str, str], None] = lambda _variable, _value: None
) -> str:
    """Return ``grpc`` or ``http/protobuf``, the specification's default. Collectors listen to both by default.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        environ: The environment variables.
        on_unknown: Called with name and value of a variable that has another value.
    """
    for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        given = environ.get(variable, "").strip()
        if given in PORTS:
            return given
        if given:
            on_unknown(variable, given)
    return HTTP


def exporters_of(signal: str, environ: Mapping[str, str]) -> list[str]:
    """Return the names of exporters in ``OTEL_<SIGNAL>_EXPORTER``; ``otlp`` if it is not set, none for ``none``."""
    wanted = environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    return [name for name in map(str.strip, wanted.split(",")) if name not in ("", "none")]


def problems(environ: Mapping[str, str], signals: Sequence[str] = ("traces", "metrics")) -> list[str]:
    """Return a sentence for each mistake in the addresses of OTLP, with the correction to type.

    Args:
        environ: The environment variables.
        signals: The signals that are exported.
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
    # Addresses of gRPC may have other forms: host:4317, unix:/run/c.sock, dns:///c:4317.
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
    """Return the address with the path that is right for its variable."""
    shown = shown_address(value).rstrip("/")
    if variable == GENERAL:
        return re.sub("/v1/(traces|metrics|logs)$", "", shown)
    return f"{shown}/v1/{signal}" if protocol == HTTP and not urlsplit(value).path.strip("/") else shown


def _wrong_port(variable: str, value: str, protocol: str, exporter: str, meant: str) -> Iterator[str]:
    other = GRPC if protocol == HTTP else HTTP
    wrong, right = f":{PORTS[other]}", f":{PORTS[protocol]}"
    shown = shown_address(value)
    if re.search(f"{wrong}(/|$)", shown):
        # All other names of exporters stand for one protocol.
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
