"""The words that a setting takes, as types: a type checker finds a typo in them."""

from __future__ import annotations

from typing import Literal

__all__ = ["Durability", "EventsMode", "ExportMode", "QueryText", "ServerSpanMode"]

ExportMode = Literal["auto", "otlp", "store"]
"""Who exports; ``None``: nobody."""

Durability = Literal["batch", "request"]
"""When data is safe from ``kill -9``."""

EventsMode = Literal["none", "unsampled", "all"]
"""Which requests leave as log records."""

QueryText = Literal["parametrised", "all", "none"]
"""What records keep of the text of database queries."""

ServerSpanMode = Literal["auto", "upstream", "chest"]
"""Who makes the server span; ``None``: nobody."""
