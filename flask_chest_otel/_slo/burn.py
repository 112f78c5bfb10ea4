"""The alerts of every objective by name. All back ends get the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel.slo import BURN_ALERTS

if TYPE_CHECKING:
    from flask_chest_otel.slo import BurnAlert

__all__ = ["ALERTS", "WINDOWS_S", "window_name"]

_NAMES = ("FlaskChestSloPageFast", "FlaskChestSloPageSlow", "FlaskChestSloTicketFast", "FlaskChestSloTicketSlow")

ALERTS: dict[str, BurnAlert] = dict(zip(_NAMES, BURN_ALERTS, strict=True))
"""Name to alert. The runbook (``render.RUNBOOK``) has a section for each name."""

WINDOWS_S = tuple(sorted({seconds for alert in BURN_ALERTS for seconds in (alert.long_s, alert.short_s)}))
"""Lengths of all windows of the alerts, seconds, the shortest first."""


def window_name(seconds: int) -> str:
    """Write the length of a window as ``5m``, ``6h`` or ``30d``."""
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"
