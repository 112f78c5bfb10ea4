"""Links from a request to other programs: templates of addresses with placeholders for the request's ids."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._store.answers import StoredRequest

__all__ = ["PLACES", "check_links", "filled"]

PLACES = ("trace_id", "span_id", "request_id", "service")
"""The placeholders that a template may have, in braces."""

ALLOWED = f"templates such as http://127.0.0.1:16686/trace/{{trace_id}}; the places are {', '.join(PLACES)}"


def check_links(given: Mapping[str, str]) -> dict[str, str]:
    """Check templates of addresses.

    Args:
        given: Name of a program to its template.

    Returns:
        The same, as a new dictionary.

    Raises:
        ChestConfigError: A template is no http or https address, or has an unknown placeholder.
    """
    for template in given.values():
        try:
            places = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
            scheme = urlsplit(template).scheme
        except (ValueError, TypeError, AttributeError) as error:
            raise ChestConfigError("open_in", template, ALLOWED) from error
        # A link with the scheme javascript: would run a script when somebody clicks on it.
        if scheme not in ("http", "https") or not places <= set(PLACES):
            raise ChestConfigError("open_in", template, ALLOWED)
    return dict(given)


def filled(template: str, request: StoredRequest) -> str:
    """Fill in a template for one request."""
    values = {name: quote(str(getattr(request, name) or ""), safe="") for name in PLACES}
    return template.format_map(values)
