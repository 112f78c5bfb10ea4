"""An application that logs in every way there is, each into a file of its own."""

from __future__ import annotations

import logging
import logging.config
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import loguru
import structlog
from flask import Flask, Response, copy_current_request_context, stream_with_context

from flask_chest_otel import FlaskChest
from flask_chest_otel.logs import loguru_patcher, structlog_processor

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS = "%(request_id)s %(trace_id)s %(span_id)s %(message)s"
LOGGERS = {
    "shop.text": "text",
    "shop.json": "json",
    "flask_chest.request": "request",
    "werkzeug": "access",
    "gunicorn.access": "access",
    "gunicorn.error": "error",
}


def _handler(name: str) -> dict[str, object]:
    form = "json" if name == "json" else "text"
    return {"class": "logging.FileHandler", "filename": f"{name}.log", "formatter": form}


CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": FIELDS},
        "json": {"()": "pythonjsonlogger.json.JsonFormatter", "format": FIELDS},
    },
    "handlers": {
        **{name: _handler(name) for name in ("text", "json", "request", "access")},
        "error": {**_handler("error"), "filters": ["request"]},
    },
    "filters": {"request": {"()": "flask_chest_otel.logs.RequestFields"}},
    "loggers": {
        logger: {"handlers": [handler], "level": "INFO", "propagate": False} for logger, handler in LOGGERS.items()
    },
}

logging.config.dictConfig(CONFIG)
structlog.configure(
    processors=[structlog_processor, structlog.processors.JSONRenderer()],
    logger_factory=structlog.WriteLoggerFactory(open("structlog.log", "a", buffering=1)),  # noqa: SIM115, PTH123
)
loguru.logger.remove()
loguru.logger.add("loguru.log", format="{extra[request_id]} {extra[trace_id]} {extra[span_id]} {message}")
loguru.logger.configure(patcher=loguru_patcher)  # type: ignore[arg-type]  # a TypedDict of its stub file

app = Flask("shop", instance_path=str(Path("instance").absolute()))
FlaskChest(app, export="store", server_span="chest", request_log="logfmt", excluded_urls=["ready"])
text, as_json = logging.getLogger("shop.text"), logging.getLogger("shop.json")


@app.get("/item/<int:number>")
def item(number: int) -> str:
    """A line in every way, one of them in a thread."""
    text.info("%d", number)
    as_json.info("%d", number)
    structlog.get_logger().info(str(number))
    loguru.logger.info(str(number))
    thread = threading.Thread(target=copy_current_request_context(lambda: text.info("%d", number)))
    thread.start()
    thread.join()
    return str(number)


@app.get("/stream/<int:number>")
def stream(number: int) -> Response:
    """A body whose lines come after the response has begun."""

    def pieces() -> Iterator[str]:
        for _ in range(3):
            text.info("%d", number)
            yield f"{number} "

    body = pieces()
    return Response(stream_with_context(body) if number % 2 else body)


@app.get("/fails/<int:number>")
def fails(number: int) -> str:
    """An error."""
    text.info("%d", number)
    raise LookupError(number)


@app.get("/ready/<int:number>")
def ready(number: int) -> str:
    """None of the chest's business."""
    return str(number)


def serve(port: int) -> None:
    """Under Werkzeug."""
    app.run(port=port, threaded=True)
