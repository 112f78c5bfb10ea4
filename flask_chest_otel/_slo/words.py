"""Writes what all back ends need: names of files, numbers, sentences, and YAML that people can read."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import window_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask_chest_otel.slo import SLO, BurnAlert

__all__ = ["description", "digits", "dns_name", "file_name", "quoted", "summary", "yaml"]

_HASH_CHARS = 8
_NO_NAME = re.compile(r"[^\w.-]")


def file_name(service: str, end: str) -> str:
    """Return the name of a file about an application's objectives."""
    return f"flask-chest-slo-{_NO_NAME.sub('_', service)}.{end}"


def dns_name(*parts: str, most: int = 63) -> str:
    """Make a name of lower-case letters, digits and hyphens, of at most ``most`` characters.

    Names of different parts differ: a name that had to be changed gets a hash of the original.
    """
    text = "-".join(parts).lower()
    name = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    if name == text and len(name) <= most:
        return name
    end = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_HASH_CHARS]
    return f"{name[: most - _HASH_CHARS - 1]}-{end}".replace("--", "-").lstrip("-")


def quoted(value: object) -> str:
    """Quote a text, or a mapping of texts, for PromQL, Flux and YAML: as JSON in which letters are not escaped."""
    # Flux has no escapes such as \u00e9; PromQL and YAML do not join JSON's two escapes of a character beyond U+FFFF.
    return json.dumps(value, ensure_ascii=False)


def digits(number: float) -> str:
    """Write a number without an exponent, rounded to 12 places, which removes errors of binary fractions."""
    return f"{number:.12f}".rstrip("0").rstrip(".")


def summary(slo: SLO, alert: BurnAlert) -> str:
    """Return the first sentence of an alert."""
    return f"{slo.name} spends its budget more than {alert.burn:g} times as fast as it may"


def description(slo: SLO, alert: BurnAlert) -> str:
    """Say when an alert fires."""
    long, short = window_name(alert.long_s), window_name(alert.short_s)
    return (
        f"More than {digits(alert.burn * slo.budget * 100)} % of the requests were bad in the last {long}, and still in"
        f" the last {short}. The objective is {slo.objective:g} % good in {slo.window_days} days."
    )


def yaml(value: object) -> str:
    """Write a value as one YAML document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield from _mapping(value)
    elif isinstance(value, list) and value:
        for entry in value:
            first, *others = _lines(entry)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
    else:
        yield _scalar(value)


def _mapping(value: Mapping[str, object]) -> Iterator[str]:
    for name, one in value.items():
        if isinstance(one, str) and "\n" in one:
            yield f"{name}: |"
            yield from (f"  {line}".rstrip() for line in one.splitlines())
        elif isinstance(one, (dict, list)) and one:
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(one))
        else:
            yield f"{name}: {_scalar(one)}"


def _scalar(value: object) -> str:
    # A JSON string is a YAML string too; a plain word needs no quotation marks.
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_/.-]*", value)
    words = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
    return str(value) if plain and str(value).lower() not in words else json.dumps(value, ensure_ascii=False)
