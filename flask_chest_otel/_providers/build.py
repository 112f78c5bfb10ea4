"""Providers of ours: the SDK's own, built in the worker process that serves the first request."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.util._importlib_metadata import entry_points

from flask_chest_otel._guard import Log, note
from flask_chest_otel._otlp.endpoint import EXPORTER, exporters_of, protocol_of
from flask_chest_otel._outbox.config import route_of, service_name, user_instance_id
from flask_chest_otel._outbox.exporters import OutboxMetricExporter, OutboxSpanExporter
from flask_chest_otel._outbox.instance_id import instance_id
from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from flask_chest_otel._outbox.worker import dispatch_for
from flask_chest_otel._providers.fork_safe_meters import ProcessMeterProvider
from flask_chest_otel._request.trace_id import ChestIdGenerator
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.names import SERVICE_INSTANCE_ID, SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_chest_otel._outbox.worker import Route
    from flask_chest_otel.config import ChestConfig

__all__ = ["build_global_providers", "private_tracer_provider", "route_to_collector", "start_sending"]

_logger = Log("flask_chest_otel")


def build_global_providers(app_name: str, config: ChestConfig, signals: Sequence[str] = ("traces", "metrics")) -> None:
    """Set global providers with the exporters that the environment names; OTLP over HTTP unless it says otherwise.

    Signals whose provider the application has set already keep theirs, and those not among ``signals`` get none.
    """
    resource = _resource(app_name)
    wanted = {signal: names for signal, names in _wanted().items() if signal in signals}
    route = _route(app_name, config, wanted)
    if "traces" in wanted and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        processors = [_span_processor(exporter, config) for exporter in _exporters("traces", wanted["traces"], route)]
        provider = TracerProvider(resource=resource, id_generator=ChestIdGenerator())
        for processor in processors:
            provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)
    if "metrics" in wanted and not hasattr(metrics.get_meter_provider(), "shutdown"):
        metrics.set_meter_provider(ProcessMeterProvider(partial(_meter_provider, app_name, wanted["metrics"], route)))
    if route is not None:
        _logger.info(
            "spans and metrics are exported by OTLP; what the collector does not take waits in %s", route.keeping.folder
        )


def start_sending(app_name: str, config: ChestConfig) -> None:
    """Send what earlier processes have left, before there is a provider."""
    route = _route(app_name, config, _wanted())
    if route is not None:
        dispatch_for(route).start()


def private_tracer_provider(app_name: str) -> TracerProvider:
    """A provider for one application: its requests have trace ids, and no span leaves the process."""
    return TracerProvider(resource=_resource(app_name), id_generator=ChestIdGenerator(), shutdown_on_exit=False)


def route_to_collector(app_name: str | None, config: ChestConfig | None) -> Route:
    """The outbox and the addresses of an application, or those that the environment describes."""
    protocols = {signal: _protocol(signal) for signal, names in _wanted().items() if EXPORTER not in names}
    return route_of(os.environ, config, service_name(app_name), protocols)


def _wanted() -> dict[str, list[str]]:
    return {signal: exporters_of(signal, os.environ) for signal in ("traces", "metrics")}


def _route(app_name: str, config: ChestConfig, wanted: dict[str, list[str]]) -> Route | None:
    """The way to the collector; ``None`` where other exporters are wanted."""
    if not any("otlp" in names or EXPORTER in names for names in wanted.values()):
        return None
    return route_to_collector(app_name, config)


def _span_processor(exporter: Any, config: ChestConfig) -> SpanProcessor:
    if not isinstance(exporter, OutboxSpanExporter):
        return BatchSpanProcessor(exporter)
    return OutboxSpanProcessor(exporter, each_request=config.durability == "request")


def _meter_provider(app_name: str, wanted: list[str], route: Route | None) -> MeterProvider:
    readers = [
        found if isinstance(found, MetricReader) else PeriodicExportingMetricReader(found)
        for found in _exporters("metrics", wanted, route)
    ]
    return MeterProvider(readers, resource=_resource(app_name), shutdown_on_exit=False)


def _resource(app_name: str) -> Resource:
    """The environment's resource, with a name where it gives none, and this process's identity."""
    own = {
        SERVICE_NAME: service_name(app_name),
        SERVICE_INSTANCE_ID: instance_id(user_instance_id(os.environ)),
    }
    return Resource.create().merge(Resource(own))


def _protocol(signal: str) -> str:
    """What the environment wants ``otlp`` to be; by its own name, the exporter with an outbox speaks HTTP."""

    def say(variable: str, value: str) -> None:
        note(f"setting {variable}", "%s=%r is neither grpc nor http/protobuf: http/protobuf is used", variable, value)

    return protocol_of(signal, os.environ, say)


def _exporters(signal: str, names: list[str], route: Route | None) -> list[Any]:
    """The exporters of one signal, found by their entry points as the SDK's own configuration does."""
    return [_exporter(signal, name, route) for name in names]


def _exporter(signal: str, name: str, route: Route | None) -> Any:
    if name in ("otlp", EXPORTER):
        return OutboxSpanExporter(route) if signal == "traces" else OutboxMetricExporter(route, fixed_process=True)
    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        known = sorted({entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")})
        raise ChestConfigError(f"OTEL_{signal.upper()}_EXPORTER", name, f"one of {', '.join(['none', *known])}")
    return found.load()()
