"""Settings: order of strength, what is refused and how, and the way back to an environment."""

from __future__ import annotations

import logging
import re
from dataclasses import fields
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_chest_otel import (
    ChestConfigError,
    FlaskChest,
    FlaskChestInstrumentor,
    TrackedVar,
    UnknownArgumentError,
    _guard,
    count_failures,
    count_requests,
    flask_chest,
)
from flask_chest_otel.config import UNSET, ChestConfig, check_arguments, effective_environment, resolve, sources
from flask_chest_otel.config.tracked_vars import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Rig


def make_id() -> str:
    return "made"


def test_defaults() -> None:
    """Nothing given anywhere: the documented defaults."""
    found = resolve({}, {}, {})
    assert found == ChestConfig()
    assert (found.request_id_header, found.response_headers) == ("X-Request-ID", ("X-Request-ID",))
    assert (found.attribute_prefix, found.export, found.server_span) == ("flask.g.", "auto", "auto")
    assert (found.cardinality_limit, found.value_limit_chars, found.list_limit, found.variables_limit) == (
        2000,
        1024,
        64,
        64,
    )
    assert found.enabled
    assert not found.raise_exceptions


def test_order_of_strength() -> None:
    """Arguments beat ``app.config``, which beats the environment, which beats defaults."""
    environ = {"FLASK_CHEST_LIST_LIMIT": "1", "FLASK_CHEST_VARIABLES_LIMIT": "1", "FLASK_CHEST_VALUE_LIMIT_CHARS": "16"}
    app_config = {"FLASK_CHEST_LIST_LIMIT": 2, "FLASK_CHEST_VARIABLES_LIMIT": 2}
    found = resolve({"list_limit": 3, "variables_limit": UNSET}, app_config, environ)
    assert (found.list_limit, found.variables_limit, found.value_limit_chars) == (3, 2, 16)
    assert found.cardinality_limit == 2000


def test_none_is_an_answer() -> None:
    """``None`` as argument, and ``none`` in the environment, beat what is weaker."""
    environ = {"FLASK_CHEST_REQUEST_ID_HEADER": "X-Other"}
    assert resolve({"request_id_header": None}, {}, environ).request_id_header is None
    assert resolve({}, {"FLASK_CHEST_REQUEST_ID_HEADER": None}, environ).request_id_header is None
    assert resolve({}, {}, {"FLASK_CHEST_REQUEST_ID_HEADER": "None"}).request_id_header is None
    assert resolve({}, {}, {"FLASK_CHEST_EXPORT": "none", "FLASK_CHEST_SERVER_SPAN": " none "}).export is None


@pytest.mark.parametrize("name", ["response_headers", "chests"])
def test_none_empties_a_tuple(name: str) -> None:
    """``none`` in the environment empties what is a tuple: no header is called none."""
    assert getattr(resolve({}, {}, {f"FLASK_CHEST_{name.upper()}": "none"}), name) == ()


@pytest.mark.parametrize("text", ["none", " None "])
def test_none_tracks_nothing(text: str) -> None:
    """``none`` is no variable, as it is no header; who has a ``g.none`` names it in a list, also on the way back."""
    app_config = {"FLASK_CHEST_TRACKED_VARS": text}
    for found in (resolve({}, {}, app_config), resolve({"tracked_vars": text}, {}, {}), resolve({}, app_config, {})):
        assert not found.tracked_vars
    found = resolve({"tracked_vars": ["none"]}, {}, {})
    assert found.tracked_vars.all_methods == (TrackedVar("none"),)
    assert resolve({}, {}, effective_environment(found)) == found


def test_empty_variable_is_unset() -> None:
    """An empty environment variable counts as absent, but for the prefix, which may be empty."""
    assert resolve({}, {}, {"FLASK_CHEST_LIST_LIMIT": ""}).list_limit == 64
    assert resolve({}, {}, {"FLASK_CHEST_ATTRIBUTE_PREFIX": ""}).attribute_prefix == ""


