"""Addresses of OTLP from OpenTelemetry's variables, and the answers of a collector, for both protocols."""

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
"""How many characters of a collector's message are shown and kept."""

_JSON = "application/json"
# The type in the specification, another name for it, and no type at all: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
_PROTOBUF = ("application/x-protobuf", "application/protobuf", "")

NO_HEADER = (
    "OTEL_EXPORTER_OTLP_HEADERS has an entry that is no header and is not sent: "
    "type OTEL_EXPORTER_OTLP_HEADERS=name=value, commas between them"
)
"""Message of the log and of the doctor about such an entry."""

# The format that the SDK accepts: https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
_HEADER = re.compile(r"[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ !#-+\--:<-\[\]-~]*")

# Messages of Go's net/http and of gRPC in Go, C, Java and Rust: "http: request body too large", "received message
# larger than max", "message exceeds maximum size", "decoded message length too large".
_TOO_LARGE = re.compile("too large|larger than max|exceeds (the )?max", re.IGNORECASE)

_COMPRESSIONS = ("none", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class OtlpEndpoint:
    """The address of one signal, and how to send to it.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        url: The full URL; for gRPC, the server as gRPC names it, such as ``host:4317``.
        shown: ``url`` without parts that may be a password.
        protocol: ``http/protobuf`` or ``grpc``.
        encrypted: Whether TLS is used.
        headers: Headers of each post; they may contain keys.
        timeout_s: How long one post may take, seconds.
        compression: ``none``, ``gzip`` or ``deflate``.
        certificate: File with certificates that verify the server's; ``None``: those of the system.
        client_certificate: Files with the client's certificate and its key; ``None`` for the key: it is in the same
            file.
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
    """The result of one post.

    Attributes:
        taken: Whether the collector took the request, at least in part.
        retryable: If not taken: whether the collector may take the same request later.
        status: Status of the answer, such as ``503`` or ``UNAVAILABLE``; or the error that prevented an answer.
        says: Message of the answer.
        retry_after_s: How long the collector asks to wait before the next post, seconds; ``None``: it does not ask.
        rejected: Number of items that the collector did not take although it took the others.
        too_large: If refused: whether the request was too large, so that a part of it may be taken.
        denied: If refused: whether the caller was refused, so that the request may be taken with another token.
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
    """One connection that stays open between posts. Only one thread may use it."""

    def post(self, body: bytes) -> PostResult:
        """Post one OTLP request. Errors are part of the result and are not raised."""

    def close(self) -> None:
        """Close the connection."""

    def give_up(self) -> bool:
        """End a post that hangs; any thread may call it. Return ``False`` where no post can be ended from outside."""


def address_of(signal: str, environ: Mapping[str, str], protocol: str = HTTP) -> OtlpEndpoint:
    """Return the address of ``signal`` from ``OTEL_EXPORTER_OTLP_…``; variables of the signal override general ones.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        environ: The environment variables.
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
    """Return the result of a post without a valid answer: no connection, a time-out, or a broken protocol."""
    says = printable(str(error))
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        # Do not use the error's own message: it quotes the header, which may be a key.
        says = "a value in OTEL_EXPORTER_OTLP_HEADERS cannot be sent as a header, or as metadata of gRPC"
    return PostResult(taken=False, retryable=True, status=f"{type(error).__name__}:", says=says)


def in_short(says: str) -> str:
    """Return a collector's message as one printable line of at most ``SHOWN_CHARS`` characters."""
    return " ".join(part for part in says.split() if part.isprintable())[:SHOWN_CHARS]


def speaks_of_size(says: str) -> bool:
    """Whether a message says that the request is too large: statuses for it differ, messages are similar."""
    return _TOO_LARGE.search(says) is not None


def success(signal: str, status: str, content_type: str, content: bytes) -> PostResult:
    """Return the result of an answer with a status of success.

    It is taken, taken in part, or not taken because the server does not speak OTLP, such as a login page.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        status: The status, as the protocol has it.
        content_type: Content type in lower case, without parameters; ``""``: the answer has none.
        content: OTLP's response message as protobuf, or as JSON, which some back ends send; or empty.
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
    """Return the message in the body of an error: text, JSON as it is, or ``google.rpc.Status``."""
    if content_type.startswith("text/") or content_type == _JSON:
        return content.decode("utf-8", "replace")
    status = Status()
    with suppress(DecodeError):
        status.ParseFromString(content if content_type in _PROTOBUF else b"")
    return str(status.message)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    """Return the headers in a variable's text; a wrong entry is reported without its text, which may be a key."""
    found: dict[str, str] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        if _HEADER.fullmatch(entry):
            found.update(parse_env_headers(entry, liberal=True))
        else:
            # The SDK's parser would quote the entry in the log.
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
