"""The words that settings take, as ``Literal`` types: a type checker finds a mistyped word."""

from __future__ import annotations

from typing import Literal

__all__ = ["Durability", "EventsMode", "ExportMode", "QueryText", "RequestLogForm", "ServerSpanMode", "SpansKept"]

ExportMode = Literal["auto", "otlp", "store"]
"""What exports telemetry; ``None``: nothing."""

Durability = Literal["batch", "request"]
"""When data has been written to disk, so that ``kill -9`` does not lose it."""

EventsMode = Literal["none", "unsampled", "all"]
"""Which requests are exported as log records."""

QueryText = Literal["parametrised", "all", "none"]
"""What records keep of the text of database queries."""

RequestLogForm = Literal["logfmt", "json"]
"""The format of the log line of a finished request; ``None``: no line."""

ServerSpanMode = Literal["auto", "upstream", "chest"]
"""Which instrumentation makes the server span; ``None``: this package neither makes nor brings one."""

SpansKept = Literal["all", "slow", "none"]
"""The requests whose child spans the embedded store keeps."""
