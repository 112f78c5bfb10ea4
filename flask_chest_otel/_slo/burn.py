"""The alerts of every objective, by name: the same for every back end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel.slo import BURN_ALERTS

if TYPE_CHECKING:
    from flask_chest_otel.slo import BurnAlert

__all__ = ["ALERTS", "WINDOWS_S", "window_name"]

_NAMES = ("FlaskChestSloPageFast", "FlaskChestSloPageSlow", "FlaskChestSloTicketFast", "FlaskChestSloTicketSlow")

ALERTS: dict[str, BurnAlert] = dict(zip(_NAMES, BURN_ALERTS, strict=True))
"""Name to alert; the runbook has an entry for each."""

WINDOWS_S = tuple(sorted({seconds for alert in BURN_ALERTS for seconds in (alert.long_s, alert.short_s)}))
"""Every window that an alert looks at, seconds."""


def window_name(seconds: int) -> str:
    """``5m``, ``6h`` or ``30d``."""
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"
