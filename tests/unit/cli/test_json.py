"""What ``--json`` prints is what ``docs/reference/commands.schema.json`` says."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "docs/reference/commands.schema.json").read_text("utf-8")
)

ERROR = RequestError("shop.PaymentError", "no answer", "shop:pay:3", "Traceback", handled=False)


@pytest.fixture
def store(fill: Callable[..., Path], record: Callable[..., RequestRecord]) -> Path:
    """Requests with everything that a record can have, and others with nothing."""
    event = SpanEvent("exception", 5, {"exception.type": "E"})
    spans = (ChildSpan("q", "client", "a" * 16, None, time.time_ns(), 0.002, "ok", {"rows": 3}, (event,)),)
    full = {
        "path": "/pay",
        "version": "1.5.0",
        "cpu_s": 0.1,
        "first_byte_s": 0.2,
        "timings": {"db": (1, 0.1), "other": (2, 0.3)},
        "spans": spans,
        "logs": (LogLine(1, "INFO", "x", "y"),),
        "refused": {"x": "value"},
    }
    odd = {"plan": "gold", "tags": ("a",), "a": float("nan"), "b": float("inf"), "vip": True}
    return fill(
        *[record(number, 90 - number, status=500, error=ERROR, variables=odd, **full) for number in range(40)],
        *[record(number, 40 - number, request_id=f"ok-{number}", variables={"plan": "free"}) for number in range(40)],
        record(99, 0, route=None, trace_id=None, span_id=None, status=404, variables={}),
    )


COMMANDS: list[tuple[str, list[str]]] = [
    ("requests", ["requests", "--limit", "100"]),
    ("show", ["show", "r-39", "--by", "plan"]),
    ("show", ["show", "r-99"]),
    ("show_several", ["show", "ok-"]),
    ("errors", ["errors"]),
    ("stats", ["stats"]),
    ("stats", ["stats", "--var", "a", "--var", "b", "--by", "plan"]),
    ("stats", ["stats", "--per", "hour"]),
    ("stats", ["stats", "--method", "PATCH"]),
    ("explain", ["explain", "--status", "5xx"]),
    ("compare", ["compare", "2h..45m", "45m"]),
    ("compare", ["compare", "1m", "1m"]),
    ("trace-id", ["trace-id", "r-1"]),
    ("trace-id", ["trace-id", "nobody"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "command"), COMMANDS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_output_has_exactly_the_documented_fields(
    name: str, command: list[str], store: Path, chest: Callable[..., Result]
) -> None:
    """Every field that is printed is in the schema, with its type, and every field of the schema is printed."""
    result = chest(*command, "--json")
    assert result.exit_code == (1 if name == "show_several" else 0), result.output
    documents = result.stdout.splitlines() if name == "requests" else [result.stdout]
    validator = Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"})
    assert documents
    for document in documents:
        errors = [error.message for error in validator.iter_errors(json.loads(document))]
        assert errors == []


def test_the_schema_is_one() -> None:
    """The file is a JSON Schema, strict in every object, with an entry for each reading command."""
    Draft202012Validator.check_schema(SCHEMA)
    assert {name for name, _ in COMMANDS} <= set(SCHEMA["$defs"])
    loose = [
        name
        for name in ("request", "show", "span", "log", "condition", "explain", "compare")
        if SCHEMA["$defs"][name]["additionalProperties"] is not False
    ]
    assert loose == []
