"""Customers: as many requests as a few connections can make in some seconds."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

__all__ = ["load"]


def load(url: str, seconds: float, clients: int) -> int:
    """Ask on connections that are kept as long as the server keeps them; return how many requests were answered.

    Raises:
        RuntimeError: One was answered with another status than 200.
    """
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(_come, [url] * clients, [seconds] * clients))


def _come(url: str, seconds: float) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    served, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connection.request("GET", target)
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{url} answered {response.status}")
        served += 1
    connection.close()
    return served
