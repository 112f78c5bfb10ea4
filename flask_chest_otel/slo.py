"""``SLO``: one service level objective; and the burn rate alerts that are made for each."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeGuard

from flask_chest_otel.errors import ChestConfigError, nearest, refuse_unknown
from flask_chest_otel.names import KNOWN_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BAD", "BURN_ALERTS", "GOOD", "LEAST_OBJECTIVE", "LONGEST_WINDOW_DAYS", "SLO", "BurnAlert", "covers"]

_HOUR_S, _DAY_S = 3600, 86400


GOOD, BAD = "good", "bad"
"""Values of the metric attribute ``flask_chest.slo.result``."""


class BurnAlert(NamedTuple):
    """One burn rate alert: it fires when the burn rate is above ``burn`` over both a long and a short window.

    Attributes:
        severity: ``page``: somebody must act at once; ``ticket``: somebody must look at it within days.
        burn: The burn rate. At 1, the error budget is spent exactly at the end of the objective's window.
        long_s: The long window, seconds.
        short_s: The short window, seconds; because of it, the alert ends soon after the failures end.
    """

    severity: Literal["page", "ticket"]
    burn: float
    long_s: int
    short_s: int


BURN_ALERTS = (
    BurnAlert("page", 14.4, _HOUR_S, 5 * 60),
    BurnAlert("page", 6.0, 6 * _HOUR_S, 30 * 60),
    BurnAlert("ticket", 3.0, _DAY_S, 2 * _HOUR_S),
    BurnAlert("ticket", 1.0, 3 * _DAY_S, 6 * _HOUR_S),
)
"""The alerts of every objective, by "Multiwindow, Multi-Burn-Rate Alerts" of
https://sre.google/workbook/alerting-on-slos/."""

LEAST_OBJECTIVE = 100 * (1 - 1 / max(alert.burn for alert in BURN_ALERTS))
"""Percent. For an objective at or below it, an alert could not fire even if all requests failed."""

MOST_OBJECTIVE = 99.9999
"""Percent. A higher objective needs more requests than most services have, and would be displayed as 100."""

_LEAST_WINDOW_DAYS = max(alert.long_s for alert in BURN_ALERTS) // _DAY_S
LONGEST_WINDOW_DAYS = 90
"""Days: the embedded store keeps the counts of an objective that long, and few back ends keep them longer."""

_NAME = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
_STATUS = r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?"
_METHOD = r"[A-Z][A-Z0-9_-]{0,30}"
_LATENCY_S = "a number of seconds greater than 0, for example 0.3, or None"
_BAD_STATUS = "statuses that are bad: '5xx', '500-599', '429', several with commas between them, or () for none"


