"""Imports modules of OpenTelemetry that raise at their import where an environment variable cannot be used."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_without"]


def import_without(variable: str, module: str) -> ModuleType:
    """Import a module as if an environment variable were not set.

    Args:
        variable: Its name.
        module: The module that reads it while it is imported.
    """
    value = os.environ.pop(variable, None)
    try:
        return import_module(module)
    finally:
        if value is not None:
            os.environ[variable] = value
