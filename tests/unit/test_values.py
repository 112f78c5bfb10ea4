"""The laws of values: anything becomes a legal, bounded OTLP value or `Refused`; nothing else happens."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time as clock
from collections import ChainMap, OrderedDict, defaultdict, deque, namedtuple
from contextvars import ContextVar
from dataclasses import dataclass, field, make_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from fractions import Fraction
from itertools import count
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.datastructures import CombinedMultiDict, EnvironHeaders, Headers, MultiDict
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Request
from wrapt import ObjectProxy

from flask_chest_otel._values.convert import Limits, Refused, to_attribute, to_dimension, to_metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

LIMITS = Limits()
BAD_CHARS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
thorough = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
NAMED = namedtuple("NAMED", "a b")  # noqa: PYI024 - the untyped kind is what is tested
LOGIN = namedtuple("LOGIN", "name password")  # noqa: PYI024 - as above
HELD: ContextVar[Any] = ContextVar("held", default=5)
SHOWN_HEADERS = '{"Authorization": "[REDACTED]", "Accept": "*/*"}'
SHOWN_VALUES = '{"a": ["1", "2"], "token": "[REDACTED]"}'


class Nameless:
    """It has no text of its own."""

    def __init__(self, token: str) -> None:
        self.token = token


class Slotted:
    """It has slots, and a text that shows them."""

    __slots__ = ("amount", "card", "unset")

    def __init__(self, amount: int, card: str) -> None:
        self.amount = amount
        self.card = card

    def __str__(self) -> str:
        return f"{self.amount} from {self.card}"


def kind_of(value: Any) -> str:
    """A parameter's name in the report; its text may be huge, or not be had."""
    return type(value).__name__


# What comes out


def assert_legal(result: Any, limits: Limits) -> None:
    """An OTLP value of exact built-in types, within the limits."""
    kind = type(result)
    if kind is tuple:
        assert len(result) <= limits.items
        assert len(set(map(type, result))) <= 1
        for item in result:
            assert type(item) is not tuple
            assert item is not None
            assert_legal(item, limits)
    elif kind is str:
        assert len(result) <= limits.chars
        assert not BAD_CHARS.search(result)
    elif kind is int:
        assert -(2**63) <= result < 2**63
    elif kind is float:
        assert result - result == 0
    else:
        assert kind is bool or result is None


def encoded(value: Any) -> AnyValue:
    """The value as the real exporter encodes it on a real span; any complaint in the log is an error."""
    complaints: list[str] = []
    handler = logging.Handler(logging.NOTSET)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    logging.getLogger().addHandler(handler)
    try:
        with provider.get_tracer("test").start_as_current_span("GET /") as span:
            span.set_attributes({"x": value})
        request = encode_spans(exporter.get_finished_spans())
    finally:
        logging.getLogger().removeHandler(handler)
    assert complaints == []
    received = type(request).FromString(request.SerializeToString())
    attributes = received.resource_spans[0].scope_spans[0].spans[0].attributes
    assert [each.key for each in attributes] == ["x"]
    return attributes[0].value  # type: ignore[no-any-return]


def decoded(value: AnyValue) -> Any:
    """What a receiver reads."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(decoded(each) for each in value.array_value.values)
    return getattr(value, kind or "")


# What goes in: plain and nested values, subclasses, and objects whose methods raise or return rubbish


class Level(IntEnum):
    """An enum that is an int."""

    LOW = 1


class Plan(Enum):
    """An enum of several kinds of values."""

    GOLD = "gold"
    LIST = (1, 2)
    NESTED = Level.LOW
    NONE = None


class Rights(Flag):
    """A set of flags."""

    READ = 1
    WRITE = 2


class Text(str):
    """A str that fails at every look."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    __getitem__ = __len__ = isprintable = __str__  # type: ignore[assignment]


class Whole(int):
    """An int that does not convert itself."""

    def __index__(self) -> int:
        raise RuntimeError

    __int__ = __index__


