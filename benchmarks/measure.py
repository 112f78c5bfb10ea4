"""One variant, measured in this process: ``python -m benchmarks.measure upstream`` prints its cost per request."""

from __future__ import annotations

import gc
import io
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.variants import VARIANTS

if TYPE_CHECKING:
    from flask import Flask

WARM_UP = 300
CHUNK = 40
CHUNKS = 60


def _environ() -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/cart/7",
        "QUERY_STRING": "page=2",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_USER_AGENT": "benchmark",
        "HTTP_ACCEPT": "*/*",
        "CONTENT_LENGTH": "0",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _start_response(status: str, _headers: Any, _exc_info: Any = None) -> Any:
    if not status.startswith("200"):
        raise RuntimeError(f"the benchmark's request was answered {status}")


def _requests(app: Flask, count: int) -> None:
    for _ in range(count):
        body: Any = app(_environ(), _start_response)
        b"".join(body)
        body.close()


def per_request_us(app: Flask) -> float:
    """Microseconds per request: the best of several chunks, as everything else on the machine only adds."""
    _requests(app, WARM_UP)
    gc.collect()
    gc.disable()
    best = float("inf")
    for _ in range(CHUNKS):
        start = time.process_time()
        _requests(app, CHUNK)
        best = min(best, (time.process_time() - start) / CHUNK)
    return best * 1e6


if __name__ == "__main__":
    print(per_request_us(VARIANTS[sys.argv[1]]()))
