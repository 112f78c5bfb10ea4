"""The decision of ``export=``, and what follows from it."""

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
        may_build: Whether providers and stores may be made here; zero code leaves both to the distribution.
        sources: Where settings come from that are no defaults, for whoever explains them.
        service: The application's name, where it is known already.

    Attributes:
        service: The application's name, in records.
        store: The embedded store, once there is one.
        events: What passes requests on as log records, once there is somebody to take them.
        sources: As given.
        private_tracer: Of the private provider, where there is one.
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
        """For instrumentations made before the decision: their tracers find the real provider with their first span."""
        return self._config.tracer_provider or DeferredTracerProvider(self)

    @property
    def deferred_meter_provider(self) -> Any:
        """The same for meters, whose instruments find theirs when they are first used."""
        return self._config.meter_provider or DeferredMeterProvider(self)

    @property
    def decided(self) -> bool:
        """Whether the first request has been there."""
        return self._decided

    def tracer_provider(self) -> Any:
        """The provider that this application's spans come from, as things stand."""
        return self._config.tracer_provider or self._tracers or trace.get_tracer_provider()

    @property
    def own_meter_provider(self) -> Any:
        """The meter provider that only this application has; ``None``: the global one, whenever that is set."""
        return self._config.meter_provider or self._meters

    def meter_provider(self) -> object:
        """The provider that this application's metrics go to, as things stand."""
        return self.own_meter_provider or metrics.get_meter_provider()

    @property
    def metrics_go_nowhere(self) -> bool:
        """Whether the application has set up traces and forgotten metrics."""
        return _is_real(self._config.tracer_provider or trace.get_tracer_provider()) and not self.has_metrics

    @property
    def has_metrics(self) -> bool:
        """Whether there is a meter provider behind the instruments."""
        return self._config.meter_provider is not None or _is_real(metrics.get_meter_provider())

    def start(self, app: Flask) -> tuple[Chest, ...]:
        """Decide, build, and return the chests that take every route."""
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
            # Imported here: most applications have no use for it.
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
        """Send what earlier processes have left, if this application will export; nothing is decided by that."""
        if self.service and self._may_build and not self._decided and self.mode() == "otlp":
            from flask_chest_otel._providers import build  # noqa: PLC0415 - as in _use_exporters

            build.start_sending(self.service, self._config)

    def instead_of_store(self) -> str | None:
        """What the application does, as things stand, in place of keeping its requests in the embedded store."""
        mode = self.mode()
        if mode == "store":
            return None
        if mode == "otlp":
            return "exports by OTLP"
        if self._config.export is None:
            return "exports nothing (export=None)"
        return "uses OpenTelemetry providers of its own" if self._may_build else "is recorded without code of its own"

    def follows_environment(self) -> bool:
        """Whether the standard variables say where telemetry goes, to exporters of ours or of a distribution."""
        others = not self._may_build and self._config.tracer_provider is None and asks_for_otlp(os.environ)
        return self.mode() == "otlp" or (self._config.export == "auto" and others)

    def force_flush(self, timeout_s: float) -> bool:
        """Flush the providers; their own time-outs are not kept by the SDK, so a thread waits for them."""
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
        """``otlp``, ``store`` or ``None``: what was decided, or would be as things stand; nothing is built."""
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
        """A test looks at the records: build nothing that others share, send nothing; before the first request."""
        self._captured = True

    def _stays_inside(self, app: Flask) -> bool:
        """Whether this is a test, which has not asked by name for what would otherwise be built."""
        wanted = self._config.export
        return (self._captured and wanted != "store") or (app.testing and wanted == "auto")

    def _use_private_provider(self, app: Flask) -> None:
        if self._may_build and self._config.tracer_provider is None:
            from flask_chest_otel._providers import build  # noqa: PLC0415 - as in _use_exporters

            self._tracers = build.private_tracer_provider(app.name)
            tracer = self._tracers.get_tracer(SCOPE, __version__)
            # OTEL_SDK_DISABLED: it makes no spans either.
            self.private_tracer = None if isinstance(tracer, trace.NoOpTracer) else tracer

    @guarded("exporters beside the store")
    def _use_named_exporters(self, app: Flask) -> None:
        """Beside the store, what the environment names goes where it says; nothing by default."""
        named = named_exporters(os.environ)
        if named and self._may_build:
            self._use_exporters(app, named)

    def _use_exporters(self, app: Flask, signals: tuple[str, ...]) -> None:
        # Imported here: exporters cost a tenth of a second, and most applications bring their own.
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
"""What the log and the doctor say in that case."""

_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        _logger.warning(message)


def _say_what_is_misspelt() -> None:
    if any(name.startswith("OTEL_") for name in os.environ):
        # Imported here: most processes have none, or the SDK already.
        from flask_chest_otel._otlp.variables import misspelt  # noqa: PLC0415

        for problem in misspelt(os.environ):
            _say_once(problem)


def asks_for_otlp(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables name an OTLP end point or an exporter."""
    return any(environ.get(variable) for variable in _ENDPOINTS) or bool(named_exporters(environ))


def named_exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The signals for which the standard variables name an exporter."""
    return tuple(
        signal for signal, variable in _EXPORTERS.items() if environ.get(variable, "").strip() not in ("", "none")
    )


def _application_has_providers() -> bool:
    """Whether somebody else has set a global provider; the proxies that stand there before have no shutdown."""
    found: tuple[object, ...] = (trace.get_tracer_provider(), metrics.get_meter_provider())
    return any(_is_real(provider) and not _is_shared(provider) for provider in found)


def _is_shared(provider: object) -> bool:
    """Whether a global provider was made here, for this application or one before it in the process."""
    return hasattr(provider, "for_service")


def _is_real(provider: object) -> bool:
    chosen_silence = isinstance(provider, (trace.NoOpTracerProvider, metrics.NoOpMeterProvider))
    return chosen_silence or hasattr(provider, "shutdown")


def service_version(tracer_provider: object) -> str | None:
    """``service.version`` of a provider's resource, or as the environment gives it; ``None``: nobody does."""
    resource = getattr(tracer_provider, "resource", None)
    if resource is not None:
        found = resource.attributes.get(_SERVICE_VERSION)
        return str(found) if found else None
    entries = (entry.partition("=") for entry in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return next((unquote(value.strip()) for name, _, value in entries if name.strip() == _SERVICE_VERSION), None)