class StandIn:
    """As lazy proxies: every conversion is offered, whatever is behind it."""

    def __getattr__(self, name: str) -> Any:
        return name

    def __float__(self) -> float:
        return float("5")

    def __str__(self) -> str:
        return "5"


class Real(float):
    """A float that does not convert itself."""

    def __float__(self) -> float:
        raise RuntimeError


class Sequence(list):  # type: ignore[type-arg]
    """A list that never ends and has no length."""

    def __iter__(self) -> Iterator[int]:
        return count()

    def __len__(self) -> int:
        raise RuntimeError


class Table(dict):  # type: ignore[type-arg]
    """A dict that does not show its items."""

    def items(self) -> Any:
        """Nothing at all."""
        raise RuntimeError


class Scalar32:
    """As numpy's float32: a number that is no subclass of float."""

    def __init__(self, number: Any) -> None:
        self.number = number

    def __float__(self) -> float:
        return self.number  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return "a scalar"


class Index:
    """As numpy's int64."""

    def __index__(self) -> int:
        return 7


class bool_:  # noqa: N801 - as numpy's
    """As numpy's bool: a truth value with a number."""

    def __bool__(self) -> bool:
        return True

    def __float__(self) -> float:
        return 1.0


@dataclass
class Customer:
    """A dataclass with a field that must not show."""

    name: str
    password: str
    orders: list[Any] = field(default_factory=list)


DUNDERS = [
    "__str__",
    "__repr__",
    "__eq__",
    "__hash__",
    "__len__",
    "__iter__",
    "__bool__",
    "__index__",
    "__float__",
    "__int__",
    "__format__",
    "__getitem__",
    "__contains__",
    "__next__",
    "__lt__",
    "__class__",
    "__getattr__",
    "__dict__",
    "__complex__",
    "__bytes__",
    "__fspath__",
    "items",
    "keys",
    "value",
    "isoformat",
    "total_seconds",
    "__dataclass_fields__",
    "__attrs_attrs__",
    "__pydantic_core_schema__",
    "model_fields",
    "is_finite",
    "__round__",
    "__length_hint__",
    "__buffer__",
    "__reduce__",
]


def raising(*_args: Any, **_kwargs: Any) -> Any:
    raise ValueError("s3cret")


BEHAVIOURS: dict[str, Any] = {
    "raises": raising,
    "raises on access": property(raising),
    "none": lambda *_args: None,
    "itself": lambda *args: args[0],
    "endless": lambda *_args: count(),
    "recursion": lambda *args: str(args[0]) + repr(args[0]),
    "huge": lambda *_args: 10**400,
    "nan": lambda *_args: float("nan"),
    "bytes": lambda *_args: b"\xff",
    "surrogate": lambda *_args: "\ud800\x00" * 3000,
    "no function": 5,
}
BASES: list[tuple[type, tuple[Any, ...]]] = [
    (object, ()),
    (str, ("text",)),
    (int, (2**70,)),
    (float, (1.5,)),
    (list, ([1, 2],)),
    (dict, ({"a": 1},)),
    (tuple, ((1, "b"),)),
    (bytes, (b"ab",)),
    (set, ({1},)),
    (Decimal, ("1.5",)),
    (Fraction, (1, 2)),
    (timedelta, (0, 3)),
    (datetime, (2026, 1, 31)),
    (deque, ([1],)),
    (Exception, ("message",)),
]


def evil(base: tuple[type, tuple[Any, ...]], methods: dict[str, str]) -> Any:
    """An object of a class derived from `base` with the given misbehaving methods."""
    namespace = {name: BEHAVIOURS[behaviour] for name, behaviour in methods.items()}
    kind: Any = type("Evil", (base[0],), namespace)
    made = object.__new__(kind) if base[0] is object else base[0].__new__(kind, *base[1])
    with contextlib.suppress(Exception):
        base[0].__init__(made, *base[1])  # type: ignore[misc]
    return made


