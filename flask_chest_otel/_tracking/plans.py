"""The plans of an application: one for each endpoint, method and root, compiled when a request first needs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel._tracking.marks import marks_of
from flask_chest_otel._tracking.plan import EventStart
from flask_chest_otel._values.methods import metric_method
from flask_chest_otel.names import CHESTS, EVENT_METHOD, MESSAGING_DESTINATION, MESSAGING_SYSTEM, SOCKETIO_EVENT

if TYPE_CHECKING:
    from flask import Flask, Request

    from flask_chest_otel._tracking.plan import Plan, Planner

__all__ = ["Plans"]

_MOST_ROOTS = 50
"""Largest number of different roots in plans. It is bounded, as a proxy may pass on a prefix that a client chose."""


class Plans:
    """Finds the plan of a request.

    Attributes:
        counts: Whether any plan compiled so far counts requests.
    """

    def __init__(self, planner: Planner) -> None:
        self.counts = False
        self._planner = planner
        self._made: dict[tuple[str, ...], Plan] = {}
        self._roots: set[str] = set()

    def of(self, app: Flask, http: Request) -> Plan:
        """The plan of one request. Flask has matched its URL."""
        rule = http.url_rule
        method = http.method
        # Without a matched rule, a client may send any method.
        if rule is None or rule.methods is None:
            method = metric_method(method)
        # The path at which the application is mounted; most applications have none.
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

    def of_event(self, event: str, namespace: str, handler: object, function: str | None) -> Plan:
        """The plan of one Socket.IO event. One event may have several handlers: callbacks have one name together.

        Args:
            event: Its name, one of those that have a handler.
            namespace: The same of its namespace.
            handler: What is called for it.
            function: The handler's full name, if it has one.
        """
        key = (EVENT_METHOD, namespace, event, function or "")
        found = self._made.get(key)
        if found is None:
            plan = self._planner.compile(marks_of(handler, EVENT_METHOD), EVENT_METHOD, None)
            place = {MESSAGING_DESTINATION: namespace, SOCKETIO_EVENT: event}
            measured = {**place, **({CHESTS: plan.chests_text} if plan.chests_text is not None else {})}
            start = _event_start(event, namespace, {**place, **_called(function)})
            found = replace(
                plan,
                rule=start.name,
                place=place,
                event=start,
                metric_attributes=measured,
                key=tuple(measured.values()),
            )
            self._made[key] = found
            self.counts = self.counts or bool(found.counts)
        return found

    def _root(self, root: str) -> str:
        """The application's root for ``http.route``; an empty text for a new root beyond ``_MOST_ROOTS``."""
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


def _event_start(event: str, namespace: str, attributes: dict[str, str]) -> EventStart:
    """By the conventions for messaging, with the event's name as OpenTelemetry's socket.io for Node.js has it.

    https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
    https://github.com/open-telemetry/opentelemetry-js-contrib/tree/main/packages/instrumentation-socket.io
    """
    name = event if namespace == "/" else f"{namespace} {event}"
    operation = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    return EventStart(name, {MESSAGING_SYSTEM: "socket.io", **operation, **attributes})


def _called(function: str | None) -> dict[str, str]:
    return {"code.function.name": function} if function is not None else {}
