"""Every setting, once: its type, its default, its sentence; read once into one frozen object.

The reference page ``docs/reference/settings.md`` and the table in the README are made from :class:`ChestConfig`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._guard import Log
from flask_chest_otel.config import checks
from flask_chest_otel.config.checks import check_chest_name
from flask_chest_otel.errors import ChestConfigError, nearest
from flask_chest_otel.names import DEFAULT_ATTRIBUTE_PREFIX, SERVER_TIMING, TRACERESPONSE, X_REQUEST_ID
from flask_chest_otel.tracked import NOTHING, TrackedVar, TrackedVars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from dataclasses import Field

__all__ = [
    "PREFIX",
    "UNSET",
    "ChestConfig",
    "Setting",
    "check_arguments",
    "check_chest_name",
    "effective_environment",
    "resolve",
    "setting_of",
    "settle",
    "unknown_setting",
    "unknown_variables",
    "unset",
]

_logger = Log("flask_chest_otel")

PREFIX = "FLASK_CHEST_"
"""What settings begin with in ``app.config`` and in the environment."""

COMMAND_LINE_PREFIX = "FLASK_CHEST_CLI_"
"""Options of ``flask chest`` in the environment; no settings."""


class _Unset:
    """The absence of an argument, where ``None`` says something: look further, in ``app.config`` and so on.

    In signatures it stands as the default that is used where nothing is found anywhere.
    """

    def __init__(self, setting: str = "") -> None:
        self._setting = setting

    def __repr__(self) -> str:
        found = [row.default for row in fields(ChestConfig) if row.name == self._setting]
        return repr(() if found == [NOTHING] else found[0]) if found else "unset"


UNSET: Any = _Unset()
"""The absence of any argument."""


def unset(setting: str) -> Any:
    """The default of an argument: its absence, which shows as the setting's default."""
    return _Unset(setting)


class Setting(NamedTuple):
    """What is fixed about one setting.

    Attributes:
        check: Turns what was given (text from the environment, or a value) into what is kept, or raises.
        allowed: What it takes, in words that end the sentence "give …".
        sentence: What it does, for the reference.
        optional: Whether ``None`` may be given (``none`` in the environment).
        secret: Whether its value must not be shown.
    """

    check: Callable[[Any], Any]
    allowed: str
    sentence: str
    optional: bool = False
    secret: bool = False


