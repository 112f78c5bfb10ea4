"""A span and a metric through the real exporters, and what lies in outbox and store."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from flask_chest_otel._base.addresses import without_secrets
from flask_chest_otel._base.sqlite import NotOursError
from flask_chest_otel._base.text import counted
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._doctor.settings import sdk_is_off
from flask_chest_otel._doctor.store_use import NEARLY_FULL, store_use
from flask_chest_otel._guard import COUNTED
from flask_chest_otel._otlp.endpoint import PORTS, SIGNALS, exporters_of, protocol_of
from flask_chest_otel._outbox.elsewhere import NOBODY_SENDS, elsewhere
from flask_chest_otel._self_metrics import self_metrics
from flask_chest_otel._version import __version__
from flask_chest_otel.errors import ChestError
from flask_chest_otel.names import DOCTOR, SCOPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._lifecycle.state import ChestState
    from flask_chest_otel._outbox.file import Usage

__all__ = ["advised", "captured_warnings", "counters", "inspect_storage", "send_probe", "start"]

OLD_S = 60.0
"""A batch that waits longer than this is worth a word, seconds."""

SPAN_NAME = "flask chest doctor"
NOBODY = "nobody exports it"


def start(app: Flask, state: ChestState) -> list[str]:
    """Decide and build as the first request would; what is wrong with it."""
    if not state.config.enabled or state.export.decided:
        return []
    try:
        state.router.add(*state.export.start(app))
    except ChestError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001 - exporters are third parties
        said = _hidden(str(error))
        return [f"nothing can be exported ({type(error).__name__}: {said}): correct the OTEL_… variables above"]
    return []


def inspect_storage(app: Flask, state: ChestState) -> Part:
    """Outbox and store: where they are, whether they can be written, what waits there."""
    # Imported here: they bring an exporter, and the store is the usual case.
    from flask_chest_otel._outbox.config import folder_here  # noqa: PLC0415
    from flask_chest_otel._outbox.file import FILENAME, Outbox  # noqa: PLC0415

    found = Part("kept", ("KEPT", "WHERE", "STATE"))
    store = getattr(state.export.store, "path", None)
    if store is not None:
        writable = _writable(store.parent, found, "FLASK_CHEST_EXPORT=none")
        found.rows.append(Row("store", str(store), f"{writable}; {store_use(store, state.config)}"))
    else:
        found.rows.append(Row("store", "none", "which tracked names requests have had is known from a store alone"))
    try:
        folder = folder_here(state.config, app.name, os.environ)
    except ChestError:
        # What is wrong with the address is said where the address is shown.
        return found
    if state.config.outbox_dir is None:
        # Facts, no problems: they may be another application's.
        for other, count in elsewhere(folder.parent, folder):
            found.rows.append(
                Row("outbox of the same name", str(other), f"{counted(count, 'batch lies', 'batches lie')} there")
            )
    if (folder / FILENAME).exists():
        try:
            outbox = Outbox(folder / FILENAME, 2**63 - 1, 1e9)
            try:
                _judge(folder, outbox.usage(), found, state.config.outbox_max_bytes)
            finally:
                outbox.close()
        except (sqlite3.Error, OSError, NotOursError) as error:
            found.problems.append(
                f"the outbox {folder} cannot be used ({error}): type FLASK_CHEST_OUTBOX_DIR=/another/folder"
            )
    elif store is None:
        found.rows.append(Row("outbox", str(folder), "there is none yet"))
    return found


def send_probe(state: ChestState, trouble: list[str], said: list[str], timeout_s: float) -> Part:
    """Send one span and one point.

    Args:
        state: The application's.
        trouble: What was wrong before.
        said: What exporters say, as :func:`heard` gives it.
        timeout_s: How long it may take, seconds.
    """
    found = Part("sent", ("SENT", "NAME", "RESULT"), problems=list(trouble))
    if trouble and not state.export.decided:
        return found
    provider = state.export.tracer_provider()
    with trace.get_tracer(SCOPE, __version__, provider).start_as_current_span(SPAN_NAME) as span:
        sampled = span.get_span_context().trace_flags.sampled
    meter = metrics.get_meter(SCOPE, __version__, state.export.own_meter_provider)
    meter.create_counter(DOCTOR, "{probe}", "Probes of flask chest doctor").add(1.0)
    started = time.monotonic()
    in_time = state.export.force_flush(timeout_s)
    took_s = time.monotonic() - started
    found.problems += advised(said)
    failed = any(map(_advice, said))
    if not in_time and not failed:
        found.problems.append(
            f"the exporters did not pass everything on within {timeout_s:g} s: start the collector, "
            f"or type another address: {_another_address()}"
        )
    passed = f"passed on in {took_s:.1f} s" if in_time and not failed else "not passed on"
    spans = hasattr(provider, "shutdown") and state.export.store is None and _has_exporter("traces", state)
    points = state.export.has_metrics and _has_exporter("metrics", state)
    found.rows = [
        Row("span", SPAN_NAME, ("not sampled" if not sampled else passed) if spans else NOBODY),
        Row("metric", DOCTOR, passed if points else NOBODY),
    ]
    return found


def _has_exporter(signal: str, state: ChestState) -> bool:
    """Whether the environment, where it decides, lets anybody export a signal."""
    chosen = state.export.mode() != "otlp" or bool(exporters_of(signal, os.environ))
    return chosen and not sdk_is_off(os.environ)


def counters() -> Part:
    """What this package has counted in this process, loading the application included."""
    rows = [
        Row(name, f"{value:g}", ", ".join(f"{key}={text}" for key, text in attributes.items()))
        for name, value, attributes in self_metrics()
    ]
    return Part("counters", ("COUNTER", "VALUE", "OF"), rows)


def _judge(folder: Path, usage: Usage, found: Part, max_bytes: int) -> None:
    waiting = counted(usage.waiting, "batch waits", "batches wait")
    refused = counted(usage.refused, "was refused", "were refused")
    state = f"{waiting}, {refused}, {usage.size_bytes} bytes"
    found.rows.append(Row("outbox", str(folder), state))
    if usage.size_bytes > NEARLY_FULL * max_bytes:
        found.problems.append(
            f"the outbox {folder} is nearly full ({usage.size_bytes} of {max_bytes} bytes), and the oldest batches go "
            "first: start the collector, or type a larger FLASK_CHEST_OUTBOX_MAX_BYTES"
        )
    if usage.refused:
        found.problems.append(
            f"the collector has refused {counted(usage.refused, 'batch', 'batches')} for good: "
            "type flask chest outbox list for the reasons, then flask chest outbox resend, or clear"
        )
    age_s = 0.0 if usage.oldest_unix_ns is None else time.time() - usage.oldest_unix_ns / 1e9
    if age_s > OLD_S:
        found.problems.append(
            f"the oldest batch has been waiting for {age_s:.0f} s: start the collector, and the application, "
            "which sends what waits"
        )


def _writable(folder: Path, found: Part, instead: str) -> str:
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(nearest, os.W_OK | os.X_OK):
        return "can be written"
    found.problems.append(f"{nearest} cannot be written by this user: type chown or chmod there, or {instead}")
    return "cannot be written"


def advised(said: list[str]) -> list[str]:
    """Lines of the log; behind those about what did not get through, what to type."""
    return [f"{line}; {advice}" if (advice := _advice(line)) else line for line in said]


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


def _advice(line: str) -> str:
    """What to type where ``line`` says that something did not get through; nothing where it does not."""
    # Not any word: a connection that is refused is another matter.
    refused = any(f" refused {signal} (" in line for signal in SIGNALS)
    if refused and "(404" in line:
        return f"nothing takes OTLP there: type another address: {_another_address()}"
    if refused:
        return f"look at the reason; {_KEY}"
    for sign, advice in _ADVICE.items():
        if sign in line:
            return advice
    if "does not take" in line or "export" in line:
        return (
            "start the collector there (flask chest collector run --target NAME), "
            f"or type another address: {_another_address()}"
        )
    return ""


def _another_address() -> str:
    return f"OTEL_EXPORTER_OTLP_ENDPOINT=http://host:{PORTS[protocol_of('traces', os.environ)]}"


def _hidden(said: str) -> str:
    """Others quote what they could not use: what is no secret of OpenTelemetry's variables."""
    return without_secrets(said, {name: text for name, text in os.environ.items() if name.startswith("OTEL_")})


class _Ear(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        # The doctor has a row for that, and it may be another application's.
        if record.msg == NOBODY_SENDS:
            return
        line = _hidden(record.getMessage().partition("\n")[0].removesuffix(COUNTED))
        if line not in self._said:
            self._said.append(line)


@contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Warnings and errors that OpenTelemetry and this package log meanwhile, in place of their handlers'."""
    said: list[str] = []
    ear = _Ear(said)
    loggers = [logging.getLogger(name) for name in ("opentelemetry", "flask_chest_otel")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(ear)
        logger.propagate = False
    try:
        yield said
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(ear)
            logger.propagate = propagate
