"""Decides what ``export=`` means for an application, and sets up its providers and chests."""

from __future__ import annotations

import os
import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from opentelemetry import metrics, trace

from flask_chest_otel import _self_metrics
from flask_chest_otel._guard import Log, guarded
from flask_chest_otel._outbox import senders
from flask_chest_otel._providers.deferred import DeferredMeterProvider, DeferredTracerProvider
from flask_chest_otel._values.exceptions import exception_signals
from flask_chest_otel._version import __version__
from flask_chest_otel.config.tracked_vars import NOTHING
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from flask_chest_otel._providers.request_events import RequestEvents
    from flask_chest_otel._records.record import Chest
    from flask_chest_otel.config import ChestConfig

__all__ = ["METRICS_GO_NOWHERE", "ExportPolicy", "asks_for_otlp", "service_version"]

_logger = Log("flask_chest_otel")

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_SERVICE_VERSION = "service.version"
_EXPORTERS = {"traces": "OTEL_TRACES_EXPORTER", "metrics": "OTEL_METRICS_EXPORTER"}


class ExportPolicy:
    """Providers and chests of one application.

    Args:
        config: The application's settings.
        may_build: Whether to make providers and stores; ``False``: a distribution of OpenTelemetry makes them.
        sources: Name of each setting that is not at its default, to the place where it was set.
        service: The application's name; ``""``: it is not known yet.

    Attributes:
        service: The application's name, as request records have it.
        store: The embedded store; ``None``: not used, or not made yet.
        events: The chest that turns requests into log records; ``None``: not used, or not made yet.
        sources: The argument ``sources``.
        private_tracer: Tracer of the private provider; ``None``: there is no private provider.
    """

    def __init__(
        self,
        config: ChestConfig,
        *,
        may_build: bool = True,
        sources: Mapping[str, str] = MappingProxyType({}),
        service: str = "",
    ) -> None:
        self.service = service
        self.sources = sources
        self.store: Chest | None = None
        self.events: RequestEvents | None = None
        self._config = config
        self._may_build = may_build
        self._tracers: object = None
        self.private_tracer: trace.Tracer | None = None
        self._meters: object = None
        self._decided = False
        self._mode: str | None = None
        self._captured = False
        senders.applications.add(self)

    @property
    def deferred_tracer_provider(self) -> object:
        """Tracer provider for instrumentations: their tracers find the real provider with their first span."""
        return self._config.tracer_provider or DeferredTracerProvider(self)

    @property
    def deferred_meter_provider(self) -> Any:
        """Meter provider for instrumentations: their instruments find the real provider with their first value."""
        return self._config.meter_provider or DeferredMeterProvider(self)

    @property
    def decided(self) -> bool:
        """Whether ``start`` was called, which the first request does."""
        return self._decided

    def tracer_provider(self) -> Any:
        """Return the provider of this application's spans; it may change until the decision."""
        return self._config.tracer_provider or self._tracers or trace.get_tracer_provider()

    @property
    def own_meter_provider(self) -> Any:
        """Meter provider of this application alone; ``None``: the global one, also if it is set later."""
        return self._config.meter_provider or self._meters

    def meter_provider(self) -> object:
        """Return the provider of this application's metrics; it may change until the decision."""
        return self.own_meter_provider or metrics.get_meter_provider()

    @property
    def metrics_go_nowhere(self) -> bool:
        """Whether there is a tracer provider but no meter provider."""
        return _is_real(self._config.tracer_provider or trace.get_tracer_provider()) and not self.has_metrics

    @property
    def has_metrics(self) -> bool:
        """Whether there is a meter provider, so that instruments record something."""
        return self._config.meter_provider is not None or _is_real(metrics.get_meter_provider())

    def start(self, app: Flask) -> tuple[Chest, ...]:
        """Decide about ``export=``, build what it needs, and return the chests that take every request."""
        self.service = app.name
        mode = self._mode = self.mode()
        inside = mode is not None and self._stays_inside(app)
        if inside:
            _logger.info("a test exports and stores nothing, unless export='otlp' or 'store' asks for it by name")
            if not _application_has_providers():
                self._use_private_provider(app)
        elif mode == "otlp" and self._may_build:
            self._use_exporters(app, tuple(_EXPORTERS))
        elif mode == "store":
            self._use_store(app)
            self._use_named_exporters(app)
        if self._config.events != "none" or exception_signals(os.environ).as_log:
            # Imported here, as most applications do not need it.
            from flask_chest_otel._providers.request_events import events_for  # noqa: PLC0415

            self.events = events_for(app.name, self._config, mode if self._may_build and not inside else None)
        self._decided = True
        senders.start(senders.exporters)
        events = self.events if self._config.events != "none" else None
        chests: tuple[Chest, ...] = tuple(chest for chest in (self.store, events) if chest is not None)
        _self_metrics.watch_chests((*self._config.chests, *chests))
        _self_metrics.observe(self._config.meter_provider)
        _say_what_is_misspelt()
        if self.metrics_go_nowhere and (self._may_build or self._config.tracked_vars != NOTHING):
            _say_once(METRICS_GO_NOWHERE)
        return chests

    def start_sending(self) -> None:
        """Send batches that earlier processes left, if this application will export; this decides nothing."""
        if self.service and self._may_build and not self._decided and self.mode() == "otlp":
            from flask_chest_otel._providers import build  # noqa: PLC0415 - as in _use_exporters

            build.start_sending(self.service, self._config)

    def instead_of_store(self) -> str | None:
        """Return what the application does instead of storing requests in the embedded store; ``None``: it stores."""
        mode = self.mode()
        if mode == "store":
            return None
        if mode == "otlp":
            return "exports by OTLP"
        if self._config.export is None:
            return "exports nothing (export=None)"
        return "uses OpenTelemetry providers of its own" if self._may_build else "is recorded without code of its own"

    def follows_environment(self) -> bool:
        """Whether OpenTelemetry's variables decide where telemetry is exported, here or by a distribution."""
        others = not self._may_build and self._config.tracer_provider is None and asks_for_otlp(os.environ)
        return self.mode() == "otlp" or (self._config.export == "auto" and others)

    def force_flush(self, timeout_s: float) -> bool:
        """Flush everything within ``timeout_s`` seconds, in a thread, as the SDK does not keep its own time-outs."""
        deadline = time.monotonic() + timeout_s
        providers = (self.tracer_provider(), self.meter_provider())
        results: list[bool] = []

        def flush() -> None:
            able = [provider for provider in providers if hasattr(provider, "force_flush")]
            results.extend(bool(provider.force_flush(int(timeout_s * 1000))) for provider in able)

        worker = threading.Thread(target=flush, name="flask-chest-flush", daemon=True)
        worker.start()
        worker.join(timeout_s)
        flushed = self.events is None or self.events.flush(max(0.0, deadline - time.monotonic()))
        return flushed and not worker.is_alive() and all(results)

    def mode(self) -> str | None:
        """Return ``otlp``, ``store`` or ``None``: the decision, or what it would be now; builds nothing."""
        if self._decided:
            return self._mode
        if self._config.export != "auto":
            return self._config.export
        if self._config.tracer_provider or self._config.meter_provider or _application_has_providers():
            return None
        if not self._may_build:
            return None
        return "otlp" if asks_for_otlp(os.environ) else "store"

    def capture_only(self) -> None:
        """Export and store nothing, because a test captures the records; call it before the first request."""
        self._captured = True

    def _stays_inside(self, app: Flask) -> bool:
        """Whether this is a test that did not ask by name for an export or a store."""
        wanted = self._config.export
        return (self._captured and wanted != "store") or (app.testing and wanted == "auto")

    def _use_private_provider(self, app: Flask) -> None:
        if self._may_build and self._config.tracer_provider is None:
            from flask_chest_otel._providers import build  # noqa: PLC0415 - as in _use_exporters

            self._tracers = build.private_tracer_provider(app.name)
            tracer = self._tracers.get_tracer(SCOPE, __version__)
            # With OTEL_SDK_DISABLED the private provider makes no spans either.
            self.private_tracer = None if isinstance(tracer, trace.NoOpTracer) else tracer

    @guarded("exporters beside the store")
    def _use_named_exporters(self, app: Flask) -> None:
        """Set up the exporters that the environment variables name, in addition to the store."""
        named = named_exporters(os.environ)
        if named and self._may_build:
            self._use_exporters(app, named)

    def _use_exporters(self, app: Flask, signals: tuple[str, ...]) -> None:
        # Imported here: importing exporters takes a tenth of a second, and most applications set up their own.
        from flask_chest_otel._providers import build  # noqa: PLC0415

        tracers, self._meters = build.providers_for(app.name, self._config, signals)
        self._tracers = tracers or self._tracers

    def _use_store(self, app: Flask) -> None:
        if "traces" not in named_exporters(os.environ):
            self._use_private_provider(app)
        from flask_chest_otel._store.store import store_for  # noqa: PLC0415

        self.store = store_for(app.instance_path, self._config)
        _logger.info("requests are kept in %s; read them with: flask chest requests", self.store.path)


