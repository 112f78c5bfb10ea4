"""The sources of settings: arguments beat ``app.config``, which beats the environment, which beats defaults."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING

from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._guard import Log
from flask_chest_otel.config.settings import COMMAND_LINE_PREFIX, PREFIX, UNSET, ChestConfig, Setting, Unset, setting_of
from flask_chest_otel.errors import ChestConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["SET_TOO_LATE", "check_arguments", "late_keys", "resolve", "settle", "unknown_setting", "unknown_variables"]

_logger = Log("flask_chest_otel")

SET_TOO_LATE = (
    "app.config[%r] was set after this package had read the settings, and says nothing: set it before FlaskChest(app)"
    " or init_app(app), or type the environment variable %s"
)
"""Message of the log and of the doctor about one of :func:`late_keys`."""

_SETTINGS: dict[str, Setting] = {row.name: setting_of(row) for row in fields(ChestConfig)}
_KEYS = tuple(PREFIX + name.upper() for name in _SETTINGS)


_NAMES_CODE = frozenset({"request_id_generator", "context", "tracer_provider", "meter_provider"})


def check_arguments(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments that were given, checked as far as possible before there is an application.

    A text that names code is not checked: it may name a module of the application, which cannot be imported yet.

    Raises:
        ChestConfigError: A value cannot be used.
    """
    given = {name: value for name, value in arguments.items() if not isinstance(value, Unset)}
    return {
        name: value
        if name in _NAMES_CODE and isinstance(value, str) and ":" in value
        else _checked(_SETTINGS[name], name, value)
        for name, value in given.items()
    }


def resolve(
    arguments: Mapping[str, object],
    app_config: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    *,
    on_malformed: Callable[[ChestConfigError], None] | None = None,
) -> ChestConfig:
    """Determine every setting as :func:`settle` does; return the settings without their sources.

    Raises:
        ChestConfigError: A value cannot be used, or a key of ``app_config`` is unknown.
    """
    return settle(arguments, app_config, environ, on_malformed=on_malformed)[0]


def settle(
    arguments: Mapping[str, object],
    app_config: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    *,
    on_malformed: Callable[[ChestConfigError], None] | None = None,
) -> tuple[ChestConfig, dict[str, str]]:
    """Determine every setting: arguments beat ``app.config``, which beats the environment, which beats defaults.

    Args:
        arguments: Name of each setting to its value; ``UNSET`` where none was given.
        app_config: Flask's configuration; only keys that begin with ``FLASK_CHEST_`` are read.
        environ: The environment; ``os.environ`` unless given.
        on_malformed: Called with the error of each value that cannot be used; that setting keeps its default. Where
            ``on_malformed`` is ``None``, the error is raised.

    Returns:
        The settings, and the source of each that is not a default: ``argument``, ``app.config`` or ``environment``.

    Raises:
        ChestConfigError: A value cannot be used, or a key of ``app_config`` is unknown.
    """
    environ = os.environ if environ is None else environ
    _refuse_unknown_keys(app_config)
    _warn_of_unknown_variables(environ)
    settled: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name, setting in _SETTINGS.items():
        key = PREFIX + name.upper()
        places = (("argument", name, arguments), ("app.config", key, app_config), ("environment", key, environ))
        for place, label, source in places:
            given = source.get(label, UNSET)
            if isinstance(given, Unset) or (source is environ and given == "" and name != "attribute_prefix"):
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


def _checked(setting: Setting, label: str, given: object) -> object:
    if given is None or (isinstance(given, str) and given.strip().lower() == "none" and setting.optional):
        if setting.optional:
            return None
        raise ChestConfigError(label, given, setting.allowed)
    try:
        return setting.check(given)
    except ChestConfigError as error:
        # The parsers name the argument; the user may have written an environment variable.
        name = label.removeprefix(PREFIX).lower()
        if not error.setting.startswith(name):
            raise
        setting_there = label + error.setting.removeprefix(name)
        raise ChestConfigError(setting_there, error.value, error.allowed) from error
    except Exception as error:  # an imported module may raise anything
        shown = "***" if setting.secret else given
        reason = f"{setting.allowed} ({error})" if str(error) else setting.allowed
        raise ChestConfigError(label, shown, reason) from error


def _refuse_unknown_keys(app_config: Mapping[str, object]) -> None:
    for key in app_config:
        if key.startswith(PREFIX) and key not in _KEYS:
            raise unknown_setting(f"app.config[{key!r}]", key, app_config[key])


def unknown_setting(label: str, name: str, value: object) -> ChestConfigError:
    """Make the error about a name that is not a setting; it suggests the nearest setting.

    Args:
        label: The name and where it stands, as the user wrote it.
        name: The name of an argument, or a key that begins with ``FLASK_CHEST_``.
        value: The given value. It is hidden where the name is sensitive or the nearest setting is a secret.
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
    """Environment variables with the prefix of settings that are not settings, each with the nearest setting."""
    for key in environ:
        if key.startswith(PREFIX) and key not in _KEYS and not key.startswith(COMMAND_LINE_PREFIX):
            yield key, _nearest_setting(key, _KEYS)


def late_keys(app_config: Mapping[str, object], sources: Mapping[str, str]) -> list[str]:
    """Keys of ``app.config`` that nobody has read, as they were set after the settings were determined.

    Args:
        app_config: Flask's configuration, as it is now.
        sources: The source of each setting, as :func:`settle` returned it.
    """
    read = ("argument", "app.config")
    keys = (key for key in app_config if key.startswith(PREFIX))
    return [key for key in keys if sources.get(key.removeprefix(PREFIX).lower()) not in read]


def _nearest_setting(name: str, known: tuple[str, ...]) -> str | None:
    """The setting whose name is nearest; names are compared without the prefix that all of them share."""
    if known is not _KEYS:
        return nearest(name.lower(), known)
    meant = nearest(name.upper().removeprefix(PREFIX).lower(), _SETTINGS)
    return None if meant is None else PREFIX + meant.upper()


def _in_words(meant: str | None, known: tuple[str, ...]) -> str:
    return f" (did you mean {meant}?)" if meant else f": there are {', '.join(known)}"
