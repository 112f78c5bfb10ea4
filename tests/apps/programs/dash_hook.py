"""A request hook that tells Dash's callbacks apart."""

from flask import g, request

CALLBACKS = frozenset({"greeting.children", "length.children"})


def name_callback(span, environ):
    """Name the callback on the span, and on ``g``, as a variable that is tracked."""
    if environ["PATH_INFO"].endswith("/_dash-update-component"):
        output = request.get_json()["output"]
        # A client chooses it: what the application does not have would be a dimension without end.
        g.callback = output if output in CALLBACKS else "other"
        span.update_name(f"{request.method} {request.url_rule} {g.callback}")
