"""Joins fragments to one configuration, and writes the application's variables and routes into it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask_chest_otel._collector import fragments as collector_fragments
from flask_chest_otel._collector import signals as collector_signals
from flask_chest_otel._collector.generate import emf_declarations, raw_values, route_conditions
from flask_chest_otel._collector.outline import Node, merge, parse, text_of
from flask_chest_otel._collector.services import keep_services, unroutable
from flask_chest_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask_chest_otel._collector.application import Application

__all__ = ["Composition", "CompositionError", "composition_of", "render"]

DOOR = "otlp"
"""The receiver that the application sends to; the first pipeline of every target begins with it."""

_INNER_DOOR = "otlp/inside"
_INNER_ADDRESS = "127.0.0.1:${env:CHEST_INSIDE_PORT:-14300}"
_INNER = f"""
receivers:
  # Add-ons of this collector send here: they have no certificate and token for the receiver otlp.
  {_INNER_DOOR}:
    protocols:
      grpc:
        endpoint: "{_INNER_ADDRESS}"
        max_recv_msg_size_mib: 64
"""

_MADE = re.compile(r"# Made by `flask chest collector render` .*: (base(?: \+ .+)*)\.\n")
_PATTERN = re.compile(r'IsMatch\([^,]+, (".*")\)')


class CompositionError(ValueError):
    """The chosen parts cannot be combined; the message says what to type instead."""


@dataclass(frozen=True, slots=True)
class Composition:
    """What one collector shall do.

    Attributes:
        targets: Names of targets, in the order in which they were asked for.
        raw_values: Write one gauge point per request and variable.
        span_metrics: Count transactions and response times from spans.
        redaction: Mask secrets in front of every target.
        tail_sampling: Keep errors, slow requests and a share of the rest.
        secure: Demand TLS and a bearer token from applications.
        from_kafka: Read what other collectors have written to Kafka.
        signals: Target to the signals that it gets: ``traces``, ``metrics``, ``logs``. Other targets get all.
        routes: ``service.name`` to the targets that get its data. Data of other services go to all targets.
    """

    targets: tuple[str, ...]
    raw_values: bool = False
    span_metrics: bool = False
    redaction: bool = False
    tail_sampling: bool = False
    secure: bool = False
    from_kafka: bool = False
    signals: Mapping[str, frozenset[str]] = field(default_factory=dict)
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, application: Application | None) -> None:
        """Refuse a composition that cannot work.

        Args:
            application: The application, where one is loaded.

        Raises:
            CompositionError: It cannot work; the message gives the reason and what to type.
        """
        for name in self.targets:
            if name not in collector_fragments.TARGETS:
                raise CompositionError(collector_fragments.unknown(name))
        if not self.targets:
            raise CompositionError(
                f"nothing to send to: type --target NAME, one of {', '.join(collector_fragments.TARGETS)}"
            )
        if sentence := unroutable(self.routes, self.targets):
            raise CompositionError(sentence)
        if self.from_kafka and "kafka" in self.targets:
            raise CompositionError("--from-kafka with --target kafka would go round for ever: leave one out")
        if self.raw_values and application is None:
            raise CompositionError(
                "--raw-values is made from an application's tracked variables: type "
                "flask --app YOUR_APP chest collector …, with an app that has a FlaskChest"
            )
        if self.raw_values and application is not None and not any(v.metric for v in application.variables):
            raise CompositionError(f"--raw-values: {application.name} tracks no variable that is a number by its name")

    @property
    def fragments(self) -> list[str]:
        """Names of the fragments, in the order in which they are merged."""
        names = ("span_metrics", "raw_values", "redaction", "tail_sampling", "secure")
        add_ons = [name for name in names if getattr(self, name)]
        source = ["kafka_consumer"] if self.from_kafka else []
        return [collector_fragments.BASE, *dict.fromkeys(self.targets), *source, *add_ons]


def render(composition: Composition, application: Application | None = None) -> str:
    """Render one configuration, with the comments of its fragments.

    Args:
        composition: What the collector shall do.
        application: The application whose variables and routes are written into it; ``None``: fragments stay as they
            are.

    Returns:
        YAML. Secrets are not in it: it names the environment variables that hold them.

    Raises:
        CompositionError: The composition cannot work.
    """
    composition.check(application)
    heads, merged = [], dict[str, Node]()
    for name in composition.fragments:
        head, _, body = collector_fragments.read(name).partition("\n\n")
        heads.append(f"# {'=' * 20} {name}.yaml\n{head}\n")
        merge(merged, parse(f"\n{body}"))
    root = Node("", children=merged)
    pipelines = root.at("service", "pipelines")
    if pipelines is not None:
        collector_signals.drop_others(pipelines, composition.signals)
    if composition.secure:
        _open_inner_door(root)
    if application is not None:
        _write_application(root, composition, application)
    keep_services(root, composition.targets, composition.routes)
    for processor in ("tail_sampling", "redaction"):
        if getattr(composition, processor):
            _insert(root, composition, processor)
    return f"{_title(composition, application)}{''.join(heads)}{text_of(merged)}"


def _title(composition: Composition, application: Application | None) -> str:
    parts = " + ".join(
        f"{name} ({' and '.join(sorted(composition.signals[name]))} only)" if _is_cut(composition, name) else name
        for name in composition.fragments
    )
    whose = f", for {application.name!r}" if application is not None else ""
    return (
        f"# Made by `flask chest collector render` of flask_chest_otel {__version__}{whose}: {parts}.\n"
        "# Secrets are not in here: see what to set.\n#\n"
    )


def composition_of(text: str) -> Composition:
    """Read from the first line of a rendered configuration what it was rendered for.

    Args:
        text: The configuration.

    Returns:
        The composition; an empty one where ``render`` has not made the text.
    """
    made = _MADE.match(text)
    names = [name.partition(" (")[0] for name in made[1].split(" + ")] if made is not None else []
    targets = tuple(name for name in names if name in collector_fragments.TARGETS)
    return Composition(
        targets,
        raw_values="raw_values" in names,
        span_metrics="span_metrics" in names,
        redaction="redaction" in names,
        tail_sampling="tail_sampling" in names,
        secure="secure" in names,
        from_kafka="kafka_consumer" in names,
    )


def _is_cut(composition: Composition, name: str) -> bool:
    """Whether a target gets less than it takes."""
    return name in composition.signals and composition.signals[name] != collector_signals.chosen([name])[name]


def _write_application(root: Node, composition: Composition, application: Application) -> None:
    spans = root.at("connectors", "signal_to_metrics", "spans")
    if composition.raw_values and spans is not None:
        spans.lines = raw_values(application)
    declarations = root.at("exporters", "awsemf", "metric_declarations")
    if declarations is not None:
        declarations.lines = emf_declarations(application)
    for name in composition.targets:
        conditions = root.at("processors", f"filter/{name}", "metric_conditions")
        if conditions is not None:
            pattern = _PATTERN.search("\n".join(conditions.lines))
            conditions.lines += route_conditions(application, pattern[1] if pattern else '""')


def _open_inner_door(root: Node) -> None:
    """Give the add-ons a receiver of their own, because they have no certificate and token for ``otlp``."""
    exporters = ("otlp_grpc/raw_values", "otlp_grpc/span_metrics", "otlp_grpc/kafka_consumer")
    endpoints = [root.at("exporters", name, "endpoint") for name in exporters]
    inside = [endpoint for endpoint in endpoints if endpoint is not None]
    if not inside:
        return
    merge(root.children, parse(_INNER))
    for endpoint in inside:
        endpoint.value = f'"{_INNER_ADDRESS}"'
    pipelines = root.at("service", "pipelines")
    for pipeline in pipelines.children.values() if pipelines is not None else ():
        receivers = pipeline.at("receivers")
        if receivers is not None and DOOR in receivers.inline_list:
            receivers.value = f"[{DOOR}, {_INNER_DOOR}]"


def _insert(root: Node, composition: Composition, processor: str) -> None:
    """Insert a processor into every target's first pipeline, after the memory limiter and the filters.

    The memory limiter may refuse data, and the filters drop data; the processor shall only see what is left.
    """
    for key, processors in _door_pipelines(root, composition):
        if processor == "tail_sampling" and not key.startswith("traces"):
            continue
        names = processors.inline_list
        at = 1 + max(
            index
            for index, name in enumerate(names)
            if name.split("/")[0] in ("memory_limiter", "tail_sampling") or name.startswith("filter/")
        )
        processors.value = f"[{', '.join([*names[:at], processor, *names[at:]])}]"


def _door_pipelines(root: Node, composition: Composition) -> Iterator[tuple[str, Node]]:
    """Yield the name of each pipeline that receives the application's data, and its list of processors."""
    pipelines = root.at("service", "pipelines")
    for key, pipeline in (pipelines.children if pipelines is not None else {}).items():
        receivers, processors = pipeline.at("receivers"), pipeline.at("processors")
        target = key.partition("/")[2].removesuffix("_gate")
        if receivers is None or processors is None or target not in composition.targets:
            continue
        if DOOR in receivers.inline_list:
            yield key, processors
