"""Makes the parts of the configuration that depend on an application's variables, dimensions and routes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_chest_otel.names import CHESTS, HTTP_REQUEST_METHOD, HTTP_ROUTE, REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask_chest_otel._collector.application import Application, RouteChests, Variable

__all__ = ["emf_declarations", "of_service", "raw_values", "route_conditions"]

HTTP_DURATION = "http.server.request.duration"
"""The metric with transactions and response time. Upstream's instrumentation makes it under the same name."""


def raw_values(application: Application) -> list[str]:
    """Return the entries of ``signal_to_metrics``: one gauge for each variable that may be a number."""
    dimensions = sorted({variable.attribute for variable in application.variables if variable.dimension})
    found = [f"      # The tracked variables of {_plain(application.name)} that may be numbers."]
    if application.everything:
        found.append('      # Variables that only "*" tracks are not here: nobody knows their names beforehand.')
    for variable in application.variables:
        if variable.metric is not None:
            found += _raw_value(variable, dimensions)
    return found


def _raw_value(variable: Variable, dimensions: Iterable[str]) -> list[str]:
    value = f"span.attributes[{_ottl(variable.attribute)}]"
    is_number = f"(IsDouble({value}) or IsInt({value}))"
    return [
        f"      - name: {variable.name}",
        f"        description: {_yaml(f'{variable.attribute} of one request')}",
        f"        conditions: [{_yaml(f'{is_number} and span.attributes[{_ottl(REQUEST_ID)}] != nil')}]",
        "        include_resource_attributes: [{key: service.name}]",
        "        attributes:",
        f"          - {{key: {REQUEST_ID}}}",
        *(f"          - {{key: {_yaml(key)}, optional: true}}" for key in (HTTP_ROUTE, CHESTS, *dimensions)),
        f"        gauge: {{value: {_yaml(f'Double({value})')}}}",
    ]


def emf_declarations(application: Application) -> list[str]:
    """Return the entries of ``metric_declarations``: each metric of the application, with no dimensions but its own."""
    groups: dict[tuple[str, ...], list[str]] = {(): [HTTP_DURATION]}
    for variable in application.variables:
        if variable.metric is not None:
            groups.setdefault(variable.with_dimensions, []).append(variable.metric)
    found = [f"      # The metrics and dimensions of {_plain(application.name)}."]
    for dimensions, metrics in groups.items():
        common = f"{HTTP_ROUTE}, {HTTP_REQUEST_METHOD}"
        sets = [f"[{common}]", *(f"[{common}, {_yaml(one)}]" for one in dimensions)]
        selectors = ", ".join(_yaml(f"^{re.escape(name)}$") for name in dict.fromkeys(metrics))
        found += [f"      - dimensions: [{', '.join(sets)}]", f"        metric_name_selectors: [{selectors}]"]
    return found


def route_conditions(application: Application, pattern: str) -> list[str]:
    """Return conditions by which a target drops HTTP metrics of routes that have other destinations.

    HTTP metrics do not carry the attribute with the list of destinations, so their route has to decide.

    Args:
        application: The application with its routes.
        pattern: The regular expression by which the target finds itself in a list, quoted as in its fragment.
    """
    if not application.routes:
        return []
    above = "      # Metrics without the list, such as OpenTelemetry's own HTTP metrics: by the route they are of."
    return [above, *(_condition(route, pattern) for route in application.routes)]


def _condition(route: RouteChests, pattern: str) -> str:
    attribute = 'datapoint.attributes["{}"]'.format
    parts = [f"{attribute(CHESTS)} == nil", f"{attribute(HTTP_ROUTE)} == {_ottl(route.route)}"]
    if route.method is not None:
        parts.append(f"{attribute(HTTP_REQUEST_METHOD)} == {_ottl(route.method)}")
    # The pattern comes from the fragment, where dollars are doubled already.
    text = " and ".join(_dollars(part) for part in parts) + f" and not IsMatch({_ottl(route.chests)}, {pattern})"
    return f"      - {_quoted(text)}"


def of_service(name: str) -> str:
    """Return the condition that is true for data of this service."""
    return _yaml(f'resource.attributes["service.name"] == {_ottl(name)}')


def _ottl(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _yaml(text: str) -> str:
    return _quoted(_dollars(text))


def _dollars(text: str) -> str:
    """Double each ``$``, because the collector reads it as the beginning of a variable."""
    return text.replace("$", "$$")


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))


def _plain(text: str) -> str:
    """Make a name fit for a comment, which is one line."""
    return "".join(sign for sign in text if sign.isprintable())
