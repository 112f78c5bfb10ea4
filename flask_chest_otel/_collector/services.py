"""Routes data of services to targets: reads what was asked for, and writes the conditions into the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._collector.fragments import ALIAS
from flask_chest_otel._collector.generate import of_service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flask_chest_otel._collector.outline import Node

__all__ = ["keep_services", "routes_of", "unroutable"]

_KINDS = ("trace_conditions", "metric_conditions", "log_conditions")


def routes_of(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read the targets of each service.

    Args:
        given: Texts ``SERVICE=TARGET``; a service may come several times.

    Returns:
        ``service.name`` to the names of its targets.

    Raises:
        ValueError: A text has another form; the message says which.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        service, equals, target = text.rpartition("=")
        if not (service and equals and target):
            raise ValueError(f"{text!r} is not SERVICE=TARGET, such as shop=influxdb")
        found[service] = (*found.get(service, ()), "splunk" if target == ALIAS else target)
    return found


def unroutable(routes: Mapping[str, tuple[str, ...]], targets: Iterable[str]) -> str | None:
    """Return the sentence about a route to a target that is not chosen; ``None`` where all are chosen."""
    known = list(targets)
    for service, names in routes.items():
        for name in names:
            if name not in known:
                return f"--route {service}={name}: {name!r} is no target here. Type --target {name}, or one of those"
    return None


def keep_services(root: Node, targets: Iterable[str], routes: Mapping[str, tuple[str, ...]]) -> None:
    """Add to each target's filter that data of services with other targets are dropped."""
    for name in targets:
        elsewhere = [service for service, wanted in routes.items() if name not in wanted]
        conditions = [f"      - {of_service(service)}" for service in elsewhere]
        for kind in _KINDS if conditions else ():
            node = root.at("processors", f"filter/{name}", kind)
            if node is not None:
                node.lines += ["      # Services that have other targets.", *conditions]