EVIL = st.builds(
    evil,
    st.sampled_from(BASES),
    st.dictionaries(st.sampled_from(DUNDERS), st.sampled_from(sorted(BEHAVIOURS)), max_size=4),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**4000), 2**4000),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.complex_numbers(),
    st.sampled_from([*Level, *Plan, Rights.READ | Rights.WRITE, Text("tä\x00"), Real(1.5)]),
    st.sampled_from([Scalar32(1.5), Scalar32("rubbish"), Index(), bool_(), object, Ellipsis, range(9), len, re]),
    st.binary().map(lambda octets: memoryview(octets)[::2]),
    st.binary().map(bytearray),
    st.builds(PurePosixPath, st.sampled_from("ab")),
    st.builds(iter, st.lists(st.integers())),
)
HASHABLE = st.one_of(st.booleans(), st.integers(), st.text(st.characters()), st.none(), st.sampled_from([*Plan]))


def nest(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(children, max_size=8)
    dicts = st.dictionaries(HASHABLE, children, max_size=8)
    return st.one_of(
        lists,
        st.builds(tuple, lists),
        st.builds(deque, lists),
        st.builds(Sequence, lists),
        st.frozensets(HASHABLE),
        dicts,
        st.builds(Table, dicts),
        st.builds(OrderedDict, dicts),
        st.builds(MappingProxyType, dicts),
        st.builds(ChainMap, dicts),
        st.builds(lambda d: d.values(), dicts),
        st.builds(lambda d: d.keys(), dicts),
        st.builds(Customer, children, children, lists),
        st.builds(NAMED, children, children),
    )


ANYTHING = st.recursive(SCALARS | EVIL, nest, max_leaves=30)
ANY_LIMITS = st.just(LIMITS) | st.builds(Limits, st.integers(0, 40), st.integers(0, 5))


@pytest.mark.slow
@thorough
@given(ANYTHING, ANY_LIMITS)
def test_to_attribute_is_total_bounded_and_idempotent(value: Any, limits: Limits) -> None:
    """Anything becomes a legal value within the limits, which stays as it is the second time, or is refused."""
    try:
        result = to_attribute(value, limits)
    except Refused as refused:
        assert refused.reason  # noqa: PT017 - one of two good ends
        assert "s3cret" not in refused.reason  # noqa: PT017 - as above
        return
    assert_legal(result, limits)
    again = to_attribute(result, limits)
    assert (again, type(again)) == (result, type(result))


@pytest.mark.slow
@thorough
@given(ANYTHING)
def test_to_metric_is_total(value: Any) -> None:
    """Anything becomes a finite float, or None, or is refused."""
    with contextlib.suppress(Refused):
        number = to_metric(value)
        assert number is None or (type(number) is float and number - number == 0)


@pytest.mark.slow
@thorough
@given(ANYTHING)
def test_to_dimension_is_bounded_and_of_one_line(value: Any) -> None:
    """Any attribute becomes one scalar of one line, at most 255 characters, no trailing backslash, idempotent."""
    with contextlib.suppress(Refused):
        attribute = to_attribute(value, LIMITS)
        if attribute is None:
            return
        dimension = to_dimension(attribute)
        assert_legal(dimension, Limits(255))
        assert type(dimension) in {str, bool, int, float}
        assert not re.search(r"[\t\n\r]|\\$", str(dimension))
        assert to_dimension(dimension) == dimension


@pytest.mark.slow
@settings(parent=thorough, max_examples=100)
@given(ANYTHING)
def test_the_real_encoder_takes_it_all(value: Any) -> None:
    """The OTLP encoder takes every result without a word, and a receiver reads what was meant."""
    with contextlib.suppress(Refused):
        result = to_attribute(value, LIMITS)
        if result is not None:
            assert decoded(encoded(result)) == result


def test_the_encoder_check_can_fail() -> None:
    """What made this module necessary, an int beyond 64 bits, is seen by the check above."""
    with pytest.raises(AssertionError):
        encoded(2**70)


# What becomes of what


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        ("u1", "u1"),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (4.5, 4.5),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**400, "1" + "0" * 400),
        (10**10_000, "int of 33220 bits"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-float("inf"), "-Infinity"),
        ("a\tb\nc\r", "a\tb\nc\r"),
        ("a\x00\x1b[0m\x7f\x85\ud800", "a��[0m���"),
        ("soft\xadhyphen 👩‍💻", "soft\xadhyphen 👩‍💻"),
        (Text("tä"), "tä"),
        (Real(1.5), 1.5),
        (Whole(7), 7),
        (StandIn(), "5"),
        (Level.LOW, 1),
        (Plan.GOLD, "gold"),
        (Plan.LIST, (1, 2)),
        (Plan.NESTED, 1),
        (Plan.NONE, None),
        (Rights.READ | Rights.WRITE, 3),
        (Scalar32(2.5), 2.5),
        (Index(), 7),
        (bool_(), True),
        (Scalar32("rubbish"), "a scalar"),
        (Scalar32(float("nan")), "NaN"),
        (Decimal("4.5"), 4.5),
        (Decimal("1e400"), "1E+400"),
        (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (Fraction(1, 4), 0.25),
        (Fraction(10**400, 3), "Fraction too large for a double"),
        (b"abc\xff", "abc�"),
        (bytearray(b"\xc3\xa4"), "ä"),
        (memoryview(b"abc")[::2], "ac"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/a/b"), "/a/b"),
        (date(2026, 1, 31), "2026-01-31"),
        (time(1, 2), "01:02:00"),
        (datetime(2026, 1, 31, 1, 2, tzinfo=timezone.utc), "2026-01-31T01:02:00+00:00"),
        (timedelta(minutes=1.5), 90.0),
        (1 + 2j, "(1+2j)"),
        (LocalProxy(HELD), 5),
        (LocalProxy(LocalProxy(HELD)), "LocalProxy"),
        (LocalProxy(lambda: "u1"), "LocalProxy"),
        (ValueError("no"), "no"),
        (object(), "object"),
        (Nameless("s3cret"), "Nameless"),
        ([Nameless("s3cret")], ("Nameless",)),
        (re, "module"),
        (kind_of, "function"),
        ([].append, "builtin_function_or_method"),
        (SimpleNamespace(a=1, api_key="s3cret"), '{"a": 1, "api_key": "[REDACTED]"}'),
        ({"x": SimpleNamespace(api_key="s3cret")}, '{"x": {"api_key": "[REDACTED]"}}'),
        ([SimpleNamespace(a=[SimpleNamespace(pin=1)])], ('{"a": [{"pin": "[REDACTED]"}]}',)),
        (Slotted(5, "s3cret"), '{"amount": 5, "card": "[REDACTED]"}'),
        (LOGIN("ada", "s3cret"), ("ada", "[REDACTED]")),
        ({"who": LOGIN("ada", "s3cret")}, '{"who": ["ada", "[REDACTED]"]}'),
        (Headers({"Authorization": "Bearer s3cret", "Accept": "*/*"}), SHOWN_HEADERS),
        (EnvironHeaders({"HTTP_AUTHORIZATION": "Bearer s3cret", "HTTP_ACCEPT": "*/*"}), SHOWN_HEADERS),
        (Request({"HTTP_AUTHORIZATION": "Bearer s3cret", "QUERY_STRING": "token=s3cret"}), "Request"),
        (MultiDict([("token", "s3cret"), ("a", "1")]), '{"token": "[REDACTED]", "a": ["1"]}'),
        ({"token": "s3cret", "a": 1}.items(), ('["token", "[REDACTED]"]', '["a", 1]')),
        (list(Headers({"Authorization": "Bearer s3cret"})), ('["Authorization", "[REDACTED]"]',)),
        ({"sent": [("api_key", "s3cret")]}, '{"sent": [["api_key", "[REDACTED]"]]}'),
        (ObjectProxy({"token": "s3cret"}), "ObjectProxy"),
        ([ObjectProxy({"token": "s3cret"})], ("ObjectProxy",)),
        (CombinedMultiDict([MultiDict([("a", "1")]), MultiDict([("token", "s3cret"), ("a", "2")])]), SHOWN_VALUES),
        ({"QUERY_STRING": "a=1&token=s3cret"}, '{"QUERY_STRING": "a=1&token=REDACTED"}'),
        ({"RAW_URI": "/?code=s3cret"}, '{"RAW_URI": "/?code=REDACTED"}'),
        ([], ()),
        (["a", "b"], ("a", "b")),
        ((1, 2), (1, 2)),
        ([1, 2.5], (1.0, 2.5)),
        ([True, False], (True, False)),
        ([1, None, 2], (1, 2)),
        ([None], ()),
        ([True, 1], ("true", "1")),
        (["a", 1, 1.5, False], ("a", "1", "1.5", "false")),
        ([1.0, float("nan")], ("1.0", "NaN")),
        ([1, 2**64], ("1", "18446744073709551616")),
        ({8, 1}, (1, 8)),
        (frozenset("ba"), ("a", "b")),
        (deque([1]), (1,)),
        (range(3), (0, 1, 2)),
        ({"a": 1}.keys(), ("a",)),
        (Sequence([1, 2]), (1, 2)),
        (NAMED(1, 2), (1, 2)),
        ([[1, "a"], {"b": None}], ('[1, "a"]', '{"b": null}')),
        ([Customer("a", "b")], ('{"name": "a", "password": "[REDACTED]", "orders": []}',)),
        ([Plan.LIST], ("[1, 2]",)),
        ({}, "{}"),
        ({"a": [True, 1.5, "ü"]}, '{"a": [true, 1.5, "ü"]}'),
        (Table(a=1), '{"a": 1}'),
        ({1: 1, None: 2, (1, 2): 3, False: 4}, '{"1": 1, "null": 2, "1,2": 3, "false": 4}'),
        (MappingProxyType({"a": {1}}), '{"a": [1]}'),
        (ChainMap({"a": 1}), '{"a": 1}'),
        (defaultdict(int, a=1), '{"a": 1}'),
        ({"user": {"api_key": [1, 2], "plan": "gold"}}, '{"user": {"api_key": "[REDACTED]", "plan": "gold"}}'),
        ({"n": float("inf"), "big": 2**64}, '{"n": "Infinity", "big": "18446744073709551616"}'),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, '{"a": {"b": {"c": {"d": "…"}}}}'),
        ({"p": Plan.LIST}, '{"p": [1, 2]}'),
    ],
    ids=kind_of,
)
def test_examples(value: Any, expected: Any) -> None:
    """Each kind of value has one documented result, of an exact type."""
    result = to_attribute(value, LIMITS)
    assert (result, type(result)) == (expected, type(expected))
    assert "s3cret" not in str(result)
    if isinstance(result, tuple):
        assert [type(item) for item in result] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        ("abcdef", Limits(3), "abc"),
        (10**5, Limits(3), 100_000),
        (2**70, Limits(10), "int of 71 "),
        (["abcd"] * 9, Limits(2, 3), ("ab",) * 3),
        ({"a": 1, "b": 2}, Limits(items=1), '{"a": 1}'),
        ({"abc": "defghijk"}, Limits(8), '{"abc": '),
        (b"abcdef", Limits(2), "ab"),
        ("ä€😀x".encode(), Limits(3), "ä€😀"),
        (float("-inf"), Limits(4), "-Inf"),
        (10**6000, Limits(10_000), "int of 19932 bits"),
        ([False, 12345], Limits(3), ("fal", "123")),
        (set(range(9)), Limits(items=2), (0, 1)),
        (object, Limits(6), "<class"),
        ([None] * 3 + [1], Limits(items=3), ()),
    ],
    ids=kind_of,
)
def test_limits(value: Any, limits: Limits, expected: Any) -> None:
    """Texts are cut to the characters, each element for itself, lists and mappings to the items."""
    assert to_attribute(value, limits) == expected


