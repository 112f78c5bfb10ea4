"""The table of settings: the type, default, check and description of each, in one frozen class.

The reference page ``docs/reference/settings.md`` is generated from :class:`ChestConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from flask_chest_otel._guard import Log
from flask_chest_otel.config import checks
from flask_chest_otel.config.choices import (
    Durability,
    EventsMode,
    ExportMode,
    QueryText,
    RequestLogForm,
    ServerSpanMode,
    SpansKept,
)
from flask_chest_otel.config.exceptions import handled_exceptions
from flask_chest_otel.config.slos import parse_slos
from flask_chest_otel.config.tracked_vars import NOTHING, TrackedVars
from flask_chest_otel.names import DEFAULT_ATTRIBUTE_PREFIX, LOG_FIELDS, SERVER_TIMING, TRACERESPONSE, X_REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field

    from flask_chest_otel.slo import SLO

__all__ = ["PREFIX", "UNSET", "ChestConfig", "Setting", "Unset", "setting_of", "unset"]

_logger = Log("flask_chest_otel")

PREFIX = "FLASK_CHEST_"
"""Prefix of settings in ``app.config`` and in the environment."""

COMMAND_LINE_PREFIX = "FLASK_CHEST_CLI_"
"""Prefix of environment variables that are options of ``flask chest`` and not settings."""


class Unset:
    """The default of an argument that was not given, where ``None`` has a meaning of its own.

    The setting is then looked up in ``app.config`` and in the environment. In signatures, its ``repr`` is the default
    that applies where the setting is found nowhere.
    """

    def __init__(self, setting: str = "") -> None:
        self._setting = setting

    def __repr__(self) -> str:
        found = [row.default for row in fields(ChestConfig) if row.name == self._setting]
        return repr(() if found == [NOTHING] else found[0]) if found else "unset"


UNSET: object = Unset()
"""Marks an argument that was not given."""


def unset(setting: str) -> Any:
    """Make the default of an argument: it means "not given", and its ``repr`` is the setting's default."""
    return Unset(setting)


class Setting(NamedTuple):
    """The check and the descriptions of one setting.

    Attributes:
        check: Turns the given value, or a text from the environment, into the value that is kept; raises where it
            cannot.
        allowed: The values that it takes, in words that end the sentence "give …".
        sentence: What the setting does, for the reference page.
        optional: Whether ``None`` may be given (``none`` in the environment).
        secret: Whether the value must not be shown.
    """

    check: Callable[[object], object]
    allowed: str
    sentence: str
    optional: bool = False
    secret: bool = False


def _setting(
    default: object,
    check: Callable[[object], object],
    allowed: str,
    sentence: str,
    *,
    optional: bool = False,
    secret: bool = False,
) -> Any:
    row = Setting(check, allowed, sentence, optional, secret)
    return field(default=default, metadata={"setting": row})