def _setting(
    default: Any,
    check: Callable[[Any], Any],
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
    request_id_generator: Callable[[], Any] | None = _setting(
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
    context: Callable[[], Any] | None = _setting(
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
    export: str | None = _setting(
        "auto",
        checks.one_of("auto", "otlp", "store"),
        "'auto', 'otlp', 'store' or None",
        "Who exports: `auto` uses the application's own providers, else OTLP where the environment asks for it, "
        "else the embedded store, and in tests (`app.testing`) nothing; `none`: nobody.",
        optional=True,
    )
    durability: str = _setting(
        "batch",
        checks.one_of("batch", "request"),
        "'batch' or 'request'",
        "When spans on their way to OTLP and records of the embedded store are safe from `kill -9`: `batch`, within a "
        "second; `request`, when the request ends, for one local write per request.",
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
        "How large one OTLP request becomes, before compression; larger batches go in parts. A single span may be "
        "larger.",
    )
    shutdown_timeout_s: float = _setting(
        2.0,
        checks.seconds,
        "a number of seconds greater than 0",
        "How long the end of the process waits for the collector, seconds; the rest stays in the outbox.",
    )
    tracer_provider: Any = _setting(
        None,
        checks.provider("get_tracer"),
        "an OpenTelemetry TracerProvider, or 'module:attribute'",
        "Tracer provider; the global one unless given.",
        optional=True,
    )
    meter_provider: Any = _setting(
        None,
        checks.provider("get_meter"),
        "an OpenTelemetry MeterProvider, or 'module:attribute'",
        "Meter provider; the global one unless given.",
        optional=True,
    )
    server_span: str | None = _setting(
        "auto",
        checks.one_of("auto", "upstream", "chest"),
        "'auto', 'upstream', 'chest' or None",
        "Who makes the server span: `auto` takes the one of opentelemetry-instrumentation-flask where that instruments "
        "the application, else `chest` makes its own; `upstream` brings that instrumentation when nobody has; "
        "`none`: never make or bring one.",
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
    handled_exceptions: bool = _setting(
        default=True,
        check=checks.boolean,
        allowed="true or false",
        sentence="Exceptions that an error handler of the application answers are events of the server span.",
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
        sentence="`false`: this package does nothing at all.",
    )

    def __init__(self, settled: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Take what was settled; the rest keeps its default."""
        for row in fields(self):
            object.__setattr__(self, row.name, settled.get(row.name, row.default))

    def __repr__(self) -> str:
        """Show every setting but the secrets' values."""
        return f"ChestConfig({', '.join(f'{name}={text}' for name, text in self.shown().items())})"

    def shown(self) -> dict[str, str]:
        """Each setting as text, secrets masked."""
        return {
            row.name: "***" if setting_of(row).secret and getattr(self, row.name) else repr(getattr(self, row.name))
            for row in fields(self)
        }

    @property
    def chest_names(self) -> tuple[str, ...]:
        """Names that ``chests=`` of a route may use; empty: any."""
        return checks.names_for_routes(self.chests)


def setting_of(row: Field[Any]) -> Setting:
    """The fixed part of a field of :class:`ChestConfig`."""
    found: Setting = row.metadata["setting"]
    return found


_SETTINGS: dict[str, Setting] = {row.name: setting_of(row) for row in fields(ChestConfig)}
_KEYS = tuple(PREFIX + name.upper() for name in _SETTINGS)


_NAMES_CODE = frozenset({"request_id_generator", "context", "tracer_provider", "meter_provider"})


def check_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``arguments`` that were given, checked as far as that goes without an application.

    A text that names code stays as it is: its module may be one of the application's, which is not made yet.

    Raises:
        ChestConfigError: A value cannot be used.
    """
    given = {name: value for name, value in arguments.items() if not isinstance(value, _Unset)}
    return {
        name: value
        if name in _NAMES_CODE and isinstance(value, str) and ":" in value
        else _checked(_SETTINGS[name], name, value)
        for name, value in given.items()
    }


def resolve(
    arguments: Mapping[str, Any],
    app_config: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    on_malformed: Callable[[ChestConfigError], None] | None = None,
) -> ChestConfig:
    """The settings alone; see :func:`settle`.

    Raises:
        ChestConfigError: A value cannot be used, or a key of ``app_config`` is unknown.
    """
    return settle(arguments, app_config, environ, on_malformed=on_malformed)[0]


def settle(
    arguments: Mapping[str, Any],
    app_config: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    on_malformed: Callable[[ChestConfigError], None] | None = None,
) -> tuple[ChestConfig, dict[str, str]]:
    """Settle every setting: arguments beat ``app.config``, which beats the environment, which beats defaults.

    Args:
        arguments: By setting; ``UNSET`` where nothing was given.
        app_config: Flask's configuration; keys that begin with ``FLASK_CHEST_`` count.
        environ: The environment; ``os.environ`` unless given.
        on_malformed: Told of values that cannot be used, which then keep their default; where absent they raise.

    Returns:
        The settings, and where each comes from that is no default: ``argument``, ``app.config`` or ``environment``.

    Raises:
        ChestConfigError: A value cannot be used, or a key of ``app_config`` is unknown.
    """
    environ = os.environ if environ is None else environ
    _refuse_unknown_keys(app_config)
    _warn_of_unknown_variables(environ)
    settled: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, setting in _SETTINGS.items():
        key = PREFIX + name.upper()
        places = (("argument", name, arguments), ("app.config", key, app_config), ("environment", key, environ))
        for place, label, source in places:
            given = source.get(label, UNSET)
            if isinstance(given, _Unset) or (source is environ and given == "" and name != "attribute_prefix"):
                continue
            try:
                settled[name] = _checked(setting, label, given)
                sources[name] = place
            except ChestConfigError as error:
                if on_malformed is None:
                    raise
                on_malformed(error)
            break
    if settled.get("propagate") and settled.get("context") is None:
        alone = ChestConfigError("propagate", settled.pop("propagate"), "context= as well, whose fields it names")
        if on_malformed is None:
            raise alone
        on_malformed(alone)
    return ChestConfig(settled), sources


def _checked(setting: Setting, label: str, given: Any) -> Any:
    if given is None or (isinstance(given, str) and given.strip().lower() == "none" and setting.optional):
        if setting.optional:
            return None
        raise ChestConfigError(label, given, setting.allowed)
    try:
        return setting.check(given)
    except ChestConfigError as error:
        # The parsers speak of the argument; the user wrote it as an environment variable, perhaps.
        name = label.removeprefix(PREFIX).lower()
        if not error.setting.startswith(name):
            raise
        setting_there = label + error.setting.removeprefix(name)
        raise ChestConfigError(setting_there, error.value, error.allowed) from error
    except Exception as error:  # an imported module may raise anything
        shown = "***" if setting.secret else given
        reason = f"{setting.allowed} ({error})" if str(error) else setting.allowed
        raise ChestConfigError(label, shown, reason) from error


def _refuse_unknown_keys(app_config: Mapping[str, Any]) -> None:
    for key in app_config:
        if key.startswith(PREFIX) and key not in _KEYS:
            raise unknown_setting(f"app.config[{key!r}]", key, app_config[key])


def unknown_setting(label: str, name: str, value: Any) -> ChestConfigError:
    """The error about a name that is no setting, with the nearest one that is.

    Args:
        label: Name and place, as the user wrote them.
        name: The name: an argument's, or a key with ``FLASK_CHEST_`` before it.
        value: What was given; not shown where the name, or the setting that is meant by it, is a secret's.
    """
    known = _KEYS if name.upper().startswith(PREFIX) else tuple(_SETTINGS)
    meant = _nearest_setting(name, known)
    secret = is_sensitive(name) or (meant is not None and _SETTINGS[meant.removeprefix(PREFIX).lower()].secret)
    return ChestConfigError(label, "***" if secret else value, f"a setting{_in_words(meant, known)}")


_warned: set[str] = set()


def _warn_of_unknown_variables(environ: Mapping[str, str]) -> None:
    for key, meant in unknown_variables(environ):
        if key not in _warned:
            _warned.add(key)
            _logger.warning("environment variable %s is no setting%s", key, _in_words(meant, _KEYS))


def unknown_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Environment variables that look like settings and are none, each with the nearest one that is."""
    for key in environ:
        if key.startswith(PREFIX) and key not in _KEYS and not key.startswith(COMMAND_LINE_PREFIX):
            yield key, _nearest_setting(key, _KEYS)


def _nearest_setting(name: str, known: tuple[str, ...]) -> str | None:
    return nearest(name.upper() if known is _KEYS else name.lower(), known)


def _in_words(meant: str | None, known: tuple[str, ...]) -> str:
    return f" (did you mean {meant}?)" if meant else f": there are {', '.join(known)}"


def effective_environment(config: ChestConfig) -> dict[str, str]:
    """The environment that would settle to ``config``, for what can be written there.

    Objects have no text and are left out: callables, providers, chests, variables with a callable in
    ``redact`` or ``convert``.
    """
    found: dict[str, str] = {}
    for row in fields(config):
        value = getattr(config, row.name)
        text = _as_text(value)
        # What it names are fields of an object that has no text.
        if text is not None and value != row.default and row.name != "propagate":
            found[PREFIX + row.name.upper()] = text
    return found


def _as_text(value: Any) -> str | None:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, str)):
        return str(value)
    if isinstance(value, TrackedVars):
        return _tracked_as_text(value)
    if isinstance(value, tuple) and all(isinstance(entry, str) for entry in value):
        # An empty text would be the absence of the variable.
        return ",".join(value) or ","
    return None


def _tracked_as_text(tracked: TrackedVars) -> str:
    if tracked.by_method is not None:
        return json.dumps({name: _group_as_json(tracked, group, name) for name, group in tracked.by_method.items()})
    group = _group_as_json(tracked, tracked.all_methods, "")
    plain = all(isinstance(entry, str) and entry.lower() != "none" for entry in group)
    return ",".join(group) if plain else json.dumps(group)


def _group_as_json(tracked: TrackedVars, group: tuple[TrackedVar, ...], method: str) -> list[Any]:
    written = [_var_as_json(var) for var in group if not (callable(var.redact) or callable(var.convert))]
    left_out = [f"-{name}" for name in sorted(tracked.leaves_out(method))]
    return [*written, *(["*"] * tracked.tracks_everything(method)), *left_out]


def _var_as_json(var: TrackedVar) -> Any:
    given = {row.name: getattr(var, row.name) for row in fields(var) if getattr(var, row.name) != row.default}
    return var.name if len(given) == 1 else given
