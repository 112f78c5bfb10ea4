"""The plans of an application: one for each endpoint, method and root, made when a request first needs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel._tracking.marks import marks_of
from flask_chest_otel._values.methods import metric_method

if TYPE_CHECKING:
    from flask import Flask, Request

    from flask_chest_otel._tracking.plan import Plan, Planner

__all__ = ["Plans"]

_MOST_ROOTS = 50
"""Roots that one application is told apart by: a proxy may pass on whatever a client says is its prefix."""


class Plans:
    """Finds the plan of a request.

    Attributes:
        counts: Whether any plan so far counts its requests.
    """

    def __init__(self, planner: Planner) -> None:
        self.counts = False
        self._planner = planner
        self._made: dict[tuple[str, ...], Plan] = {}
        self._roots: set[str] = set()

    def of(self, app: Flask, http: Request) -> Plan:
        """The plan of one request, whose URL is matched."""
        rule = http.url_rule
        method = http.method
        # Only a matched rule bounds what a client may send as its method.
        if rule is None or rule.methods is None:
            method = metric_method(method)
        # Where the application is mounted: most are nowhere, and then nothing is to be built.
        root = http.root_path and self._root(http.root_path)
        key = (method,) if rule is None else (method, rule.endpoint, rule.rule, root)
        plan = self._made.get(key)
        if plan is None:
            marks = marks_of(app.view_functions.get(rule.endpoint), method) if rule is not None else ()
            plan = self._planner.compile(marks, method, rule.rule if rule is not None else None, root)
            if rule is not None and rule.websocket:
                plan = replace(plan, is_socket=True)
            self._made[key] = plan
            self.counts = self.counts or bool(plan.counts)
        return plan

    def _root(self, root: str) -> str:
        """The application's root for ``http.route``; none where there are so many that it says who is asking."""
        if root not in self._roots:
            if len(self._roots) >= _MOST_ROOTS:
                count_refusal(
                    Refusal.LIMIT,
                    "roots",
                    "mounted at more than %d roots: http.route goes without them from now on",
                    _MOST_ROOTS,
                )
                return ""
            self._roots.add(root)
        return root
