"""What to track: ``TrackedVar``, and the shapes in which ``tracked_vars`` may be written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from flask_chest_otel.errors import ChestConfigError, nearest, refuse_unknown
from flask_chest_otel.names import KNOWN_METHODS, TAKEN_ATTRIBUTES

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "SECONDS_BUCKETS",
    "MetricKind",
    "TrackedVar",
    "TrackedVars",
    "is_instrument_name",
    "looks_like_id",
    "parse_tracked_vars",
]

EVERYTHING = "*"
"""Stands for every public name in ``g``."""

LEFT_OUT = "-"
"""Stands before a name that ``"*"`` leaves out: ``"*,-ledger"``."""

MetricKind = Literal["auto", "histogram", "counter", "up_down_counter", "gauge"]
"""How a variable becomes a metric; ``None``: it does not."""

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Recommended for durations in seconds by the HTTP semantic conventions; the SDK's default suits milliseconds."""

_REDACT_WORDS = ("auto", "mask", "hash", "drop")
_MOST_NAME_CHARS = 255
_MOST_UNIT_CHARS = 63
_WITHOUT_MARKS = str.maketrans("", "", "_.-/")
_SLIP = 0.75  # GETT is GET; PROPPATCH, MOVE and PURGE are themselves


@dataclass(frozen=True, slots=True)
class TrackedVar:
    """One variable of ``flask.g`` and what becomes of it.

    Once is enough in an application: where its bare name, or ``"*"``, is tracked elsewhere, it means the same. Two
    that differ leave bare names at the defaults.

    Attributes:
        name: Its name on ``g``, or a path from there: ``"user.id"`` is the attribute ``id`` of ``g.user``, or that
            entry of a dictionary. What would have to be loaded for it is not there: attributes of a model that are
            not read from the database yet, the user behind a ``current_user`` that nobody has asked for.
        attribute: Span attribute; by default the application's ``attribute_prefix`` and the name. Existing
            semantic conventions such as ``user.id`` are a good choice.
        metric: ``"histogram"``, ``"counter"``, ``"up_down_counter"``, ``"gauge"``, ``None``, or ``"auto"``: int and
            float become a histogram (its count and sum serve totals and averages), while names that look like
            ids and everything else stay attributes.
        metric_name: Name of the instrument; by default the attribute's.
        unit: UCUM unit of the instrument, for example ``s``, ``By`` or ``{EUR}``.
        description: The instrument's description.
        buckets: Ascending upper bounds of the histogram's buckets, in the variable's unit.
        dimension: Also put the value on this request's metrics, under the cardinality limit.
        redact: ``"auto"`` masks names with a word such as *password* or *token* in it; ``"mask"``, ``"hash"`` or
            ``"drop"`` the value; a callable makes the value to record; ``None`` leaves it.
        convert: A callable that makes the value to record from what is found, before ``redact``: what is worth
            recording of an object, for example ``lambda user: user.plan``, or ``str`` for its text. Where it returns
            ``None`` there is no value; where it raises, the variable is refused, and counted.

    Raises:
        ChestConfigError: A field cannot be used; the message says what can.
    """

    name: str
    _: KW_ONLY
    attribute: str | None = None
    metric: MetricKind | None = "auto"
    metric_name: str | None = None
    unit: str = ""
    description: str = ""
    buckets: Sequence[float] | None = None
    dimension: bool = False
    redact: Literal["auto", "mask", "hash", "drop"] | Callable[[Any], Any] | None = "auto"
    convert: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what could only fail later, inside a request."""
        self._check_names()
        if self.metric is not None and self.metric not in get_args(MetricKind):
            raise self._error("metric", self.metric, f"None or one of {', '.join(get_args(MetricKind))}")
        if not _is_ascii(self.unit, _MOST_UNIT_CHARS):
            raise self._error("unit", self.unit, "at most 63 ASCII characters, a UCUM unit such as 's' or '{EUR}'")
        if not (self.redact is None or callable(self.redact) or self.redact in _REDACT_WORDS):
            raise self._error("redact", self.redact, f"None, a callable or one of {', '.join(_REDACT_WORDS)}")
        if not (self.convert is None or callable(self.convert)):
            raise self._error("convert", self.convert, "None or a callable from the value on g to the value to record")
        if not isinstance(self.description, str):
            raise self._error("description", self.description, "a text")
        if not isinstance(self.dimension, bool):
            raise self._error("dimension", self.dimension, "True or False")
        self._check_buckets()

    @property
    def default_buckets(self) -> tuple[float, ...] | None:
        """Upper bounds to advise: those given, else the conventions' where the unit is seconds."""
        return tuple(self.buckets) if self.buckets else (SECONDS_BUCKETS if self.unit == "s" else None)

    @property
    def kind(self) -> str | None:
        """The instrument that a number in this variable goes to, or ``None``."""
        if self.metric != "auto":
            return self.metric
        return None if self.dimension or looks_like_id(self.name) else "histogram"

    def _check_names(self) -> None:
        name: Any = self.name  # callers without a type checker write anything here
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise ChestConfigError(
                "TrackedVar name",
                self.name,
                "the name of an attribute of flask.g, for example 'user_id', or a path from there, 'user.id'",
            )
        if not self.name.isascii() and self.attribute is None:
            raise self._error("attribute", None, "an ASCII attribute name, as the variable's own is not ASCII")
        if self.attribute is not None and not _is_attribute_name(self.attribute):
            raise self._error("attribute", self.attribute, "1 to 255 printable ASCII characters without spaces")
        if self.attribute in TAKEN_ATTRIBUTES:
            raise self._error("attribute", self.attribute, "another name: this one says how the request itself went")
        if self.metric_name is not None and not is_instrument_name(self.metric_name):
            raise self._error(
                "metric_name",
                self.metric_name,
                "a letter and then up to 254 of A-Z a-z 0-9 _ . - / (OpenTelemetry's instrument names)",
            )

    def _check_buckets(self) -> None:
        if self.buckets is None:
            return
        try:
            bounds = tuple(float(bound) for bound in self.buckets)
        except (TypeError, ValueError, OverflowError):
            bounds = ()
        ascending = all(low < high for low, high in pairwise(bounds))
        if not bounds or not ascending or not all(map(math.isfinite, bounds)) or self.kind != "histogram":
            raise self._error("buckets", self.buckets, "ascending finite numbers, and only for a histogram")
        object.__setattr__(self, "buckets", bounds)

    def _error(self, field: str, value: Any, allowed: str) -> ChestConfigError:
        return ChestConfigError(f"TrackedVar({self.name!r}, {field})", value, allowed)


