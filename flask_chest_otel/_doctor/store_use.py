"""Describes the embedded store: how many requests it has, and how full it is."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from flask_chest_otel._base.sqlite_errors import is_broken
from flask_chest_otel._base.text import counted, shown_span
from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel.config import ChestConfig

__all__ = ["NEARLY_FULL", "store_use"]

NEARLY_FULL = 0.9
"""Share of the maximum size from which a store or an outbox is called nearly full."""

MIB = 1024 * 1024

SPANS = {"all": "child spans of all", "slow": "child spans of failed and slow ones", "none": "no child spans"}


def store_use(path: Path, config: ChestConfig) -> str:
    """Return in words the size of a store, its limits, and the number of its requests with the time of the first."""
    files = (path, path.with_name(f"{path.name}-wal"))
    used = sum(file.stat().st_size for file in files if file.exists())
    bounds = (
        f"{used / MIB:.1f} of {config.store_max_bytes / MIB:g} MiB,"
        f" requests of the last {shown_span(config.store_max_age_s)}, {SPANS[config.store_spans]}"
    )
    near = "; nearly full: the oldest requests go first" if used > NEARLY_FULL * config.store_max_bytes else ""
    return f"{bounds}{near}; {_requests(path)}"


def store_problems(path: Path) -> list[str]:
    """Return what makes a file that is there useless as a store; an older one is upgraded, and a locked one waits."""
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        return []
    if not path.is_file():
        return [f"the store {path} is no file, so no request is kept: type FLASK_CHEST_STORE_PATH=/another/file"]
    try:
        with read_store(path) as reader:
            reader.extent()
    except StoreReadError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            broken = is_broken(error.__cause__)
            return [f"the store is broken, and will be set aside for a new one: {error}"] if broken else []
        return [f"{str(error).rpartition(': ')[0]}, so no request is kept: type FLASK_CHEST_STORE_PATH=/another/file"]
    return []


def _requests(path: Path) -> str:
    with suppress(StoreReadError), read_store(path) as reader:
        extent = reader.extent()
        since = f" since {extent.first[:19].replace('T', ' ')} UTC" if extent.first else ""
        return counted(extent.requests, "request", "requests") + since
    return counted(0, "request", "requests")
