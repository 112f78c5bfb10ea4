"""Hooks for servers with worker processes; each server needs two lines.

Counts are exact without them: providers are made at a worker's first request, and forks are noticed. The hooks add what
only the server knows: that a worker begins or is about to end. ``docs/how-to/reliability.md`` shows where to put them.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from flask_chest_otel._base.process import current_process
from flask_chest_otel._guard import guarded
from flask_chest_otel._outbox import senders
from flask_chest_otel._providers.fork_safe_meters import ProcessMeterProvider
from flask_chest_otel._records.queue import close_all

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UWSGI_THREADS",
    "begin_worker",
    "end_worker",
    "gunicorn_post_worker_init",
    "gunicorn_worker_exit",
    "uwsgi_setup",
]

UWSGI_THREADS = ("enable-threads", "threads")
"""Options of uWSGI of which one is needed so that Python's threads run."""


MASTER_PATIENCE_MS = 500
"""How long uWSGI's master waits for the collector before it forks a worker, milliseconds."""

_master: object = None


@guarded("beginning a worker")
def begin_worker() -> None:
    """Begin to send the batches that earlier processes left in the outbox, before this worker serves a request.

    Call it when a worker begins: after the fork, and after the application was loaded.
    """
    senders.start(senders.exporters, senders.applications)


@guarded("ending a worker")
def end_worker() -> None:
    """Write the records of the store and the chests, send the data of the providers; the rest stays in the outbox.

    For servers that end their workers without ending the interpreter. Nothing is recorded afterwards. It takes at most
    two seconds for store and chests, and ``shutdown_timeout_s`` for sending.
    """
    close_all()
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        shutdown: Callable[[], object] | None = getattr(provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


def gunicorn_post_worker_init(worker: object) -> None:  # noqa: ARG001 - gunicorn's signature
    """For ``post_worker_init`` in gunicorn's configuration file; see :func:`begin_worker`."""
    begin_worker()


def gunicorn_worker_exit(server: object, worker: object) -> None:  # noqa: ARG001 - gunicorn's signature
    """For ``worker_exit`` in gunicorn's configuration file; see :func:`end_worker`."""
    end_worker()


def uwsgi_setup() -> None:
    """Check uWSGI's options, and register hooks for the begin and the end of workers. Call it where the app is made.

    Raises:
        RuntimeError: uWSGI runs without ``enable-threads``, so that workers could never export anything.
    """
    try:
        uwsgi: Any = importlib.import_module("uwsgi")  # the module exists only inside uWSGI
    except ImportError:
        return
    if not any(name in uwsgi.opt for name in UWSGI_THREADS):
        raise RuntimeError("uWSGI runs without threads: put `enable-threads = true` into its configuration")
    uwsgi.atexit = end_worker
    if uwsgi.worker_id() == 0:
        _export_before_forks()
        uwsgi.post_fork_hook = _after(getattr(uwsgi, "post_fork_hook", None))
    else:  # lazy-apps
        begin_worker()


def _after(other: Callable[[], object] | None) -> Callable[[], None]:
    """Make a hook that calls the hook of other code first, then :func:`begin_worker`."""

    def post_fork() -> None:
        if other is not None:
            other()
        begin_worker()

    return post_fork


def _export_before_forks() -> None:
    """Export the counts of uWSGI's master before it forks: the master calls no hook when it ends."""
    global _master  # noqa: PLW0603 - what a process knows about itself
    _export_metrics()
    if _master is None:
        os.register_at_fork(before=_export_in_master)
    _master = current_process()


def _export_in_master() -> None:
    if _master is current_process():
        _export_metrics()


@guarded("exporting before a fork")
def _export_metrics() -> None:
    provider = metrics.get_meter_provider()
    if isinstance(provider, ProcessMeterProvider):
        provider.force_flush(MASTER_PATIENCE_MS)
