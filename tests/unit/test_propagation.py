"""Fields of the typed context on outgoing calls, and those that arrive; two real services are an integration test."""

from __future__ import annotations

import gc
import inspect
import time as clock
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Literal, NewType
from uuid import UUID

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flask_chest_otel import ChestConfigError, FlaskChest, FlaskChestInstrumentor, _guard, current_context
from flask_chest_otel._context import propagator
from flask_chest_otel._context.field_types import as_type
from flask_chest_otel._values.convert import Refused
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flask import Flask

    from tests.conftest import Rig

    Send = Callable[..., Mapping[str, str]]


@dataclass
class Order:
    """What travels."""

    correlation_id: str = "of-this-service"
    depth: int | None = None
    price: float = 1.5
    vip: bool = False
    anything: Any = None


class Plan(Enum):
    """What a customer pays for."""

    GOLD = "gold"
    SILVER = 2


Tenant = NewType("Tenant", str)


@dataclass
class Strict:
    """Fields of every type that a text can become, and of some that none can."""

    amount: Decimal = Decimal(1)
    order: UUID = field(default_factory=lambda: UUID(int=1))
    plan: Plan | None = None
    size: Literal["s", 10, True] | None = None
    day: date | None = None
    at: datetime | None = None
    tenant: Tenant = Tenant("ours")
    either: float | str | None = None
    lines: list[str] = field(default_factory=list)
    nested: Order | None = None


@dataclass(frozen=True)
class Frozen:
    """Cannot be changed."""

    correlation_id: str = "fixed"


class Plain:
    """As it was written for Flask-Context."""

    def __init__(self, correlation_id: str | None = None) -> None:
        self.correlation_id = correlation_id or "made"


class Unreadable:
    """Its annotation is known to type checkers only."""

    depth: Missing = None  # type: ignore[name-defined]  # noqa: F821 - the point


@pytest.fixture(autouse=True)
def global_propagator() -> Iterator[None]:
    """The global propagator is as it was before."""
    before = propagate.get_global_textmap()
    yield
    propagator.uninstall()
    assert propagate.get_global_textmap() is before


@pytest.fixture
def send(rig: Rig) -> Send:
    """Makes a request whose view calls a host, and gives the headers of that call."""

    def sent(app: Flask, host: str = "orders", *, attribute: str = "http.url", **arriving: str) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        value = f"http://{host}:80/" if attribute.endswith(("url", "full")) else host
        tracer = rig.tracer_provider.get_tracer("client")

        @app.get("/")
        def view() -> str:
            with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes={attribute: value}):
                propagate.inject(carrier)
            return "ok"

        assert app.test_client().get("/", headers=arriving).text == "ok"
        return carrier

    return sent


def arrived(app: Flask, header: str) -> Any:
    """The typed context of a request that brings this baggage."""
    found = []

    @app.get("/")
    def view() -> str:
        found.append(current_context._get_current_object())
        return "ok"

    assert app.test_client().get("/", headers={"baggage": header}).text == "ok"
    return found[0]


def test_off_by_default(rig: Rig, send: Send) -> None:
    """Without propagate= nothing is sent, nothing is read, and the global propagator is left alone."""
    before = propagate.get_global_textmap()
    app = rig.app(context=Order)
    assert "baggage" not in send(app)
    assert propagate.get_global_textmap() is before
    other = rig.plain("other")
    rig.chest(other, context=Order)
    assert arrived(other, "correlation_id=theirs").correlation_id == "of-this-service"


def test_named_fields_are_sent(rig: Rig, send: Send) -> None:
    """Those that have a value, percent-encoded, beside the trace context; the object is made for that."""
    app = rig.app(context=Order, propagate=["correlation_id", "depth", "price", "vip"])
    carrier = send(app)
    assert carrier["baggage"] == "correlation_id=of-this-service,price=1.5,vip=false"
    assert carrier["traceparent"].split("-")[1] == f"{rig.server().context.trace_id:032x}"


