"""Customers in a process of their own: as many requests as a few connections can make, for some seconds.

    python -m benchmarks.load URL SECONDS CLIENTS

Prints how many were answered with 200.
"""

from __future__ import annotations

import http.client
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit


def _come(address: str, seconds: float) -> int:
    served, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        connection.close()
        served += response.status == http.client.OK
    return served


def main() -> None:
    """Send them."""
    url, seconds, clients = sys.argv[1:]
    with ThreadPoolExecutor(int(clients)) as pool:
        each = pool.map(_come, [urlsplit(url).netloc] * int(clients), [float(seconds)] * int(clients))
        print(sum(each))


if __name__ == "__main__":
    main()
