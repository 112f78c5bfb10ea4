"""Providers of ours: the SDK's own, built in the worker process that serves the first request."""

from __future__ import annotations

import logging
import os
import uuid
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.util._importlib_metadata import entry_points

from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.id_generator import ChestIdGenerator
from flask_chest_otel.names import SERVICE_INSTANCE_ID, SERVICE_NAME

__all__ = ["build_global_providers", "private_tracer_provider"]

_logger = logging.getLogger("flask_chest_otel")


def build_global_providers(app_name: str) -> None:
    """Set global providers with the exporters that the environment names; OTLP over HTTP unless it says otherwise.

    Signals whose provider the application has set already keep theirs.
    """
    resource = _resource(app_name)
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        provider = TracerProvider(resource=resource, id_generator=ChestIdGenerator())
        for exporter in _exporters("traces"):
            provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
    if not hasattr(metrics.get_meter_provider(), "shutdown"):
        readers = [
            found if isinstance(found, MetricReader) else PeriodicExportingMetricReader(found)
            for found in _exporters("metrics")
        ]
        metrics.set_meter_provider(MeterProvider(readers, resource=resource))
    _logger.info("spans and metrics are exported by OTLP")


def private_tracer_provider(app_name: str) -> TracerProvider:
    """A provider for one application: its requests have trace ids, and no span leaves the process."""
    return TracerProvider(resource=_resource(app_name), id_generator=ChestIdGenerator(), shutdown_on_exit=False)


def _resource(app_name: str) -> Resource:
    """The environment's resource, with a name and an instance where it gives none."""
    resource = Resource.create()
    own: dict[str, Any] = {SERVICE_INSTANCE_ID: str(uuid.uuid4())}
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        own[SERVICE_NAME] = app_name
    given = resource.attributes if "OTEL_RESOURCE_ATTRIBUTES" in os.environ else {}
    return resource.merge(
        Resource({key: value for key, value in own.items() if key not in given or key == SERVICE_NAME})
    )


def _exporters(signal: str) -> list[Any]:
    """The exporters of one signal, found by their entry points as the SDK's own configuration does."""
    wanted = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    return [_exporter(signal, name.strip()) for name in wanted.split(",") if name.strip() not in ("", "none")]


def _exporter(signal: str, name: str) -> Any:
    if name == "otlp":
        protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or os.environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
        )
        # The specification's default; a collector listens to both.
        name = "otlp_proto_grpc" if protocol.strip() == "grpc" else "otlp_proto_http"
    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        known = sorted({entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")})
        raise ChestConfigError(f"OTEL_{signal.upper()}_EXPORTER", name, f"one of {', '.join(['none', *known])}")
    return found.load()()
