"""Where OTLP goes, as the standard variables say, and what is answered there, whichever protocol is spoken."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from google.protobuf import json_format  # type: ignore[import-untyped]  # its stubs are another distribution
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.util.re import parse_env_headers

from flask_chest_otel._base.addresses import shown_address
from flask_chest_otel._guard import Refusal, count_refusal, printable
from flask_chest_otel._otlp.batching import longest_export_s
from flask_chest_otel._otlp.endpoint import GRPC, HTTP, grpc_target_of, url_of
from flask_chest_otel._otlp.signals import OTLP_SIGNALS
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OtlpClient",
    "OtlpEndpoint",
    "PostResult",
    "address_of",
    "in_short",
    "speaks_of_size",
    "success",
    "unanswered",
    "words",
]

SHOWN_CHARS = 200
"""How much of what a collector says is shown and kept."""

_JSON = "application/json"
# The specification's name of the type, others, and none: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
_PROTOBUF = ("application/x-protobuf", "application/protobuf", "")

NO_HEADER = (
    "OTEL_EXPORTER_OTLP_HEADERS has an entry that is no header and is not sent: "
    "type OTEL_EXPORTER_OTLP_HEADERS=name=value, commas between them"
)
"""What the log and the doctor say in that case."""

# As the SDK takes them: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
_HEADER = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-+\--:<-\[\]-~]*")

# Go's net/http and gRPC in Go, C, Java and Rust: "http: request body too large", "received message larger than max",
# "message exceeds maximum size", "decoded message length too large".
_TOO_LARGE = re.compile("too large|larger than max|exceeds (the )?max", re.IGNORECASE)

_COMPRESSIONS = ("none", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class OtlpEndpoint:
    """Where one signal goes, and how.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        url: The full URL; with gRPC, the server as gRPC names it.
        shown: The same without what may be a password.
        protocol: ``http/protobuf`` or ``grpc``.
        encrypted: Whether by TLS.
        headers: Sent with each post; they may hold keys.
        timeout_s: How long one post may take, seconds.
        compression: ``none``, ``gzip`` or ``deflate``.
        certificate: File of certificates to check the server's with; the system's unless given.
        client_certificate: File of a certificate of our own, and that of its key.
    """

    signal: str
    url: str = field(repr=False)
    shown: str
    protocol: str = HTTP
    encrypted: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float = 10.0
    compression: str = "none"
    certificate: str | None = None
    client_certificate: tuple[str, str | None] | None = None


class PostResult(NamedTuple):
    """What became of one post.

    Attributes:
        taken: Whether the collector has taken it, in part at least.
        retryable: Where it has not: whether it may take it later.
        status: Its status in its protocol; or what kept it from answering.
        says: Its words.
        retry_after_s: How long it wants to be left alone, seconds.
        rejected: Items that it did not take although it took the rest.
        too_large: Where it has refused: whether for the size, so that a part of it may be taken.
        denied: Where it has refused: whether it speaks of the caller, so that the same may be taken with a right token.
    """

    taken: bool
    retryable: bool
    status: str
    says: str
    retry_after_s: float | None = None
    rejected: int = 0
    too_large: bool = False
    denied: bool = False


class OtlpClient(Protocol):
    """One connection, kept open between posts; used by one thread."""

    def post(self, body: bytes) -> PostResult:
        """Post one OTLP request; whatever happens is an answer."""

    def close(self) -> None:
        """Hang up."""


def address_of(signal: str, environ: Mapping[str, str], protocol: str = HTTP) -> OtlpEndpoint:
    """What ``OTEL_EXPORTER_OTLP_…`` says about ``signal``; its own variables beat the general ones.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        environ: The environment.
        protocol: ``http/protobuf`` or ``grpc``.

    Raises:
        ChestConfigError: A variable cannot be used.
    """

    def given(name: str) -> str | None:
        own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
        return (own or environ.get(f"OTEL_EXPORTER_OTLP_{name}") or "").strip() or None

    certificate = given("CLIENT_CERTIFICATE")
    if protocol == GRPC:
        url, encrypted = grpc_target_of(signal, environ, insecure=(given("INSECURE") or "").lower() == "true")
    else:
        url = url_of(signal, environ)
        encrypted = url.startswith("https:")
    return OtlpEndpoint(
        signal=signal,
        url=url,
        shown=shown_address(url, user=""),
        protocol=protocol,
        encrypted=encrypted,
        headers=_headers(given("HEADERS") or ""),
        timeout_s=min(_seconds(given("TIMEOUT")), (signal == "traces" and longest_export_s(environ)) or float("inf")),
        compression=_compression(given("COMPRESSION")),
        certificate=given("CERTIFICATE"),
        client_certificate=(certificate, given("CLIENT_KEY")) if certificate else None,
    )


def unanswered(error: Exception) -> PostResult:
    """Nobody answered in time, or not to us, or not in the protocol; or nothing could be asked."""
    says = printable(str(error))
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        # Not in its own words: they quote the header, which may be a key.
        says = "a value in OTEL_EXPORTER_OTLP_HEADERS cannot be sent as a header, or as metadata of gRPC"
    return PostResult(taken=False, retryable=True, status=f"{type(error).__name__}:", says=says)


def in_short(says: str) -> str:
    """A collector's words, as they may be shown and kept: on one line, not too long."""
    return " ".join(part for part in says.split() if part.isprintable())[:SHOWN_CHARS]


