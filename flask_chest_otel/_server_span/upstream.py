"""OpenTelemetry's own instrumentation of Flask: whether it makes an application's server spans, and asking it to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["bring", "is_instrumented_by_upstream"]


def is_instrumented_by_upstream(app: Flask) -> bool:
    """Whether opentelemetry-instrumentation-flask makes this application's server spans already."""
    # The one private name that is read: upstream leaves no other sign.
    return bool(getattr(app, "_is_instrumented_by_opentelemetry", False))


def bring(app: Flask, **arguments: object) -> bool:
    """Instrument with upstream's Flask instrumentation where nobody has; whether that was done.

    Args:
        app: The application.
        **arguments: Those of ``FlaskInstrumentor.instrument_app``.

    Raises:
        AssertionError: Flask's own, for an application that has served requests already.
    """
    if is_instrumented_by_upstream(app):
        return False
    # Imported here: it takes longer than this package and Flask together, and few ask for it.
    from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415

    wsgi_app = vars(app).get("wsgi_app")
    try:
        FlaskInstrumentor().instrument_app(app, **arguments)  # type: ignore[no-untyped-call]
    except AssertionError:
        # Upstream wraps the WSGI callable before Flask refuses the rest.
        del app.wsgi_app
        if wsgi_app is not None:
            app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # Flask's documented way to put middleware on
        raise
    return True