SPELLED: list[tuple[str, str, Any]] = [
    (
        "RESPONSE_HEADERS",
        "X-Request-ID, traceresponse,Server-Timing",
        ("X-Request-ID", "traceresponse", "Server-Timing"),
    ),
    ("CHESTS", "influxdb,audit", ("influxdb", "audit")),
    ("EXCLUDED_URLS", "health, ^/x$", ("health", "^/x$")),
    ("REQUEST_ID_GENERATOR", "uuid:uuid4", __import__("uuid").uuid4),
    ("ENABLED", "No", False),
    ("RAISE_EXCEPTIONS", "ON", True),
    ("EXPORT", "OTLP", "otlp"),
    ("DURABILITY", "Request", "request"),
    ("OUTBOX_MAX_BYTES", "2097152", 2 * 1024 * 1024),
    ("OUTBOX_MAX_AGE_S", "1800", 1800.0),
    ("SHUTDOWN_TIMEOUT_S", "0.5", 0.5),
    ("SERVER_SPAN", "upstream", "upstream"),
    ("REQUEST_ID_SECRET", "s3cret", "s3cret"),
]


@pytest.mark.parametrize(("name", "text", "expected"), SPELLED)
def test_environment_spelling(name: str, text: str, expected: Any) -> None:
    """Commas for tuples, ``module:attribute`` for callables, words for booleans."""
    assert getattr(resolve({}, {}, {f"FLASK_CHEST_{name}": text}), name.lower()) == expected


def test_tracked_vars_in_the_environment() -> None:
    """Names with commas, or JSON with methods and fields."""
    by_name = resolve({}, {}, {"FLASK_CHEST_TRACKED_VARS": "user_id, cart_total,"}).tracked_vars
    assert by_name.all_methods == (TrackedVar("user_id"), TrackedVar("cart_total"))
    text = '{"get": ["a"], "POST": [{"name": "b", "unit": "s", "buckets": [1, 2]}, "*"]}'
    by_method = resolve({}, {}, {"FLASK_CHEST_TRACKED_VARS": text}).tracked_vars
    assert by_method.for_method("GET") == (TrackedVar("a"),)
    assert by_method.for_method("POST") == (TrackedVar("b", unit="s", buckets=(1, 2)),)
    assert by_method.tracks_everything("POST")
    assert not by_method.tracks_everything("GET")


@pytest.mark.parametrize("spelling", ["*,-ledger", "a,*,-ledger,-b", '{"GET": ["*", "-ledger"], "POST": ["user.id"]}'])
def test_names_left_out_survive_the_environment(spelling: str) -> None:
    """What a star leaves out is written as it is read."""
    config = resolve({}, {}, {"FLASK_CHEST_TRACKED_VARS": spelling})
    assert resolve({}, {}, effective_environment(config)).tracked_vars == config.tracked_vars


MALFORMED: list[tuple[str, Any, str]] = [
    ("tracked_vars", "user id", "flask.g"),
    ("tracked_vars", "{", "valid JSON"),
    ("tracked_vars", "[" * 100_000, "tracked_vars"),
    ("tracked_vars", 3, "names or TrackedVar objects"),
    ("tracked_vars", [3], "TrackedVar"),
    ("tracked_vars", '[{"nam": "a"}]', "name"),
    ("tracked_vars", '[{"unit": "s"}]', "name"),
    ("request_id_generator", "uuid", "'module:attribute'"),
    ("request_id_generator", "no.such.module:x", "No module"),
    ("request_id_generator", "uuid:nothing", "uuid"),
    ("request_id_generator", 3, "callable"),
    ("request_id_header", "X Request", "HTTP header"),
    ("request_id_header", "", "HTTP header"),
    ("request_id_header", "X\r\nSet-Cookie", "HTTP header"),
    ("response_headers", ["X\n"], "HTTP headers"),
    ("response_headers", 3, "HTTP headers"),
    ("response_headers", None, "HTTP headers"),
    ("request_id_secret", b"bytes", "not empty"),
    ("request_id_secret", "", "not empty"),
    ("attribute_prefix", "flask g", "ASCII"),
    ("attribute_prefix", "1x", "beginning with a letter"),
    ("attribute_prefix", None, "ASCII"),
    ("chests", ["a", "a"], "each name once"),
    ("chests", ["a b"], "names of collector targets"),
    ("chests", [object()], "direct chests"),
    ("export", "jaeger", "'auto', 'otlp', 'store' or None"),
    ("durability", "always", "'batch' or 'request'"),
    ("events", "sampled", "'none', 'unsampled' or 'all'"),
    ("events", None, "'none', 'unsampled' or 'all'"),
    ("outbox_dir", 3, "a folder"),
    ("outbox_max_bytes", 1024, "from 1048576"),
    ("outbox_max_age_s", 0, "greater than 0"),
    ("export_batch_bytes", 65535, "from 65536 to 33554432"),
    ("export_batch_bytes", 2**25 + 1, "from 65536 to 33554432"),
    ("shutdown_timeout_s", "inf", "greater than 0"),
    ("shutdown_timeout_s", "nan", "greater than 0"),
    ("tracer_provider", object(), "TracerProvider"),
    ("meter_provider", "os:path", "MeterProvider"),
    ("server_span", "mine", "'upstream'"),
    ("excluded_urls", "(", "regular expressions"),
    ("excluded_urls", ["a{1,3}"], "commas"),
    ("cardinality_limit", 1, "from 2"),
    ("cardinality_limit", "many", "from 2"),
    ("value_limit_chars", 15, "from 16"),
    ("list_limit", True, "from 1"),
    ("list_limit", 1.5, "from 1"),
    ("variables_limit", 0, "from 1"),
    ("variables_limit", None, "from 1"),
    ("raise_exceptions", "maybe", "true or false"),
    ("handled_exceptions", [int], "exceptions to leave out"),
    ("handled_exceptions", ["shop:NotThere"], "exceptions to leave out"),
    ("handled_exceptions", ["LookupErorr"], "did you mean 'LookupError'?"),
    ("handled_exceptions", ["PreventUpdate"], "PreventUpdate has no module before it"),
    ("handled_exceptions", '["shop.NotThere"]', "exceptions to leave out"),
    ("request_hook", lambda _span: None, "a callable that takes the span and the WSGI environment"),
    ("enabled", 1, "true or false"),
]


