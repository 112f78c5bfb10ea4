"""What is in an outbox, looked at from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._outbox.file import FILENAME, Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel._outbox.file import BatchInfo


def kept(folder: Path) -> list[BatchInfo]:
    """Every batch that waits or was refused; its bounds drop nothing."""
    outbox = Outbox(folder / FILENAME, 2**40, 1e9)
    try:
        return outbox.kept()
    finally:
        outbox.close()
