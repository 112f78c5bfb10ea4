"""Reads OpenTelemetry's variables for batches of spans, ``OTEL_BSP_…``.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Batching", "batching_of", "longest_export_s", "whole_number"]


@dataclass(frozen=True, slots=True)
class Batching:
    """How finished spans are collected into batches before they are written into the outbox.

    Attributes:
        gather_s: How long spans wait for further spans, seconds. `kill -9` loses spans that are younger than this and
            one write. The specification's default is 5 seconds; here it is shorter, as a write goes to the local disk.
        batch: How many spans one batch has at most; a full batch is written at once.
        capacity: How many spans wait at most; further ones are dropped and counted. Ten times the specification's
            default of 2048, as no span here waits for the collector.
    """

    gather_s: float = 0.5
    batch: int = 512
    capacity: int = 20_000


def batching_of(environ: Mapping[str, str]) -> Batching:
    """Return the values of the environment variables; the default for each that is missing or cannot be used."""
    delay_ms = _whole(environ, "SCHEDULE_DELAY")
    capacity = _whole(environ, "MAX_QUEUE_SIZE") or Batching().capacity
    batch = _whole(environ, "MAX_EXPORT_BATCH_SIZE") or Batching().batch
    return Batching(
        delay_ms / 1000 if delay_ms is not None else Batching().gather_s,
        # The specification: a batch must not be larger than the queue.
        min(batch, capacity),
        capacity,
    )


def longest_export_s(environ: Mapping[str, str]) -> float | None:
    """Return ``OTEL_BSP_EXPORT_TIMEOUT`` in seconds; ``None``: it is not set."""
    longest_ms = _whole(environ, "EXPORT_TIMEOUT")
    return None if longest_ms is None else longest_ms / 1000


def _whole(environ: Mapping[str, str], name: str) -> int | None:
    return whole_number(environ, f"OTEL_BSP_{name}", positive=True)


def whole_number(environ: Mapping[str, str], variable: str, *, positive: bool = False) -> int | None:
    """Return the number in a variable; ``None``: it is not set, is empty or cannot be used, which is reported.

    Args:
        environ: The environment variables.
        variable: The name of the variable.
        positive: Whether 0 cannot be used.
    """
    text = environ.get(variable, "").strip()
    if not text:
        return None
    digits = text.lstrip("0") if positive else text
    if text.isascii() and text.isdecimal() and 0 < len(digits) <= _LONGEST_DIGITS:
        return int(text)
    above = " greater than 0" if positive else " from 0"
    count_refusal(Refusal.SETTING, variable, "%s=%r is no whole number%s: the default is used", variable, text, above)
    return None


_LONGEST_DIGITS = 12
