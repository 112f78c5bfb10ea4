"""``flask chest show``."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord

MS_NS = 10**6


def failed(record: Callable[..., RequestRecord], **changes: Any) -> RequestRecord:
    """A request of 100 ms that failed, with all that a record can have."""
    start = time.time_ns()
    spans = (
        ChildSpan(
            "SELECT", "client", "a" * 16, "9" * 16, start + 10 * MS_NS, 0.04, "ok", {"db.query.text": "SELECT 1"}
        ),
        ChildSpan("charge", "internal", "b" * 16, "9" * 16, start + 50 * MS_NS, 0.05, "error", {}),
        ChildSpan("POST", "client", "c" * 16, "b" * 16, start + 60 * MS_NS, 0.03, "unset", {"n": 1}),
    )
    return record(
        10,
        0,
        start_unix_ns=start,
        status=500,
        path="/cart/7",
        version="1.5.0",
        cpu_s=0.0123,
        first_byte_s=0.09,
        timings={"db": (1, 0.04), "other": (2, 0.08)},
        error=RequestError(
            "shop.PaymentError", "no answer", "shop:pay:3", "Traceback:\n  File x\nshop.PaymentError", handled=False
        ),
        refused={"basket": "value\nFORGED"},
        spans=spans,
        spans_dropped=4,
        logs=(LogLine(start + 5 * MS_NS, "ERROR", "shop.bank", "timeout"),),
        logs_dropped=2,
        **changes,
    )


def test_everything_of_a_request(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Times, ids, variables, what was refused, the error with its stack, child spans, log lines, and what was cut."""
    fill(failed(record))
    result = chest("show", "r-10")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "GET /cart/<int:cart_id>  500  100.0 ms"
    text = re.sub(r" +", " ", result.stdout)
    for expected in (
        "service shop 1.5.0",
        "path /cart/7",
        "request id r-10",
        f"trace id {10:032x}",
        "first byte 90.0 ms",
        "cpu time 12.3 ms",
        "child spans db: 1 in 40.0 ms, other: 2 in 80.0 ms",
        "cart_total 105.0",
        "basket not recorded: value\\nFORGED",
        "ERROR shop.PaymentError: no answer",
        "at shop:pay:3, not handled",
        " Traceback:\n File x\n shop.PaymentError",
        "ERROR shop.bank: timeout",
        "4 more child spans",
        "2 more lines",
    ):
        assert expected in text
    assert all(len(line) <= 80 for line in lines)


def test_bars_show_when_and_how_long(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Child spans stand in the order of their begin, children under parents, with bars at their place in time."""
    fill(failed(record))
    lines = chest("show", "r-10").stdout.splitlines()
    first = lines.index(next(line for line in lines if line.startswith("CHILD SPANS")))
    request, query, charge, post = lines[first + 1 : first + 5]
    assert [line[:8].rstrip() for line in (query, charge, post)] == ["  SELECT", "  ! char", "    POST"]
    assert query.startswith("  SELECT 1 ")
    whole = request.count("█")
    begin = request.index("█")
    for line, begins, lasts in ((query, 0.1, 0.4), (charge, 0.5, 0.5), (post, 0.6, 0.3)):
        assert (line.index("█") - begin) / whole == pytest.approx(begins, abs=0.05)
        assert line.count("█") / whole == pytest.approx(lasts, abs=0.05)


def test_a_wide_terminal_shows_more_of_a_query(
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Queries that begin alike are told apart there; a span that failed has a mark, not only a colour."""
    query = "SELECT id, name, price FROM products WHERE shelf = ? AND sold_out = ? ORDER BY price"
    span = ChildSpan("SELECT", "client", "a" * 16, None, time.time_ns(), 0.002, "error", {"db.query.text": query})
    fill(record(1, 0, spans=(span,)))
    for columns, whole in ((80, False), (160, True)):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = chest("show", "r-1").stdout.splitlines()
        (line,) = [line for line in lines if line.startswith("  ! SELECT id")]
        assert (query in line) == whole
        assert all(len(line) <= columns for line in lines)


def test_json(fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]) -> None:
    """JSON has the request, its child spans and log lines, and others with the same value."""
    event = SpanEvent("exception", 5, {"exception.type": "E"})
    span = ChildSpan("q", "client", "a" * 16, None, 1_000_000_000, 0.002, "ok", {"rows": 3}, (event,))
    fill(record(1, 1), record(2, 0, spans=(span,), logs=(LogLine(2_000_000_000, "INFO", "shop", "x"),)))
    found = json.loads(chest("show", "r-2", "--json", "--by", "user_id").stdout)
    assert found["spans"] == [
        {
            "name": "q",
            "kind": "client",
            "span_id": "a" * 16,
            "parent_id": None,
            "status": "ok",
            "time": "1970-01-01T00:00:01.000000Z",
            "duration_ms": 2.0,
            "attributes": {"rows": 3},
            "events": [
                {
                    "name": "exception",
                    "time": "1970-01-01T00:00:00.000000Z",
                    "attributes": {"exception.type": "E"},
                }
            ],
        }
    ]
    assert found["logs"] == [{"time": "1970-01-01T00:00:02.000000Z", "level": "INFO", "logger": "shop", "message": "x"}]
    assert [one["request_id"] for one in found["neighbours"]] == ["r-1"]


@pytest.mark.parametrize("identity", ["r-3", f"{3:032x}", f"{3:032X}"])
def test_ids(identity: str, shop: Path, chest: Callable[..., Result]) -> None:
    """A request id or a trace id, in any case, is found."""
    assert json.loads(chest("show", identity, "--json").stdout)["request_id"] == "r-3"


