"""What all commands have in common: where they read, what they load, how they fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from flask.cli import ScriptInfo
from opentelemetry.sdk.trace import TracerProvider

from flask_chest_otel import FlaskChest
from flask_chest_otel._cli import chest_cli
from flask_chest_otel._store import opening
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel.instrumentor import FlaskChestInstrumentor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result
    from flask import Flask

    from flask_chest_otel._records.record import RequestRecord

READING = [
    ["requests"],
    ["stats"],
    ["stats", "--per", "hour"],
    ["stats", "--by", "user_id"],
    ["errors"],
    ["show", "r-2"],
    ["explain", "--status", "5xx"],
    ["compare", "..1h", "1h"],
    ["trace-id", "r-1"],
]


def forbidden() -> Flask:
    raise AssertionError("the application was loaded")


@pytest.mark.parametrize("command", READING)
def test_store_option_loads_no_application(
    command: list[str], shop: Path, chest: Callable[..., Result], app: Flask
) -> None:
    """With --store no application is loaded, and the answer is the same."""
    expected = chest(*command, "--json").stdout
    # The rate of a span that ends now becomes smaller all the time.
    measured = re.compile(r"\d\.\d+(e-\d+)?" if command[0] == "compare" else "$")
    result = chest(*command, "--json", "--store", str(shop), info=ScriptInfo(create_app=forbidden))
    assert result.exit_code == 0, result.output
    assert measured.sub("", result.stdout) == measured.sub("", expected)


@pytest.mark.parametrize("command", [[], *[command[:1] for command in READING]])
def test_help(command: list[str], chest: Callable[..., Result]) -> None:
    """Help of the group and of each command needs no application and has an example of each command."""
    result = chest(*command, "--help", info=ScriptInfo(create_app=forbidden))
    assert result.exit_code == 0
    if command:
        assert f"flask chest {command[0]}" in result.stdout
    else:
        listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
        assert {command[0] for command in READING} <= set(listed)


def test_unknown_command(chest: Callable[..., Result]) -> None:
    """A command that is not there is a usage error."""
    assert chest("request").exit_code == 2


@pytest.mark.parametrize("command", READING[:-1], ids=" ".join)
def test_no_store_yet(command: list[str], chest: Callable[..., Result], app: Flask) -> None:
    """Without a store: exit code 1, where it was looked for and what to type, and nothing is made there."""
    result = chest(*command)
    assert "this application has no FlaskChest: type FlaskChest(app) where it is made" in result.stderr
    FlaskChest(app)
    result = chest(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"there is no store at {app.instance_path}/flask_chest.sqlite3" in result.stderr
    assert "with its first request" in result.stderr
    assert "type --store PATH" in result.stderr
    assert not Path(app.instance_path).exists()


ELSEWHERE: list[tuple[dict[str, str], dict[str, Any], str, str]] = [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, {}, "exports by OTLP", "FLASK_CHEST_EXPORT=store"),
    ({}, {"export": "otlp"}, "exports by OTLP", 'FlaskChest(app, export="store")'),
    ({"FLASK_CHEST_EXPORT": "none"}, {}, "exports nothing (export=None)", "FLASK_CHEST_EXPORT=store"),
    (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"},
        {"tracer_provider": TracerProvider(shutdown_on_exit=False)},
        "uses OpenTelemetry providers of its own",
        "FLASK_CHEST_EXPORT=store",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("command", READING[:-1], ids=" ".join)
@pytest.mark.parametrize(("environ", "arguments", "what", "what_to_type"), ELSEWHERE)
def test_requests_go_elsewhere(  # noqa: PLR0913, PLR0917 - a table and its fixtures
    command: list[str],
    environ: dict[str, str],
    arguments: dict[str, Any],
    what: str,
    what_to_type: str,
    record: Callable[..., RequestRecord],
    fill: Callable[..., Path],
    chest: Callable[..., Result],
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An application whose store gets nothing new says so in a line, with old rows and without any; nothing starts."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    FlaskChest(app, **arguments)
    result = chest(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"there is no store at {app.instance_path}/flask_chest.sqlite3: this application {what}" in result.stderr
    assert not Path(app.instance_path).exists()
    path = fill(record(1, 0))
    result = chest(*command)
    # Of one request without an error, some commands have nothing to say.
    assert result.exit_code == 0 or command[0] in {"show", "compare"}
    line, *_ = result.stderr.splitlines()
    assert line.startswith(f"Nothing new comes into {path}: this application {what}, ")
    assert line.endswith(f": {what_to_type}")
    assert "Nothing new comes" not in chest(*command, "--store", str(path)).stderr
    assert not app.extensions["flask_chest"].export.decided


def test_recorded_without_code(shop: Path, chest: Callable[..., Result]) -> None:
    """Where only the instrumentor records the application, no store is kept unless that is asked for."""
    for settings, expected in (({}, "is recorded without code of its own"), ({"export": "store"}, "")):
        FlaskChestInstrumentor().instrument(**settings)
        try:
            result = chest("requests")
        finally:
            FlaskChestInstrumentor().uninstrument()
        assert (result.exit_code, expected in result.stderr) == (0, True)
        assert bool(result.stderr) is bool(expected)


@pytest.mark.parametrize("command", READING[:-1], ids=" ".join)
def test_no_application(
    command: list[str], chest: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an application: Flask's own message, and that a file can be read without one."""
    monkeypatch.chdir(tmp_path)
    result = chest(*command, info=ScriptInfo())
    assert result.exit_code == 2
    assert "Could not locate a Flask application" in result.stderr
    assert "type --store PATH" in result.stderr


