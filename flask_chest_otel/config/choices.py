"""The words that a setting takes, as types: a type checker finds a typo in them."""

from __future__ import annotations

from typing import Literal

__all__ = ["Durability", "EventsMode", "ExportMode", "QueryText", "RequestLogForm", "ServerSpanMode", "SpansKept"]

ExportMode = Literal["auto", "otlp", "store"]
"""Who exports; ``None``: nobody."""

Durability = Literal["batch", "request"]
"""When data is safe from ``kill -9``."""

EventsMode = Literal["none", "unsampled", "all"]
"""Which requests leave as log records."""

QueryText = Literal["parametrised", "all", "none"]
"""What records keep of the text of database queries."""

RequestLogForm = Literal["logfmt", "json"]
"""How the line of a finished request is written; ``None``: there is none."""

ServerSpanMode = Literal["auto", "upstream", "chest"]
"""Who makes the server span; ``None``: nobody."""

SpansKept = Literal["all", "slow", "none"]
"""Of which requests the embedded store keeps child spans."""
