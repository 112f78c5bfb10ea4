"""Who a process is, on the wire: no two of them under one ``service.instance.id``."""

from __future__ import annotations

import uuid

from flask_chest_otel._base.process import current_process

__all__ = ["instance_id", "process_name"]

_names: dict[object, str] = {}


def process_name() -> str:
    """A UUID, the same as long as the process lives, another one in each child."""
    process = current_process()
    name = _names.get(process)
    if name is None:
        # setdefault is atomic: threads that come together get the same name.
        name = _names.setdefault(process, str(uuid.uuid4()))
    return name


def instance_id(given: str | None) -> str:
    """The process's name; what the user gave is kept, and made distinct by the name's beginning."""
    name = process_name()
    if not given or given == name:
        return name
    return given if given.endswith(f"-{name[:8]}") else f"{given}-{name[:8]}"
