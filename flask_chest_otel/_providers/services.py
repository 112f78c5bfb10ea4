"""Global providers for several applications in one process; each further service has its own provider behind them."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry import trace

from flask_chest_otel._guard import report_error
from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from flask_chest_otel._providers.fork_safe_meters import ProcessMeterProvider
from flask_chest_otel._providers.own_spans import OwnSpanProcessors, OwnTracerProvider
from flask_chest_otel._providers.sdk_variables import sampler, span_limits
from flask_chest_otel._request.live import live_request
from flask_chest_otel._request.trace_id import ChestIdGenerator
from flask_chest_otel.names import SCOPE, SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import Attributes

    _Scope = tuple[str, str | None, str | None, Attributes]

__all__ = ["ServiceMeterProvider", "ServiceTracerProvider"]

_START_SPAN = "start_span"


class ServiceTracerProvider(OwnTracerProvider):
    """The global tracer provider. It belongs to the first application; each other service has its own provider.

    All of them share processors, sampler and id generator, so a flush or shutdown of this one is one of all.

    Args:
        resource: The first application's resource.
        processors: Span processors; each gets the spans of all applications.

    Attributes:
        shared: The span processors of all services.
        limits: The limits of all spans.
    """

    def __init__(self, resource: Resource, processors: Sequence[SpanProcessor] = ()) -> None:
        self.shared, self.limits = OwnSpanProcessors(), span_limits(os.environ)
        super().__init__(
            self.shared,
            self.limits,
            sampler=sampler(os.environ),
            resource=resource,
            id_generator=ChestIdGenerator(),
        )
        self._first_processors = processors
        for processor in processors:
            self.add_span_processor(processor)
        self._services: dict[str, TracerProvider] = {_name_in(resource): self}
        self._handed_out: dict[str, tuple[_Scope, Tracer]] = {}

    def for_service(self, resource: Resource) -> TracerProvider | None:
        """Return the provider of the service that ``resource`` names; ``None``: it is this provider."""
        name = _name_in(resource)
        if name not in self._services:
            self._services.setdefault(name, _OfService(self, resource))
            for scope, tracer in list(self._handed_out.values()):
                self._share(tracer, scope)
        found = self._services[name]
        return None if found is self else found

    def write_each_request(self) -> None:
        """Write spans before a request is answered, because an application has ``durability='request'``."""
        for processor in self._first_processors:
            if isinstance(processor, OutboxSpanProcessor):
                processor.each_request = True

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Return a tracer of the first application.

        If there are several services, its spans belong to the service whose request is running.
        """
        scope = (instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        tracer = super().get_tracer(*scope)
        if instrumenting_module_name == SCOPE:
            return tracer  # this package's tracer already comes from the right provider
        _, tracer = self._handed_out.setdefault(repr(scope), (scope, tracer))
        if len(self._services) > 1:
            self._share(tracer, scope)
        return tracer

    def of_running(self, context: Context | None) -> TracerProvider | None:
        """Return the provider of a span that starts now: that of the running request, else that of the parent span.

        ``None``: the first application's.
        """
        live = live_request.get()
        if live is not None and not live.finished:
            found: object = live.ids.tracer_provider()
        else:
            resource = getattr(trace.get_current_span(context), "resource", None)
            found = self._services.get(_name_in(resource)) if resource is not None else None
        return found if isinstance(found, _OfService) and found.first is self else None

    def _share(self, tracer: Tracer, scope: _Scope) -> None:
        """Replace ``start_span`` of a tracer. Libraries keep their tracers, so existing ones have to change, too."""
        if not isinstance(vars(tracer).get(_START_SPAN), _SharedStart):
            setattr(tracer, _START_SPAN, _SharedStart(self, scope, tracer.start_span))


class _OfService(OwnTracerProvider):
    """The provider of a further service."""

    def __init__(self, first: ServiceTracerProvider, resource: Resource) -> None:
        super().__init__(
            first.shared,
            first.limits,
            sampler=first.sampler,
            resource=resource,
            shutdown_on_exit=False,  # the first provider shuts down the shared processors
            id_generator=first.id_generator,
        )
        self.first = first


class _SharedStart:
    """Replaces ``start_span`` of a tracer that several services use."""

    def __init__(self, first: ServiceTracerProvider, scope: _Scope, original: Callable[..., Span]) -> None:
        self._first = first
        self._scope = scope
        self._original = original
        self._starts: dict[TracerProvider, Callable[..., Span]] = {}

    def __call__(self, name: str, context: Context | None = None, *args: object, **kwargs: object) -> Span:
        return self._start(context)(name, context, *args, **kwargs)

    def _start(self, context: Context | None) -> Callable[..., Span]:
        try:
            provider = self._first.of_running(context)
            if provider is None:
                return self._original
            if provider not in self._starts:
                self._starts[provider] = provider.get_tracer(*self._scope).start_span
            return self._starts[provider]
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("span of a service", error)
            return self._original


class ServiceMeterProvider(ProcessMeterProvider):
    """The global meter provider. It belongs to the first application; it also flushes and ends those of others.

    Args:
        app_name: The first application's name.
        service: The name of its service.
        build: Makes the SDK's provider for the application of that name; called once per process.
    """

    def __init__(self, app_name: str, service: str, build: Callable[[str], MeterProvider]) -> None:
        self._build_for = build
        self._services: dict[str, ProcessMeterProvider] = {service: self}
        super().__init__(partial(build, app_name))

    def for_service(self, app_name: str, service: str) -> ProcessMeterProvider | None:
        """Return the provider of a service; ``None``: it is this provider."""
        if service not in self._services:
            self._services[service] = ProcessMeterProvider(partial(self._build_for, app_name))
        found = self._services[service]
        return None if found is self else found

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the providers of all services."""
        deadline = time.monotonic() + timeout_millis / 1000
        flushed = super().force_flush(timeout_millis)
        for other in self._others():
            flushed = other.force_flush(max(1.0, (deadline - time.monotonic()) * 1000)) and flushed
        return flushed

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Shut down the providers of all services."""
        super().shutdown(timeout_millis)
        for other in self._others():
            other.shutdown(timeout_millis)

    def _others(self) -> list[ProcessMeterProvider]:
        return [provider for provider in list(self._services.values()) if provider is not self]


def _name_in(resource: Resource) -> str:
    return str(resource.attributes.get(SERVICE_NAME, ""))
