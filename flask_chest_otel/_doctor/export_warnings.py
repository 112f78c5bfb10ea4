"""Collects the warnings that exporters log, and finds out for each what to type.

OpenTelemetry's exporters report a failure by a log line alone, so ours are read in the same place.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._base.addresses import without_secrets
from flask_chest_otel._guard import COUNTED
from flask_chest_otel._otlp.endpoint import PORTS, POST_NOT_TAKEN, POST_REFUSED, protocol_of
from flask_chest_otel._outbox.elsewhere import NOBODY_SENDS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ExportWarning", "another_address", "captured_warnings", "without_values"]


class ExportWarning(NamedTuple):
    """A line of the log.

    Attributes:
        line: The line, with secrets masked.
        advice: What to type; ``""`` where the line is not about a failed export.
    """

    line: str
    advice: str

    def __str__(self) -> str:
        return f"{self.line}; {self.advice}" if self.advice else self.line


@contextmanager
def captured_warnings() -> Iterator[list[ExportWarning]]:
    """Collect the warnings and errors that OpenTelemetry and this package log inside the block.

    Each line is collected once, in the order of their first coming. Handlers of the application do not get them.
    """
    said: list[ExportWarning] = []
    collector = _Collector(said)
    loggers = [logging.getLogger(name) for name in ("opentelemetry", "flask_chest_otel")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.propagate = False
    try:
        yield said
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(collector)
            logger.propagate = propagate


class _Collector(logging.Handler):
    def __init__(self, said: list[ExportWarning]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        # `inspect_storage` has a row for it; and the other outbox may belong to another application.
        if record.msg == NOBODY_SENDS:
            return
        line = without_values(record.getMessage().partition("\n")[0].removesuffix(COUNTED))
        line = next((f"{line.removesuffix('.')}: {what}" for sign, what in _SETTINGS.items() if sign in line), line)
        if all(line != one.line for one in self._said):
            self._said.append(ExportWarning(line, _advice(record.msg, line)))


def without_values(message: str) -> str:
    """Mask values of secret ``OTEL_…`` variables in a message: exporters quote values that they cannot use."""
    return without_secrets(message, {name: text for name, text in os.environ.items() if name.startswith("OTEL_")})


def another_address() -> str:
    """Return the variable with an address as an example, at the port of the protocol that is in use."""
    return f"OTEL_EXPORTER_OTLP_ENDPOINT=http://host:{PORTS[protocol_of('traces', os.environ)]}"


# The SDK's words name neither its variable nor what it takes.
_SETTINGS = {
    "recognize sampler": (
        "every request is sampled until then; type OTEL_TRACES_SAMPLER=parentbased_traceidratio, or another of "
        "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off"
    ),
    "TRACES_SAMPLER_ARG": "type a number from 0 to 1, as in OTEL_TRACES_SAMPLER_ARG=0.1",
    "resource attribute pair": "this entry is left out; type OTEL_RESOURCE_ATTRIBUTES=name=value,name=value",
}

_KEY = "a key is given with OTEL_EXPORTER_OTLP_HEADERS=name=value"

_ADVICE = {
    **dict.fromkeys(
        ("(401 ", "(403 ", "(407 ", "(UNAUTHENTICATED ", "(PERMISSION_DENIED "),
        f"the caller is refused, and what waits is sent when the token is right: {_KEY}",
    ),
    "no OTLP endpoint": (
        "something else answers there: type the collector's address: OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318"
    ),
    "WRONG_VERSION_NUMBER": "no TLS is spoken there: type an address that begins with http://",
    "CERTIFICATE_VERIFY_FAILED": (
        "this machine does not know who signed its certificate, or it is for another name: type the authority's "
        "PEM file: OTEL_EXPORTER_OTLP_CERTIFICATE=/path/ca.pem"
    ),
    "parsing HTTP/2": (
        "no gRPC is spoken there: type the collector's port for it, or OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    ),
    "(OSError: certificates ": (
        "type the path of a PEM file: OTEL_EXPORTER_OTLP_CERTIFICATE=…, or _CLIENT_CERTIFICATE and _CLIENT_KEY"
    ),
}


def _advice(template: object, line: str) -> str:
    if template == POST_REFUSED and "(404" in line:
        return f"nothing takes OTLP there: type another address: {another_address()}"
    if template == POST_REFUSED:
        return f"look at the reason; {_KEY}"
    for sign, advice in _ADVICE.items():
        if sign in line:
            return advice
    if template == POST_NOT_TAKEN or "export" in line:
        return (
            "start the collector there (flask chest collector run --target NAME), "
            f"or type another address: {another_address()}"
        )
    return ""
