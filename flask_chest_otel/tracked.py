"""``TrackedVar``: one variable of ``flask.g``, and how it is recorded."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, get_args

from flask_chest_otel.errors import ChestConfigError, refuse_unknown
from flask_chest_otel.names import TAKEN_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SECONDS_BUCKETS", "MetricKind", "TrackedVar", "is_instrument_name", "looks_like_id"]

MetricKind = Literal["auto", "histogram", "counter", "up_down_counter", "gauge"]
"""The metric that a variable becomes; ``None``: no metric."""

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Recommended for durations in seconds by the HTTP semantic conventions; the SDK's default suits milliseconds."""

_REDACT_WORDS = ("auto", "mask", "hash", "drop")
_MOST_NAME_CHARS = 255
_MOST_UNIT_CHARS = 63
_WITHOUT_MARKS = str.maketrans("", "", "_.-/")


@dataclass(frozen=True, slots=True)
class TrackedVar:
    """One variable of ``flask.g``, and how it is recorded.

    One definition in an application is enough: where another place tracks only its name, or ``"*"``, the definition
    applies there as well. If two definitions of a name differ, places with only the name use the defaults.

    Attributes:
        name: The name on ``g``, or a path from there: ``"user.id"`` is the attribute ``id`` of ``g.user``, or that
            entry of a dictionary. Nothing is loaded to find it: attributes of a model that were not read from the
            database, and the user of a ``current_user`` that was not used in the request, count as not set.
        attribute: Span attribute; by default the application's ``attribute_prefix`` and the name. Existing
            semantic conventions such as ``user.id`` are a good choice.
        metric: ``"histogram"``, ``"counter"``, ``"up_down_counter"``, ``"gauge"``, ``None``, or ``"auto"``: int and
            float become a histogram (its count and sum give totals and averages); other types, and names that look
            like ids, become no metric.
        metric_name: Name of the instrument; by default the name of the attribute.
        unit: UCUM unit of the instrument, for example ``s``, ``By`` or ``{EUR}``.
        description: The instrument's description.
        buckets: Ascending upper bounds of the histogram's buckets, in the variable's unit.
        dimension: Whether the value also becomes an attribute of this request's metrics, under the cardinality limit.
        redact: ``"auto"`` masks the value where the name contains a word such as *password* or *token*; ``"mask"``
            always masks it, ``"hash"`` records its hash, ``"drop"`` records nothing; a callable takes the value and
            returns the value to record; ``None`` records the value as it is.
        convert: A callable that takes the value on ``g`` and returns the value to record; it runs before ``redact``.
            Examples: ``lambda user: user.plan``; ``str`` for the text of an object. Where it returns ``None``, there is
            no value; where it raises, the variable is counted as refused.

    Raises:
        ChestConfigError: A field cannot be used; the message says which values can.
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
    redact: Literal["auto", "mask", "hash", "drop"] | Callable[[Any], object] | None = "auto"
    convert: Callable[[Any], object] | None = None

    def __post_init__(self) -> None:
        """Check every field, so that nothing fails later, inside a request."""
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
        """Bucket bounds for the instrument: the given ones, else those of the semantic conventions for seconds."""
        return tuple(self.buckets) if self.buckets else (SECONDS_BUCKETS if self.unit == "s" else None)

    @property
    def kind(self) -> str | None:
        """The kind of instrument that records a number of this variable; ``None``: none."""
        if self.metric != "auto":
            return self.metric
        return None if self.dimension or looks_like_id(self.name) else "histogram"

    def _check_names(self) -> None:
        name: object = self.name  # callers without a type checker write anything here
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

    def _error(self, field: str, value: object, allowed: str) -> ChestConfigError:
        return ChestConfigError(f"TrackedVar({self.name!r}, {field})", value, allowed)


# The generated __init__ would raise Python's own error for unknown arguments.
TrackedVar.__init__ = refuse_unknown(TrackedVar.__init__)  # type: ignore[method-assign]


def looks_like_id(name: str) -> bool:
    """Whether a variable's name says that its value is an identifier, of which sums and averages mean nothing."""
    lower = name.lower().rpartition(".")[2]
    return lower == "id" or lower.endswith(("_id", "_ids", "_key", "_uuid"))


def is_instrument_name(value: object) -> bool:
    """Whether a text follows "Instrument name syntax" of the metrics API specification."""
    if not _is_attribute_name(value):
        return False
    return bool(value[0].isalpha() and value.translate(_WITHOUT_MARKS).isalnum())


def _is_attribute_name(value: object) -> TypeGuard[str]:
    return bool(value) and _is_ascii(value, _MOST_NAME_CHARS) and " " not in value


def _is_ascii(value: object, most: int) -> TypeGuard[str]:
    """Whether a value is a text of at most ``most`` printable ASCII characters."""
    return isinstance(value, str) and len(value) <= most and value.isascii() and value.isprintable()
