"""The two lines of gunicorn's configuration."""

from __future__ import annotations

from flask_chest_otel.servers import gunicorn_worker_exit

worker_exit = gunicorn_worker_exit