def test_what_arrives_goes_on(rig: Rig, send: Send) -> None:
    """A service in the middle passes its caller's value on, once, and leaves entries of others as they are."""
    app = rig.app(context=Order, propagate=["correlation_id"], tracked_vars=["correlation_id"])
    carrier = send(app, baggage="other=1%2C2,correlation_id=theirs%20%C3%BC")
    assert carrier["baggage"] == "other=1%2C2,correlation_id=theirs%20%C3%BC"
    assert rig.tracked(rig.server()) == {"correlation_id": "theirs ü"}


def test_recorded_without_being_asked_for(rig: Rig) -> None:
    """A value that arrived is recorded also by a view that never asks for its context; one that did not is not made."""
    app = rig.app(context=Order, propagate=["correlation_id"], tracked_vars=["correlation_id"])
    app.add_url_rule("/", view_func=lambda: "ok")
    client = app.test_client()
    with capture(app) as records:
        client.get("/", headers={"baggage": "correlation_id=theirs"})
        client.get("/", headers={"baggage": "other=theirs"})
        client.get("/")
    assert [dict(record.variables) for record in records] == [{"correlation_id": "theirs"}, {}, {}]


@pytest.mark.parametrize("attribute", ["server.address", "net.peer.name", "url.full", "http.url"])
def test_only_to_hosts_of_the_list(rig: Rig, send: Send, attribute: str) -> None:
    """Others get nothing under these names, not even what OpenTelemetry would pass on; their own entries they get."""
    hosts = ["orders", "*.Example.com.", "[::1]"]
    expected = {
        "orders": True,
        "ORDERS": True,
        "orders.evil": False,
        "a.b.example.com": True,
        "example.com": False,
        "evilexample.com": False,
        "127.0.0.1": False,
    }
    for number, (host, gets_it) in enumerate(expected.items()):
        app = rig.plain(f"shop{number}")
        rig.chest(app, context=Order, propagate=["correlation_id"], propagate_to=hosts)
        carrier = send(app, host, attribute=attribute, baggage="other=1,correlation_id=theirs")
        assert carrier["baggage"] == ("other=1,correlation_id=theirs" if gets_it else "other=1"), host


def test_connections_are_wrapped_for_a_list_only(rig: Rig, send: Send) -> None:
    """Where fields go to every host the standard library is left alone; taken off, it is as it was."""
    before = dict(vars(HTTPConnection))
    everywhere, somewhere = rig.plain("everywhere"), rig.plain("somewhere")
    rig.chest(everywhere, context=Order, propagate=["correlation_id"])
    rig.chest(somewhere, context=Order, propagate=["correlation_id"], propagate_to=["orders"])
    gc.collect()
    send(everywhere)
    assert dict(vars(HTTPConnection)) == before
    send(somewhere)
    assert {name for name, value in vars(HTTPConnection).items() if before[name] is not value} == {
        "putheader",
        "putrequest",
    }
    propagator.uninstall()
    assert dict(vars(HTTPConnection)) == before


def test_an_unknown_host_is_not_on_the_list(rig: Rig, send: Send) -> None:
    """Where the client does not say whom it calls, or is no client, a list keeps everything here."""
    app = rig.app(context=Order, propagate=["correlation_id"], propagate_to=["orders"])
    assert "baggage" not in send(app, "orders", attribute="peer.something")
    other = rig.plain("other")
    rig.chest(other, context=Order, propagate=["correlation_id"], propagate_to=["localhost"])
    carrier: dict[str, str] = {}

    @other.get("/")
    def view() -> str:
        propagate.inject(carrier)  # in the server span, which has an address, too
        return "ok"

    other.test_client().get("/", base_url="http://localhost")
    assert (rig.servers()[-1].attributes or {})["server.address"] == "localhost"
    assert set(carrier) == {"traceparent"}


