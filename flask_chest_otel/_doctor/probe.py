"""Sends a span and a metric through the real exporters, and looks into outbox and store."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from flask_chest_otel._base.sqlite import NotOursError
from flask_chest_otel._base.text import counted, shown_size, shown_span
from flask_chest_otel._doctor.export_warnings import another_address, without_values
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._doctor.settings import sdk_is_off
from flask_chest_otel._doctor.store_use import NEARLY_FULL, store_problems, store_use
from flask_chest_otel._otlp.endpoint import exporters_of
from flask_chest_otel._outbox.elsewhere import elsewhere
from flask_chest_otel._self_metrics import self_metrics
from flask_chest_otel._version import __version__
from flask_chest_otel.errors import ChestError
from flask_chest_otel.names import DOCTOR, SCOPE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._doctor.export_warnings import ExportWarning
    from flask_chest_otel._lifecycle.state import ChestState
    from flask_chest_otel._outbox.file import Usage

__all__ = ["counters", "inspect_storage", "send_probe", "start"]

OLD_S = 60.0
"""Age from which a waiting batch is reported as a problem, seconds."""

SPAN_NAME = "flask chest doctor"
NOBODY = "nobody exports it"


def start(app: Flask, state: ChestState) -> list[str]:
    """Choose and build exporters, as the first request does, and return what is wrong with them."""
    if not state.config.enabled or state.export.decided:
        return []
    try:
        state.router.add(*state.export.start(app))
    except ChestError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001 - a third party's exporter may raise anything
        said = without_values(str(error))
        return [f"nothing can be exported ({type(error).__name__}: {said}): correct the OTEL_… variables above"]
    return []


def inspect_storage(app: Flask, state: ChestState) -> Part:
    """List store and outbox: where they are, whether they can be written, and how many batches wait."""
    # Imported here because they import an exporter, which an application with a store does not need.
    from flask_chest_otel._outbox.config import folder_here  # noqa: PLC0415
    from flask_chest_otel._outbox.file import FILENAME, Outbox  # noqa: PLC0415

    found = Part("kept", ("KEPT", "WHERE", "STATE"))
    store = getattr(state.export.store, "path", None)
    if store is not None:
        writable = _writable(store.parent, found, "FLASK_CHEST_EXPORT=none")
        found.rows.append(Row("store", str(store), f"{writable}; {store_use(store, state.config)}"))
        found.problems += store_problems(store)
    else:
        why = "without a store, nobody can tell which tracked names requests have had"
        if app.testing and state.config.export == "auto":
            why = f"TESTING is set: nothing is stored or exported, unless export= asks for it by name; {why}"
        found.rows.append(Row("store", "none", why))
    try:
        folder = folder_here(state.config, app.name, os.environ)
    except ChestError:
        # `examine` reports a wrong address already.
        return found
    if state.config.outbox_dir is None:
        # Rows, not problems: these outboxes may belong to another application.
        for other, count in elsewhere(folder.parent, folder):
            lying = counted(count, "batch lies", "batches lie")
            what = (
                f"{lying} there; if they are yours: flask chest outbox send --outbox {other}, else clear --everything"
            )
            found.rows.append(Row("outbox of the same name", str(other), what))
    if (folder / FILENAME).exists():
        try:
            outbox = Outbox(folder / FILENAME, 2**63 - 1, 1e9)
            try:
                sends = state.export.mode() == "otlp"
                _judge(folder, outbox.usage(), found, state.config.outbox_max_bytes, sends=sends)
            finally:
                outbox.close()
        except (sqlite3.Error, OSError, NotOursError) as error:
            found.problems.append(
                f"the outbox {folder} cannot be used ({error}): type FLASK_CHEST_OUTBOX_DIR=/another/folder"
            )
    elif store is None:
        found.rows.append(Row("outbox", str(folder), "there is none yet"))
        if state.export.mode() == "otlp":
            _writable(folder, found, "FLASK_CHEST_OUTBOX_DIR=/another/folder")
    return found


def send_probe(state: ChestState, trouble: list[str], said: Sequence[ExportWarning], timeout_s: float) -> Part:
    """Send one span and one metric point, and wait until the exporters have passed them on.

    Args:
        state: State of the application.
        trouble: What :func:`start` returned.
        said: The list of ``captured_warnings``, which grows meanwhile.
        timeout_s: How long to wait, seconds.
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
    found.problems += map(str, said)
    failed = any(one.advice for one in said)
    if not in_time and not failed:
        found.problems.append(
            f"the exporters did not pass everything on within {timeout_s:g} s: start the collector, "
            f"or type another address: {another_address()}"
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
    """Whether a signal has an exporter, where the environment chooses exporters."""
    chosen = state.export.mode() != "otlp" or bool(exporters_of(signal, os.environ))
    return chosen and not sdk_is_off(os.environ)


def counters() -> Part:
    """List the metrics about this package itself, counted in this process since the application was loaded."""
    rows = [
        Row(name, f"{value:g}", ", ".join(f"{key}={text}" for key, text in attributes.items()))
        for name, value, attributes in self_metrics()
    ]
    return Part("counters", ("COUNTER", "VALUE", "OF"), rows)


def _judge(folder: Path, usage: Usage, found: Part, max_bytes: int, *, sends: bool) -> None:
    waiting = counted(usage.waiting, "batch waits", "batches wait")
    refused = counted(usage.refused, "was refused", "were refused")
    state = f"{waiting}, {refused}, {shown_size(usage.size_bytes)}"
    found.rows.append(Row("outbox", str(folder), state))
    if usage.size_bytes > NEARLY_FULL * max_bytes:
        found.problems.append(
            f"the outbox {folder} is nearly full ({shown_size(usage.size_bytes)} of {shown_size(max_bytes)}), and the "
            "oldest batches go first: start the collector, or type a larger FLASK_CHEST_OUTBOX_MAX_BYTES"
        )
    if usage.refused:
        found.problems.append(
            f"the collector has refused {counted(usage.refused, 'batch', 'batches')} for good: "
            "type flask chest outbox list for the reasons, then flask chest outbox resend, or clear"
        )
    age_s = 0.0 if usage.oldest_unix_ns is None else time.time() - usage.oldest_unix_ns / 1e9
    if age_s > OLD_S:
        then = "the application, which sends what waits" if sends else f"type flask chest outbox send --outbox {folder}"
        found.problems.append(
            f"the oldest batch has been waiting for {shown_span(age_s)}: start the collector, and {then}"
        )


def _writable(folder: Path, found: Part, instead: str) -> str:
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return "can be written"
    what = (
        "cannot be written by this user: type chown or chmod there" if nearest.is_dir() else "is no folder: remove it"
    )
    found.problems.append(f"{nearest} {what}, or {instead}")
    return "cannot be written"
