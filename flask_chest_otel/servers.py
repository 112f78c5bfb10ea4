"""Hooks for servers with worker processes, in the two lines that each needs.

Counts are exact without them: providers are made with a worker's first request, and forks are noticed. The hooks add
what only the server knows: that a worker is about to end. ``docs/how-to/reliability.md`` shows where they go.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from flask_chest_otel._guard import guarded
from flask_chest_otel.chests._queue import close_all

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UWSGI_THREADS", "end_worker", "gunicorn_worker_exit", "uwsgi_setup"]

UWSGI_THREADS = ("enable-threads", "threads")
"""Options of uWSGI with either of which Python's threads run."""


@guarded("ending a worker")
def end_worker() -> None:
    """Write what the store and the chests have, send what the providers have, and leave the rest in the outbox.

    For servers that end their workers without ending the interpreter. Afterwards nothing is recorded any more. Takes at
    most two seconds for store and chests, and ``shutdown_timeout_s`` for what is sent.
    """
    close_all()
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        shutdown: Callable[[], Any] | None = getattr(provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


def gunicorn_worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 - gunicorn's signature
    """For ``worker_exit`` in gunicorn's configuration file; see :func:`end_worker`."""
    end_worker()


def uwsgi_setup() -> None:
    """Call this once where the application is made: checks uWSGI's options, and ends workers in good order.

    Raises:
        RuntimeError: uWSGI runs without ``enable-threads``: nothing of a worker's would ever be exported.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")  # only there inside uWSGI
    except ImportError:
        return
    if not any(name in uwsgi.opt for name in UWSGI_THREADS):
        raise RuntimeError("uWSGI runs without threads: put `enable-threads = true` into its configuration")
    uwsgi.atexit = end_worker
