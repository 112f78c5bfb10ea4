"""The same application for uWSGI, with the two lines that it needs."""

from __future__ import annotations

import os

from fault_app import app, warm_up  # type: ignore[import-not-found]  # beside it, on PYTHONPATH

from flask_chest_otel.servers import uwsgi_setup

uwsgi_setup()

if os.environ.get("FAULT_WARM_UP") == "late":
    warm_up()

__all__ = ["app"]
