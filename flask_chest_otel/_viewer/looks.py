"""Template filters and functions: they write numbers, times and ids, and addresses that keep the filter."""

from __future__ import annotations

import json
import shlex
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from flask import request, url_for

from flask_chest_otel._analysis.span_tree import label
from flask_chest_otel._base.text import LARGEST, WHOLE_FROM, shown_change, shown_number, shown_value
from flask_chest_otel._guard import lines, printable
from flask_chest_otel._viewer import charts

if TYPE_CHECKING:
    from flask import Blueprint
    from flask.blueprints import BlueprintSetupState

    from flask_chest_otel._store.answers import StoredRequest
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["NAME", "curl", "register", "row_of", "words"]

NAME = "flask_chest_viewer"
"""Name of the blueprint, with which its endpoints begin."""

MISSING = "-"
MASKED = "[REDACTED]"
SHOWN_CHARS = 60
_LONG = ((2 * 86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
_UNIT_S = {"days": 86400, "h": 3600, "min": 60, "s": 1}
_SECOND_MS, _MINUTE_MS = 1000.0, 60_000.0


def register(pages: Blueprint) -> None:
    """Register the template filters and functions on the blueprint."""
    filters = {
        "ms": milliseconds,
        "number": number,
        "clock": clock,
        "moment": moment,
        "value": value,
        "short": short,
        "shown": shown,
        "amount": amount,
        "safe_text": lambda text: lines(str(text)),
        "percent": percent,
        "change": lambda part: shown_change(part * 100),
        "lasting": lasting,
    }

    @pages.record_once
    def add(state: BlueprintSetupState) -> None:
        state.app.jinja_env.filters.update({f"chest_{name}": function for name, function in filters.items()})

    pages.context_processor(words)


def words() -> dict[str, object]:
    """Return what templates may call. Only the blueprint's templates get it, as an application may use these names."""
    return {
        "charts": charts,
        "to": address,
        "status_class": status_class,
        "masked": MASKED,
        "chest": chest,
        "label": label,
    }


def chest(*words: str) -> str:
    """Return a command of ``flask chest``, quoted for a shell."""
    return shlex.join(["flask", "chest", *words])


def address(endpoint: str, given: Filter | None = None, *, q: str | None = None, **more: Any) -> str:
    """Return the address of a page with the present filter, or with another ``q``."""
    kept = dict(given.args) if given is not None else {}
    if q is not None:
        kept["q"] = q
    place = f"{request.blueprint or NAME}.{endpoint}"
    return url_for(place, **{name: text for name, text in {**kept, **more}.items() if text not in ("", None)})


def milliseconds(given: float | None) -> str:
    """Write a duration with its unit, to three significant digits."""
    if given is None:
        return MISSING
    if given < _SECOND_MS:
        return f"{given:.3g} ms" if given < 100 else f"{given:.0f} ms"  # noqa: PLR2004 - three digits
    return f"{given / _SECOND_MS:.3g} s" if given < _MINUTE_MS else f"{given / _MINUTE_MS:.3g} min"


def number(given: float | None) -> str:
    """Write a number with groups of three digits; a fraction has four significant digits at most."""
    if given is None:
        return MISSING
    if float(given).is_integer() and abs(given) < LARGEST:
        return f"{int(given):,}".replace(",", "\u202f")
    text = f"{given:,.0f}" if WHOLE_FROM <= abs(given) < LARGEST else f"{given:.4g}"
    return text.replace(",", "\u202f")


def percent(part: float) -> str:
    """Write a part of a whole as percent."""
    return f"{part * 100:.1f} %" if 0 < part < 0.1 else f"{part * 100:.0f} %"  # noqa: PLR2004


def lasting(seconds: float) -> str:
    """Write a number of seconds with the largest unit that fits."""
    unit = next((unit for least, unit in _LONG if seconds >= least), "s")
    return f"{seconds / _UNIT_S[unit]:.3g} {unit}"


def clock(time: str) -> str:
    """Return the time of day of a stored time."""
    return time[11:19]


def moment(start_s: int) -> str:
    """Write seconds since 1970 UTC in ISO 8601, for people and for addresses."""
    time = datetime.fromtimestamp(start_s, timezone.utc)
    return f"{time:%Y-%m-%dT%H:%M}Z" if start_s % 60 == 0 else f"{time:%Y-%m-%dT%H:%M:%S}Z"


def value(given: object) -> str:
    """Write a recorded value exactly, on one line; control characters are escaped: it cannot look like another line."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str):
        return printable(given)
    if isinstance(given, (int, float)):
        return repr(given)
    return printable(json.dumps(given, ensure_ascii=False, default=str))


def short(given: object, chars: int = SHOWN_CHARS) -> str:
    """Write a recorded value as ``value`` does, cut to ``chars`` characters."""
    text = value(given)
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def shown(given: object, chars: int | None = None) -> str:
    """Write a recorded value with its numbers for people, cut to ``chars`` characters; ``value`` is for its tooltip."""
    text = shown_value(given)
    return value(text) if chars is None else short(text, chars)


def amount(text: str) -> str:
    """Write a number for people that is there as text."""
    return short(shown_number(float(text)) if "." in text else text)


def status_class(status: int) -> str:
    """Return the CSS class for a status."""
    return {5: "failed", 4: "refused", 3: "moved"}.get(status // 100, "ok")


def row_of(request: StoredRequest) -> dict[str, object]:
    """Return the fields of a request that a list shows."""
    names = ("key", "time", "request_id", "method", "route", "path", "status", "duration_ms", "variables")
    return {name: getattr(request, name) for name in names}


def curl(request: StoredRequest) -> str:
    """Return a curl command that repeats the method, path and id; the store does not have the rest of the request."""
    path = request.path or request.route or "/"
    words = ["curl", "-i", *(["-X", request.method] if request.method != "GET" else [])]
    words += ["-H", f"X-Request-ID: {request.request_id}", f"http://127.0.0.1:5000{path}"]
    return printable(shlex.join(words))
