"""How values look on the page: numbers, times, ids; addresses that keep what is chosen."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from flask import request, url_for

from flask_chest_otel._guard import lines, printable
from flask_chest_otel._viewer import charts

if TYPE_CHECKING:
    from flask import Blueprint
    from flask.blueprints import BlueprintSetupState

    from flask_chest_otel._store.reader import StoredRequest
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["NAME", "curl", "register", "row_of", "words"]

NAME = "flask_chest_viewer"
"""Name of the blueprint, and so the beginning of its endpoints."""

MISSING = "-"
MASKED = "[REDACTED]"
SHOWN_CHARS = 60
_LONG = ((2 * 86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
_UNIT_S = {"days": 86400, "h": 3600, "min": 60, "s": 1}
_SECOND_MS, _MINUTE_MS = 1000.0, 60_000.0


def register(pages: Blueprint) -> None:
    """Give the templates what they speak with."""
    filters = {
        "ms": milliseconds,
        "number": number,
        "clock": clock,
        "moment": moment,
        "value": value,
        "short": short,
        "safe_text": lambda text: lines(str(text)),
        "percent": percent,
        "lasting": lasting,
    }

    @pages.record_once
    def add(state: BlueprintSetupState) -> None:
        state.app.jinja_env.filters.update({f"chest_{name}": function for name, function in filters.items()})

    pages.context_processor(words)


def words() -> dict[str, object]:
    """What templates may call; of the blueprint's pages alone, as an application may use the same names."""
    return {"charts": charts, "to": address, "status_class": status_class, "masked": MASKED}


def address(endpoint: str, given: Filter | None = None, *, q: str | None = None, **more: Any) -> str:
    """The address of a page that keeps the filter, with another ``q`` where one is given."""
    kept = dict(given.args) if given is not None else {}
    if q is not None:
        kept["q"] = q
    place = f"{request.blueprint or NAME}.{endpoint}"
    return url_for(place, **{name: text for name, text in {**kept, **more}.items() if text not in ("", None)})


def milliseconds(given: float | None) -> str:
    """A duration with its unit, with three digits that count."""
    if given is None:
        return MISSING
    if given < _SECOND_MS:
        return f"{given:.3g} ms" if given < 100 else f"{given:.0f} ms"  # noqa: PLR2004 - three digits
    return f"{given / _SECOND_MS:.3g} s" if given < _MINUTE_MS else f"{given / _MINUTE_MS:.3g} min"


def number(given: float | None) -> str:
    """A number with groups of three digits; a fraction keeps four digits at most."""
    if given is None:
        return MISSING
    if float(given).is_integer() and abs(given) < 1e15:  # noqa: PLR2004 - beyond, digits say nothing
        return f"{int(given):,}".replace(",", "\u202f")
    return f"{given:,.4g}".replace(",", "\u202f")


def percent(part: float) -> str:
    """A part of a whole."""
    return f"{part * 100:.1f} %" if 0 < part < 0.1 else f"{part * 100:.0f} %"  # noqa: PLR2004


def lasting(seconds: float) -> str:
    """A long time with its unit."""
    unit = next((unit for least, unit in _LONG if seconds >= least), "s")
    return f"{seconds / _UNIT_S[unit]:.3g} {unit}"


def clock(time: str) -> str:
    """The time of day out of a time of the store."""
    return time[11:19]


def moment(start_s: int) -> str:
    """Seconds since 1970 as a time that addresses and people read."""
    time = datetime.fromtimestamp(start_s, timezone.utc)
    return f"{time:%Y-%m-%dT%H:%M}Z" if start_s % 60 == 0 else f"{time:%Y-%m-%dT%H:%M:%S}Z"


def value(given: object) -> str:
    """A recorded value on one line, with nothing that could forge another."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str):
        return printable(given)
    if isinstance(given, (int, float)):
        return repr(given)
    return printable(json.dumps(given, ensure_ascii=False, default=str))


def short(given: object, chars: int = SHOWN_CHARS) -> str:
    """The same, cut."""
    text = value(given)
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def status_class(status: int) -> str:
    """Name of the class of a status in the style sheet."""
    return {5: "failed", 4: "refused", 3: "moved"}.get(status // 100, "ok")


def row_of(request: StoredRequest) -> dict[str, object]:
    """A request in a list."""
    names = ("key", "time", "request_id", "method", "route", "path", "status", "duration_ms", "variables")
    return {name: getattr(request, name) for name in names}


def curl(request: StoredRequest) -> str:
    """The request as a command: method, path and id, as nothing else of it was kept."""
    path = request.path or request.route or "/"
    words = ["curl", "-i", *(["-X", request.method] if request.method != "GET" else [])]
    words += ["-H", f"X-Request-ID: {request.request_id}", f"http://127.0.0.1:5000{path}"]
    return printable(shlex.join(words))