def test_cycles_survive() -> None:
    """A value inside itself ends at the depth limit, and a wide cycle at the character limit, at once."""
    cycle: dict[str, Any] = {}
    cycle["d"] = cycle
    assert to_attribute(cycle, LIMITS) == '{"d": {"d": {"d": {"d": "…"}}}}'
    wide: list[Any] = []
    wide.extend([wide] * 64)
    result = to_attribute(wide, LIMITS)
    assert isinstance(result, tuple)
    assert len(result) == 64
    assert_legal(result, LIMITS)


def test_json_text_parses_and_is_masked() -> None:
    """JSON text within the limits is JSON, with quotes and controls escaped and nothing sensitive in it."""
    result = to_attribute({'a"\\': "x\ny", "accessToken": "s3cret", "deep": [{"cookie": "s3cret"}]}, LIMITS)
    assert isinstance(result, str)
    assert "s3cret" not in result
    assert json.loads(result) == {'a"\\': "x\ny", "accessToken": "[REDACTED]", "deep": [{"cookie": "[REDACTED]"}]}


def test_generators_are_not_consumed() -> None:
    """An endless iterator is named, never iterated; a finite one is still whole afterwards."""
    assert to_attribute(count(), LIMITS) == "count(0)"
    numbers = (n for n in range(3))
    assert to_attribute(numbers, LIMITS) == "generator"
    assert list(numbers) == [0, 1, 2]