@pytest.mark.parametrize(("name", "value", "words"), MALFORMED)
def test_malformed_argument(name: str, value: Any, words: str) -> None:
    """A value that cannot be used raises, names the setting, and says what to give."""
    with pytest.raises(ChestConfigError) as caught:
        resolve({name: value}, {}, {})
    assert words in str(caught.value)
    assert "cannot be used: give " in str(caught.value)
    assert isinstance(caught.value, ValueError)


NAMES_OF_CODE = [row for row in MALFORMED if isinstance(row[1], str) and re.fullmatch(r"[\w.]+:\w+", row[1])]


@pytest.mark.parametrize(("name", "value", "words"), [row for row in MALFORMED if row not in NAMES_OF_CODE])
def test_malformed_without_an_application(name: str, value: Any, words: str) -> None:
    """The constructor refuses what it can judge: the line with the mistake is in the traceback."""
    with pytest.raises(ChestConfigError, match=re.escape(words)):
        FlaskChest(**{name: value})


@pytest.mark.parametrize(("name", "value", "words"), NAMES_OF_CODE)
def test_code_is_imported_for_the_application(rig: Rig, name: str, value: Any, words: str) -> None:
    """Text that names code waits for ``init_app``: it may be in a module that is just being imported."""
    chest: FlaskChest = FlaskChest(**{name: value})
    with pytest.raises(ChestConfigError, match=words):
        chest.init_app(rig.plain())


def test_arguments_are_read_once(rig: Rig) -> None:
    """What is changed or used up after the constructor changes nothing, for any number of applications."""
    headers = ["X-Request-ID", "traceresponse"]
    chest: FlaskChest = FlaskChest(tracked_vars=iter(["a"]), response_headers=headers, **rig.providers)
    headers.clear()
    for name in ("one", "two"):
        app = rig.plain(name)
        chest.init_app(app)
        config_of_app = app.extensions["flask_chest"].config
        assert config_of_app.tracked_vars.all_methods == (TrackedVar("a"),)
        assert config_of_app.response_headers == ("X-Request-ID", "traceresponse")


@pytest.mark.parametrize(("name", "value", "words"), MALFORMED)
def test_malformed_elsewhere(name: str, value: Any, words: str) -> None:
    """The same in ``app.config`` and, as text, in the environment, under the name used there."""
    key = f"FLASK_CHEST_{name.upper()}"
    with pytest.raises(ChestConfigError, match=key if name != "tracked_vars" else "give"):
        resolve({}, {key: value}, {})
    if isinstance(value, str) and value:
        with pytest.raises(ChestConfigError):
            resolve({}, {}, {key: value})


