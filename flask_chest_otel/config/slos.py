"""The setting ``slos``: reads a list of objects in Python, or JSON in the environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from flask_chest_otel.errors import ChestConfigError, nearest
from flask_chest_otel.slo import SLO

__all__ = ["parse_slos", "slos_as_text"]

_EXAMPLE = '{"name": "checkout", "objective": 99.9, "routes": ["/checkout"]}'
_CODE = "good"
"""The field that holds a callable, which JSON cannot express."""


def parse_slos(value: object, setting: str = "slos") -> tuple[SLO, ...]:
    """Read ``slos`` in each of its forms.

    Args:
        value: A list of ``SLO`` or of mappings with its fields, or JSON of such a list.
        setting: The name that error messages use.

    Raises:
        ChestConfigError: The value has another form, or two objectives have the same name.
    """
    if isinstance(value, str):
        value = _from_text(value, setting)
    if isinstance(value, (SLO, Mapping)):
        value = [value]
    if not isinstance(value, Iterable):
        raise ChestConfigError(setting, value, 'a list of objectives: [SLO("checkout", objective=99.9)]')
    found: dict[str, SLO] = {}
    for entry in value:
        slo = _one(entry, setting)
        # Names of objectives become names of files and rules, and some systems compare these without case.
        if found.setdefault(slo.name.lower(), slo) is not slo:
            raise ChestConfigError(setting, slo.name, "each objective a name of its own: this one is there twice")
    return tuple(found.values())


def slos_as_text(slos: Iterable[SLO]) -> str:
    """JSON from which :func:`parse_slos` makes the same objectives; those with a callable are left out."""
    return json.dumps([_as_json(slo) for slo in slos if slo.good is None])


def _from_text(text: str, setting: str) -> object:
    if text.strip().lower() == "none":
        return []
    try:
        return json.loads(text)
    except ValueError as error:
        raise ChestConfigError(setting, text, f"JSON, such as [{_EXAMPLE}] ({error})") from error


def _one(entry: object, setting: str) -> SLO:
    if isinstance(entry, SLO):
        return entry
    if isinstance(entry, Mapping):
        return _from_json(entry, setting)
    raise ChestConfigError(setting, entry, f'objectives: SLO("checkout", objective=99.9), in JSON {_EXAMPLE}')


def _from_json(entry: Mapping[Any, Any], setting: str) -> SLO:
    known = SLO.__dataclass_fields__
    for key in entry:
        if key == _CODE and not callable(entry[key]):
            raise ChestConfigError(
                setting, {key: entry[key]}, "bad_when, bad_status or latency_s: JSON has no callables"
            )
        if key not in known:
            guess = nearest(str(key), known)
            hint = f" (did you mean {guess!r}?)" if guess else f": {', '.join(known)}"
            raise ChestConfigError(setting, key, f"fields of SLO{hint}")
    for name in ("name", "objective"):
        if name not in entry:
            raise ChestConfigError(setting, dict(entry), f"each objective {name!r}, too: {_EXAMPLE}")
    return SLO(**entry)


def _as_json(slo: SLO) -> dict[str, object]:
    values = {row.name: getattr(slo, row.name) for row in fields(slo)}
    plain = SLO(slo.name, objective=slo.objective)
    return {name: value for name, value in values.items() if name in _NEEDED or value != getattr(plain, name)}


_NEEDED = ("name", "objective")
