"""Finds the rule that stands in place of a path, where an argument of the rule has a sensitive name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from werkzeug.exceptions import NotFound

from flask_chest_otel._base.sensitive import is_sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Request

    from flask_chest_otel._tracking.plan import Plan

__all__ = ["SecretRules", "has_secret_argument"]

_ARGUMENT = re.compile(r"(\w+)>")
"""Matches the name of an argument in a URL rule: ``<token>``, ``<path:token>``, ``<string(length=2):token>``."""


def has_secret_argument(rule: str) -> bool:
    """Whether a URL rule has an argument with a sensitive name, as ``/reset/<token>`` has."""
    return any(map(is_sensitive, _ARGUMENT.findall(rule)))


class SecretRules:
    """The rules of an application that have an argument with a sensitive name.

    Args:
        rules: All rules of the application.
    """

    def __init__(self, rules: Iterable[str] = ()) -> None:
        self._rules = tuple((rule.partition("<")[0], rule) for rule in rules if has_secret_argument(rule))

    def in_place_of_path(self, plan: Plan, http: Request) -> str | None:
        """The rule to record in place of a request's path; ``None`` where the path may be recorded.

        Where no rule takes the request, as a slash or the method is wrong, it is the one whose beginning the path has.
        """
        if plan.rule is not None:
            return plan.rule if plan.has_secret else None
        for beginning, rule in self._rules:
            # Every path begins with "/"; of those that no rule knows, few are meant for the rule.
            if http.path.startswith(beginning) and (
                beginning != "/" or not isinstance(http.routing_exception, NotFound)
            ):
                return rule
        return None