def test_module_that_fails_to_import(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that raises anything at import is a malformed setting, not a crash."""
    (tmp_path / "broken_ids.py").write_text("raise RuntimeError('half done')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ChestConfigError, match="half done"):
        resolve({"request_id_generator": "broken_ids:make"}, {}, {})


@pytest.mark.parametrize("key", ["FLASK_CHEST_TRACKED_VAR", "FLASK_CHEST_tracked_vars"])
def test_unknown_config_key(key: str) -> None:
    """An unknown key of ``app.config`` raises and names the nearest; case counts, as Flask reads upper case only."""
    with pytest.raises(ChestConfigError, match=r"app\.config.*\(did you mean FLASK_CHEST_TRACKED_VARS\?\)") as caught:
        resolve({}, {key: ["a"]}, {})
    assert key in str(caught.value)


def test_unknown_key_without_a_guess() -> None:
    """Where no name is near, all are listed."""
    with pytest.raises(ChestConfigError, match="FLASK_CHEST_EXPORT"):
        resolve({}, {"FLASK_CHEST_": 1}, {})


def test_foreign_keys_pass() -> None:
    """Other extensions' keys are not ours to judge."""
    assert resolve({}, {"FLASK_DEBUG": 1, "CHEST": 2, "SECRET_KEY": "x"}, {"FLASK_APP": "x"}) == ChestConfig()


def test_unknown_variable_warns_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown environment variable gets one warning; the command line's own none."""
    monkeypatch.setattr(sources, "_warned", set())
    environ = {"FLASK_CHEST_LIST_LIMITS": "1", "FLASK_CHEST_CLI_STORE": "x"}
    with caplog.at_level(logging.WARNING, "flask_chest_otel"):
        resolve({}, {}, environ)
        resolve({}, {}, environ)
    (line,) = caplog.messages
    assert "FLASK_CHEST_LIST_LIMITS" in line
    assert line.endswith(" is no setting (did you mean FLASK_CHEST_LIST_LIMIT?)")


SECRET = "correct horse"  # noqa: S105 - the point

# The ignores are part of the test: mypy reports one that is not needed, and so a mistyped argument that it accepts.
UNKNOWN: list[tuple[Callable[[Any], object], str, str]] = [
    (
        lambda app: FlaskChest(app, traked_vars=["a"]),  # type: ignore[call-arg]
        "traked_vars=['a']",
        "an argument of FlaskChest (did you mean 'tracked_vars'?)",
    ),
    (
        lambda _: FlaskChest(xyzzy=1),  # type: ignore[call-arg]
        "xyzzy=1",
        "an argument of FlaskChest: app, tracked_vars, request_id_generator, ",
    ),
    (
        lambda _: FlaskChest(request_id_secrt=SECRET),  # type: ignore[call-arg]
        "request_id_secrt='***'",
        "'request_id_secret'",
    ),
    (lambda _: FlaskChest(token=SECRET), "token='***'", "an argument of FlaskChest"),  # type: ignore[call-arg]
    (
        lambda _: flask_chest(track_vars="a"),  # type: ignore[call-overload]
        "track_vars='a'",
        "an argument of flask_chest (did you mean 'tracked_vars'?)",
    ),
    (
        lambda _: flask_chest(lambda: "", chest="a"),  # type: ignore[call-overload]
        "chest='a'",
        "'chests'",
    ),
    (lambda _: count_requests(metricname="a"), "metricname='a'", "'metric_name'"),  # type: ignore[call-overload]
    (lambda _: count_failures(view=1), "view=1", "an argument of count_failures"),  # type: ignore[call-overload]
    (
        lambda _: TrackedVar("a", units="s"),  # type: ignore[call-arg]
        "units='s'",
        "an argument of TrackedVar (did you mean 'unit'?)",
    ),
]


@pytest.mark.parametrize(("call", "shown", "words"), UNKNOWN)
def test_unknown_argument(rig: Rig, call: Callable[[Any], object], shown: str, words: str) -> None:
    """An unknown argument is named with its value and the nearest one; who expects Python's TypeError gets one."""
    app = rig.plain()
    with pytest.raises(TypeError) as caught:
        call(app)
    assert isinstance(caught.value, UnknownArgumentError)
    assert isinstance(caught.value, ChestConfigError)
    assert str(caught.value).startswith(f"{shown} cannot be used: give ")
    assert words in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value.value)
    assert "flask_chest" not in app.extensions


