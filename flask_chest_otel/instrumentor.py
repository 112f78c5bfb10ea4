"""``FlaskChestInstrumentor``: records applications without code, by the entry point ``opentelemetry_instrumentor``."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import fields, make_dataclass
from typing import TYPE_CHECKING, Any

import flask.app
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # untyped

from flask_chest_otel._guard import Log, Refusal, count_refusal, guarded
from flask_chest_otel._lifecycle import socketio
from flask_chest_otel._lifecycle.attach import Attachment, attach
from flask_chest_otel._lifecycle.state import EXTENSION_KEY, INSTRUMENTOR_KEY, register_finder
from flask_chest_otel._lifecycle.steps import Lifecycle
from flask_chest_otel._logs.application import names_for
from flask_chest_otel._logs.stdlib import leave, put_fields
from flask_chest_otel._providers.export_policy import ExportPolicy
from flask_chest_otel._request import trace_id
from flask_chest_otel._server_span.caller_options import CallerOptions
from flask_chest_otel.config import UNSET, ChestConfig, settle, unknown_setting
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from flask import Flask
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from flask_chest_otel._server_span.caller_options import RequestHook, ResponseHook

__all__ = ["FlaskChestInstrumentor"]

_ATTACHMENT_KEY = "flask_chest_instrumentor_attachment"
_logger = Log("flask_chest_otel")
_SETTINGS = tuple(row.name for row in fields(ChestConfig))


class FlaskChestInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # its base is untyped
    """Records tracked variables of every Flask application in the process, without changes to their code.

    ``opentelemetry-instrument`` finds it by itself. Settings come from the environment
    (``FLASK_CHEST_TRACKED_VARS=user_id,cart_total``), from declarative configuration, or from arguments::

        FlaskChestInstrumentor().instrument(tracked_vars=["user_id", "cart_total"])

    An application with its own :class:`FlaskChest` keeps the settings of that. Responses are not changed, and no
    provider is made. A setting that cannot be used is logged once and keeps its default: an exception here would abort
    the instrumentation of the whole process.
    """

    # Declarative configuration checks its options against this dataclass (SDK 1.43 and later).
    configuration = make_dataclass("FlaskChestConfiguration", [(name, Any, None) for name in _SETTINGS])

    _attachment: Attachment | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """The supported versions of Flask. There is no upper bound, as only public methods of Flask are wrapped."""
        return ("flask >= 2.2",)

    @guarded("instrument")
    def _instrument(self, **kwargs: object) -> None:
        self._options = _options(kwargs)
        self._config, self._sources = settle(_known(kwargs), {}, on_malformed=_log_malformed)
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._brought: weakref.WeakSet[Flask] = weakref.WeakSet()
        if self._config.enabled:
            # flask.app.Flask and not flask.Flask, which upstream's instrumentation may have replaced by its subclass.
            self._attachment = attach(flask.app.Flask, find=self._lifecycle_of)
            register_finder(self._lifecycle_of)
            put_fields(self, names_for(self._config, self._sources, quiet=True))

    @guarded("uninstrument")
    def _uninstrument(self, **kwargs: object) -> None:  # noqa: ARG002 - the base class's signature
        if self._attachment is None:
            return
        register_finder(None)
        self._attachment.remove()
        self._attachment = None
        leave(self)
        for app in list(self._apps):
            _let_go(app, brought=app in self._brought)

    @guarded("find")
    def _lifecycle_of(self, app: Flask) -> Lifecycle | None:
        """The state of an application that this instrumentor records; ``None`` where it has a ``FlaskChest``."""
        if not self.covers(app):
            return None
        state: Lifecycle | None = app.extensions.get(INSTRUMENTOR_KEY)
        if state is None:
            export = ExportPolicy(self._config, may_build=False, sources=self._sources)
            made = Lifecycle(self._config, export, quiet=True, options=self._options, prepare=self._bring_server_span)
            state = app.extensions.setdefault(INSTRUMENTOR_KEY, made)
            self._apps.add(app)
        return state

    @guarded("server span")
    def _bring_server_span(self, app: Flask) -> None:
        if app.extensions[INSTRUMENTOR_KEY].bring_upstream(app):
            self._brought.add(app)

    @staticmethod
    @guarded("instrument_app")
    def instrument_app(
        app: Flask,
        request_hook: RequestHook | None = None,
        response_hook: ResponseHook | None = None,
        tracer_provider: TracerProvider | None = None,
        excluded_urls: str | None = None,
        enable_commenter: bool | None = None,
        commenter_options: Mapping[str, object] | None = None,
        meter_provider: MeterProvider | None = None,
        **settings: object,
    ) -> None:
        """Record one application, with the interface of ``FlaskInstrumentor.instrument_app``.

        Args:
            app: The application. It is not changed where it has a :class:`FlaskChest` or is instrumented already.
            request_hook: ``(span, environ)``, called when the server span has started; it cannot break the request.
            response_hook: ``(span, status, headers)``, called when the response starts; it cannot break the request.
            tracer_provider: Tracer provider to use instead of the global one.
            excluded_urls: Regular expressions with commas between them.
            enable_commenter: Whether SQL comments of database instrumentations name the route; ``None``: where such an
                instrumentation is loaded before the first request.
            commenter_options: ``framework``, ``controller`` and ``route``, each ``False`` to leave it out of comments.
            meter_provider: Meter provider to use instead of the global one.
            **settings: Any other setting, for example ``tracked_vars``.
        """
        if EXTENSION_KEY in app.extensions or app.extensions.get(_ATTACHMENT_KEY) is not None:
            _logger.warning("%r is instrumented already: nothing was changed", app.name)
            return
        given = {
            "request_hook": request_hook,
            "tracer_provider": tracer_provider,
            "meter_provider": meter_provider,
            "excluded_urls": excluded_urls,
        }
        arguments = settings | {name: value for name, value in given.items() if value is not None}
        config, sources = settle(_known(arguments), {}, on_malformed=_log_malformed)
        if config.enabled:
            export = ExportPolicy(config, may_build=False, sources=sources)
            options = _options(
                {
                    "response_hook": response_hook,
                    "enable_commenter": enable_commenter,
                    "commenter_options": commenter_options,
                }
            )
            state = Lifecycle(config, export, quiet=True, options=options)
            brought = state.bring_upstream(app)
            state.logs.put_on()
            app.extensions[INSTRUMENTOR_KEY] = state
            app.extensions[_ATTACHMENT_KEY] = attach(app, state), brought

    @staticmethod
    @guarded("uninstrument_app")
    def uninstrument_app(app: Flask) -> None:
        """Stop recording one application that :meth:`instrument_app` or ``instrument()`` has instrumented.

        Only :meth:`instrument_app` records it again.
        """
        everywhere = FlaskChestInstrumentor()
        own: tuple[Attachment, bool] | None = app.extensions.get(_ATTACHMENT_KEY)
        if own is None and not everywhere.covers(app):
            _logger.warning("%r is not instrumented: nothing was changed", app.name)
            return
        # The entry ``None`` stops instrument() for this application, without a further check in each request.
        app.extensions[_ATTACHMENT_KEY] = None
        attachment, brought = own or (None, False)
        if attachment is not None:
            attachment.remove()
        _let_go(app, brought=everywhere.forget(app) or brought)

    def covers(self, app: Flask) -> bool:
        """Whether ``instrument()`` records this application, now or from its first request."""
        is_left_to_others = EXTENSION_KEY in app.extensions or _ATTACHMENT_KEY in app.extensions
        return self._attachment is not None and not is_left_to_others

    def forget(self, app: Flask) -> bool:
        """Forget an application; return whether this package has installed upstream's instrumentation on it."""
        if self._attachment is None:
            return False
        brought = app in self._brought
        self._apps.discard(app)
        self._brought.discard(app)
        return brought


