"""Gives each process its own ``service.instance.id``."""

from __future__ import annotations

import uuid

from flask_chest_otel._base.process import PerProcess

__all__ = ["instance_id", "process_name"]

_name = PerProcess(lambda: str(uuid.uuid4()))


def process_name() -> str:
    """Return a UUID that stays the same while the process lives; each forked child has another one."""
    return _name.get()


def instance_id(given: str | None) -> str:
    """Return ``service.instance.id`` of this process: the user's, with 8 digits of ``process_name`` behind it.

    Args:
        given: The id that the user configured; ``None``: none, then the result is ``process_name``.
    """
    name = process_name()
    if not given or given == name:
        return name
    return given if given.endswith(f"-{name[:8]}") else f"{given}-{name[:8]}"
