"""Who a process is, on the wire: no two of them under one ``service.instance.id``."""

from __future__ import annotations

import uuid

from flask_chest_otel._base.process import PerProcess

__all__ = ["instance_id", "process_name"]

_name = PerProcess(lambda: str(uuid.uuid4()))


def process_name() -> str:
    """A UUID, the same as long as the process lives, another one in each child."""
    return _name.get()


def instance_id(given: str | None) -> str:
    """The process's name; what the user gave is kept, and made distinct by the name's beginning."""
    name = process_name()
    if not given or given == name:
        return name
    return given if given.endswith(f"-{name[:8]}") else f"{given}-{name[:8]}"
