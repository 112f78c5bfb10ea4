"""OpenTelemetry's Flask instrumentation ("upstream"): detects it on an application, and installs it on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["bring", "is_instrumented_by_upstream"]


def is_instrumented_by_upstream(app: Flask) -> bool:
    """Whether opentelemetry-instrumentation-flask already makes this application's server spans."""
    # A private attribute of upstream; it sets no public one.
    return bool(getattr(app, "_is_instrumented_by_opentelemetry", False))


def bring(app: Flask, **arguments: object) -> bool:
    """Instrument ``app`` with upstream's Flask instrumentation, unless it is instrumented already.

    Args:
        app: The application.
        **arguments: The arguments of ``FlaskInstrumentor.instrument_app``.

    Returns:
        Whether this call has instrumented it.

    Raises:
        AssertionError: Flask raises it where the application has served requests already.
    """
    if is_instrumented_by_upstream(app):
        return False
    # Imported here: it takes longer than this package and Flask together, and few applications need it.
    from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415

    wsgi_app = vars(app).get("wsgi_app")
    try:
        FlaskInstrumentor().instrument_app(app, **arguments)  # type: ignore[no-untyped-call]
    except AssertionError:
        # Upstream has wrapped the WSGI callable before Flask raised: remove the wrapper.
        del app.wsgi_app
        if wsgi_app is not None:
            app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # Flask's documented way to put middleware on
        raise
    return True