@pytest.mark.parametrize("behaviour", ["raises", "none", "itself", "recursion", "bytes", "no function"])
def test_an_object_without_text_is_refused(behaviour: str) -> None:
    """A `__str__` that raises or returns rubbish is refused, naming the type and the kind of error only."""
    with pytest.raises(Refused, match=r"^Evil: (ValueError|TypeError|RecursionError)$") as caught:
        to_attribute(evil(BASES[0], {"__str__": behaviour}), LIMITS)
    assert caught.value.reason == str(caught.value)


def test_a_hostile_metaclass_is_refused() -> None:
    """A type that hides its name and fails at every look is refused like any other."""

    class Hostile(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

        __hash__ = None  # type: ignore[assignment]

    made: Any = Hostile("Made", (), {})()
    with pytest.raises(Refused):
        to_attribute(made, LIMITS)
    with pytest.raises(Refused):
        to_metric(made)


def test_equality_and_hash_are_never_asked() -> None:
    """Neither comparison nor hash of a value runs, alone, in a list or in a mapping."""
    quiet = evil(BASES[0], {"__eq__": "raises", "__hash__": "raises", "__bool__": "raises", "__len__": "raises"})
    assert to_attribute(quiet, LIMITS) == "Evil"
    assert to_attribute([quiet, quiet], LIMITS) == ("Evil", "Evil")
    assert to_attribute({"a": quiet}, LIMITS) == '{"a": "Evil"}'


def test_what_is_no_exception_passes() -> None:
    """KeyboardInterrupt and its like are not ours to swallow."""

    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_attribute(Interrupting(), LIMITS)


class Crowded:
    """An object with very many attributes, and a text."""

    def __init__(self) -> None:
        self.__dict__.update((f"a{number}", number) for number in range(300_000))

    def __repr__(self) -> str:
        return "crowded"


def comb(value: Any, levels: int) -> Any:
    """A tree of 64^levels leaves that takes no memory."""
    return [comb(value, levels - 1)] * 64 if levels else value


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        comb([], 5),
        {"a": comb({}, 4)},
        "x" * 10_000_000,
        "\x00" * 10_000_000,
        b"x" * 10_000_000,
        Text("x" * 10_000_000),
        1 << 30_000_000,
        Fraction(1 << 3_000_000, 3),
        ["x" * 10_000_000] * 64,
        {"x" * 10_000_000: "x" * 10_000_000},
        [[0] * 1_000_000] * 64,
        dict.fromkeys(range(1_000_000)).keys(),
        Crowded(),
    ],
    ids=kind_of,
)
def test_size_costs_nothing(value: Any) -> None:
    """Twenty conversions of something huge do not take seconds: it is cut before it is looked at."""
    start = clock.process_time()
    for _ in range(20):
        to_attribute(value, LIMITS)
    assert clock.process_time() - start < 5


