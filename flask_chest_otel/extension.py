"""``FlaskChest``: the extension, on one application or several."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Generic

from flask import Flask
from typing_extensions import TypeVar

from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import Refusal, count_refusal, guarded
from flask_chest_otel._lifecycle.attach import attach
from flask_chest_otel._lifecycle.state import EXTENSION_KEY, current_typed_context, state_here
from flask_chest_otel._lifecycle.steps import Lifecycle
from flask_chest_otel._providers.export_policy import ExportPolicy
from flask_chest_otel._tracking.routes import check_route
from flask_chest_otel.config import check_arguments, settle, unset
from flask_chest_otel.errors import ChestConfigError, ChestSetupError, refuse_unknown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from flask_chest_otel._records.record import Chest
    from flask_chest_otel._request.added_metrics import Dimensions
    from flask_chest_otel._server_span.caller_options import RequestHook
    from flask_chest_otel.config import (
        Durability,
        EventsMode,
        ExportMode,
        QueryText,
        RequestLogForm,
        ServerSpanMode,
        SpansKept,
    )
    from flask_chest_otel.slo import SLO
    from flask_chest_otel.tracked import TrackedVar

__all__ = ["FlaskChest"]

ContextT = TypeVar("ContextT", default=Any)


class FlaskChest(Generic[ContextT]):
    """Records tracked variables of ``flask.g`` as span attributes and metrics, also in requests that fail.

    Every option is also a setting: ``app.config["FLASK_CHEST_<NAME>"]``, or the environment variable of that name.
    Arguments beat ``app.config``, which beats the environment. ``docs/reference/settings.md`` lists them all.

    Args:
        app: The application; or call :meth:`init_app` later, for any number of applications.
        tracked_vars: Variables of every route: names, :class:`TrackedVar`, a dict of lists by HTTP method, or ``"*"``
            for all (``"*,-ledger"``: all except ``ledger``).
        request_id_generator: ``() -> str``, for requests whose client sent no id.
        request_id_header: Header of requests with the request id; ``None``: no header is read.
        request_id_secret: Key of the mapping from request ids to trace ids.
        response_headers: Headers to set: ``X-Request-ID``, ``traceresponse``, ``Server-Timing``.
        version: Version of the application in records, where the resource has no ``service.version``.
        attribute_prefix: Prefix of the variables' names in attributes and metric names.
        chests: Direct chests, and names of collector targets that routes may use; empty: any name.
        context: Makes the typed context of a request: a dataclass, an attrs class, any class without arguments.
        propagate: Fields of the typed context that outgoing calls carry as W3C baggage, and that are read from the
            baggage of incoming requests.
        propagate_to: The only hosts that get these fields, ``"*.example.com"`` for all below a domain.
        export: ``"auto"``, ``"otlp"``, ``"store"`` or ``None``: what exports telemetry.
        durability: ``"batch"`` or ``"request"``: when spans are on disk, so that ``kill -9`` does not lose them.
        events: ``"none"``, ``"unsampled"`` or ``"all"``: which requests are exported as OTLP log records.
        outbox_dir: Folder of the OTLP outbox.
        outbox_max_bytes: Largest size of the outbox, bytes.
        outbox_max_age_s: How long the outbox keeps a batch, seconds.
        export_batch_bytes: Largest size of one OTLP request before compression, bytes.
        shutdown_timeout_s: How long the end of the process waits for the collector, seconds.
        tracer_provider: Tracer provider to use instead of the global one.
        meter_provider: Meter provider to use instead of the global one.
        server_span: ``"auto"``, ``"upstream"``, ``"chest"`` or ``None``: which instrumentation makes the server span.
        request_hook: ``(span, environ)``, called when the server span has started; it cannot break the request.
        excluded_urls: Regular expressions; requests whose path contains a match are not recorded.
        cardinality_limit: Largest number of attribute sets per instrument, the overflow point included.
        value_limit_chars: Longest text value, in characters.
        list_limit: Largest number of elements of a list.
        variables_limit: Largest number of variables recorded per request.
        query_text: ``"parametrised"``, ``"all"`` or ``"none"``: what records keep of the text of database queries.
        log_fields: Attributes that every log record gets: ``request_id``, ``trace_id``, ``span_id``, then names of
            tracked variables; ``()``: none.
        request_log: ``"logfmt"`` or ``"json"``: a line for each finished request on the logger ``flask_chest.request``.
        slos: Service level objectives, a list of :class:`SLO`: requests are counted as good or bad by each.
        store_path: File of the embedded store; a relative path begins in the instance folder.
        store_max_bytes: Largest size of the embedded store, bytes.
        store_max_age_s: How long the embedded store keeps a request, seconds.
        store_spans: ``"all"``, ``"slow"`` or ``"none"``: the requests whose child spans the store keeps.
        store_logs: ``False``: chests keep no log lines of requests.
        handled_exceptions: ``False``: no events for exceptions that an error handler answers. A list of classes, or of
            their names with module: neither events nor errors in records for these.
        raise_exceptions: For development: raise right after the view where a value cannot be recorded.
        enabled: ``False``: do nothing at all.

    Raises:
        ChestConfigError: An argument is unknown or cannot be used; :meth:`init_app` raises it for other settings.
        ChestSetupError: :meth:`init_app` raises it where the application has a ``FlaskChest`` already.
    """

    @refuse_unknown
    def __init__(  # noqa: PLR0913 - one argument per setting, all by keyword
        self,
        app: Flask | None = None,
        *,
        tracked_vars: str | Iterable[str | TrackedVar] | Mapping[str, Iterable[str | TrackedVar]] = unset(
            "tracked_vars"
        ),
        request_id_generator: Callable[[], object] | None = unset("request_id_generator"),
        request_id_header: str | None = unset("request_id_header"),
        request_id_secret: str | None = unset("request_id_secret"),
        response_headers: Sequence[str] = unset("response_headers"),
        version: str | None = unset("version"),
        attribute_prefix: str = unset("attribute_prefix"),
        chests: Sequence[str | Chest] = unset("chests"),
        context: Callable[[], ContextT] | None = unset("context"),
        propagate: Sequence[str] = unset("propagate"),
        propagate_to: Sequence[str] | None = unset("propagate_to"),
        export: ExportMode | None = unset("export"),
        durability: Durability = unset("durability"),
        events: EventsMode = unset("events"),
        outbox_dir: str | os.PathLike[str] | None = unset("outbox_dir"),
        outbox_max_bytes: int = unset("outbox_max_bytes"),
        outbox_max_age_s: float = unset("outbox_max_age_s"),
        export_batch_bytes: int = unset("export_batch_bytes"),
        shutdown_timeout_s: float = unset("shutdown_timeout_s"),
        tracer_provider: TracerProvider | None = unset("tracer_provider"),
        meter_provider: MeterProvider | None = unset("meter_provider"),
        server_span: ServerSpanMode | None = unset("server_span"),
        request_hook: RequestHook | None = unset("request_hook"),
        excluded_urls: str | Sequence[str] | None = unset("excluded_urls"),
        cardinality_limit: int = unset("cardinality_limit"),
        value_limit_chars: int = unset("value_limit_chars"),
        list_limit: int = unset("list_limit"),
        variables_limit: int = unset("variables_limit"),
        query_text: QueryText = unset("query_text"),
        log_fields: Sequence[str] = unset("log_fields"),
        request_log: RequestLogForm | None = unset("request_log"),
        slos: Sequence[SLO] = unset("slos"),
        store_path: str | os.PathLike[str] | None = unset("store_path"),
        store_max_bytes: int = unset("store_max_bytes"),
        store_max_age_s: float = unset("store_max_age_s"),
        store_spans: SpansKept = unset("store_spans"),
        store_logs: bool = unset("store_logs"),
        handled_exceptions: bool | Sequence[str | type[BaseException]] = unset("handled_exceptions"),
        raise_exceptions: bool = unset("raise_exceptions"),
        enabled: bool = unset("enabled"),
    ) -> None:
        given = dict(locals())
        if app is not None:
            check_application(app)
        self._arguments = check_arguments({name: given[name] for name in given if name not in ("self", "app")})
        self._states: WeakObjects[Lifecycle] = WeakObjects()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install the extension on one application; routes may be added before or after.

        Raises:
            ChestConfigError: A setting is unknown or cannot be used, or a route's variables contradict each other.
            UnknownChestError: A route names a chest that is not among ``chests``.
            ChestSetupError: The application has a ``FlaskChest`` already.
        """
        check_application(app)
        if EXTENSION_KEY in app.extensions:
            raise ChestSetupError(
                f"{app.name!r} has a FlaskChest already: create one FlaskChest() per application, "
                "or call init_app once for each application"
            )
        config, sources = settle(self._arguments, app.config)
        state = Lifecycle(config, ExportPolicy(config, sources=sources, service=app.name if config.enabled else ""))
        if config.enabled:
            state.planner.check(())
            for endpoint, view in app.view_functions.items():
                check_route(state.planner, endpoint, view)
            # The steps that may raise come first, so that a failed init_app leaves the application unchanged.
            state.bring_upstream(app)
            _check_later_routes(app, state)
            attach(app, state)
        # Also where nothing is recorded: a log format that names a field must find it.
        state.logs.put_on()
        app.extensions[EXTENSION_KEY] = state
        self._states.add(state)

    @property
    def context(self) -> ContextT:
        """The typed context of the running request; each request has its own, made when it is first read.

        Raises:
            RuntimeError: ``context=`` was not given, or no request is running.
        """
        typed: ContextT = current_typed_context()
        return typed

    def add_metric(
        self, metric_name: str, value: float, unit: str | None = "Count", dimensions: Dimensions = ()
    ) -> None:
        """Record one value with the metric ``metric_name`` of the current application.

        In a request, the value is recorded at the end of the request, also when the view raises; elsewhere at once.
        Nothing is raised: a value that cannot be recorded is counted, and logged once.

        Args:
            metric_name: Name of the metric, a histogram. Characters that are illegal in instrument names become ``_``;
                the description contains the given name.
            value: A number from 0, in ``unit``. Negative numbers are refused: track a gauge for these.
            unit: A unit of CloudWatch (``Count``, ``Seconds``, ``Bytes``, ``Percent``, …) or of UCUM.
            dimensions: ``{"Queue": "mail"}``, or CloudWatch's ``[{"Name": "Queue", "Value": "mail"}]``; they count
                towards the cardinality limit.
        """
        state = state_here()
        if state is None:
            count_refusal(
                Refusal.VALUE,
                "add_metric outside",
                "add_metric(%r) is not recorded: no application is running here",
                metric_name,
            )
        elif state.config.enabled:
            with guarded("add_metric"):
                state.add_metric(metric_name, value, unit, dimensions)

    def force_flush(self, timeout_s: float = 2.0) -> bool:
        """Wait until the data of finished requests is exported or stored.

        Args:
            timeout_s: Longest wait, seconds.

        Returns:
            Whether it was done in time, for every application of this extension.
        """
        deadline = time.monotonic() + timeout_s
        flushed = [state.force_flush(max(0.0, deadline - time.monotonic())) for state in self._states]
        return all(flushed)


def check_application(app: object) -> None:
    """Check that ``app`` is a Flask application: users pass other objects as the first argument by mistake.

    Raises:
        ChestConfigError: It is not; the message says where the object belongs.
    """
    if isinstance(app, Flask):
        return
    if isinstance(app, type):
        allowed = "an application made of that class: FlaskChest(app)"
    elif callable(app):
        allowed = "an application; in a factory: chest = FlaskChest(), and chest.init_app(app) where the app is made"
    else:
        allowed = "an application made with Flask(__name__); variables are FlaskChest(app, tracked_vars=[…])"
    raise ChestConfigError("app", app, allowed)


def _check_later_routes(app: Flask, state: Lifecycle) -> None:
    """Check each route that is registered from now on."""
    register = app.add_url_rule

    @functools.wraps(register)
    def add_url_rule(*args: Any, **kwargs: Any) -> None:
        # rule, endpoint, view_func
        endpoint = kwargs.get("endpoint", next(iter(args[1:2]), None))
        view = kwargs.get("view_func", next(iter(args[2:3]), None))
        check_route(state.planner, endpoint, view)
        register(*args, **kwargs)

    app.add_url_rule = add_url_rule  # type: ignore[method-assign]  # public, and documented to be overridden
