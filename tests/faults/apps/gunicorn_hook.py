"""The lines of gunicorn's configuration."""

from __future__ import annotations

from flask_chest_otel.servers import gunicorn_post_worker_init, gunicorn_worker_exit

post_worker_init = gunicorn_post_worker_init
worker_exit = gunicorn_worker_exit