def test_beside_baggage_of_the_application(rig: Rig) -> None:
    """What stands in OpenTelemetry's baggage, or in the headers already, goes with it; a second try sends it once."""
    app = rig.app(context=Order, propagate=["correlation_id"])
    headers = {"Baggage": "mine=1"}
    carrier: dict[str, str] = {}

    @app.get("/")
    def view() -> str:
        for _ in range(2):
            propagate.inject(headers)
        token = otel_context.attach(baggage.set_baggage("tenant", "a b"))
        propagate.inject(carrier)
        otel_context.detach(token)
        return "ok"

    assert app.test_client().get("/").text == "ok"
    assert {name: value for name, value in headers.items() if name != "traceparent"} == {
        "Baggage": "mine=1,correlation_id=of-this-service"
    }
    assert carrier["baggage"] == "tenant=a+b,correlation_id=of-this-service"


def test_without_a_propagator_of_baggage(rig: Rig, send: Send) -> None:
    """``OTEL_PROPAGATORS=tracecontext`` or none at all: fields travel all the same, both ways."""
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator()]))
    app = rig.app(context=Order, propagate=["correlation_id"])
    assert send(app, baggage="other=1,correlation_id=theirs")["baggage"] == "correlation_id=theirs"
    assert "baggage" in propagate.get_global_textmap().fields
    propagator.uninstall()
    propagate.set_global_textmap(before)


