"""``flask chest trace-id``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from flask.cli import ScriptInfo

from flask_chest_otel import FlaskChest
from flask_chest_otel.ids import map_request_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from flask import Flask

    from flask_chest_otel._records.record import RequestRecord


def mapped(request_id: str, secret: str | None = None) -> str:
    return f"{map_request_id(request_id, secret):032x}"


def test_recorded(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """An id in the store gives all its trace ids with their times, as recorded, oldest first."""
    fill(record(1, 5, request_id="r"), record(2, 4, request_id="r", status=500), record(3, 3))
    lines = chest("trace-id", "r").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[f"{1:032x}", "recorded"], [f"{2:032x}", "recorded"]]
    assert lines[1].endswith("Z  GET /cart/<int:cart_id> 500")
    found = json.loads(chest("trace-id", "r", "--json").stdout)
    assert (found["request_id"], found["source"]) == ("r", "recorded")
    assert [trace["trace_id"] for trace in found["traces"]] == [f"{1:032x}", f"{2:032x}"]


def test_mapped(shop: Path, chest: Callable[..., Result]) -> None:
    """An id that is not in the store gives the trace id it is mapped to, and says that it was computed."""
    result = chest("trace-id", "other")
    assert (result.exit_code, result.stdout.split()[:2]) == (0, [mapped("other"), "mapped"])
    assert json.loads(chest("trace-id", "other", "--json").stdout) == {
        "request_id": "other",
        "source": "mapped",
        "traces": [{"trace_id": mapped("other")}],
    }


def test_recorded_without_a_trace(shop: Path, chest: Callable[..., Result]) -> None:
    """A request that was recorded where tracing was off has no trace id of its own: the mapped one is given."""
    assert chest("trace-id", "r-4").stdout.split()[:2] == [mapped("r-4"), "mapped"]


def test_without_store_and_application(chest: Callable[..., Result], tmp_path: Path) -> None:
    """Where there is neither store nor application, the trace id is computed with the environment's secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for secret, expected in (("s3cret", "s3cret"), ("none", None), ("", None)):
            result = chest("trace-id", "r", info=ScriptInfo(), env={"FLASK_CHEST_REQUEST_ID_SECRET": secret})
            assert result.stdout.split()[0] == mapped("r", expected)


def test_secret_of_the_application(app: Flask, chest: Callable[..., Result]) -> None:
    """The application's secret is the key, whatever the environment says."""
    FlaskChest(app, request_id_secret="of the app")  # noqa: S106 - not a real one
    result = chest("trace-id", "r", env={"FLASK_CHEST_REQUEST_ID_SECRET": "of the environment"})
    assert result.stdout.split()[0] == mapped("r", "of the app")


def test_id_is_made_legal_as_a_request_does(app: Flask, chest: Callable[..., Result]) -> None:
    """What a generator's text becomes in a request, it becomes here: illegal characters are mapped as ``_``."""
    assert chest("trace-id", "a b").stdout.split()[0] == mapped("a_b")


def test_named_application_must_load(chest: Callable[..., Result], tmp_path: Path) -> None:
    """An application that was named and cannot be loaded is an error: its secret would be another one."""
    result = chest("trace-id", "r", info=ScriptInfo(app_import_path="no_such_module_here"))
    assert result.exit_code != 0
    assert "no_such_module_here" in result.stderr


def test_missing_store_that_was_named(chest: Callable[..., Result], tmp_path: Path) -> None:
    """A store that was named and is not there is an error, not a computed answer."""
    result = chest("trace-id", "r", "--store", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "there is no store at" in result.stderr


def test_empty_id(chest: Callable[..., Result]) -> None:
    """An empty id is a usage error."""
    assert chest("trace-id", "").exit_code == 2