# Metrics and dimensions


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (42, 42.0),
        (42.5, 42.5),
        (-1, -1.0),
        (0, 0.0),
        (10**308, 1e308),
        (True, None),
        (None, None),
        ("5", None),
        (b"5", None),
        (Decimal("4.5"), 4.5),
        (Fraction(1, 4), 0.25),
        (timedelta(minutes=1.5), 90.0),
        (Level.LOW, 1.0),
        (Plan.GOLD, None),
        (Scalar32(2.5), 2.5),
        (Index(), 7.0),
        (bool_(), None),
        (Real(1.5), 1.5),
        (Whole(7), 7.0),
        (StandIn(), None),
        ([1], None),
        ({}, None),
        (1j, None),
        (LocalProxy(lambda: "5"), None),
        (MagicMock(), None),
        (object(), None),
        (Scalar32("rubbish"), None),
    ],
    ids=kind_of,
)
def test_metrics(value: Any, expected: float | None) -> None:
    """Numbers become floats, durations seconds; strings, booleans and stand-ins are no numbers."""
    number = to_metric(value)
    assert (number, type(number)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "infinity"),
        (-float("inf"), "infinity"),
        (Decimal("NaN"), "NaN"),
        (10**400, "too large for a double"),
        (Fraction(10**400), "too large for a double"),
        (Decimal("1e400"), "infinity"),
        (Scalar32(float("nan")), "NaN"),
        (Decimal("sNaN"), "Decimal: ValueError"),
    ],
    ids=kind_of,
)
def test_metrics_refused(value: Any, reason: str) -> None:
    """A number that no instrument takes is refused with its reason."""
    with pytest.raises(Refused) as caught:
        to_metric(value)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("gold", "gold"),
        (True, True),
        (5, 5),
        (1.5, 1.5),
        ((), ""),
        (("a", "b"), "a,b"),
        ((True, False), "true,false"),
        ((1.5, 2.0), "1.5,2.0"),
        ("a\r\n\tb\nc", "a b c"),
        ("C:\\dir\\", "C:\\dir"),
        ("\\\\", ""),
        ("x" * 300, "x" * 255),
        ("x" * 254 + "\\y", "x" * 254),
        (("x" * 200,) * 64, "x" * 200 + "," + "x" * 54),
        ("a\\\n", "a\\ "),
    ],
    ids=kind_of,
)
def test_dimensions(attribute: Any, expected: Any) -> None:
    """Dimensions are single values of one line that end in no backslash, cut to 255 characters."""
    result = to_dimension(attribute)
    assert (result, type(result)) == (expected, type(expected))


def with_fields(library: str) -> type[Any]:
    """A class of three texts: a harmless one, a secret by its name, and one that its text does not show."""
    if library == "dataclasses":
        return make_dataclass("User", [("name", str), ("password", str), ("note", str, field(repr=False))])
    module = pytest.importorskip(library)
    if library == "attrs":
        fields = {"name": module.field(), "password": module.field(), "note": module.field(repr=lambda _: "hidden")}
        made: type[Any] = module.make_class("User", fields)
        return made
    hidden = (str, module.Field(repr=False))
    model: type[Any] = module.create_model("User", name=(str, ...), password=(str, ...), note=hidden)
    return model


@pytest.mark.parametrize("library", ["dataclasses", "attrs", "pydantic"])
def test_objects_with_fields(library: str) -> None:
    """Fields are masked by their names like a dictionary's keys; what a class keeps out of its text stays out."""
    texts = {"name": "Ada", "password": "hunter2", "note": "hunter3"}
    user = with_fields(library)(**texts)
    shown = '{"name": "Ada", "password": "[REDACTED]"}'
    assert to_attribute(user) == shown
    assert to_attribute([user]) == (shown,)
    assert to_attribute({"user": user}) == f'{{"user": {shown}}}'