def test_outside_of_a_request(rig: Rig, send: Send) -> None:
    """Outside of requests, and in other applications, the propagator does what it did before; it is there once."""
    app = rig.app(context=Order, propagate=["correlation_id"])
    send(app)
    installed = propagate.get_global_textmap()
    propagator.install()
    assert propagate.get_global_textmap() is installed
    carrier: dict[str, str] = {}
    with app.app_context():
        propagate.inject(carrier)
    assert carrier == {}
    other = rig.plain("other")
    rig.chest(other, context=Order)
    assert "baggage" not in send(other)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("depth=17", "depth", 17),
        ("price=-2.5e3", "price", -2500.0),
        ("vip=TRUE", "vip", True),
        ("vip=0", "vip", False),
        ("correlation_id=17", "correlation_id", "17"),
        ("anything=17", "anything", "17"),
        ("correlation_id=a%2Cb%3B%0A%25%F0%9F%98%80", "correlation_id", "a,b;\n%😀"),
        ("correlation_id=", "correlation_id", ""),
    ],
)
def test_values_get_the_type_of_their_field(rig: Rig, text: str, name: str, expected: Any) -> None:
    """Text becomes what the annotation says where that is int, float or bool, also optional; else it stays text."""
    app = rig.app(context=Order, propagate=["correlation_id", "depth", "price", "vip", "anything"])
    found = getattr(arrived(app, text), name)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("depth=1.5", "arriving depth: no whole number"),
        ("depth=1_000", "arriving depth: no whole number"),
        ("depth=" + "9" * 5000, "arriving depth: no whole number"),
        ("depth=%D9%A3", "arriving depth: no whole number"),
        ("price=nan", "arriving price: no number"),
        ("price=1e999", "arriving price: too large a number"),
        ("vip=perhaps", "arriving vip: neither true nor false"),
        ("correlation_id=" + "x" * 8192, "too long"),
    ],
)
def test_refused_values_keep_the_default(rig: Rig, header: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be converted is counted, and logged once without the value; the request goes on."""
    app = rig.app(context=Order, propagate=["correlation_id", "depth", "price", "vip"])
    assert arrived(app, header) == Order()
    app.test_client().get("/", headers={"baggage": header})
    assert dict(_guard.counts) == {(_guard.Refusal.BAGGAGE, kind): 2}
    (message,) = [found.getMessage() for found in caplog.records if found.name == "flask_chest_otel"]
    assert header.partition("=")[2] not in message


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amount", Decimal("17.50"), "17.5"),
        ("amount", Decimal("-1E+400"), "-1E%2B400"),
        ("order", UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("plan", Plan.GOLD, "gold"),
        ("plan", Plan.SILVER, "2"),
        ("size", "s", "s"),
        ("size", 10, "10"),
        ("size", True, "true"),
        ("day", date(2026, 1, 31), "2026-01-31"),
        ("at", datetime(2026, 1, 31, 1, 2, tzinfo=timezone.utc), "2026-01-31T01%3A02%3A00%2B00%3A00"),
        ("tenant", "theirs", "theirs"),
        ("either", 1.5, "1.5"),
        ("either", "1,5", "1%2C5"),
    ],
)
def test_what_one_service_sends_another_one_takes(rig: Rig, send: Send, name: str, value: Any, text: str) -> None:
    """Decimals, UUIDs, enums, literals, dates: what is sent for a field arrives as an equal value of its type."""
    sender = rig.plain("sender")
    rig.chest(sender, context=lambda: Strict(**{name: value}), propagate=[name])
    header = send(sender)["baggage"]
    assert header == f"{name}={text}"
    receiver = rig.plain("receiver")
    rig.chest(receiver, context=Strict, propagate=[name])
    found = getattr(arrived(receiver, header), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("name", "texts", "reason"),
    [
        ("amount", ["cheap", "NaN", "1e999999999", "9" * 301, "1_0", "%D9%A3"], "no number"),
        ("order", ["7", "{00000000-0000-0000-0000-000000000007}", "x" * 36], "no UUID"),
        ("plan", ["GOLD", "bronze", "Plan.GOLD", ""], "none of the values that its type lists"),
        ("size", ["m", "1", "False", "10.0"], "none of the values that its type lists"),
        ("day", ["tomorrow", "2026-02-30"], "no date"),
        ("at", ["now", "9" * 4000], "no datetime"),
        ("lines", ["a", "[]"], "of a type that no text becomes"),
        ("nested", ["a"], "of a type that no text becomes"),
    ],
)
def test_each_is_checked_against_its_type(rig: Rig, name: str, texts: list[str], reason: str) -> None:
    """A text that is no value of the field's type leaves the field as it was, and is counted."""
    for number, text in enumerate(texts):
        app = rig.plain(f"shop{number}")
        rig.chest(app, context=Strict, propagate=[name])
        assert getattr(arrived(app, f"{name}={text}"), name) == getattr(Strict(), name), text
    assert dict(_guard.counts) == {(_guard.Refusal.BAGGAGE, f"arriving {name}: {reason}"): len(texts)}


@pytest.mark.guard_on
@pytest.mark.parametrize("kind", [int, float, bool, Decimal, UUID, date, datetime, Plan, Literal["s"], float | int])
@pytest.mark.parametrize("text", ["9" * 8000 + "x", "." + "9" * 8000 + "x", "1e" + "9" * 8000, "-" * 8000, "1." * 4000])
def test_a_long_text_holds_nobody_up(kind: Any, text: str) -> None:
    """Whatever a header of the longest size says, it is refused in less than a millisecond or two."""
    start = clock.process_time()
    for _ in range(10):
        with pytest.raises(Refused):
            as_type(text, kind)
    assert clock.process_time() - start < 0.1


def refused() -> set[str]:
    """What was refused of baggage, and nothing else."""
    assert {reason for reason, _ in _guard.counts} == {_guard.Refusal.BAGGAGE}
    return {about for _, about in _guard.counts}


@pytest.mark.guard_on
def test_classes_of_every_kind(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A plain class takes values; a frozen one and one with broken annotations are counted, and break nothing."""
    found = {}
    for cls, name in ((Plain, "correlation_id"), (Frozen, "correlation_id"), (Unreadable, "depth")):
        app = rig.plain(cls.__name__)
        rig.chest(app, context=cls, propagate=[name])
        found[cls] = getattr(arrived(app, f"{name}=7"), name)
    assert found == {Plain: "7", Frozen: "fixed", Unreadable: "7"}
    assert refused() == {"arriving correlation_id: FrozenInstanceError", "types of Unreadable"}


@pytest.mark.guard_on
def test_what_cannot_be_sent(rig: Rig, send: Send) -> None:
    """A list, a value that is too long, and one whose text fails: left out and counted; the others are sent."""

    class Stubborn:
        def __str__(self) -> str:
            raise ValueError("no")

    @dataclass
    class Mixed:
        listed: Any = field(default_factory=lambda: [1, 2])
        long: str = "x" * 9000
        stubborn: Any = field(default_factory=Stubborn)
        short: str = "a,b;c\r\nX-Evil: 1"

    app = rig.app(context=Mixed, propagate=["listed", "long", "stubborn", "short", "absent"])
    assert send(app)["baggage"] == "short=a%2Cb%3Bc%0D%0AX-Evil%3A%201"
    assert refused() == {
        "leaving listed: a list",
        "leaving long: no room",
        "leaving stubborn: Stubborn: ValueError",
    }


@pytest.mark.guard_on
def test_a_class_that_fails(rig: Rig, send: Send) -> None:
    """A context that cannot be made keeps nobody from calling other services; their headers are as they would be."""

    def broken() -> Order:
        raise RuntimeError("cannot")

    app = rig.app(context=broken, propagate=["correlation_id"])
    assert set(send(app, baggage="other=1")) == {"traceparent", "baggage"}
    assert set(_guard.counts) == {("propagate", "RuntimeError")}


def test_a_class_that_calls_a_service(rig: Rig) -> None:
    """A call from inside the context's own class goes out without fields, and the object is made once."""
    made: list[Mapping[str, str]] = []

    def ask() -> Order:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        made.append(carrier)
        return Order()

    app = rig.app(context=ask, propagate=["correlation_id"])
    app.add_url_rule("/", view_func=lambda: str(current_context.correlation_id))
    assert app.test_client().get("/").text == "of-this-service"
    assert [set(carrier) for carrier in made] == [{"traceparent"}]


def test_excluded_and_disabled(rig: Rig, send: Send) -> None:
    """An excluded URL keeps its context's fields travelling; a disabled chest sends and reads nothing."""
    excluded, disabled = rig.plain("excluded"), rig.plain("disabled")
    rig.chest(excluded, context=Order, propagate=["correlation_id"], excluded_urls=["/"])
    rig.chest(disabled, context=Order, propagate=["correlation_id"], enabled=False)
    assert "correlation_id=theirs" in send(excluded, baggage="correlation_id=theirs")["baggage"]
    propagator.uninstall()
    assert arrived(disabled, "correlation_id=theirs").correlation_id == "of-this-service"


def test_zero_code(rig: Rig, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instrumentor does the same, by the environment; taken off, it sends nothing more."""
    monkeypatch.setenv("FLASK_CHEST_CONTEXT", f"{__name__}:Order")
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(Order=Order))
    monkeypatch.setenv("FLASK_CHEST_PROPAGATE", "correlation_id,vip")
    monkeypatch.setenv("FLASK_CHEST_PROPAGATE_TO", "orders,*.internal")
    FlaskChestInstrumentor().instrument(**rig.providers)
    assert send(rig.plain("a"))["baggage"] == "correlation_id=of-this-service,vip=false"
    assert "baggage" not in send(rig.plain("b"), "elsewhere")
    FlaskChestInstrumentor().uninstrument()
    assert "baggage" not in send(rig.plain("c"))


@pytest.mark.parametrize("nothing", [(), [], None, "", "none", " None "], ids=repr)
def test_no_hosts_named_are_all(
    rig: Rig, send: Send, monkeypatch: pytest.MonkeyPatch, nothing: Sequence[str] | None
) -> None:
    """The default may be written down: as argument, in ``app.config`` and in the environment."""
    written: list[dict[str, Any]] = [{"propagate_to": nothing}, {}, {}]
    for number, options in enumerate(written):
        app = rig.plain(f"shop{number}")
        if number == 1:
            app.config["FLASK_CHEST_PROPAGATE_TO"] = nothing
        if number == 2:
            monkeypatch.setenv("FLASK_CHEST_PROPAGATE_TO", str(nothing or ""))
        rig.chest(app, context=Order, propagate=["correlation_id"], **options)
        assert "baggage" in send(app, "anywhere")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"propagate": ["correlation_id"]}, "context="),
        ({"propagate": ["_private"], "context": Order}, "public fields"),
        ({"propagate": ["ü"], "context": Order}, "public fields"),
        ({"propagate": ["a", "a"], "context": Order}, "each once"),
        ({"propagate_to": ["https://orders"]}, "hosts without"),
        ({"propagate_to": ["orders:80"]}, "hosts without"),
        ({"propagate_to": ["*"]}, "hosts without"),
        ({"propagate_to": [3]}, "hosts without"),
    ],
)
def test_settings_that_cannot_be_used(rig: Rig, settings: dict[str, Any], words: str) -> None:
    """They raise at set-up and say what to give."""
    with pytest.raises(ChestConfigError, match=words):
        FlaskChest(rig.plain(), **settings)


@pytest.mark.guard_on
def test_a_host_that_nobody_names_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """With a list and a client span that is not recorded, nothing is sent, which would be a riddle without a word."""
    app = rig.app(context=Order, propagate=["correlation_id"], propagate_to=["orders"])
    carrier: dict[str, str] = {}

    @app.get("/")
    def view() -> str:
        with trace.use_span(trace.INVALID_SPAN):
            propagate.inject(carrier)
        return "ok"

    for _ in range(2):
        app.test_client().get("/", headers={"baggage": "correlation_id=theirs"})
    assert "baggage" not in carrier
    assert len([line for line in caplog.messages if "propagate_to" in line]) == 1


def test_a_global_propagator_set_later(rig: Rig) -> None:
    """Fields go along again from the request after the one in which the application replaced the propagator."""
    before = propagate.get_global_textmap()
    app = rig.app(context=Order, propagate=["correlation_id"])
    sent: list[str | None] = []

    @app.get("/")
    def view() -> str:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        sent.append(carrier.get("baggage"))
        return "ok"

    for number in range(3):
        if number == 1:
            propagate.set_global_textmap(TraceContextTextMapPropagator())
        app.test_client().get("/")
    assert sent == ["correlation_id=of-this-service", None, "correlation_id=of-this-service"]
    propagator.uninstall()
    propagate.set_global_textmap(before)


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tracecontext,missing", "OTEL_PROPAGATORS='tracecontext,missing' cannot be used: give names out of none, "),
        pytest.param(
            "None",
            "",
            marks=pytest.mark.skipif(
                '"none"' not in inspect.getsource(propagate), reason="this OpenTelemetry knows no propagator none"
            ),
        ),
        ("tracecontext , baggage", ""),
        ("", ""),
    ],
)
def test_a_propagator_that_is_not_installed(text: str, said: str, run_python: Callable[..., str]) -> None:
    """It is told in one line that names the variable and what it takes; requests go on."""
    script = """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
        from flask import Flask
        from flask_chest_otel import FlaskChest

        app = Flask("shop")
        FlaskChest(app, export="store", store_path="requests.sqlite3")
        app.add_url_rule("/", view_func=lambda: "ok")
        assert [app.test_client().get("/").status_code for _ in range(2)] == [200, 200]
        """
    lines = run_python(script, {"OTEL_PROPAGATORS": text}).splitlines()
    assert len(lines) == bool(said), lines
    assert all(said in line for line in lines)
