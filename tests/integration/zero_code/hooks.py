"""A request hook that the environment names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import g, request

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def name_tenant(span: Span, environ: dict[str, str]) -> None:
    """Put what a header says onto g, and more onto the span."""
    g.tenant = request.headers["X-Tenant"]
    span.set_attribute("shop.path", environ["PATH_INFO"])
