"""Chests: where request records go without a collector in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel.chests._libraries import lazy_names

if TYPE_CHECKING:
    from flask_chest_otel.chests._mongo import MongoChest
    from flask_chest_otel.chests._sql import SQLChest
    from flask_chest_otel.chests._webhook import WebhookChest

__all__ = ["MongoChest", "SQLChest", "WebhookChest"]

# Each needs a library that most applications do without.
__getattr__ = lazy_names(__name__, {"MongoChest": "_mongo", "SQLChest": "_sql", "WebhookChest": "_webhook"})