def test_beginnings(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """A unique beginning is enough; where there are several, they are listed, and the exit status is 1."""
    fill(record(1, 2, request_id="order-1"), record(2, 1, request_id="order-22"), record(3, 0, request_id="order-23"))
    assert json.loads(chest("show", "order-1", "--json").stdout)["request_id"] == "order-1"
    result = chest("show", "order-2")
    assert result.exit_code == 1
    assert [line.split()[3] for line in result.stdout.splitlines()[1:]] == ["order-22", "order-23"]
    assert "2 requests have this id, or begin with it: type more of one" in result.stderr
    assert len(json.loads(chest("show", "order-2", "--json").stdout)) == 2


def test_requests_that_differ_in_nothing_but_their_keys(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """The same id twice, without traces: the list has keys, and a key finds its request."""
    fill(*[record(number, 0, request_id="same", trace_id=None, span_id=None) for number in (1, 2)])
    keys = [line.split()[4] for line in chest("show", "same").stdout.splitlines()[1:]]
    assert [json.loads(chest("show", key, "--json").stdout)["duration_ms"] for key in keys] == [10, 20]


def test_an_id_of_nobody(shop: Path, chest: Callable[..., Result]) -> None:
    """An unknown id is an error that says where ids are."""
    result = chest("show", "nobody\x1b[2J")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no request in the store has the id nobody\\x1b[2J" in result.stderr
    assert chest("show", "").exit_code == 2


@pytest.mark.usefixtures("noon")
def test_neighbours(shop: Path, chest: Callable[..., Result]) -> None:
    """--by shows others with the same value; of a variable that it has not, an error says which ones it has."""
    text = chest("show", "r-5", "--by", "user_id").stdout
    assert [line.split()[3] for line in text[text.index("OTHERS WITH user_id=u1") :].splitlines()[2:]] == ["r-1", "r-2"]
    assert "No other request has cart_total=1.5." in chest("show", "r-5", "--by", "cart_total").stdout
    result = chest("show", "r-5", "--by", "plan")
    assert result.exit_code == 2
    assert "this request recorded no plan; it has: cart_total, tags, user_id" in result.stderr


def test_texts_are_inert_and_fit(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Whatever the texts hold, they drive no terminal, forge no line, and are broken at 80 columns."""
    nasty = "\x1b[31m\nERROR  forged\x07 日本語" + "ü" * 300
    span = ChildSpan(nasty, nasty, "a" * 16, "a" * 16, 1, 0.1, nasty, {"db.query.text": nasty})
    fill(
        record(
            1,
            0,
            route=nasty,
            method=nasty,
            variables={nasty: nasty},
            path=nasty,
            version=nasty,
            error=RequestError(nasty, nasty, nasty, nasty, handled=True),
            spans=(span,),
            logs=(LogLine(1, nasty, nasty, nasty),),
        )
    )
    text = chest("show", "r-1", "--by", "user_id").output + chest("show", "r-1").output
    assert all(sign.isprintable() for sign in text.replace("\n", ""))
    # Only the stack has lines of its own, and these are indented.
    assert not [line for line in text.splitlines() if line.startswith("ERROR  forged")]
    assert all(len(line) + len(re.findall("[日本語]", line)) <= 80 for line in chest("show", "r-1").stdout.splitlines())


def test_circles_of_parents(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Spans that are each other's parents are shown once each."""
    spans = [ChildSpan(f"s{at}", "client", f"{at}" * 16, f"{3 - at}" * 16, at, 0.01, "ok", {}) for at in (1, 2)]
    fill(record(1, 0, spans=tuple(spans)))
    text = chest("show", "r-1").stdout
    assert (text.count("s1"), text.count("s2")) == (1, 1)


def test_lines_of_a_message(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """A message of several lines has them below each other, indented, so that none looks like a line of the log."""
    told = "Exception on /pay [POST]\n09:00:00.000 INFO shop: all is well\x1b[2J\nKeyError: 'plan'"
    fill(record(1, 1, logs=(LogLine(1_790_000_000_000_000_000, "ERROR", "shop", told),)))
    shown = chest("show", "r-1").stdout
    first, *further = shown.partition("LOG\n")[2].splitlines()
    assert first.endswith(" ERROR shop: Exception on /pay [POST]")
    assert further == ["  09:00:00.000 INFO shop: all is well\\x1b[2J", "  KeyError: 'plan'"]


@pytest.mark.parametrize(
    ("name", "attributes", "shown"),
    [
        (
            "INSERT /srv/shop/instance/shop.db",
            {"db.statement": "INSERT INTO\n item (name) VALUES (?)"},
            "INSERT INTO item",
        ),
        ("GET", {"url.full": "http://bank.test/pay"}, "GET: http://bank.test/pay"),
        ("select", {"db.query.text": "SELECT 1"}, "SELECT 1"),
        ("connect", {}, "connect"),
    ],
)
def test_what_a_child_span_is_called(
    name: str,
    attributes: dict[str, str],
    shown: str,
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
) -> None:
    """A query is shown by its text, not by the file of its database, which takes the whole column."""
    one = record(1, 1)
    span = ChildSpan(name, "client", "a" * 16, one.span_id, one.start_unix_ns, 0.001, "unset", attributes)
    fill(one._replace(spans=(span,), timings={"other": (1, 0.001)}))
    line = chest("show", "r-1").stdout.partition("CHILD SPANS")[2].splitlines()[2]
    assert line.startswith(f"  {shown}")