def speaks_of_size(says: str) -> bool:
    """Whether a refusal is for the size: collectors have many statuses for that, and few words."""
    return _TOO_LARGE.search(says) is not None


def success(signal: str, status: str, content_type: str, content: bytes) -> PostResult:
    """What a success says: taken, taken in part, or that no OTLP is spoken there, such as where one has to log in.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        status: As the protocol has it.
        content_type: Without parameters, in lower case; empty: none was given.
        content: OTLP's message, in protobuf or, as some back ends have it, in JSON; or nothing.
    """
    response = OTLP_SIGNALS[signal].response()
    try:
        if content_type == _JSON:
            json_format.Parse(content or b"{}", response)
        elif content_type in _PROTOBUF:
            response.ParseFromString(content)
        else:
            raise ValueError  # noqa: TRY301 - the same end as for what cannot be decoded
    except (ValueError, DecodeError, json_format.ParseError):
        says = in_short(f"no OTLP endpoint: answers with {content_type or 'something else'}")
        return PostResult(taken=False, retryable=True, status=status, says=says)
    partial = response.partial_success
    return PostResult(
        taken=True,
        retryable=False,
        status=status,
        says=in_short(partial.error_message),
        rejected=int(getattr(partial, OTLP_SIGNALS[signal].rejected)),
    )


def words(content_type: str, content: bytes) -> str:
    """What the body of an error says."""
    if content_type.startswith("text/") or content_type == _JSON:
        return content.decode("utf-8", "replace")
    status = Status()
    with suppress(DecodeError):
        status.ParseFromString(content if content_type in _PROTOBUF else b"")
    return str(status.message)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    """The headers that a variable gives; an entry that is none is said without quoting it: it may be a key."""
    found: dict[str, str] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        if _HEADER.fullmatch(entry):
            found.update(parse_env_headers(entry, liberal=True))
        else:
            # The parser would quote it in the log.
            count_refusal(Refusal.SETTING, "header without a name", NO_HEADER)
    return tuple(found.items())


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text else 10.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ChestConfigError("OTEL_EXPORTER_OTLP_TIMEOUT", text, "a number of seconds greater than 0")
    return seconds


def _compression(text: str | None) -> str:
    name = (text or "none").lower()
    if name not in _COMPRESSIONS:
        raise ChestConfigError("OTEL_EXPORTER_OTLP_COMPRESSION", text, "none, gzip or deflate")
    return name
