"""How finished spans gather into batches, as OpenTelemetry's variables for that say.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Batching", "batching_of", "longest_export_s"]


@dataclass(frozen=True, slots=True)
class Batching:
    """Bounds of the way from a finished span to the outbox.

    Attributes:
        gather_s: How long spans wait for more of them, seconds: what `kill -9` takes is younger than that and one
            write. Shorter than the specification's 5 seconds, as a write goes to the local disk.
        batch: Spans in one batch at most; so many do not wait any longer.
        capacity: Spans that wait at most; further ones are dropped and counted. Ten times the specification's 2048,
            as nothing here waits for the collector.
    """

    gather_s: float = 0.5
    batch: int = 512
    capacity: int = 20_000


def batching_of(environ: Mapping[str, str]) -> Batching:
    """What the environment says; where it says nothing, or nothing that can be used, the defaults."""
    delay_ms = _whole(environ, "SCHEDULE_DELAY")
    capacity = _whole(environ, "MAX_QUEUE_SIZE") or Batching().capacity
    batch = _whole(environ, "MAX_EXPORT_BATCH_SIZE") or Batching().batch
    return Batching(
        delay_ms / 1000 if delay_ms is not None else Batching().gather_s,
        # The specification: no more than can wait.
        min(batch, capacity),
        capacity,
    )


def longest_export_s(environ: Mapping[str, str]) -> float | None:
    """How long one export of spans may take, seconds; ``None``: the environment does not say it."""
    longest_ms = _whole(environ, "EXPORT_TIMEOUT")
    return None if longest_ms is None else longest_ms / 1000


def _whole(environ: Mapping[str, str], name: str) -> int | None:
    variable = f"OTEL_BSP_{name}"
    text = environ.get(variable, "").strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal() and 0 < len(text.lstrip("0")) <= _LONGEST_DIGITS:
        return int(text)
    count_refusal(
        Refusal.SETTING, variable, "%s=%r is no whole number greater than 0: the default is used", variable, text
    )
    return None


_LONGEST_DIGITS = 12
