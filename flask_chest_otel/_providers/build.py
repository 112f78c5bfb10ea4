"""Builds the SDK's providers in the worker process that serves the first request."""

from __future__ import annotations

import os
import threading
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from flask_chest_otel._base.process import PerProcess
from flask_chest_otel._guard import Log, Refusal, count_refusal
from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._otlp.endpoint import EXPORTER, SIGNALS, exporters_of, protocol_of
from flask_chest_otel._outbox.config import given_resource, service_name, user_instance_id, worker_config_of
from flask_chest_otel._outbox.exporters import OutboxMetricExporter, OutboxSpanExporter, Outgoing, has_explicit_buckets
from flask_chest_otel._outbox.file import FILENAME
from flask_chest_otel._outbox.instance_id import instance_id
from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from flask_chest_otel._outbox.worker import worker_for
from flask_chest_otel._providers.child_span_sampler import record_child_spans
from flask_chest_otel._providers.metric_reader import ProcessMetricReader
from flask_chest_otel._providers.own_meters import OwnMeterProvider
from flask_chest_otel._providers.own_spans import OwnSpanProcessors, OwnTracerProvider
from flask_chest_otel._providers.private_spans import change_noop_tracer
from flask_chest_otel._providers.sdk_variables import batch_options, sampler, sdk_exemplar_filter, span_limits
from flask_chest_otel._providers.services import ServiceMeterProvider, ServiceTracerProvider
from flask_chest_otel._request.trace_id import ChestIdGenerator
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.names import SERVICE_INSTANCE_ID, SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from flask_chest_otel._outbox.worker import WorkerConfig
    from flask_chest_otel._providers.fork_safe_meters import ProcessMeterProvider
    from flask_chest_otel.config import ChestConfig

__all__ = ["logs_for", "private_tracer_provider", "providers_for", "start_sending", "worker_config_for"]

_logger = Log("flask_chest_otel")

_OURS = ("otlp", EXPORTER)
"""Names in ``OTEL_TRACES_EXPORTER`` and ``OTEL_METRICS_EXPORTER`` that mean the exporters with an outbox."""

_turn = PerProcess(lambda: threading.RLock())  # noqa: PLW0108 - gevent may replace it after this module is loaded
"""Lock for setting the global providers."""

_in_use: dict[str, WorkerConfig] = {}
"""``otlp`` to the worker's configuration of the first application; all other applications' exporters use it."""


def providers_for(
    app_name: str, config: ChestConfig, signals: Sequence[str] = ("traces", "metrics")
) -> tuple[TracerProvider | None, ProcessMeterProvider | None]:
    """Set global providers with the exporters that the environment variables name; OTLP over HTTP by default.

    If another application of the process has set them before, this application gets its own providers, which use the
    same exporters. A provider that the application's code has set stays.

    Args:
        app_name: The application's name.
        config: Its settings.
        signals: ``traces``, ``metrics`` or both; other signals get no provider.

    Returns:
        The application's own tracer provider and meter provider; ``None``: it uses the global one, if there is one.

    Raises:
        ChestConfigError: A variable names an exporter that is not installed, or an address that cannot be used.
    """
    wanted = {signal: names for signal, names in _wanted().items() if signal in signals}
    worker_config = _worker_config(app_name, config, wanted)
    # If two applications start at the same time, only one sets the global providers.
    with _turn.get():
        tracers = _tracers(app_name, config, wanted["traces"], worker_config) if "traces" in wanted else None
        meters = _meters(app_name, wanted["metrics"], worker_config) if "metrics" in wanted else None
        in_use = _in_use.setdefault("otlp", worker_config) if worker_config is not None else None
    if worker_config is not None and in_use is not None:
        if worker_config.outbox.folder != in_use.outbox.folder and (worker_config.outbox.folder / FILENAME).exists():
            worker_for(worker_config).start()  # sends batches from a run in which this application was the first
        _logger.info(
            "spans and metrics are exported by OTLP; what the collector does not take waits in %s",
            in_use.outbox.folder,
        )
    return tracers, meters


def _tracers(
    app_name: str, config: ChestConfig, names: list[str], worker_config: WorkerConfig | None
) -> TracerProvider | None:
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        processors = [_span_processor(name, worker_config) for name in names]
        trace.set_tracer_provider(record_child_spans(ServiceTracerProvider(_resource(app_name), processors)))
    found = trace.get_tracer_provider()
    if not isinstance(found, ServiceTracerProvider):
        return None
    if config.durability == "request":
        found.write_each_request()
    return found.for_service(_resource(app_name))


def _meters(app_name: str, names: list[str], worker_config: WorkerConfig | None) -> ProcessMeterProvider | None:
    service = service_name(app_name)
    if not hasattr(metrics.get_meter_provider(), "shutdown"):
        build = partial(_meter_provider, wanted=names, worker_config=worker_config)
        metrics.set_meter_provider(ServiceMeterProvider(app_name, service, build))
    found = metrics.get_meter_provider()
    if not isinstance(found, ServiceMeterProvider) or any(map(_is_reader, names)):
        return None
    return found.for_service(app_name, service)