def _let_go(app: Flask, *, brought: bool) -> None:
    """Remove an application's state, and upstream's instrumentation where this package has installed it."""
    state: Lifecycle | None = app.extensions.pop(INSTRUMENTOR_KEY, None)
    if state is not None:
        state.logs.take_off()
        socketio.leave(state)
        trace_id.unshadow(state.export.tracer_provider())
    if brought:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415 - it was imported when it was installed

        FlaskInstrumentor().uninstrument_app(app)  # type: ignore[no-untyped-call]


def _options(kwargs: dict[str, Any]) -> CallerOptions:
    """Take the options that are not settings out of ``kwargs``; an option of the wrong type counts as not given."""
    response_hook = kwargs.pop("response_hook", None)
    enabled, comments = kwargs.pop("enable_commenter", None), kwargs.pop("commenter_options", None)
    if comments is not None and not isinstance(comments, Mapping):
        _log_malformed(ChestConfigError("commenter_options", comments, 'a dict, for example {"route": False}'))
        comments = None
    return CallerOptions(
        response_hook if callable(response_hook) else None,
        enabled,
        comments or {},
    )


def _known(kwargs: dict[str, object]) -> dict[str, object]:
    """The arguments that are settings. Others are logged once: an OpenTelemetry distribution may pass its own."""
    for name in kwargs.keys() - set(_SETTINGS):
        _log_malformed(unknown_setting(name, name, kwargs[name]))
    return {name: kwargs.get(name, UNSET) for name in _SETTINGS}


def _log_malformed(error: ChestConfigError) -> None:
    count_refusal(Refusal.SETTING, error.setting, "%s; its default is used", error)