@pytest.mark.parametrize("function", [FlaskChest, flask_chest, count_requests, count_failures, TrackedVar])
def test_signatures_are_shown(function: Callable[..., object]) -> None:
    """Editors and ``help()`` see the arguments one by one."""
    parameters = signature(function).parameters
    assert len(parameters) > 2
    assert all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters.values())


def test_secrets_are_masked() -> None:
    """A secret is in no repr and in no error message, also under a mistyped name."""
    found = resolve({"request_id_secret": SECRET}, {}, {})
    assert found.request_id_secret == SECRET
    assert SECRET not in repr(found)
    assert "request_id_secret='***'" in repr(found) or "request_id_secret=***" in repr(found)
    assert "list_limit=64" in repr(found)
    bad: list[Callable[[], Any]] = [
        lambda: resolve({"request_id_secret": SECRET.encode()}, {}, {}),
        lambda: resolve({}, {"FLASK_CHEST_REQUEST_ID_SECRETS": SECRET}, {}),
        lambda: resolve({}, {"FLASK_CHEST_SECRET": SECRET}, {}),
    ]
    for call in bad:
        with pytest.raises(ChestConfigError) as caught:
            call()
        assert SECRET not in str(caught.value)


def test_frozen() -> None:
    """Settings are read once; nobody changes them afterwards."""
    with pytest.raises(AttributeError):
        ChestConfig().list_limit = 3  # type: ignore[misc]  # the point


@pytest.mark.guard_on
@pytest.mark.parametrize(("name", "value", "words"), [row for row in MALFORMED if isinstance(row[1], str) and row[1]])
def test_instrumentor_is_lenient(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rig: Rig
) -> None:
    """Under the instrumentor a malformed variable gets one log line and its default; the rest works."""
    monkeypatch.setenv(f"FLASK_CHEST_{name.upper()}", value)
    other = "LIST_LIMIT" if name != "list_limit" else "VARIABLES_LIMIT"
    monkeypatch.setenv(f"FLASK_CHEST_{other}", "7")
    with caplog.at_level(logging.WARNING, "flask_chest_otel"):
        FlaskChestInstrumentor().instrument()
    app = rig.plain()
    state = FlaskChestInstrumentor()._lifecycle_of(app)  # noqa: SLF001 - its settings are nowhere else
    assert state is not None
    assert getattr(state.config, name) == getattr(ChestConfig(), name)
    assert getattr(state.config, other.lower()) == 7
    assert len([record for record in caplog.records if record.name == "flask_chest_otel"]) == 1
    assert sum(_guard.counts.values()) == 1


@pytest.mark.guard_on
def test_instrumentor_takes_foreign_arguments(caplog: pytest.LogCaptureFixture, rig: Rig) -> None:
    """Arguments that are no settings (a distribution passes its own) are named in the log and ignored."""
    FlaskChestInstrumentor().instrument(skip_dep_check=True, tracked_var=["a"], tracked_vars=["b"])
    state = FlaskChestInstrumentor()._lifecycle_of(rig.plain())  # noqa: SLF001 - its settings are nowhere else
    assert state is not None
    assert state.config.tracked_vars.all_methods == (TrackedVar("b"),)
    assert "tracked_var" in caplog.text


# The way back to an environment

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "none")
variables = st.builds(
    TrackedVar,
    names,
    unit=st.sampled_from(["", "s", "{EUR}"]),
    description=st.text("abc ,\"'", max_size=5),
    dimension=st.booleans(),
    attribute=st.none() | st.sampled_from(["user.id", "x,y"]),
    redact=st.sampled_from(["auto", "mask", "hash", "drop", None]),
)
groups = st.lists(variables | st.just("*"), max_size=4, unique_by=lambda var: var if isinstance(var, str) else var.name)
words = st.text("abcxyz-", min_size=1, max_size=10).filter(lambda text: text != "none")
arguments = st.fixed_dictionaries(
    {},
    optional={
        "tracked_vars": groups | st.dictionaries(st.sampled_from(["GET", "POST"]), groups),
        "request_id_header": st.none() | words,
        "request_id_secret": st.none() | words,
        "response_headers": st.lists(words, max_size=3),
        "attribute_prefix": st.sampled_from(["", "flask.g.", "a/b-c."]),
        "chests": st.lists(words, max_size=3, unique=True),
        "propagate_to": st.lists(words.filter(lambda text: "-" not in text), min_size=1, max_size=3),
        "export": st.sampled_from(["auto", "otlp", "store", None]),
        "durability": st.sampled_from(["batch", "request"]),
        "events": st.sampled_from(["none", "unsampled", "all"]),
        "outbox_dir": st.none() | words,
        "outbox_max_bytes": st.integers(2**20, 2**40),
        "outbox_max_age_s": st.floats(1e-3, 1e9),
        "export_batch_bytes": st.integers(2**16, 2**25),
        "shutdown_timeout_s": st.floats(1e-3, 1e9),
        "server_span": st.sampled_from(["auto", "upstream", None]),
        "excluded_urls": st.none() | st.lists(words, max_size=3),
        "cardinality_limit": st.integers(2, 10**6),
        "value_limit_chars": st.integers(16, 10**6),
        "list_limit": st.integers(1, 10**6),
        "variables_limit": st.integers(1, 10**6),
        "raise_exceptions": st.booleans(),
        "enabled": st.booleans(),
    },
)


