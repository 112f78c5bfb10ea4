"""Addresses in the standard variables: what they mean, what is wrong with them, and what of them is shown."""

from __future__ import annotations

import pytest

from flask_chest_otel._otlp.endpoint import problems, url_of
from flask_chest_otel.errors import ChestConfigError

GENERAL, OWN = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
SAMPLE = "an address such as 'http://localhost:4318'"

REFUSED: list[tuple[str, str, str]] = [
    ("localhost:4318", "localhost:4318", f"its scheme, too: {GENERAL}=http://localhost:4318"),
    ("collector", "collector", f"its scheme, too: {GENERAL}=http://collector"),
    ("me:pass-word@host:4318/x", "***@host:4318/x", f"its scheme, too: {GENERAL}=http://***@host:4318/x"),
    ("http:/localhost:4318", "http:/localhost:4318", SAMPLE),
    ("http//localhost:4318", "http//localhost:4318", SAMPLE),
    ("http://:4318", "http://:4318", SAMPLE),
    ("http://host:0", "http://host:0", SAMPLE),
    ("ftp://me:pass-word@host", "ftp://***@host", SAMPLE),
    ("http://me:pass-word/x@host:4318", "http://***@host:4318", SAMPLE),
    ("http://me:pass-word?x@host:4318", "***", SAMPLE),
    ("http://me:pass-word", "***", SAMPLE),
    ("me:pass-word", "***", SAMPLE),
    ("host:4318?key=pass-word", "host:4318", f"its scheme, too: {GENERAL}=http://host:4318"),
    ("http://[::1:4318", "***", SAMPLE),
]


@pytest.mark.parametrize(("value", "shown", "allowed"), REFUSED)
def test_refused(value: str, shown: str, allowed: str) -> None:
    """An address that cannot be used is named with its host, without a password, and with what to give instead."""
    with pytest.raises(ChestConfigError) as caught:
        url_of("traces", {GENERAL: value})
    assert str(caught.value) == f"{GENERAL}={shown!r} cannot be used: give {allowed}"
    assert problems({GENERAL: value}) == [str(caught.value)]


def test_the_variable_that_is_to_blame() -> None:
    """A signal's own variable is the one that is named."""
    with pytest.raises(ChestConfigError, match=f"^{OWN}='host:1/v1/traces' cannot"):
        url_of("traces", {GENERAL: "http://fine:4318", OWN: "host:1/v1/traces"})


GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
DOUBTFUL: list[tuple[dict[str, str], str]] = [
    (
        {GENERAL: "http://c:4317"},
        f"type {GENERAL}=http://c:4318, or OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
    ),
    (
        {GENERAL: "http://me:pass-word@c:4318", **GRPC},
        f"type {GENERAL}=http://***@c:4317, or OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ),
    ({GENERAL: "c:4318", **GRPC}, f"type {GENERAL}=c:4317, or"),
    ({GENERAL: "http://c:4318/v1/traces"}, f"type {GENERAL}=http://c:4318"),
    ({GENERAL: "http://c:4317/v1/traces"}, f"type {GENERAL}=http://c:4318, or"),
    ({OWN: "http://c:4317"}, f"type {OWN}=http://c:4318/v1/traces, or"),
    ({OWN: "https://c:4318/"}, f"type {OWN}=https://c:4318/v1/traces"),
    ({GENERAL: "http://c:4317", "OTEL_TRACES_EXPORTER": "flask_chest_otlp", **GRPC}, f"type {GENERAL}=http://c:4318"),
]


@pytest.mark.parametrize(("environ", "advice"), DOUBTFUL)
def test_doubtful(environ: dict[str, str], advice: str) -> None:
    """A port or a path that belongs to something else is one sentence, with what to type."""
    (problem,) = problems({"OTEL_METRICS_EXPORTER": "none", **environ})
    assert advice in problem
    assert "pass-word" not in problem


WELL: list[dict[str, str]] = [
    {},
    {GENERAL: "http://c:4318"},
    {GENERAL: "https://c/otlp/"},
    {OWN: "http://c:4318/v1/traces"},
    {GENERAL: "c:4317", **GRPC},
    {GENERAL: "unix:///run/c.sock", **GRPC},
    {GENERAL: "dns:///c:4317", **GRPC},
    {GENERAL: "c:4318", "OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"},
    {GENERAL: "http://c:4317", "OTEL_TRACES_EXPORTER": "otlp_proto_grpc", "OTEL_METRICS_EXPORTER": "none"},
    {GENERAL: "[::1:4317", **GRPC},
]


@pytest.mark.parametrize("environ", WELL)
def test_well(environ: dict[str, str]) -> None:
    """What can be meant that way is left alone: gRPC takes addresses of many forms."""
    assert problems(environ) == []