METRICS_GO_NOWHERE = (
    "there is a TracerProvider but no MeterProvider: metrics of tracked variables go nowhere; "
    "type opentelemetry.metrics.set_meter_provider(…) where the tracer provider is set, "
    "or FlaskChest(app, meter_provider=…)"
)
"""Message of the log and of the doctor in that case."""

_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        _logger.warning(message)


def _say_what_is_misspelt() -> None:
    if any(name.startswith("OTEL_") for name in os.environ):
        # Imported here: most processes set no such variable, or have imported the SDK already.
        from flask_chest_otel._otlp.variables import misspelt  # noqa: PLC0415

        for problem in misspelt(os.environ):
            _say_once(problem)


def asks_for_otlp(environ: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables name an OTLP endpoint or an exporter."""
    return any(environ.get(variable) for variable in _ENDPOINTS) or bool(named_exporters(environ))


def named_exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the signals for which OpenTelemetry's variables name an exporter."""
    return tuple(
        signal for signal, variable in _EXPORTERS.items() if environ.get(variable, "").strip() not in ("", "none")
    )


def _application_has_providers() -> bool:
    """Whether the application's code has set a global provider. The proxies before that have no ``shutdown``."""
    found: tuple[object, ...] = (trace.get_tracer_provider(), metrics.get_meter_provider())
    return any(_is_real(provider) and not _is_shared(provider) for provider in found)


def _is_shared(provider: object) -> bool:
    """Whether this package made a global provider, for this application or an earlier one of the process."""
    return hasattr(provider, "for_service")


def _is_real(provider: object) -> bool:
    chosen_silence = isinstance(provider, (trace.NoOpTracerProvider, metrics.NoOpMeterProvider))
    return chosen_silence or hasattr(provider, "shutdown")


def service_version(tracer_provider: object) -> str | None:
    """Return ``service.version`` of a provider's resource, else of ``OTEL_RESOURCE_ATTRIBUTES``; ``None``: not set."""
    resource = getattr(tracer_provider, "resource", None)
    if resource is not None:
        found = resource.attributes.get(_SERVICE_VERSION)
        return str(found) if found else None
    entries = (entry.partition("=") for entry in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return next((unquote(value.strip()) for name, _, value in entries if name.strip() == _SERVICE_VERSION), None)
