"""``flask chest requests``."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._cli import requests
from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord


def shown(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [request["request_id"] for request in objects(result)]


def objects(result: Result) -> list[dict[str, Any]]:
    """Each line of the output is an object."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("noon")
def test_newest_last_with_variables_and_id(shop: Path, chest: Callable[..., Result]) -> None:
    """A line per request, the newest at the end, with status, time, id, method, route and variables."""
    result = chest("requests", "--since", "3h")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["TIME", "STATUS", "MS", "ID", "REQUEST", "VARIABLES"]
    rows = [line[line.index(" r-") :].split() for line in lines]
    assert [row[0] for row in rows] == ["r-1", "r-2", "r-3", "r-4", "r-5"]
    assert rows[2][1:] == ["POST", "/cart/<int:cart_id>", "items=3", "user_id=u2", "vip=t…"]
    assert rows[3][1:] == ["GET", "-"]
    assert [line[: line.index(" r-")].split()[-2:] for line in lines][2:4] == [["200", "30.0"], ["404", "40.0"]]


def test_errors_have_a_column(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Where a request recorded an exception, the class is beside it."""
    error = RequestError("shop.PaymentError", "no answer", "shop:pay:3", "Traceback", handled=False)
    fill(record(1, 1), record(2, 0, status=500, error=error))
    head, fine, failed = chest("requests").stdout.splitlines()
    assert head.split()[-2:] == ["ERROR", "VARIABLES"]
    assert re.search(r"GET /cart/<int:c…  -  +cart_total=10.5", fine)
    assert " PaymentError  cart_total" in failed


def test_columns(fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]) -> None:
    """--columns says which there are: those with names of ours, and else variables."""
    fill(record(1, 0, path="/cart/7", version="1.4", cpu_s=0.0031, timings={"db": (2, 0.03)}))
    head, line = chest("requests", "--columns", "id, path,version,cpu,db,user_id,nothing").stdout.splitlines()
    assert head.split() == ["ID", "PATH", "VERSION", "CPU", "MS", "DB", "user_id", "nothing"]
    assert line.split() == ["r-1", "/cart/7", "1.4", "3.10", *["2", "in", "30.0"], "u1", "-"]


def test_a_misspelt_column(shop: Path, chest: Callable[..., Result]) -> None:
    """A name that is neither a column nor a variable of a request shown is told beside the table."""
    result = chest("requests", "--columns", "tme,id,tags")
    assert len(result.stdout.splitlines()) == 6
    assert result.stderr == "tme is no column, and no variable of these requests: did you mean time?\n"
    said = chest("requests", "--columns", "qqqqq,id").stderr
    assert said == "qqqqq is no column, and no variable of these requests: --help lists columns\n"
    assert "column" not in chest("requests", "--columns", "tme", "--method", "PATCH").stderr


def test_ids_are_as_long_as_they_have_to_be(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Of an id, what tells it from the others is shown; flask chest show takes it."""
    ids = ["order-4711-eu-000000001", "order-4711-eu-000000002", "order-4712", ("ab" * 16)[:23]]
    fill(*[record(number, 0, request_id=one) for number, one in enumerate(ids)])
    shown_ids = [line.split()[3] for line in chest("requests").stdout.splitlines()[1:]]
    assert shown_ids == ["order-4711-eu-000000001", "order-4711-eu-000000002", "order-4712", ("ab" * 16)[:23]]
    fill(record(9, 0, request_id="cd" * 16))
    shown_ids = [
        line.split()[3]
        for line in chest("requests", "--var", "user_id", "--request-id", "cd" * 16).stdout.splitlines()[1:]
    ]
    assert shown_ids == ["cd" * 4]
    assert chest("show", "cd" * 4).exit_code == 0


def test_times_are_local_unless_asked(
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Times are this machine's, with --utc in UTC, shown and typed alike; of today, without the date."""
    noon = (int(time.time()) // 86400 - 2) * 86400 + 12 * 3600
    day = f"{datetime.fromtimestamp(noon, timezone.utc):%Y-%m-%d}"
    fill(record(1, 0, start_unix_ns=noon * 10**9))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert f"{day} 21:00:00" in chest("requests").stdout
        assert f"{day} 12:00:00" in chest("requests", "--utc").stdout
        assert len(shown(chest("requests", "--json", "--since", f"{day} 21:00"))) == 1
        assert shown(chest("requests", "--json", "--since", f"{day} 21:01")) == []
        assert len(shown(chest("requests", "--json", "--since", f"{day} 12:00", "--utc"))) == 1
        assert shown(chest("requests", "--json", "--until", day, "--utc")) == ["r-1"]
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    fill(record(2, 0))
    assert re.search(r"^\d\d:\d\d:\d\d +200", chest("requests", "--limit", "1").stdout, re.MULTILINE)


def test_json_holds_every_field_with_its_type(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """JSON gives one object per line and request: the record without child spans and log lines."""
    error = RequestError("shop.PaymentError", "no answer", "shop:pay:3", "Traceback …", handled=True)
    more = {"path": "/cart/7", "version": "1.4", "cpu_s": 0.002, "first_byte_s": 0.01, "timings": {"db": (2, 0.03)}}
    fill(record(1, 1), record(5, 0, variables={"tags": ("a", "b")}, refused={"x": "value"}, error=error, **more))
    (found,) = objects(chest("requests", "--json", "--limit", "1"))
    assert found.pop("time").endswith("Z")
    assert len(found.pop("key")) == 32
    assert found == {
        "request_id": "r-5",
        "trace_id": f"{5:032x}",
        "span_id": f"{5:016x}",
        "service": "shop",
        "version": "1.4",
        "method": "GET",
        "route": "/cart/<int:cart_id>",
        "path": "/cart/7",
        "status": 200,
        "duration_ms": 50.0,
        "cpu_ms": 2.0,
        "first_byte_ms": 10.0,
        "variables": {"tags": ["a", "b"]},
        "refused": {"x": "value"},
        "error": {
            "type": "shop.PaymentError",
            "message": "no answer",
            "place": "shop:pay:3",
            "stack": "Traceback …",
            "handled": True,
        },
        "timings": {"db": {"count": 2, "ms": 30.0}},
        "spans_complete": True,
        "spans_dropped": 0,
        "logs_dropped": 0,
        "slos": {},
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--limit", "2"], ["r-4", "r-5"]),
        (["--route", "/cart/<int:cart_id>"], ["r-1", "r-2", "r-3", "r-5"]),
        (["--route", "-"], ["r-4"]),
        (["--method", "POST"], ["r-3"]),
        (["--method", "post"], ["r-3"]),
        (["--service", "shop", "--limit", "1"], ["r-5"]),
        (["--service", "bank"], []),
        (["--status", "404"], ["r-4"]),
        (["--status", "5xx"], ["r-2"]),
        (["--status", "2XX"], ["r-1", "r-3", "r-5"]),
        (["--request-id", "r-3"], ["r-3"]),
        (["--since", "35m"], ["r-4", "r-5"]),
        (["--since", "1.5h"], ["r-2", "r-3", "r-4", "r-5"]),
        (["--since", "2020-01-31T08:00:00Z"], ["r-1", "r-2", "r-3", "r-4", "r-5"]),
        (["--since", "2020-01-31"], ["r-1", "r-2", "r-3", "r-4", "r-5"]),
        (["--since", "9999999w"], ["r-1", "r-2", "r-3", "r-4", "r-5"]),
        (["--since", "2200-01-31T08:00+02:00"], []),
        (["--until", "35m"], ["r-1", "r-2", "r-3"]),
        (["--since", "45m", "--until", "35m"], ["r-3"]),
        (["--slower", "35"], ["r-4", "r-5"]),
        (["--error", "*"], []),
        (["--path", "/x"], []),
        (["--version", "-"], ["r-1", "r-2", "r-3", "r-4", "r-5"]),
        (["--var", "items"], ["r-3"]),
        (["--var", "user_id=u1"], ["r-1", "r-2", "r-5"]),
        (["--var", "cart_total=21"], ["r-2"]),
        (["--var", "vip=True"], ["r-3"]),
        (["--var", "user_id=u1", "--var", "tags"], ["r-5"]),
        (["--var", "user_id=u1", "--status", "5xx", "--since", "1h"], ["r-2"]),
        (["--var", "x' OR 1=1 --"], []),
    ],
)
def test_filters(options: list[str], expected: list[str], shop: Path, chest: Callable[..., Result]) -> None:
    """Each option leaves the requests for which it holds; several hold together."""
    assert shown(chest("requests", "--json", *options)) == expected


def test_nothing_found_is_no_error(shop: Path, chest: Callable[..., Result]) -> None:
    """No matching request: exit code 0, nothing on the standard output, a sentence beside it."""
    result = chest("requests", "--method", "PATCH")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No request in the store is like that." in result.stderr


@pytest.mark.parametrize("command", ["requests", "stats", "errors", "explain"])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ["--route", "/cart/<int:card_id>"],
            "has the route '/cart/<int:card_id>' (did you mean '/cart/<int:cart_id>'",
        ),
        (["--since", "2100-01-01"], "The newest request began "),
        (["--until", "2000-01-01"], "The oldest request began "),
        (["--since", "1h", "--until", "2h"], "--since is not before --until."),
        (["--path", "/kart/*"], "No request at all has the path '/kart/*'."),
        (["--var", "usr_id=u1"], "No request at all has the variable 'usr_id'."),
        (["--service", "shop", "--version", "9.9"], "No request at all has the version '9.9'."),
    ],
)
def test_why_nothing_is_found(
    command: str, options: list[str], why: str, shop: Path, chest: Callable[..., Result]
) -> None:
    """What no request of the store meets is named, and nothing that is met."""
    result = chest(command, *options, *(["--status", "200"] if command == "explain" else []))
    said = " ".join(result.output.split())
    assert result.exit_code == 0
    assert why in said
    assert said.count("No request at all") == why.count("has the")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--status", "9xx"], "type a code such as 404, or a class such as 5xx"),
        (["--since", "soon"], "type an age such as 90s, 15m, 2h, 7d, 2w; today, yesterday; 14:00, 2026-11-26,"),
        (["--until", "9" * 400 + "w"], "2026-11-26 14:00, or ISO 8601"),
        (["--slower", "x"], "'x' is no number of milliseconds"),
        (["--var", "=1"], "type a variable, or variable=value"),
        (["--limit", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_options_say_what_to_type(
    options: list[str], message: str, shop: Path, chest: Callable[..., Result]
) -> None:
    """A value that makes no sense is a usage error, exit code 2, with an example of one that does."""
    result = chest("requests", *options)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")


HOSTILE: list[tuple[Any, str]] = [
    ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
    ("two\nlines\r\x07", "two\\nlines\\r\\x07"),
    ("\x9b31m\x7f", "\\x9b31m\\x7f"),
    ("right\u202eto left\u2028", "right\\u202eto left\\u2028"),
    (("\x1b",), '["\\u001b"]'),
    ("x" * 5000, "x" * 79 + "…"),
]


@pytest.mark.parametrize(("value", "text"), HOSTILE)
def test_values_cannot_drive_the_terminal(
    value: Any,
    text: str,
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
) -> None:
    """Control and direction characters are shown escaped in tables; JSON has nothing but printable ASCII."""
    fill(record(1, 0, variables={"note": value}, method="\x1bGET", request_id=str(value)[:255]))
    table = chest("requests", env={"COLUMNS": "300"}).stdout
    assert f"note={text}" in table
    assert all(sign.isprintable() for sign in table.replace("\n", ""))
    as_json = chest("requests", "--json").stdout
    assert all(" " <= sign <= "~" for sign in as_json.replace("\n", ""))
    kept = json.loads(as_json)["variables"]["note"]
    assert kept == (list(value) if isinstance(value, tuple) else value)


def test_numbers_that_json_lacks(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """NaN and infinity are texts in JSON, so that any reader takes it."""
    fill(record(1, 0, variables={"a": float("nan"), "b": (float("inf"), 1.0)}))
    found = json.loads(chest("requests", "--json").stdout, parse_constant=pytest.fail)
    assert found["variables"] == {"a": "nan", "b": ["inf", 1.0]}


def test_applications_in_one_store(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """A column tells applications apart where there are several in the answer, and only there."""
    fill(record(1, 2, service="shop"), record(2, 1, service="ba\x1bnk"))
    head, *lines = chest("requests").stdout.splitlines()
    assert head.split()[:2] == ["TIME", "SERVICE"]
    assert [line.split()[1] for line in lines] == ["shop", "ba\\x1bnk"]
    assert "SERVICE" not in chest("requests", "--service", "shop").stdout
    assert shown(chest("requests", "--json", "--service", "ba\x1bnk")) == ["r-2"]


ERROR = RequestError("E", "m", "p", "s", handled=False)
SPANS = (ChildSpan("q", "client", "a" * 16, None, 1, 0.1, "ok", {"db.query.text": "x"}, (SpanEvent("e", 1, {}),)),)
LOGS = (LogLine(1, "INFO", "x", "y"),)


def columns_of(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as store:
        return [name for _, name, *_ in store.execute(f"PRAGMA table_info({table})")]


def spoil(store_path: Path, table: str, **columns: Any) -> None:
    """Somebody else has written into the file: SQLite keeps any type in any column."""
    with closing(sqlite3.connect(store_path)) as store, store:
        store.execute("PRAGMA synchronous = OFF")
        names = ", ".join(f"{name} = ?" for name in columns)
        store.execute(f"UPDATE {table} SET {names}", [*columns.values()])


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["\x1b[2Jx\n", b"\x1b\xff", 7, 2.5, float("inf"), -(2**63), "1e999", ""])
@pytest.mark.parametrize(
    "command",
    [
        ["requests"],
        ["requests", "--columns", "time,service,path,version,cpu,db,error,place,message,key"],
        ["show", "r-1"],
        ["errors"],
        ["stats"],
        ["stats", "--var", "a", "--by", "a"],
        ["stats", "--per", "hour"],
        ["explain", "--status", "5xx"],
        ["compare", "..", "1h"],
        ["trace-id", "r-1"],
    ],
    ids=" ".join,
)
def test_a_file_that_somebody_else_wrote(
    wrong: Any,
    command: list[str],
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
) -> None:
    """A column of any type and any text ends in no traceback, and cannot drive the terminal; JSON stays JSON."""
    path = fill(
        *[
            record(one, 0, variables={"a": one}, error=ERROR, spans=SPANS, logs=LOGS, timings={"db": (1, 1.0)})
            for one in (1, 2)
        ]
    )
    for table, key in (("chest_requests", "record_key"), ("chest_details", "request_key")):
        names = [name for name in columns_of(path, table) if name not in {key, "request_id", "counted"}]
        spoil(path, table, **dict.fromkeys(names, wrong))
    for number, kind in enumerate((wrong, "float", "list")):
        spoil(path, "chest_variables", type=kind, text_value=wrong, number_value=wrong, name=wrong)
        for option in ([], ["--json"]):
            result = chest(*command, *option)
            assert result.exit_code == 0, (number, result.output, result.exception)
            assert all(sign.isprintable() for sign in result.output.replace("\n", ""))
            whole = result.stdout.splitlines() if command[0] == "requests" else [result.stdout]
            assert not option or all(map(json.loads, whole))


def test_questions_that_sqlite_does_not_take(shop: Path, chest: Callable[..., Result]) -> None:
    """Numbers that are too large, and texts without an encoding, are questions like others."""
    assert len(shown(chest("requests", "--json", "--limit", "9" * 20))) == 5
    for options in (["--route", "\udcff"], ["--var", "a\udcff=\udcff"], ["--request-id", "\udcff"]):
        assert shown(chest("requests", "--json", *options)) == []
    assert chest("trace-id", "\udcff").exit_code == 0


def test_a_schema_that_drives_the_terminal(shop: Path, chest: Callable[..., Result]) -> None:
    """What SQLite says about a file quotes it: that is escaped, too."""
    with closing(sqlite3.connect(shop)) as store, store:
        store.execute("PRAGMA writable_schema = ON")
        store.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE \x1b[2J(' WHERE name = 'chest_requests'")
    result = chest("requests")
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr
    assert "\\x1b" in result.stderr
    assert "\x1b" not in result.stderr


def test_many_requests_as_json(
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lines come part by part, each in a transaction of its own: none twice, none missing, whatever the limit."""
    monkeypatch.setattr(requests, "AT_ONCE", 7)
    fill(*[record(number, (50 - number) / 60) for number in range(50)])
    for limit in (1, 6, 7, 8, 14, 49, 50, 99):
        expected = [f"r-{number}" for number in range(max(0, 50 - limit), 50)]
        assert shown(chest("requests", "--json", "--limit", str(limit))) == expected


def test_numbers_are_for_people(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Long fractions have four significant digits in tables and in `show`; JSON has every digit."""
    exact = 0.0014624039977206849
    variables = {"took": exact, "worth": 79874.12345678, "paid": 1234.56, "count": 12345678, "parts": (exact, 2.0)}
    fill(record(1, 1, variables=variables))
    short = ["0.001462", "79874", "1234.56", "12345678", "[0.001462, 2.0]"]
    (_, line) = chest("requests", "--columns", ",".join(variables)).stdout.splitlines()
    assert re.split(" {2,}", line) == short
    assert re.findall(r"^(?:took|worth|paid|count|parts) +(.*)$", chest("show", "r-1").stdout, re.MULTILINE) == sorted(
        short, key=lambda text: list(variables)[short.index(text)]
    )
    assert chest("stats", "--by", "took").stdout.splitlines()[1].startswith("0.001462 ")
    (found,) = objects(chest("requests", "--json"))
    assert found["variables"]["took"] == exact


@pytest.mark.usefixtures("shop")
def test_a_slip_in_a_column(chest: Callable[..., Result]) -> None:
    """The nearest column or variable is named; and `-n` is short for `--limit`."""
    result = chest("requests", "-n", "2", "--columns", "tim,user_idd")
    assert len(result.stdout.splitlines()) == 3
    assert "tim is no column, and no variable of these requests: did you mean time?" in result.stderr
    assert "did you mean user_id?" in result.stderr
