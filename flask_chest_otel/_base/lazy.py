"""Optional libraries: loaded when a chest first uses one; the error for a missing one says what to type."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

__all__ = ["lazy_names", "library", "suppression"]


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A module's ``__getattr__`` (PEP 562) that loads public names from private modules when they are first used.

    Args:
        package: The module's name.
        homes: Public name to the private module that has it.
    """

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return load


def library(module: str, install: str) -> Any:
    """Load a module of another distribution.

    Args:
        module: Its name.
        install: The requirement that ``pip install`` takes to bring it.

    Raises:
        ModuleNotFoundError: The module is not installed; the message says what to type.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'this chest needs the Python module {error.name}: pip install "{install}"', name=error.name
        ) from error


def suppression() -> Callable[[], AbstractContextManager[Any]]:
    """Return a context manager factory: inside such a block, instrumentations of libraries make no spans."""
    utils = library("opentelemetry.instrumentation.utils", "opentelemetry-instrumentation")
    return utils.suppress_instrumentation  # type: ignore[no-any-return]  # by its documentation
