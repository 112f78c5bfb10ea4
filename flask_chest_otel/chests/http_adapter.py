"""Adds to ``requests``: skip interim answers (1xx), keep a deadline, read an early answer over TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.answers import Answered, Deadline, Deadlined
from flask_chest_otel._base.lazy import library

if TYPE_CHECKING:
    import socket

    from requests.adapters import HTTPAdapter
    from urllib3 import PoolManager, connection, connectionpool

    _Connection = connection.HTTPConnection
else:
    _Connection = object
    HTTPAdapter = library("requests", "flask-chest-otel[webhook]").adapters.HTTPAdapter
    connection = library("urllib3.connection", "flask-chest-otel[webhook]")
    connectionpool = library("urllib3.connectionpool", "flask-chest-otel[webhook]")

__all__ = ["Adapter"]


class _Answered(Answered):
    """An answer whose time-out is one deadline for all of it; in ``requests`` it holds for each single read."""

    def __init__(self, sock: socket.socket, *args: object, **kwargs: object) -> None:
        deadline = Deadline()
        deadline.set(sock.gettimeout() or 0.0)
        super().__init__(Deadlined(sock, deadline), *args, **kwargs)  # type: ignore[arg-type]  # all that it uses


class _Sending(_Connection):
    """Sends with the whole time-out, and reads the answer also if sending fails."""

    response_class = _Answered

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            # Set the whole time-out again: the socket still has what the last answer left of it.
            self.sock.settimeout(self.timeout)
        try:
            super().request(*args, **kwargs)
        except ssl.SSLError as error:
            # urllib3 reads the answer after a BrokenPipeError, but not after an error of TLS.
            raise BrokenPipeError from error


class _HTTPConnection(_Sending, connection.HTTPConnection):
    pass


class _HTTPSConnection(_Sending, connection.HTTPSConnection):
    pass


class _HTTPPool(connectionpool.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class Adapter(HTTPAdapter):
    """The adapter of ``requests`` with the connections of this module."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: object) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(connections, maxsize, block, **kwargs)
        _use_ours(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: object) -> PoolManager:
        """Make the pools of connections through a proxy."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        # Pools for SOCKS proxies need their own connections.
        if not proxy.lower().startswith("socks"):
            _use_ours(manager)
        return manager


def _use_ours(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
