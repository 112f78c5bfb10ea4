"""Checks of OpenTelemetry's providers: who set them, who makes ids, and who makes the server span."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._providers.export_policy import METRICS_GO_NOWHERE
from flask_chest_otel._providers.request_events import LOGS_GO_NOWHERE, asked_for
from flask_chest_otel._request.trace_id import ChestIdGenerator
from flask_chest_otel._server_span.upstream import is_instrumented_by_upstream
from flask_chest_otel._values.exceptions import EXCEPTION_OPT_IN, exception_signals

if TYPE_CHECKING:
    from flask import Flask

    from flask_chest_otel._lifecycle.state import ChestState

__all__ = ["part"]
UPSTREAM_IGNORES = (
    "opentelemetry-instrumentation-flask makes the span, and ignores OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN: "
    "exceptions that nobody handles stay on its span"
)
PROBE = "flask_chest_probe"
"""Name of an attribute that is set and deleted again, to find out whether an id generator can be changed."""

TO_EXPORT_METRICS = "type OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318, or OTEL_METRICS_EXPORTER=…"


def part(app: Flask, state: ChestState) -> Part:
    """List the providers in use after ``export=`` has been applied, and who makes ids and the server span."""
    found = Part("providers", ("WHAT", "IS", "BECAUSE"))
    config, export = state.config, state.export
    tracers, meters = export.tracer_provider(), export.meter_provider()
    found.rows = [
        Row("tracer provider", _name(tracers), _whose(tracers, config.tracer_provider, trace.get_tracer_provider())),
        Row("meter provider", _name(meters), _whose(meters, config.meter_provider, metrics.get_meter_provider())),
        Row("request id", *_request_id(state)),
        Row("trace id", *_trace_id(tracers, found)),
        Row("server span", *_server_span(app, state)),
    ]
    if not export.has_metrics:
        found.rows.append(Row("add_metric", "goes nowhere", f"nobody exports metrics; {TO_EXPORT_METRICS}"))
    _log_records(app, state, found)
    if export.metrics_go_nowhere:
        found.problems.append(METRICS_GO_NOWHERE)
    return found


def _log_records(app: Flask, state: ChestState, found: Part) -> None:
    """Add where events and exceptions go that are exported as log records."""
    events, wanted = state.export.events, asked_for(state.config)
    where = events.outlet.where if events is not None else "go nowhere"
    found.rows += [Row("exceptions" if EXCEPTION_OPT_IN in what else "events", where, what) for what in wanted]
    if events is None:
        found.problems += [LOGS_GO_NOWHERE % what for what in wanted]
    given = os.environ.get(EXCEPTION_OPT_IN, "")
    if not exception_signals(os.environ).as_log and given:
        found.problems.append(f"{EXCEPTION_OPT_IN}={given} says nothing: type logs, or logs/dup for both signals")
    elif given and is_instrumented_by_upstream(app):
        found.rows.append(Row("exceptions", "events of the server span, too", UPSTREAM_IGNORES))


def _name(provider: object) -> str:
    return f"{type(provider).__module__.partition('.')[0]}: {type(provider).__name__}"


def _whose(provider: object, given: object, global_one: object) -> str:
    if given is not None:
        return "given to FlaskChest"
    if provider is not global_one:
        if hasattr(provider, "first") or isinstance(provider, metrics.MeterProvider):
            return "this application's own, beside the global one of the first application in this process"
        return "made for this application's ids alone; nothing is exported"
    return "the global one" if hasattr(provider, "shutdown") else "nobody has set one"


def _request_id(state: ChestState) -> tuple[str, str]:
    config = state.config
    first = [f"the header {config.request_id_header}"] if config.request_id_header else []
    generator = ["request_id_generator"] if config.request_id_generator else []
    return ", else ".join([*first, "the route's generator", *generator, "the trace id"]), "the first that has one"


def _trace_id(provider: object, found: Part) -> tuple[str, str]:
    generator = getattr(provider, "id_generator", None)
    if generator is None:
        return "none", "there is no SDK"
    if isinstance(generator, ChestIdGenerator):
        return "ChestIdGenerator", "the request id decides"
    if not _can_be_taught(generator):
        found.problems.append(
            f"the id generator {type(generator).__name__} cannot be taught: request ids do not become trace ids; "
            "type TracerProvider(id_generator=ChestIdGenerator()), or OTEL_PYTHON_ID_GENERATOR=flask_chest"
        )
        return type(generator).__name__, "it has no place for changes"
    return type(generator).__name__, "taught by the first request that has an id of its own"


def _can_be_taught(generator: object) -> bool:
    try:
        setattr(generator, PROBE, True)
        delattr(generator, PROBE)
    except Exception:  # noqa: BLE001 - a third party's object may raise anything
        return False
    return True


def _server_span(app: Flask, state: ChestState) -> tuple[str, str]:
    if is_instrumented_by_upstream(app):
        return "opentelemetry-instrumentation-flask", "it instruments this application"
    if state.config.server_span in ("auto", "chest"):
        return "flask_chest_otel", f"server_span={state.config.server_span!r}"
    return "none", f"server_span={state.config.server_span!r}, and nobody instruments this application"
