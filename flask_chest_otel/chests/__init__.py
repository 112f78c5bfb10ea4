"""Chests write request records to a database or a web address without a collector; types for chests of your own."""

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

# Loaded on first use: each chest needs a library that most applications do not have.
__getattr__ = lazy_names(__name__, {"MongoChest": "mongo", "SQLChest": "sql", "WebhookChest": "webhook"})