# The generated one would raise Python's own error.
TrackedVar.__init__ = refuse_unknown(TrackedVar.__init__)  # type: ignore[method-assign]


def looks_like_id(name: str) -> bool:
    """Whether a variable's name says that its value identifies something: sums and averages of it mean nothing."""
    lower = name.lower().rpartition(".")[2]
    return lower == "id" or lower.endswith(("_id", "_ids", "_key", "_uuid"))


def is_instrument_name(value: Any) -> bool:
    """Whether a text follows the metrics API specification's "Instrument name syntax"."""
    if not _is_attribute_name(value):
        return False
    return bool(value[0].isalpha() and value.translate(_WITHOUT_MARKS).isalnum())


def _is_attribute_name(value: Any) -> bool:
    return bool(value) and _is_ascii(value, _MOST_NAME_CHARS) and " " not in value


def _is_ascii(value: Any, most: int) -> bool:
    """Whether this is a text of at most so many printable ASCII characters."""
    return isinstance(value, str) and len(value) <= most and value.isascii() and value.isprintable()


class TrackedVars(NamedTuple):
    """A parsed ``tracked_vars``.

    Attributes:
        all_methods: Variables tracked whatever the method; used where ``by_method`` is ``None``.
        by_method: Variables by HTTP method; a method that is not listed tracks nothing.
    """

    all_methods: tuple[TrackedVar, ...] = ()
    by_method: Mapping[str, tuple[TrackedVar, ...]] | None = None
    everything_for: frozenset[str] | None = frozenset()
    """Methods that track every public name; ``None``: all methods do."""
    left_out: Mapping[str | None, frozenset[str]] = MappingProxyType({})
    """Names that they do not track all the same, by method; under ``None`` those of all methods."""

    def for_method(self, method: str) -> tuple[TrackedVar, ...]:
        """The variables that a request with this method tracks by name."""
        if self.by_method is None:
            return self.all_methods
        return self.by_method.get(method, ())

    def tracks_everything(self, method: str) -> bool:
        """Whether a request with this method tracks every public name in ``g``."""
        return self.everything_for is None or method in self.everything_for

    def leaves_out(self, method: str) -> frozenset[str]:
        """The public names that a request with this method does not track for all its ``"*"``."""
        return self.left_out.get(None if self.by_method is None else method, frozenset())

    def every_var(self) -> tuple[TrackedVar, ...]:
        """All variables, of whatever method."""
        listed = (var for group in (self.by_method or {}).values() for var in group)
        return (*self.all_methods, *listed)

    def __bool__(self) -> bool:
        """Whether anything is tracked at all."""
        return bool(self.every_var()) or self.everything_for is None or bool(self.everything_for)


NOTHING = TrackedVars()
"""No variables at all."""


def parse_tracked_vars(value: Any, setting: str = "tracked_vars") -> TrackedVars:
    """Read every spelling of ``tracked_vars``.

    Args:
        value: A name, a ``TrackedVar``, a list of both, a dict of lists by HTTP method, ``"*"``; or text from the
            environment: names with commas between them, or JSON.
        setting: What the user calls it, for error messages.

    Raises:
        ChestConfigError: It is none of these, or two variables would get one name.
    """
    if isinstance(value, TrackedVars):
        return value
    if isinstance(value, str):
        value = _from_text(value, setting)
    if value is None:
        raise ChestConfigError(setting, value, "a list of names; '*' tracks every public name in g, () none")
    if isinstance(value, Mapping):
        return _by_method(value, setting)
    names, everything, left_out = _group(value, setting)
    return TrackedVars(
        names, everything_for=None if everything else frozenset(), left_out={None: left_out} if left_out else {}
    )


