"""``flask chest requests``."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord


def shown(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [request["request_id"] for request in json.loads(result.stdout)]


def test_newest_last_with_variables_and_ids(shop: Path, chest: Callable[..., Result]) -> None:
    """A line per request, the newest at the end, with method, route, status, time, both ids and every variable."""
    result = chest("requests")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == [
        "TIME",
        "(UTC)",
        *["METHOD", "ROUTE", "STATUS", "MS"],
        "REQUEST",
        "ID",
        "TRACE",
        "ID",
        "VARIABLES",
    ]
    assert [line.split()[6] for line in lines] == ["r-1", "r-2", "r-3", "r-4", "r-5"]
    assert lines[2].split()[2:] == [
        "POST",
        "/cart/<int:cart_id>",
        "200",
        "30",
        "r-3",
        f"{3:032x}",
        "items=3",
        "user_id=u2",
        "vip=true",
    ]
    assert lines[3].split()[2:] == ["GET", "-", "404", "40", "r-4", "-"]
    assert lines[4].endswith('cart_total=1.5 tags=["a", "b"] user_id=u1')


def test_json_holds_every_field_with_its_type(shop: Path, chest: Callable[..., Result]) -> None:
    """JSON gives one object per request, and the variables as they were on g."""
    found = json.loads(chest("requests", "--json", "--limit", "1").stdout)
    assert found[0].pop("time").endswith("Z")
    assert found == [
        {
            "request_id": "r-5",
            "trace_id": f"{5:032x}",
            "span_id": f"{5:016x}",
            "service": "shop",
            "method": "GET",
            "route": "/cart/<int:cart_id>",
            "status": 200,
            "duration_ms": 50.0,
            "variables": {"cart_total": 1.5, "tags": ["a", "b"], "user_id": "u1"},
        }
    ]


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--status", "9xx"], "type a code such as 404, or a class such as 5xx"),
        (["--since", "yesterday"], "type 90s, 15m, 1h, 7d"),
        (["--since", "9" * 400 + "w"], "type 90s, 15m, 1h, 7d"),
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
    table = chest("requests").stdout
    assert f"note={text}" in table
    assert all(sign.isprintable() for sign in table.replace("\n", ""))
    as_json = chest("requests", "--json").stdout
    assert all(" " <= sign <= "~" for sign in as_json.replace("\n", ""))
    kept = json.loads(as_json)[0]["variables"]["note"]
    assert kept == (list(value) if isinstance(value, tuple) else value)


def test_numbers_that_json_lacks(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """NaN and infinity are texts in JSON, so that any reader takes it."""
    fill(record(1, 0, variables={"a": float("nan"), "b": (float("inf"), 1.0)}))
    (found,) = json.loads(chest("requests", "--json").stdout, parse_constant=pytest.fail)
    assert found["variables"] == {"a": "nan", "b": ["inf", 1.0]}


def test_applications_in_one_store(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """A column tells applications apart where there are several in the answer, and only there."""
    fill(record(1, 2, service="shop"), record(2, 1, service="ba\x1bnk"))
    head, *lines = chest("requests").stdout.splitlines()
    assert head.split()[2:5] == ["SERVICE", "METHOD", "ROUTE"]
    assert [line.split()[2:4] for line in lines] == [["shop", "GET"], ["ba\\x1bnk", "GET"]]
    assert "SERVICE" not in chest("requests", "--service", "shop").stdout
    assert shown(chest("requests", "--json", "--service", "ba\x1bnk")) == ["r-2"]


def spoil(path: Path, table: str, **columns: Any) -> None:
    """Somebody else has written into the file: SQLite keeps any type in any column."""
    with closing(sqlite3.connect(path)) as store, store:
        names = ", ".join(f"{name} = ?" for name in columns)
        store.execute(f"UPDATE {table} SET {names}", [*columns.values()])


@pytest.mark.parametrize("wrong", ["\x1b[2Jx\n", b"\x1b\xff", 7, 2.5, float("inf"), -(2**63), "1e999", ""])
@pytest.mark.parametrize("command", [["requests"], ["stats"], ["trace-id", "r-1"]])
def test_a_file_that_somebody_else_wrote(
    wrong: Any,
    command: list[str],
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
) -> None:
    """A column of any type and any text ends in no traceback, and cannot drive the terminal; JSON stays JSON."""
    path = fill(record(1, 0, variables={"a": 1}), record(2, 0, variables={"b": (1, 2)}))
    names = ("time", "trace_id", "span_id", "service", "method", "route", "status", "duration_ms")
    spoil(path, "chest_requests", **dict.fromkeys(names, wrong))
    for number, kind in enumerate((wrong, "int", "float", "list", "bool")):
        spoil(path, "chest_variables", type=kind, text_value=wrong, number_value=wrong, name=wrong)
        for option in ([], ["--json"]):
            result = chest(*command, *option)
            assert (result.exit_code, result.exception) == (0, None), (number, result.output)
            assert all(sign.isprintable() for sign in result.output.replace("\n", ""))
            assert not option or json.loads(result.stdout)


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
