"""The installed entry points of OpenTelemetry: which are loaded, which are broken, and which are skipped and why."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts

from flask_chest_otel._doctor.part import Part, Row

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

    from flask_chest_otel._doctor.instrumentations import Instrumentor

__all__ = ["no_chest", "part"]

_NO_CHEST = "this application has no FlaskChest: type FlaskChest(app) where it is made, or "

_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_CHOSEN_BY = {
    "opentelemetry_id_generator": "OTEL_PYTHON_ID_GENERATOR",
    "opentelemetry_traces_exporter": "OTEL_TRACES_EXPORTER",
    "opentelemetry_metrics_exporter": "OTEL_METRICS_EXPORTER",
    "opentelemetry_logs_exporter": "OTEL_LOGS_EXPORTER",
}


def part(environ: Mapping[str, str]) -> Part:
    """List instrumentors, and the id generators and exporters that a variable chooses or that are ours."""
    found = Part("entry_points", ("ENTRY POINT", "STATE", "BECAUSE"))
    for entry in sorted(entry_points(group="opentelemetry_instrumentor"), key=lambda entry: entry.name):
        found.rows.append(Row(f"instrumentor {entry.name}", *_instrumentor(entry, environ, found)))
    for group, variable in _CHOSEN_BY.items():
        kind = group.removeprefix("opentelemetry_").replace("_", " ")
        chosen = _listed(environ.get(variable, ""))
        for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
            if entry.name in chosen:
                state = "loaded" if _loaded(entry, found) is not None else "broken"
                found.rows.append(Row(f"{kind} {entry.name}", state, f"{variable} names it"))
            elif entry.name.startswith("flask_chest"):
                found.rows.append(Row(f"{kind} {entry.name}", "skipped", f"{variable} does not name it"))
    return found


def no_chest(environ: Mapping[str, str]) -> str:
    """Say why an application has no FlaskChest, and what to type."""
    if _is_disabled("flask_chest", environ):
        return f"{_NO_CHEST}take flask_chest (or *) out of {_DISABLED}"
    # How opentelemetry-instrument comes into a process.
    if "auto_instrumentation" in (getattr(sys.modules.get("sitecustomize"), "__file__", None) or ""):
        return (
            "opentelemetry-instrument started this process and instrumented nothing: correct what it named before this "
            "report, mostly an OTEL_… variable"
        )
    return f"{_NO_CHEST}start it with opentelemetry-instrument"


def _is_disabled(name: str, environ: Mapping[str, str]) -> bool:
    return not {name, "*"}.isdisjoint(_listed(environ.get(_DISABLED, "")))


def _instrumentor(entry: EntryPoint, environ: Mapping[str, str], found: Part) -> tuple[str, str]:
    if _is_disabled(entry.name, environ):
        return "skipped", f"{_DISABLED} names it"
    loaded = _loaded(entry, found)
    if loaded is None:
        return "broken", "it cannot be imported"
    instrumentor: Instrumentor = loaded()
    if instrumentor.is_instrumented_by_opentelemetry:
        return "loaded", "it instruments this process"
    conflict = get_dependency_conflicts(instrumentor.instrumentation_dependencies())
    if conflict is not None:
        return "skipped", str(conflict)
    return "skipped", "nobody asked for it; opentelemetry-instrument does"


def _loaded(entry: EntryPoint, found: Part) -> Any:
    try:
        return entry.load()
    except Exception as error:  # noqa: BLE001 - a third party's module may raise anything
        found.problems.append(
            f"the entry point {entry.name!r} cannot be loaded ({type(error).__name__}: {error}): type "
            f"pip install --upgrade {entry.value.partition(':')[0].partition('.')[0].replace('_', '-')}, "
            f"or {_DISABLED}={entry.name}"
        )
        return None


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
