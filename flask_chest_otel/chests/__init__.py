"""Chests: where request records go without a collector in between, and what a chest of one's own is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._base.lazy import lazy_names
from flask_chest_otel._records.record import Chest, ChildSpan, LogLine, RequestError, RequestRecord, SpanEvent

if TYPE_CHECKING:
    from flask_chest_otel.chests.mongo import MongoChest
    from flask_chest_otel.chests.sql import SQLChest
    from flask_chest_otel.chests.webhook import WebhookChest

__all__ = [
    "Chest",
    "ChildSpan",
    "LogLine",
    "MongoChest",
    "RequestError",
    "RequestRecord",
    "SQLChest",
    "SpanEvent",
    "WebhookChest",
]

# Each needs a library that most applications do without.
__getattr__ = lazy_names(__name__, {"MongoChest": "mongo", "SQLChest": "sql", "WebhookChest": "webhook"})
