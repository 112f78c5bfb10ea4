"""HTTP status codes: from where on they are errors, and whose."""

from __future__ import annotations

__all__ = ["CLIENT_ERROR", "SERVER_ERROR", "SWITCHING_PROTOCOLS"]

CLIENT_ERROR = 400
"""Status codes from here on are errors."""

SERVER_ERROR = 500
"""Status codes from here on are errors of the application, not of its client."""

SWITCHING_PROTOCOLS = 101
"""Status of a web socket: how long it was open is nothing that a server answers faster or slower."""