def test_files_that_are_no_store(tmp_path: Path, shop: Path, chest: Callable[..., Result]) -> None:
    """Rubbish, an empty file, another program's database and a newer store: exit code 1 and a sentence on each."""
    (tmp_path / "rubbish").write_bytes(b"rubbish" * 1000)
    (tmp_path / "empty").touch()
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE x (y)")
    with closing(sqlite3.connect(shop)) as store:
        store.execute("PRAGMA user_version = 99")
    expected = {
        tmp_path / "rubbish": "file is not a database",
        tmp_path / "empty": "is empty",
        tmp_path / "other": "is no store of flask_chest_otel",
        shop: "has schema 99, this flask_chest_otel reads 1",
    }
    for path, message in expected.items():
        for command in READING:
            result = chest(*command, "--store", str(path))
            assert (result.exit_code, result.stdout) == (1, "")
            assert message in result.stderr


def test_a_damaged_store(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Pages full of rubbish behind a sound header: exit code 1 and a sentence, and no traceback."""
    path = fill(*[record(number, number / 100) for number in range(500)])
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = b"\xa5" * (len(data) - 4096 * 3)
    path.write_bytes(data)
    for command in READING:
        result = chest(*command)
        assert result.exit_code == 1
        assert f"{path} cannot be read: database disk image is malformed" in result.stderr.replace("\n", " ")
        assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_locked_store(shop: Path, chest: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another program keeps for itself: exit code 1 and what to do."""
    monkeypatch.setattr(opening, "BUSY_S", 0.1)
    with closing(sqlite3.connect(shop, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        for command in READING:
            result = chest(*command)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "database is locked: another program keeps it for itself" in result.stderr


def test_an_empty_store(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """A store without requests ends in no traceback, and says that there is none."""
    path = fill(record(1, 0))
    with closing(sqlite3.connect(path)) as store, store:
        for table in ("chest_requests", "chest_variables", "chest_rollups"):
            store.execute(f"DELETE FROM {table}")
    for command in READING[:-1]:
        result = chest(*command)
        assert result.exit_code == (1 if command[0] in {"show", "compare"} else 0)
        assert "no request" in result.output.lower()


def test_reading_while_the_application_writes(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result], app: Flask
) -> None:
    """An open store is read up to its last written record, and writing goes on afterwards."""
    with closing(EmbeddedStore(f"{app.instance_path}/flask_chest.sqlite3")) as store:
        for number in (1, 2, 3):
            store.put(record(number, 0))
            assert store.flush(5)
            assert len(chest("requests", "--json").stdout.splitlines()) == number


def test_reading_changes_nothing(shop: Path, chest: Callable[..., Result]) -> None:
    """The store's file is the same, byte by byte, after every command."""
    before = shop.read_bytes()
    for command in READING:
        assert chest(*command).exit_code == 0
    assert shop.read_bytes() == before


@pytest.mark.process
def test_copy_in_a_read_only_folder(shop: Path, chest: Callable[..., Result]) -> None:
    """A copy where nothing can be written beside it, such as a backup, can be read."""
    script = """
import os, sys
from click.testing import CliRunner
from flask_chest_otel._cli import chest_cli
from flask_chest_otel._store import opening
original, copy = sys.argv[1:]
CliRunner().invoke(chest_cli, ["requests", "--store", original])  # imports all that is needed
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
chest_cli(["requests", "--store", copy, "--json"])
"""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(shop, folder))
        copy.chmod(0o444)
        Path(folder).chmod(0o555)
        found = run_python(script, str(shop), str(copy)).stdout.splitlines()
        assert len(list(map(json.loads, found))) == 5
        assert list(Path(folder).iterdir()) == [copy]


@pytest.mark.process
def test_settings_are_no_options(shop: Path) -> None:
    """FLASK_CHEST_… variables, the extension's settings, mean nothing to these commands; FLASK_CHEST_CLI_… do."""
    environment = {
        "FLASK_CHEST_REQUESTS_LIMIT": "nonsense",
        "FLASK_CHEST_STORE": "/nonsense",
        "FLASK_CHEST_JSON": "nonsense",
        "FLASK_CHEST_CLI_STORE": str(shop),
        "FLASK_CHEST_CLI_REQUESTS_LIMIT": "1",
    }
    script = """
from flask.cli import FlaskGroup
from flask_chest_otel._cli import chest_cli
from flask_chest_otel._store import opening
group = FlaskGroup()
group.add_command(chest_cli)
group()
"""
    result = run_python(script, "chest", "requests", "--json", **environment)
    assert [json.loads(line)["request_id"] for line in result.stdout.splitlines()] == ["r-5"]


@pytest.mark.process
def test_terminal_without_unicode(fill: Callable[..., Path], record: Callable[..., RequestRecord]) -> None:
    """A terminal that knows only ASCII gets the rest escaped instead of an error."""
    path = fill(record(1, 0, variables={"note": "Grüße"}))
    script = "from flask_chest_otel._cli import chest_cli; chest_cli()"
    result = run_python(script, "requests", "--store", str(path), PYTHONIOENCODING="ascii")
    assert "note=Gr\\xfc\\xdfe" in result.stdout


@pytest.mark.process
def test_commands_are_imported_when_asked_for() -> None:
    """Loading the group, which every flask command does, imports no command of it."""
    script = """
import sys
import flask_chest_otel._cli
print(sorted(name for name in sys.modules if name.startswith("flask_chest_otel._cli.")))
"""
    assert run_python(script).stdout == "['flask_chest_otel._cli.group']\n"


def run_python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
    )
    assert result.returncode == 0, result.stderr
    return result


def every_command(
    command: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every_command(below, (*words, name))


EVERY_COMMAND = [words for words, _ in every_command(chest_cli)]


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_helps_fit_a_terminal(words: tuple[str, ...], chest: Callable[..., Result]) -> None:
    """Each help, its examples included, fits into 80 columns, and no sentence about a command is cut."""
    for line in chest(*words, "--help", env={"COLUMNS": "80"}).stdout.splitlines():
        assert len(line) <= 80
        assert not line.endswith("...") or line.startswith("Usage:")


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        (["reqests"], "requests"),
        (["shw"], "show"),
        (["explan"], "explain"),
        (["outbox", "lst"], "list"),
        (["collector", "targts"], "targets"),
    ],
)
def test_a_slip_in_a_command(mistyped: list[str], meant: str, chest: Callable[..., Result]) -> None:
    """A command that is not there is answered with the nearest one."""
    result = chest(*mistyped)
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.stderr
