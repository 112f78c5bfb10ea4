"""Settings: the table of all settings, their checks, and the sources that their values come from."""

from flask_chest_otel.config.checks import check_chest_name
from flask_chest_otel.config.choices import (
    Durability,
    EventsMode,
    ExportMode,
    QueryText,
    RequestLogForm,
    ServerSpanMode,
    SpansKept,
)
from flask_chest_otel.config.environment import effective_environment
from flask_chest_otel.config.settings import PREFIX, UNSET, ChestConfig, Setting, setting_of, unset
from flask_chest_otel.config.sources import (
    SET_TOO_LATE,
    check_arguments,
    late_keys,
    resolve,
    settle,
    unknown_setting,
    unknown_variables,
)

__all__ = [
    "PREFIX",
    "SET_TOO_LATE",
    "UNSET",
    "ChestConfig",
    "Durability",
    "EventsMode",
    "ExportMode",
    "QueryText",
    "RequestLogForm",
    "ServerSpanMode",
    "Setting",
    "SpansKept",
    "check_arguments",
    "check_chest_name",
    "effective_environment",
    "late_keys",
    "resolve",
    "setting_of",
    "settle",
    "unknown_setting",
    "unknown_variables",
    "unset",
]
