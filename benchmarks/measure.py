"""One variant, measured in this process: a chunk of requests for each line on standard input."""

from __future__ import annotations

import gc
import io
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

WARM_UP = 300
CHUNK = 100
CHUNKS = 20


def environ() -> dict[str, Any]:
    """A fresh WSGI environment of one request."""
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


def requests(app: Callable[[Any, Any], Any], count: int) -> None:
    """So many requests, one after the other, in this process."""
    for _ in range(count):
        body = app(environ(), _start_response)
        b"".join(body)
        body.close()


def warmed(app: Flask) -> Flask:
    """``app`` after some requests, without the collector of garbage, whose turns would hit one chunk of many."""
    requests(app, WARM_UP)
    gc.collect()
    gc.disable()
    return app


def chunk_us(app: Flask) -> float:
    """Microseconds of this process per request, over one chunk."""
    start = time.process_time()
    requests(app, CHUNK)
    return (time.process_time() - start) / CHUNK * 1e6


def per_request_us(app: Flask) -> float:
    """Microseconds per request: the best of several chunks, as everything else on the machine only adds."""
    warmed(app)
    return min(chunk_us(app) for _ in range(CHUNKS))


def serve_turns(app: Flask) -> None:
    """Measure one chunk for each line on standard input, and answer with its figure."""
    warmed(app)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(chunk_us(app), flush=True)


if __name__ == "__main__":
    serve_turns(VARIANTS[sys.argv[1]]())