def _by_method(value: Mapping[Any, Any], setting: str) -> TrackedVars:
    groups: dict[str, tuple[TrackedVar, ...]] = {}
    everything: set[str] = set()
    left_out: dict[str | None, frozenset[str]] = {}
    for method, group in value.items():
        _check_method(method, setting)
        names, everything_here, left_out_here = _group(group, f"{setting}[{method!r}]")
        groups[method.upper()] = names
        if left_out_here:
            left_out[method.upper()] = left_out_here
        if everything_here:
            everything.add(method.upper())
    return TrackedVars(by_method=groups, everything_for=frozenset(everything), left_out=left_out)


def _check_method(method: Any, setting: str) -> None:
    """Take the usual methods in any case, and others, such as WebDAV's, in capitals if they are no slip of the pen."""
    if not isinstance(method, str) or not method.isascii() or not method.replace("-", "").isalpha():
        raise ChestConfigError(setting, method, "HTTP methods as keys, for example {'GET': ['user_id']}")
    if method.upper() in KNOWN_METHODS:
        return
    same_letters = (known for known in sorted(KNOWN_METHODS) if sorted(known) == sorted(method.upper()))
    meant = next(same_letters, None) or nearest(method.upper(), KNOWN_METHODS, _SLIP)
    if meant is not None:
        raise ChestConfigError(setting, method, f"HTTP methods as keys (did you mean {meant!r}?)")
    if method != method.upper():
        raise ChestConfigError(
            setting,
            method,
            "HTTP methods as keys, those of your own in capitals; one TrackedVar as JSON goes into a list",
        )


def _group(value: Any, setting: str) -> tuple[tuple[TrackedVar, ...], bool, frozenset[str]]:
    if isinstance(value, (str, TrackedVar)):
        value = [value]
    if not isinstance(value, Iterable):
        raise ChestConfigError(setting, value, "names or TrackedVar objects in a list, or a dict of such lists")
    found: dict[str, TrackedVar] = {}
    entries = [part for entry in value for part in _parts(entry)]
    left_out = frozenset(entry[1:].strip() for entry in entries if isinstance(entry, str) and entry[:1] == LEFT_OUT)
    everything = EVERYTHING in entries
    if not everything and left_out:
        raise ChestConfigError(setting, f"-{min(left_out)}", "names to leave out beside '*' only: '*,-ledger'")
    for entry in entries:
        if isinstance(entry, str) and (entry == EVERYTHING or entry[:1] == LEFT_OUT):
            continue
        var = _one(entry, setting)
        if found.setdefault(var.name, var) != var:
            raise ChestConfigError(setting, var.name, "each variable once")
    if left_out & found.keys() or not all(map(str.isidentifier, left_out)):
        raise ChestConfigError(setting, ",".join(sorted(left_out)), "names of flask.g, each either tracked or left out")
    return tuple(found.values()), everything, left_out


def _parts(entry: Any) -> list[Any]:
    """``"*,-ledger"`` as one text among others, as in ``@flask_chest("*,-ledger")``."""
    if isinstance(entry, str) and entry[:1] in (EVERYTHING, LEFT_OUT):
        return [part.strip() for part in entry.split(",") if part.strip()]
    return [entry]


def _one(entry: Any, setting: str) -> TrackedVar:
    if isinstance(entry, TrackedVar):
        return entry
    if isinstance(entry, str):
        return TrackedVar(entry)
    if isinstance(entry, Mapping):
        return _from_json(entry, setting)
    raise ChestConfigError(setting, entry, "the name of a variable of flask.g, or a TrackedVar")


def _from_json(entry: Mapping[Any, Any], setting: str) -> TrackedVar:
    fields = TrackedVar.__dataclass_fields__
    for key in entry:
        if key not in fields:
            guess = nearest(str(key), fields)
            raise ChestConfigError(setting, key, f"fields of TrackedVar: {guess or ', '.join(fields)}")
    if "name" not in entry:
        raise ChestConfigError(setting, dict(entry), "a name in each TrackedVar, for example {'name': 'plan'}")
    values = dict(entry)
    if isinstance(values.get("buckets"), list):
        values["buckets"] = tuple(values["buckets"])
    return TrackedVar(**values)


def _from_text(text: str, setting: str) -> Any:
    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        return [part.strip() for part in stripped.split(",") if part.strip()]
    try:
        return json.loads(stripped)
    except ValueError as error:
        raise ChestConfigError(setting, text, f"names with commas between them, or valid JSON ({error})") from error
