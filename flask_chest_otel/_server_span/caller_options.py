"""The options for server spans that callers of the instrumentor give, as for upstream's ``FlaskInstrumentor``."""

from __future__ import annotations

import sys
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from werkzeug.routing import Rule

    RequestHook = Callable[[Span, dict[str, object]], None]
    ResponseHook = Callable[[Span, str, list[tuple[str, str]]], None]

__all__ = ["CallerOptions", "SqlComments"]

_SQL_COMMENTS = "SQLCOMMENTER_ORM_TAGS_AND_VALUES"
"""Key of the OpenTelemetry context under which database instrumentations find the content of SQL comments."""

_READER = "opentelemetry.instrumentation.sqlcommenter_utils"
"""The module with which they read it. Where it is not loaded, no instrumentation reads the key."""


class CallerOptions(NamedTuple):
    """The options that a caller of the instrumentor gives.

    Attributes:
        response_hook: Called with the span, the status line and the headers when the response starts.
        enable_commenter: Whether SQL comments name the route; ``None``: where a database instrumentation that can
            write comments is loaded.
        commenter_options: ``framework``, ``controller`` and ``route`` to ``False`` where the comment leaves it out.
    """

    response_hook: ResponseHook | None = None
    enable_commenter: bool | None = None
    commenter_options: Mapping[str, object] = MappingProxyType({})

    def sql_comments(self) -> SqlComments | None:
        """The object that makes SQL comments; ``None`` where none are wanted. Called at the first request."""
        wanted = _READER in sys.modules if self.enable_commenter is None else self.enable_commenter
        return SqlComments(self.commenter_options) if wanted else None

    def for_upstream(self, request_hook: RequestHook | None) -> dict[str, object]:
        """The same options as arguments of upstream's instrumentor, with the setting ``request_hook`` added."""
        return {
            "request_hook": request_hook,
            "response_hook": self.response_hook,
            "enable_commenter": self.enable_commenter is not False,
            "commenter_options": dict(self.commenter_options),
        }


class SqlComments:
    """Makes the content of SQL comments for a request: https://google.github.io/sqlcommenter/.

    Args:
        options: ``framework``, ``controller`` and ``route`` to ``False`` where the comment leaves it out.
    """

    __slots__ = ("_controller", "_framework", "_route")

    def __init__(self, options: Mapping[str, object]) -> None:
        self._framework = {"framework": f"flask:{version('flask')}"} if options.get("framework", True) else {}
        self._controller = options.get("controller", True)
        self._route = options.get("route", True)

    def put(self, context: Context, rule: Rule | None) -> Context:
        """Return ``context`` with the content of comments for a request; ``rule`` is ``None`` where none matched."""
        found = dict(self._framework)
        if rule is not None:
            if self._controller:
                found["controller"] = rule.endpoint
            if self._route:
                found["route"] = rule.rule
        return otel_context.set_value(_SQL_COMMENTS, found, context)
