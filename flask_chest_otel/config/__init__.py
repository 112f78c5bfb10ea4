"""Settings: one table says what there is, and from where each value comes."""

from flask_chest_otel.config.settings import (
    PREFIX,
    UNSET,
    ChestConfig,
    Setting,
    check_arguments,
    check_chest_name,
    effective_environment,
    resolve,
    setting_of,
    settle,
    unknown_setting,
    unknown_variables,
    unset,
)

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