@dataclass(frozen=True, slots=True)
class SLO:
    """One service level objective: the share of requests of some routes that must be good, and what "good" means.

    A request is bad if its status is in ``bad_status``, if an exception left the application, if it took longer than
    ``latency_s``, if a variable has one of the values of ``bad_when``, or if ``good`` returns a false value. All other
    requests are good. This is decided once, at the end of the request, whether or not its span is sampled.

    Attributes:
        name: The name in metrics, alerts and files; it is unique in an application.
        objective: The share of requests that must be good, percent: more than 93.06, at most 99.9999; example: 99.9.
        routes: URL rules of the application; ``*`` in a rule stands for any characters: ``"/cart/*"``. ``"*"`` alone
            means every request, also those that match no route; ``"/*"`` means requests of any route.
        methods: HTTP methods; empty: all methods.
        good: A function that takes the request's record and returns whether the request was good: ``lambda record:
            record.variables.get("outcome") != "declined"``. Where it raises, the request counts as good, and the error
            is logged once.
        latency_s: Requests that take longer are bad, seconds; a streamed response ends with its last byte.
        bad_status: Statuses that are bad: ``"5xx"``, ``"500-599"``, ``"429"``, several with commas between them.
        bad_when: Tracked variables, each with the values that are bad: ``{"outcome": ("declined",)}``.
        by: A tracked variable whose values are counted separately, for example ``"plan"``.
        window_days: The window of the objective, days, from 3 to 90.
        min_requests: Least number of requests in an alert's long window for the alert to fire: among few requests, one
            failure says nothing.

    Raises:
        ChestConfigError: A field cannot be used; the message says which values can.
    """

    name: str
    _: KW_ONLY
    objective: float
    routes: Sequence[str] = ("*",)
    methods: Sequence[str] = ()
    good: Callable[[Any], object] | None = None
    latency_s: float | None = None
    bad_status: str | Sequence[str | int] = "5xx"
    bad_when: Mapping[str, Sequence[str | float | bool]] | None = None
    by: str | None = None
    window_days: int = 30
    min_requests: int = 100

    def __post_init__(self) -> None:
        """Check every field; refuse objectives that could never be met, never fail, or never cause an alert."""
        name: object = self.name  # callers without a type checker write anything here
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise ChestConfigError(
                "SLO name", name, "1 to 64 characters of A-Z a-z 0-9 _ . -, beginning with a letter, such as 'checkout'"
            )
        self._check_objective(self.objective)
        self._keep("routes", tuple(map(self._route, self._texts("routes"))))
        if not self.routes:
            raise self._error("routes", (), "one URL rule or more, or leave it out for every request")
        self._keep("methods", tuple(dict.fromkeys(map(self._method, self._texts("methods")))))
        self._keep("bad_status", self._bad_status(self.bad_status))
        self._keep("bad_when", self._bad_when(self.bad_when))
        self._check_good()
        if self.latency_s is not None and not (_is_number(self.latency_s) and 0 < self.latency_s < math.inf):
            raise self._error("latency_s", self.latency_s, _LATENCY_S)
        if self.by is not None and not _is_variable(self.by):
            raise self._error("by", self.by, "the name of one tracked variable, for example 'plan', or None")
        self._check_window(self.window_days)
        if not _is_whole(self.min_requests) or self.min_requests < 0:
            raise self._error("min_requests", self.min_requests, "a whole number from 0")

    @property
    def budget(self) -> float:
        """The error budget: the share of requests that may be bad, 0.001 for an objective of 99.9 percent."""
        # Rounded for people: in floating point, 1 - 99.9 / 100 is not exactly 0.001.
        return round(1 - self.objective / 100, 12)

    @property
    def bad_statuses(self) -> tuple[range, ...]:
        """Status codes that are bad."""
        text = str(self.bad_status)
        return tuple(map(_range_of, text.split(","))) if text else ()

    def is_for(self, route: str | None, method: str) -> bool:
        """Whether requests with a URL rule (``None``: no rule matched) and a method belong to the objective."""
        if self.methods and method not in self.methods:
            return False
        return any(covers(pattern, route) for pattern in self.routes)

    def _check_objective(self, objective: object) -> None:
        if not _is_number(objective) or not 0 < objective < math.inf:
            raise self._error("objective", objective, "a number of percent, for example 99.9")
        if 1 > objective > LEAST_OBJECTIVE / 100:
            raise self._error("objective", objective, f"percent (did you mean {round(objective * 100, 6):g}?)")
        if objective >= 100:  # noqa: PLR2004 - percent
            raise self._error("objective", objective, "less than 100: nothing may ever fail then; for example 99.9")
        if objective <= LEAST_OBJECTIVE:
            raise self._error("objective", objective, _never_fires(objective))
        if objective > MOST_OBJECTIVE:
            raise self._error("objective", objective, f"at most {MOST_OBJECTIVE:g}: one bad request of a million")

    def _check_window(self, days: object) -> None:
        if _is_whole(days) and _LEAST_WINDOW_DAYS <= days <= LONGEST_WINDOW_DAYS:
            return
        allowed = f"a whole number of days from {_LEAST_WINDOW_DAYS}, the longest time of an alert, to "
        raise self._error("window_days", days, allowed + str(LONGEST_WINDOW_DAYS))

    def _check_good(self) -> None:
        if self.good is None:
            return
        allowed = "a function of the request's record: good=lambda record: record.status != 409"
        if not callable(self.good):
            raise self._error("good", self.good, allowed)
        if inspect.iscoroutinefunction(self.good):
            raise self._error("good", self.good, f"{allowed}; none with 'async', as nobody waits for it")
        try:
            inspect.signature(self.good).bind(None)
        except TypeError as error:
            raise self._error("good", self.good, f"{allowed} ({error})") from error
        except ValueError:  # the function is written in C and has no known signature
            return

    def _texts(self, field: str) -> tuple[object, ...]:
        """The texts of a field; a single text is the same as a list with one text."""
        given: object = getattr(self, field)
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, Iterable) or isinstance(given, (Mapping, bytes)):
            raise self._error(field, given, "a list of texts")
        return tuple(given)

    def _route(self, route: object) -> str:
        if isinstance(route, str) and (route == "*" or route.startswith("/")):
            return route
        allowed = "URL rules, which begin with '/', such as '/checkout' or '/cart/*', or '*' for every request"
        raise self._error("routes", route, allowed)

    def _method(self, method: object) -> str:
        upper = method.upper() if isinstance(method, str) else ""
        if upper in KNOWN_METHODS:
            return upper
        meant = nearest(upper, KNOWN_METHODS, 0.75)
        if meant is not None or not re.fullmatch(_METHOD, upper) or method != upper:
            hint = f" (did you mean {meant!r}?)" if meant is not None else ", those of your own in capitals"
            raise self._error("methods", method, f"HTTP methods, for example 'POST'{hint}")
        return upper

    def _bad_status(self, given: object) -> str:
        entries = given.split(",") if isinstance(given, str) else [given] if _is_whole(given) else given
        if not isinstance(entries, Iterable) or isinstance(entries, (Mapping, bytes)):
            raise self._error("bad_status", given, _BAD_STATUS)
        found = [str(entry).strip().lower() for entry in entries if not isinstance(entry, bool)]
        for text in found:
            low, _, high = text.partition("-")
            if not re.fullmatch(_STATUS, text) or (high and low > high):
                meant = nearest(text, ("1xx", "2xx", "3xx", "4xx", "5xx"))
                hint = f" (did you mean {meant!r}?)" if meant is not None else ""
                raise self._error("bad_status", text, _BAD_STATUS + hint)
        return ",".join(dict.fromkeys(found))

    def _bad_when(self, given: object) -> dict[str, tuple[object, ...]]:
        allowed = "variables with the values that are bad, for example {'outcome': ('declined',)}"
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise self._error("bad_when", given, allowed)
        found = {}
        for name, values in given.items():
            listed = (values,) if _is_plain(values) else values
            if not isinstance(listed, (list, tuple, set, frozenset)) or not listed or not all(map(_is_plain, listed)):
                raise self._error("bad_when", given, f"{allowed}; values are texts, numbers, True or False")
            if not _is_variable(name):
                raise self._error("bad_when", given, f"{allowed}; {name!r} is no name of a variable of flask.g")
            found[name] = tuple(listed)
        return found

    def _keep(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    def _error(self, field: str, value: object, allowed: str) -> ChestConfigError:
        return ChestConfigError(f"SLO({self.name!r}, {field})", value, allowed)


# The generated __init__ would raise Python's own errors for unknown arguments.
SLO.__init__ = refuse_unknown(SLO.__init__)  # type: ignore[method-assign]


def _range_of(text: str) -> range:
    if text.endswith("xx"):
        first = int(text[0]) * 100
        return range(first, first + 100)
    low, _, high = text.partition("-")
    return range(int(low), int(high or low) + 1)


def _never_fires(objective: float) -> str:
    most = max(alert.burn for alert in BURN_ALERTS)
    wanted = most * (100 - objective)
    return (
        f"more than {LEAST_OBJECTIVE:.2f}: the first alert wants {most:g} times the budget of {100 - objective:g} % to "
        f"fail, which is {wanted:g} % of all requests, so it could never fire"
    )


def covers(pattern: str, route: str | None) -> bool:
    """Whether a pattern of ``SLO.routes`` covers requests with a URL rule; ``None``: requests that match no rule."""
    if pattern == "*" or route is None:
        return pattern == "*"
    if "*" not in pattern:
        return pattern == route
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), route, re.DOTALL) is not None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float))


def _is_variable(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))
