"""The same application for uWSGI, with the two lines that it needs."""

from __future__ import annotations

from fault_app import app  # type: ignore[import-not-found]  # beside it, on PYTHONPATH

from flask_chest_otel.servers import uwsgi_setup

uwsgi_setup()

__all__ = ["app"]
