"""Reads which signals a target gets, such as ``influxdb:metrics``, and removes the pipelines of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._collector import fragments
from flask_chest_otel._collector.outline import Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["chosen", "drop_others", "wrong"]


def wrong(name: str, signal: str) -> str:
    """Return the sentence about a signal that a target does not take; ``""`` where it takes it."""
    takes = _takes(name)
    if signal in takes:
        return ""
    choices = ", ".join([name, *(f"{name}:{one}" for one in sorted(takes))])
    return f"{name!r} does not take {signal!r}. There are: {choices}."


def chosen(texts: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return each target with the signals that it gets, from texts such as ``influxdb`` or ``influxdb:metrics``."""
    found: dict[str, frozenset[str]] = {}
    for text in texts:
        name, _, signal = text.partition(":")
        signals = frozenset([signal]) if signal else _takes(name)
        found[name] = found.get(name, frozenset()) | signals
    return found


def drop_others(pipelines: Node, signals: Mapping[str, frozenset[str]]) -> None:
    """Remove the pipelines that bring a target other signals than the chosen ones."""
    for name, wanted in signals.items():
        own = Node("", children=parse(fragments.read(name))).at("service", "pipelines")
        for key in own.children if own is not None else ():
            if key.partition("/")[0] not in wanted:
                pipelines.children.pop(key, None)


def _takes(name: str) -> frozenset[str]:
    target = fragments.TARGETS.get(name)
    return frozenset(target.signals.split(", ") if target is not None else ())