def test_what_has_no_text_is_left_out() -> None:
    """A typed context is an object, and the fields of it that travel mean nothing without it."""
    found = resolve({"context": dict, "propagate": ["a"], "propagate_to": ["b"]}, {}, {})
    assert effective_environment(found) == {"FLASK_CHEST_PROPAGATE_TO": "b"}
    assert resolve({}, {}, effective_environment(found)).propagate_to == ("b",)


@given(arguments)
def test_checking_twice_changes_nothing(given_: dict[str, Any]) -> None:
    """The constructor checks, ``init_app`` checks what came out: both say the same."""
    assert resolve(check_arguments({"context": UNSET, **given_}), {}, {}) == resolve(given_, {}, {})


@given(arguments)
def test_there_and_back(given_: dict[str, Any]) -> None:
    """Settings written to an environment and read from it are the same settings."""
    settled = resolve(given_, {}, {})
    environ = effective_environment(settled)
    assert resolve({}, {}, environ) == settled
    assert effective_environment(resolve({}, {}, environ)) == environ


def test_objects_have_no_text() -> None:
    """Callables and variables with callables cannot be written and are left out."""
    settled = resolve({"request_id_generator": make_id, "tracked_vars": [TrackedVar("a", redact=str), "b"]}, {}, {})
    assert effective_environment(settled) == {"FLASK_CHEST_TRACKED_VARS": "b"}


def test_signatures_have_the_real_defaults() -> None:
    """Each argument stands with the default that its setting has where nobody gives one."""
    parameters = signature(FlaskChest).parameters
    defaults = {row.name: () if row.default is NOTHING else row.default for row in fields(ChestConfig)}
    assert {name: repr(one.default) for name, one in parameters.items() if name != "app"} == {
        name: repr(default) for name, default in defaults.items()
    }


class NeedsArguments:
    """A typed context that cannot be made."""

    def __init__(self, user_id: str) -> None:
        """Nothing to do."""


def factory() -> Flask:
    raise AssertionError("nobody calls it")


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (["user_id"], r"FlaskChest\(app, tracked_vars="),
        ("user_id", r"FlaskChest\(app, tracked_vars="),
        (factory, r"chest\.init_app\(app\) where the app is made"),
        (Flask, r"an application made of that class"),
        (3, "an application made with Flask"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_is_no_application(given: Any, advice: str) -> None:
    """Something else in the application's place is an error of ours that says where it belongs."""
    for put_on in (FlaskChest, FlaskChest().init_app):
        with pytest.raises(ChestConfigError, match=advice):
            put_on(given)


@pytest.mark.parametrize("setting", ["context", "request_id_generator"])
def test_what_needs_arguments(rig: Rig, setting: str) -> None:
    """A class or function that cannot be called without arguments is refused at set-up, on a route as well."""
    wrong: Any = {setting: NeedsArguments}
    with pytest.raises(ChestConfigError, match=rf"^{setting}=.*without arguments.*'user_id'"):
        FlaskChest(rig.plain(), **wrong)
    app = rig.plain("other")
    app.config[f"FLASK_CHEST_{setting.upper()}"] = NeedsArguments
    with pytest.raises(ChestConfigError, match="without arguments"):
        FlaskChest(app)
    with pytest.raises(ChestConfigError, match=r"without arguments.*'user_id'"):
        flask_chest(request_id_generator=wrong[setting])
