"""Describes the embedded store: how many requests it has, and how full it is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from flask_chest_otel._base.text import counted
from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel.config import ChestConfig

__all__ = ["NEARLY_FULL", "store_use"]

NEARLY_FULL = 0.9
"""Share of the maximum size from which a store or an outbox is called nearly full."""

MIB, DAY_S = 1024 * 1024, 86400.0

SPANS = {"all": "child spans of all", "slow": "child spans of failed and slow ones", "none": "no child spans"}


def store_use(path: Path, config: ChestConfig) -> str:
    """Return in words the size of a store, its limits, and the number of its requests with the time of the first."""
    files = (path, path.with_name(f"{path.name}-wal"))
    used = sum(file.stat().st_size for file in files if file.exists())
    bounds = (
        f"{used / MIB:.1f} of {config.store_max_bytes / MIB:g} MiB,"
        f" requests of the last {config.store_max_age_s / DAY_S:g} days, {SPANS[config.store_spans]}"
    )
    near = "; nearly full: the oldest requests go first" if used > NEARLY_FULL * config.store_max_bytes else ""
    return f"{bounds}{near}; {_requests(path)}"


def _requests(path: Path) -> str:
    with suppress(StoreReadError), read_store(path) as reader:
        extent = reader.extent()
        since = f" since {extent.first[:19].replace('T', ' ')} UTC" if extent.first else ""
        return counted(extent.requests, "request", "requests") + since
    return counted(0, "request", "requests")
