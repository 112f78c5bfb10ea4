"""Which services go to which targets: what was asked for, and the conditions that keep them from the others."""

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
    """The targets of each service.

    Args:
        given: ``SERVICE=TARGET``, of one service as often as need be.

    Raises:
        ValueError: One is not like that.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        service, equals, target = text.rpartition("=")
        if not (service and equals and target):
            raise ValueError(f"{text!r} is not SERVICE=TARGET, such as shop=influxdb")
        found[service] = (*found.get(service, ()), "splunk" if target == ALIAS else target)
    return found


def unroutable(routes: Mapping[str, tuple[str, ...]], targets: Iterable[str]) -> str | None:
    """The sentence about a route to a target that is not there, if there is one."""
    known = list(targets)
    for service, names in routes.items():
        for name in names:
            if name not in known:
                return f"--route {service}={name}: {name!r} is no target here. Type --target {name}, or one of those"
    return None


def keep_services(root: Node, targets: Iterable[str], routes: Mapping[str, tuple[str, ...]]) -> None:
    """Let each target drop what comes from services that have others."""
    for name in targets:
        elsewhere = [service for service, wanted in routes.items() if name not in wanted]
        conditions = [f"      - {of_service(service)}" for service in elsewhere]
        for kind in _KINDS if conditions else ():
            node = root.at("processors", f"filter/{name}", kind)
            if node is not None:
                node.lines += ["      # Services that have other targets.", *conditions]