def logs_for(app_name: str, config: ChestConfig) -> tuple[Outgoing, Resource]:
    """Return the outbox that log records are put into, and the application's resource.

    Args:
        app_name: The application's name.
        config: Its settings.

    Raises:
        ChestConfigError: The variables have no usable address for log records.
    """
    worker_config = worker_config_for(app_name, config)
    with _turn.get():
        in_use = _in_use.setdefault("otlp", worker_config)
    # Raise for a wrong variable of logs here only, not in applications that send no logs.
    address_of("logs", os.environ, _protocol("logs"))
    return Outgoing(in_use), _resource(app_name)


def start_sending(app_name: str, config: ChestConfig) -> None:
    """Send batches that earlier processes left, before the first provider exists."""
    worker_config = _worker_config(app_name, config, _wanted())
    if worker_config is not None:
        worker_for(worker_config).start()


def private_tracer_provider(app_name: str) -> TracerProvider:
    """Return a tracer provider for one application, so that its requests have trace ids; it exports no spans."""
    change_noop_tracer()
    made = OwnTracerProvider(
        OwnSpanProcessors(),
        span_limits(os.environ),
        sampler=sampler(os.environ),
        resource=_resource(app_name),
        id_generator=ChestIdGenerator(),
        shutdown_on_exit=False,
    )
    return record_child_spans(made)


def worker_config_for(app_name: str | None, config: ChestConfig | None) -> WorkerConfig:
    """Return outbox and addresses of an application.

    Args:
        app_name: The application's name; ``None``: the name in OpenTelemetry's resource.
        config: Its settings; ``None``: the settings in the environment variables.

    Raises:
        ChestConfigError: A variable of the OTLP exporter cannot be used.
    """
    protocols = {signal: _protocol(signal) for signal in SIGNALS if EXPORTER not in exporters_of(signal, os.environ)}
    return worker_config_of(os.environ, config, service_name(app_name), protocols)


def _wanted() -> dict[str, list[str]]:
    return {signal: exporters_of(signal, os.environ) for signal in ("traces", "metrics")}


def _worker_config(app_name: str, config: ChestConfig, wanted: dict[str, list[str]]) -> WorkerConfig | None:
    """Return outbox and addresses; ``None``: the environment variables name only other exporters."""
    if not any(name in _OURS for names in wanted.values() for name in names):
        return None
    return worker_config_for(app_name, config)


def _span_processor(name: str, worker_config: WorkerConfig | None) -> SpanProcessor:
    if name in _OURS:
        return OutboxSpanProcessor(OutboxSpanExporter(worker_config))
    return BatchSpanProcessor(_loaded("traces", name)(), **batch_options(os.environ))


def _meter_provider(app_name: str, wanted: list[str], worker_config: WorkerConfig | None) -> MeterProvider:
    resource = _resource(app_name)
    if len(wanted) == 1 and wanted[0] in _OURS and has_explicit_buckets(os.environ):
        return OwnMeterProvider(OutboxMetricExporter(worker_config, fixed_process=True), resource)
    readers = [_metric_reader(name, worker_config) for name in wanted]
    of_environ = sdk_exemplar_filter(os.environ)
    return MeterProvider(readers, resource=resource, exemplar_filter=of_environ, shutdown_on_exit=False)


def _metric_reader(name: str, worker_config: WorkerConfig | None) -> MetricReader:
    if name in _OURS:
        return ProcessMetricReader(OutboxMetricExporter(worker_config, fixed_process=True))
    found: MetricReader | MetricExporter = _loaded("metrics", name)()
    return found if isinstance(found, MetricReader) else ProcessMetricReader(found)


def _resource(app_name: str) -> Resource:
    """Return the resource of the environment variables, with the service's name and ``service.instance.id``."""
    own = {
        SERVICE_NAME: service_name(app_name),
        SERVICE_INSTANCE_ID: instance_id(user_instance_id(os.environ)),
    }
    return given_resource().merge(Resource(own))


def _protocol(signal: str) -> str:
    """Return the protocol of the exporter ``otlp``; an unknown protocol is reported, and HTTP is used."""

    def say(variable: str, value: str) -> None:
        count_refusal(
            Refusal.SETTING, variable, "%s=%r is neither grpc nor http/protobuf: http/protobuf is used", variable, value
        )

    return protocol_of(signal, os.environ, say)


def _is_reader(name: str) -> bool:
    """Whether the exporter is a reader that others ask, such as Prometheus: it has one port for the whole process."""
    if name in _OURS:
        return False
    found = _loaded("metrics", name)
    return isinstance(found, type) and issubclass(found, MetricReader)


def _loaded(signal: str, name: str) -> Any:
    """Return the class of an exporter, found by its entry point as in the SDK's own configuration.

    Raises:
        ChestConfigError: No installed distribution has an exporter of that name.
    """
    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        known = sorted({entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")})
        raise ChestConfigError(f"OTEL_{signal.upper()}_EXPORTER", name, f"one of {', '.join(['none', *known])}")
    return found.load()
