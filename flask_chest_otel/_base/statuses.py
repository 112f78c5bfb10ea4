"""HTTP status codes at which errors begin."""

from __future__ import annotations

__all__ = ["CLIENT_ERROR", "SERVER_ERROR", "SWITCHING_PROTOCOLS"]

CLIENT_ERROR = 400
"""Status codes from 400 on are errors."""

SERVER_ERROR = 500
"""Status codes from 500 on are errors of the server, not of the client."""

SWITCHING_PROTOCOLS = 101
"""Status of a web socket. How long a socket was open says nothing about how fast the server answers."""