@dataclass(frozen=True, slots=True, init=False, repr=False)  # generating ``__init__`` takes 2 ms of every start
class ChestConfig:
    """The effective settings of one application (or of the instrumentor)."""

    tracked_vars: TrackedVars = _setting(
        NOTHING,
        checks.tracked_vars,
        "names of variables of flask.g, TrackedVar objects, or lists of both by HTTP method",
        "Variables that every route tracks; `*` for every public name in `g`, `*,-ledger` for all but this one.",
    )
    request_id_generator: Callable[[], object] | None = _setting(
        None,
        checks.callable_,
        "a callable without arguments, or 'module:attribute'",
        "Makes the id of a request that brought none.",
        optional=True,
    )
    request_id_header: str | None = _setting(
        X_REQUEST_ID,
        checks.header,
        "the name of an HTTP header",
        "Inbound header with the request's id; it beats the generator. `none`: not read.",
        optional=True,
    )
    request_id_secret: str | None = _setting(
        None,
        checks.text,
        "a text that is not empty",
        "Key of the mapping from request ids to trace ids, so that clients cannot choose trace ids.",
        optional=True,
        secret=True,
    )
    response_headers: tuple[str, ...] = _setting(
        (X_REQUEST_ID,),
        checks.headers,
        f"names of HTTP headers, for example {X_REQUEST_ID!r}, {TRACERESPONSE!r} or {SERVER_TIMING!r}",
        f"Headers set on responses: `{TRACERESPONSE}`, `{SERVER_TIMING}`, and any other name carries the request id.",
    )
    version: str | None = _setting(
        None,
        checks.text,
        "a text that is not empty",
        "Version of the application in records, where the resource has no `service.version`.",
        optional=True,
    )
    attribute_prefix: str = _setting(
        DEFAULT_ATTRIBUTE_PREFIX,
        checks.prefix,
        "ASCII letters, digits, '.', '_', '-' or '/', beginning with a letter, or an empty text",
        "What stands before a variable's name in attributes and metric names.",
    )
    chests: tuple[Any, ...] = _setting(
        (),
        checks.chests,
        "direct chests and names of collector targets, each name once",
        "Direct chests, and the names of collector targets that routes may use.",
    )
    context: Callable[[], object] | None = _setting(
        None,
        checks.callable_,
        "a class or another callable without arguments, or 'module:attribute'",
        "Makes the typed context of a request, when the application first asks for it.",
        optional=True,
    )
    propagate: tuple[str, ...] = _setting(
        (),
        checks.field_names,
        "names of public fields of the typed context, each once",
        "Fields of the typed context that go along on outgoing calls, as W3C baggage, and are taken from it on "
        "arrival. Needs `context`.",
    )
    propagate_to: tuple[str, ...] | None = _setting(
        (),
        checks.hosts,
        "hosts without scheme and port, for example 'orders.internal' or '*.internal'",
        "The only hosts that `propagate` sends to, `*.example.com` for all below a domain; unless any are given, all.",
        optional=True,
    )
    export: ExportMode | None = _setting(
        "auto",
        checks.one_of(*get_args(ExportMode)),
        "'auto', 'otlp', 'store' or None",
        "Who exports: `auto` uses the application's own providers, else OTLP where the environment asks for it, "
        "else the embedded store, and in tests (`app.testing`) nothing; `none`: nobody.",
        optional=True,
    )
    durability: Durability = _setting(
        "batch",
        checks.one_of(*get_args(Durability)),
        "'batch' or 'request'",
        "When spans and events on their way to OTLP and records of the store are safe from `kill -9`: `batch`, "
        "within a second; `request`, when the request ends, for one local write per request.",
    )
    events: EventsMode = _setting(
        "none",
        checks.one_of(*get_args(EventsMode)),
        "'none', 'unsampled' or 'all'",
        "Which requests leave as OTLP log records of the name `flask_chest.request` when they finish: `unsampled`, "
        "those whose span is not exported; `all`, every one.",
    )
    outbox_dir: str | None = _setting(
        None,
        checks.folder,
        "the path of a folder",
        "Folder of the OTLP outbox, shared by the workers of one application; unless given, "
        "one by service name and address in `flask_chest_otel` in the user's state folder.",
        optional=True,
    )
    outbox_max_bytes: int = _setting(
        256 * 1024 * 1024,
        checks.integer_from(1024 * 1024),
        "a whole number of bytes from 1048576",
        "How large the outbox becomes; the oldest batches go first.",
    )
    outbox_max_age_s: float = _setting(
        86400.0, checks.seconds, "a number of seconds greater than 0", "How long the outbox keeps a batch, seconds."
    )
    export_batch_bytes: int = _setting(
        4 * 1024 * 1024,
        checks.integer_from(64 * 1024, 32 * 1024 * 1024),
        "a whole number of bytes from 65536 to 33554432",
        "How large one OTLP request becomes, before compression; larger batches go in parts. A single item may be "
        "larger.",
    )
    shutdown_timeout_s: float = _setting(
        2.0,
        checks.seconds,
        "a number of seconds greater than 0",
        "How long the end of the process waits for the collector, seconds; the rest stays in the outbox.",
    )
    tracer_provider: object = _setting(
        None,
        checks.provider("get_tracer"),
        "an OpenTelemetry TracerProvider, or 'module:attribute'",
        "Tracer provider; the global one unless given.",
        optional=True,
    )
    meter_provider: object = _setting(
        None,
        checks.provider("get_meter"),
        "an OpenTelemetry MeterProvider, or 'module:attribute'",
        "Meter provider; the global one unless given.",
        optional=True,
    )
    server_span: ServerSpanMode | None = _setting(
        "auto",
        checks.one_of(*get_args(ServerSpanMode)),
        "'auto', 'upstream', 'chest' or None",
        "Who makes the server span: `auto` takes the one of opentelemetry-instrumentation-flask where that instruments "
        "the application, else `chest` makes its own; `upstream` brings that instrumentation when nobody has; "
        "`none`: never make or bring one.",
        optional=True,
    )
    request_hook: Callable[[object, object], Any] | None = _setting(
        None,
        checks.hook,
        "a callable that takes the span and the WSGI environment, or 'module:attribute'",
        "Called with the server span and the WSGI environment when the span has started; it may use `flask.g` and "
        "`flask.request`. What it raises goes to the log. Where an instrumentation of others makes the span, it is "
        "called before the view.",
        optional=True,
    )
    excluded_urls: tuple[str, ...] | None = _setting(
        None,
        checks.url_patterns,
        "valid regular expressions without commas, commas between them",
        "Requests whose path contains a match are left alone altogether. Clients choose host and query, so these do "
        "not count.",
        optional=True,
    )
    cardinality_limit: int = _setting(
        2000,
        checks.integer_from(2),
        "a whole number from 2",
        "Attribute sets per instrument, the overflow point included.",
    )
    value_limit_chars: int = _setting(
        1024, checks.integer_from(16), "a whole number from 16", "Characters kept of a text value."
    )
    list_limit: int = _setting(64, checks.integer_from(1), "a whole number from 1", "Elements kept of a list.")
    variables_limit: int = _setting(
        64,
        checks.integer_from(1),
        "a whole number from 1",
        "Variables recorded per request; more are counted, not kept.",
    )
    query_text: QueryText = _setting(
        "parametrised",
        checks.one_of(*get_args(QueryText)),
        "'parametrised', 'all' or 'none'",
        "What records keep of the text of database queries: `parametrised`, the text with `?` for each literal in it; "
        "`all`, the text as it was sent and its parameters; `none`, nothing. Spans that are exported stay as they are.",
    )
    log_fields: tuple[str, ...] = _setting(
        LOG_FIELDS,
        checks.log_fields,
        "'request_id', 'trace_id', 'span_id' and names of tracked variables, none of them an attribute that log "
        "records have already",
        "Attributes that every log record gets, `-` where there is no request; names of tracked variables may stand "
        "among them. `()`: none, which is the default without code of your own.",
    )
    request_log: RequestLogForm | None = _setting(
        None,
        checks.one_of(*get_args(RequestLogForm)),
        "'logfmt', 'json' or None",
        "A line for each finished request on the logger `flask_chest.request`.",
        optional=True,
    )
    slos: tuple[SLO, ...] = _setting(
        (),
        parse_slos,
        "a list of SLO objects, in the environment JSON of their fields without callables",
        "Service level objectives: requests that belong to one are counted as good or bad in "
        "`flask_chest.slo.requests`, and alerts are made of that.",
    )
    store_path: str | None = _setting(
        None,
        checks.folder,
        "the path of a file",
        "File of the embedded store, shared by the workers of one application; a relative path begins in the instance "
        "folder, and unless given it is `flask_chest.sqlite3` there.",
        optional=True,
    )
    store_max_bytes: int = _setting(
        256 * 1024 * 1024,
        checks.integer_from(1024 * 1024),
        "a whole number of bytes from 1048576",
        "How large the embedded store becomes, write-ahead log included; the oldest requests go first.",
    )
    store_max_age_s: float = _setting(
        7 * 86400.0,
        checks.seconds,
        "a number of seconds greater than 0",
        "How long the embedded store keeps a request, seconds.",
    )
    store_spans: SpansKept = _setting(
        "all",
        checks.one_of(*get_args(SpansKept)),
        "'all', 'slow' or 'none'",
        "Of which requests the embedded store keeps child spans: `all`; `slow`, those that failed and the slowest "
        "twentieth of each route; `none`. What they add up to is kept of every request.",
    )
    store_logs: bool = _setting(
        default=True,
        check=checks.boolean,
        allowed="true or false",
        sentence="The embedded store and `capture` keep the log lines of a request, 50 of 1 KiB.",
    )
    handled_exceptions: bool | tuple[str, ...] = _setting(
        True,  # noqa: FBT003 - the setting's value
        handled_exceptions,
        "true, false, or exceptions to leave out: classes, or their names with module",
        "Exceptions that an error handler of the application answers are events of the server span, with their stack "
        "where the answer is 500 or above. A list, such as `dash.exceptions.PreventUpdate`, leaves out these and what "
        "is derived from them, in records, too.",
    )
    raise_exceptions: bool = _setting(
        default=False,
        check=checks.boolean,
        allowed="true or false",
        sentence="For development: a value that cannot be recorded raises right after the view.",
    )
    enabled: bool = _setting(
        default=True,
        check=checks.boolean,
        allowed="true or false",
        sentence="`false`: this package does nothing at all, but that log fields stay, with `-` in them.",
    )

    def __init__(self, settled: Mapping[str, object] = MappingProxyType({})) -> None:
        """Set the given settings; all others have their default."""
        for row in fields(self):
            object.__setattr__(self, row.name, settled.get(row.name, row.default))

    def __repr__(self) -> str:
        """Show every setting, with secrets masked."""
        return f"ChestConfig({', '.join(f'{name}={text}' for name, text in self.shown().items())})"

    def shown(self) -> dict[str, str]:
        """Each setting as text, secrets masked."""
        return {
            row.name: "***" if setting_of(row).secret and getattr(self, row.name) else repr(getattr(self, row.name))
            for row in fields(self)
        }

    @property
    def chest_names(self) -> tuple[str, ...]:
        """Names that ``chests=`` of a route may use; empty: any name."""
        return checks.names_for_routes(self.chests)


def setting_of(row: Field[object]) -> Setting:
    """The check and the descriptions of a field of :class:`ChestConfig`."""
    found: Setting = row.metadata["setting"]
    return found
