"""``flask chest collector``: targets, render, check; what needs a collector is in ``tests/collector``."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from flask import Flask
from flask.cli import ScriptInfo
from flask.views import MethodView

from flask_chest_otel import FlaskChest, TrackedVar, flask_chest
from flask_chest_otel._cli import chest_cli
from flask_chest_otel._collector import Composition, binary, render
from flask_chest_otel._collector.application import look_at
from flask_chest_otel._collector.binary import NAMES, as_child, find, places
from flask_chest_otel._collector.check import problems
from flask_chest_otel._collector.fragments import ADD_ONS, TARGETS, folder, variables_of
from flask_chest_otel._lifecycle.state import config_of
from flask_chest_otel.chests import SQLChest
from flask_chest_otel.instrumentor import FlaskChestInstrumentor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from click.testing import Result

CONFIG = Path(__file__).resolve().parents[3] / "collector-config"
FILES = {path.stem for path in CONFIG.glob("*.yaml")}


def merged(base: Any, other: Any) -> Any:
    """Merge as the collector does, on parsed documents: maps deep, everything else replaced."""
    if isinstance(base, dict) and isinstance(other, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in other.items()}}
    return other


def by_parser(names: Sequence[str]) -> Any:
    document: Any = {}
    for name in names:
        document = merged(document, yaml.safe_load((CONFIG / f"{name}.yaml").read_text()))
    return document


@pytest.fixture
def cart(tmp_path: Path) -> Flask:
    """An application with variables of every kind, and routes with and without destinations."""
    app = Flask("cart", instance_path=str(tmp_path))
    FlaskChest(app, tracked_vars=["user_id", TrackedVar("amount", attribute="order.amount"), "password"])

    class Page(MethodView):
        @flask_chest(chests=["influxdb", "splunk"])
        def get(self) -> str:
            return ""

        def post(self) -> str:
            return ""

    plan = TrackedVar("plan", dimension=True)
    app.add_url_rule("/plan", view_func=flask_chest("rows", plan, chests=["splunk"])(lambda: ""), endpoint="plan")
    app.add_url_rule("/page's", view_func=Page.as_view("page"))
    app.add_url_rule("/alone", view_func=flask_chest("secret_rows", "*", inherit=False)(lambda: ""), endpoint="alone")
    return app


def pipelines(document: Any) -> dict[str, list[str]]:
    return {key: one.get("processors", []) for key, one in document["service"]["pipelines"].items()}


def test_table_and_files_agree() -> None:
    """Every file is a target or an add-on, and every variable of the table is read and explained in its file."""
    assert {*TARGETS, *ADD_ONS, "base"} == FILES
    for name, target in {**TARGETS, **ADD_ONS}.items():
        text = (CONFIG / f"{name}.yaml").read_text()
        head = text.partition("\n\n")[0]
        for variable in (*target.must, *target.where):
            assert variable in variables_of(text), f"{name}: {variable}"
            assert variable in head, f"{name}: {variable}"
        takes = {key.partition("/")[0] for key in yaml.safe_load(text).get("service", {}).get("pipelines", ())}
        if name in TARGETS:
            assert {signal.strip() for signal in target.signals.split(",")} == takes, name


def test_variables_without_a_default_must_be_set() -> None:
    """A variable for which a file has no default is in the column of those that must be set."""
    for name, target in {**TARGETS, **ADD_ONS}.items():
        without = {one for one, value in variables_of((CONFIG / f"{name}.yaml").read_text()).items() if value is None}
        assert without <= set(target.must), name


def test_the_readme_says_what_must_be_set() -> None:
    """In its tables of targets and add-ons each has a line, with exactly the variables that must be set."""
    table = re.findall(r"^\| `(\w+)\.yaml` \| [^|]+ \| ([^|]+) \|", (CONFIG / "README.md").read_text(), re.MULTILINE)
    assert {name: set(re.findall(r"`([A-Z]\w+)`", variables)) for name, variables in table} == {
        name: set(target.must) for name, target in {**TARGETS, **ADD_ONS}.items()
    }


def test_every_target_has_a_page() -> None:
    """Each target's page has the template's sections, and every variable that must or may be set with its default."""
    pages = CONFIG.parent / "docs" / "how-to" / "targets"
    assert {path.stem for path in pages.glob("*.md")} == set(TARGETS)
    base = set(variables_of((CONFIG / "base.yaml").read_text()))
    for name, target in TARGETS.items():
        page = (pages / f"{name}.md").read_text()
        sections = re.findall(r"^## (.+)$", page, re.MULTILINE)
        assert sections == ["Set", "Run", "What arrives", "Ask", "Know"], name
        for variable, default in variables_of((CONFIG / f"{name}.yaml").read_text()).items():
            if variable in base or re.search(r"_(GATE|QUEUE)_(PORT|BYTES)$", variable):
                continue
            row = next((line for line in page.splitlines() if line.startswith("|") and f"`{variable}`" in line), None)
            assert row is not None, f"{name}: {variable}"
            nothing = default in (None, "", "null", "[]")
            expected = "must be set" if variable in target.must else "none" if nothing else str(default)
            assert expected in row, f"{name}: {row}"


def test_every_file_is_in_the_wheel() -> None:
    """Each fragment and the README go into the package, and nothing that only this repository needs."""
    text = (CONFIG.parent / "pyproject.toml").read_text("utf-8")
    listed = re.findall(r'^"collector-config/(.+)" = "flask_chest_otel/collector_config/(.+)"$', text, re.MULTILINE)
    assert {source for source, _ in listed} == {target for _, target in listed}
    assert {source for source, _ in listed} == {*(f"{name}.yaml" for name in FILES), "README.md"}


def test_the_files_are_found() -> None:
    """In a checkout the fragments are those of the checkout."""
    assert folder() == CONFIG


@pytest.mark.slow
@pytest.mark.parametrize("names", [*itertools.pairwise(sorted(TARGETS)), tuple(TARGETS)], ids="+".join)
def test_render_merges_as_the_collector_does(names: tuple[str, ...]) -> None:
    """The text means what a YAML parser and the collector's rule make of the same files, with every comment."""
    text = render(Composition(names))
    assert yaml.safe_load(text) == by_parser(["base", *names])
    for name in ("base", *names):
        comments = re.findall(r"^ *#.*$", (CONFIG / f"{name}.yaml").read_text(), re.MULTILINE)
        assert [line for line in comments if line not in text] == []


def test_render_merges_add_ons() -> None:
    """A door with a lock keeps its ports, and the list of extensions is the last one."""
    names = ["base", "influxdb", "file", "secure"]
    assert yaml.safe_load(render(Composition(("influxdb", "file"), secure=True))) == by_parser(names)
    names = ["base", "influxdb", "kafka_consumer", "span_metrics"]
    composition = Composition(("influxdb",), from_kafka=True, span_metrics=True)
    assert yaml.safe_load(render(composition)) == by_parser(names)


def test_behind_a_lock_add_ons_have_a_door_of_their_own() -> None:
    """With TLS and a token at the door, what comes from inside takes a loopback port that every target listens to."""
    composition = Composition(("influxdb", "file"), secure=True, from_kafka=True, span_metrics=True)
    document = yaml.safe_load(render(composition))
    door = document["receivers"]["otlp/inside"]["protocols"]["grpc"]["endpoint"]
    assert door.startswith("127.0.0.1:")
    for name in ("span_metrics", "kafka_consumer"):
        assert document["exporters"][f"otlp_grpc/{name}"]["endpoint"] == door
    receivers = {key: one["receivers"] for key, one in document["service"]["pipelines"].items()}
    doors = {key for key, names in receivers.items() if "otlp" in names}
    assert {key for key, names in receivers.items() if names == ["otlp", "otlp/inside"]} == doors
    assert {"traces/influxdb_gate", "metrics/file_gate", "traces/span_metrics"} <= doors
    assert "otlp/inside" not in render(Composition(("file",), secure=True))
    assert "otlp/inside" not in render(Composition(("file",), span_metrics=True))


@pytest.mark.slow
def test_redaction_and_tail_sampling_are_in_every_door() -> None:
    """Every target's way in has both behind what refuses and drops; sampling is for traces, and not for add-ons."""
    composition = Composition(tuple(TARGETS), redaction=True, tail_sampling=True, span_metrics=True)
    document = yaml.safe_load(render(composition))
    plain = pipelines(by_parser(["base", *TARGETS, "span_metrics"]))
    changed = {key for key, names in pipelines(document).items() if names != plain[key]}
    doors = {key for key, one in document["service"]["pipelines"].items() if one["receivers"] == ["otlp"]}
    assert changed == doors - {"traces/span_metrics"}
    for key in changed:
        names = pipelines(document)[key]
        added = ["tail_sampling", "redaction"] if key.startswith("traces/") else ["redaction"]
        at = names.index(added[0])
        assert names[at : at + len(added)] == added
        assert all(name.startswith(("memory_limiter", "filter/")) for name in names[:at])
        assert not any(name.startswith("filter/") for name in names[at:])
        assert [name for name in names if name not in added] == plain[key]


def test_raw_values_of_an_application(cart: Flask) -> None:
    """One entry for each variable that may be a number, under its own attribute; none for ids and secrets."""
    text = render(Composition(("influxdb",), raw_values=True), look_at(cart, config_of(cart)))
    entries = yaml.safe_load(text)["connectors"]["signal_to_metrics"]["spans"]
    assert {one["name"]: one["gauge"]["value"] for one in entries} == {
        "amount": 'Double(span.attributes["order.amount"])',
        "rows": 'Double(span.attributes["flask.g.rows"])',
    }
    keys = [entry["key"] for entry in entries[0]["attributes"]]
    assert keys == ["flask.request_id", "http.route", "flask.chests", "flask.g.plan"]


def test_a_bare_name_of_an_application(tmp_path: Path) -> None:
    """A name that one route defines is one variable to the collector, as it is to the application."""
    app = Flask("cart", instance_path=str(tmp_path))
    FlaskChest(app, tracked_vars=["total"])
    app.add_url_rule("/", view_func=flask_chest(TrackedVar("total", attribute="cart.total"))(lambda: ""))
    seen = look_at(app, config_of(app))
    assert seen is not None
    assert [(one.name, one.attribute, one.metric) for one in seen.variables] == [("total", "cart.total", "cart.total")]


def test_emf_declarations_of_an_application(cart: Flask) -> None:
    """Each metric has its route, its method, and the dimensions that may stand on it."""
    document = yaml.safe_load(render(Composition(("aws",)), look_at(cart, config_of(cart))))
    found = document["exporters"]["awsemf"]["metric_declarations"]
    common = ["http.route", "http.request.method"]
    assert [(one["dimensions"], one["metric_name_selectors"]) for one in found] == [
        ([common], [r"^http\.server\.request\.duration$$"]),
        ([common, [*common, "flask.g.plan"]], [r"^order\.amount$$", r"^flask\.g\.rows$$"]),
    ]


def test_route_conditions_of_an_application(cart: Flask) -> None:
    """Metrics without a list are kept to their route's destinations, by method where the methods differ."""
    document = yaml.safe_load(render(Composition(("influxdb", "splunk")), look_at(cart, config_of(cart))))
    before = by_parser(["base", "influxdb"])["processors"]["filter/influxdb"]["metric_conditions"]
    added = document["processors"]["filter/influxdb"]["metric_conditions"][len(before) :]
    start = 'datapoint.attributes["flask.chests"] == nil and datapoint.attributes["http.route"] == '
    end = '"(^|,)influxdb(,|$$)")'
    page = f'{start}"/page\'s" and datapoint.attributes["http.request.method"] =='
    assert added == [
        # A HEAD request runs the view's get.
        f'{page} "GET" and not IsMatch("influxdb,splunk", {end}',
        f'{page} "HEAD" and not IsMatch("influxdb,splunk", {end}',
        f'{start}"/plan" and not IsMatch("splunk", {end}',
    ]


def test_unknown_target(chest: Callable[..., Result]) -> None:
    """An unknown target is refused with the nearest name and all others."""
    result = chest("collector", "render", "--target", "inflxdb")
    assert result.exit_code == 2
    assert "Did you mean 'influxdb'?" in result.stderr
    assert all(name in result.stderr for name in TARGETS)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ("--target file --raw-values", "flask --app YOUR_APP"),
        ("--target kafka --from-kafka", "leave one out"),
        ("", f"type --target NAME, where NAME is one of {', '.join(TARGETS)}; what each needs: flask chest"),
    ],
)
def test_what_does_not_go_together(options: str, hint: str, chest: Callable[..., Result]) -> None:
    """A combination that cannot work is refused with what to do instead."""
    result = chest("collector", "render", *options.split())
    assert result.exit_code == 2
    assert hint in " ".join(result.stderr.split())


def test_without_an_application(chest: Callable[..., Result], tmp_path: Path) -> None:
    """Where there is no application, targets and render work all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert "SPLUNK_ACCESS_TOKEN" in chest("collector", "targets", info=ScriptInfo()).stdout
        result = chest("collector", "render", "--target", "signalfx", "-o", "out.yaml", info=ScriptInfo())
        assert result.exit_code == 0, result.stderr
        assert yaml.safe_load(Path("out.yaml").read_text()) == by_parser(["base", "splunk"])


def test_render_with_an_application(cart: Flask, chest: Callable[..., Result]) -> None:
    """The command writes the application's own variables, and says that "*" has none."""
    info = ScriptInfo(create_app=lambda: cart)
    result = chest("collector", "render", "--target", "file", "--raw-values", info=info)
    assert "order.amount" in result.stdout
    assert '"*"' in result.stderr


def test_every_command_helps(chest: Callable[..., Result]) -> None:
    """Each sub-command has a help with an explanation."""
    for name in ("targets", "render", "check", "run"):
        result = chest("collector", name, "--help")
        assert (result.exit_code, len(result.stdout) > 200) == (0, True), name


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens already; nobody ever answers there."""
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


@pytest.mark.process
def test_check_names_every_problem(taken: int, tmp_path: Path) -> None:
    """A missing variable, a silent server, a taken port, a folder that cannot be: a sentence for each."""
    (tmp_path / "file").touch()
    environ = {
        "INFLUXDB_URL": "http://127.0.0.1:9",
        "CHEST_OTLP_HTTP_PORT": str(taken),
        "KAFKA_BROKERS": "127.0.0.1:9,127.0.0.1:1",
        "CHEST_HEALTH_PORT": "99999",
        "CHEST_QUEUE_DIR": str(tmp_path / "file" / "queue"),
        "CHEST_FILE_PATH": str(tmp_path / "file" / "telemetry.jsonl"),
    }
    composition = Composition(("influxdb", "kafka", "aws", "file"))
    found = problems(composition, render(composition), environ)
    for expected in (
        "influxdb: INFLUXDB_TOKEN is not set. Type: export INFLUXDB_TOKEN=",
        "influxdb: nobody answers at http://127.0.0.1:9 (",
        "kafka: nobody answers at 127.0.0.1:9.",
        "kafka: nobody answers at 127.0.0.1:1.",
        f"port {taken} (CHEST_OTLP_HTTP_PORT) cannot be used: Address already in use.",
        "port 99999 (CHEST_HEALTH_PORT) cannot be used",
        "aws: no credentials",
        f"{tmp_path}/file/queue (CHEST_QUEUE_DIR) cannot be written by this user. Type: export CHEST_QUEUE_DIR=",
        f"{tmp_path}/file/telemetry.jsonl (CHEST_FILE_PATH) cannot be written by this user.",
    ):
        assert [one for one in found if one.startswith(expected)], expected


@pytest.mark.process
def test_check_takes_folders_and_files_that_are_there(tmp_path: Path) -> None:
    """A folder for the queues and a file that exist already are no problem; a file in the folder's place is one."""
    path, composition = tmp_path / "telemetry.jsonl", Composition(("file",))
    path.touch()
    text = render(composition)
    good = {"CHEST_QUEUE_DIR": str(tmp_path), "CHEST_FILE_PATH": str(path)}
    assert "cannot be written" not in str(problems(composition, text, good))
    assert f"{path} (CHEST_QUEUE_DIR) cannot be written" in str(
        problems(composition, text, {**good, "CHEST_QUEUE_DIR": str(path)})
    )


@pytest.mark.process
def test_check_knows_what_the_collector_misreads() -> None:
    """A variable that is set, but empty, and dollars that the collector takes for its own; secrets are not shown."""
    environ = {"CHEST_OTLP_HOST": "", "INFLUXDB_TOKEN": "pa$$word", "INFLUXDB_ORG": "a${b}c", "INFLUXDB_BUCKET": "$a${"}
    composition = Composition(("influxdb",))
    found = problems(composition, render(composition), environ)
    empty = "CHEST_OTLP_HOST is set, but empty: the collector takes that, and not its default 127.0.0.1. "
    assert f"{empty}Type: unset CHEST_OTLP_HOST" in found
    dollars = [one.partition(":")[0] for one in found if "Type every $ in the value twice." in one]
    assert dollars == ["INFLUXDB_ORG", "INFLUXDB_TOKEN"]
    assert "pa$$word" not in str(found)


@pytest.mark.process
def test_check_ends_with_a_status(chest: Callable[..., Result]) -> None:
    """Problems are printed, and the exit code is 1."""
    result = chest("collector", "check", "--target", "influxdb", env={"INFLUXDB_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 1
    assert "INFLUXDB_TOKEN is not set" in result.stdout


@pytest.mark.process
def test_run_asks_for_what_must_be_set(tmp_path: Path) -> None:
    """Without its token a target's data would be dropped: nothing is started, and what to type is said."""
    # In a process of its own, which the collector would take over.
    command = [str(Path(sys.executable).with_name("flask")), "chest", "collector", "run", "--target", "influxdb"]
    plain = {name: text for name, text in os.environ.items() if name != "INFLUXDB_TOKEN"}
    done = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: influxdb: INFLUXDB_TOKEN is not set. Type: export INFLUXDB_TOKEN=")


@pytest.mark.process
def test_check_knows_a_target_that_is_not_there(chest: Callable[..., Result], app: Flask) -> None:
    """A slip in a route's chests= is named, with what was meant; a direct chest and an alias are none."""
    FlaskChest(app)
    app.add_url_rule("/a", "a", flask_chest(chests=["influxdv", "signalfx"])(lambda: "ok"))
    result = chest("collector", "check", "--target", "file")
    assert result.exit_code == 1
    assert "chests= in the application: there is no target 'influxdv'. Did you mean 'influxdb'?" in result.stdout
    assert "signalfx" not in result.stdout


def test_check_knows_direct_chests(app: Flask, tmp_path: Path) -> None:
    """What is written by the application itself is no target's."""
    FlaskChest(app, chests=[SQLChest(f"sqlite:///{tmp_path}/a.sqlite3", name="audit"), "fiel"])
    app.add_url_rule("/a", "a", flask_chest(chests=["audit"])(lambda: "ok"))
    found = look_at(app, config_of(app))
    assert found is not None
    assert found.targets == ("fiel",)


@pytest.mark.process
def test_check_misses_a_scheme() -> None:
    """An address without one gets the address that was meant, and is not asked."""
    composition = Composition(("influxdb",))
    found = problems(composition, render(composition), {"INFLUXDB_URL": "127.0.0.1:9", "INFLUXDB_TOKEN": "x"})
    expected = "influxdb: INFLUXDB_URL=127.0.0.1:9 has no scheme. Type: export INFLUXDB_URL=http://127.0.0.1:9"
    assert [one for one in found if one.startswith("influxdb:")] == [expected]


def test_render_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """One line says what is wrong."""
    done = CliRunner().invoke(
        chest_cli, ["collector", "render", "--target", "file", "-o", str(tmp_path / "nowhere" / "c.yaml")]
    )
    assert done.exit_code == 1
    assert done.output.strip().splitlines()[-1].startswith("Error: ")
    assert "cannot be written" in done.output


@pytest.mark.process
def test_what_comes_next(tmp_path: Path) -> None:
    """After a file there is a word on how to use it, and on a terminal on how to get one; in a pipe there is none."""
    script = "from flask_chest_otel._cli import chest_cli; chest_cli()"
    command = [sys.executable, "-c", script, "collector", "render", "--target", "debug"]

    def said(*options: str, stdout: int = subprocess.PIPE) -> str:
        done = subprocess.run([*command, *options], stdout=stdout, stderr=subprocess.PIPE, cwd=tmp_path, check=True)
        return done.stderr.decode()

    assert said() == ""
    assert said("-o", "/dev/stdout") == ""
    assert said("-o", "c.yaml") == "Wrote c.yaml. Now: flask-chest-collector --config c.yaml\n"
    ours, theirs = os.openpty()
    reader = threading.Thread(target=_drain, args=(ours,))
    reader.start()
    try:
        assert "To keep it: -o collector.yaml" in said(stdout=theirs)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)


def _drain(terminal: int) -> None:
    # A terminal holds little: who writes more waits until it is read, which ends with an error when all have left.
    with suppress(OSError):
        while os.read(terminal, 4096):
            pass


class Guarded(BaseHTTPRequestHandler):
    """Answers those who bring the right user and password."""

    def do_GET(self) -> None:
        right = f"Basic {base64.b64encode(b'me:open@sesame').decode()}"
        self.send_response(200 if self.headers["Authorization"] == right else 401)
        self.end_headers()
        self.wfile.write(b'["shop"]')

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.mark.process
@pytest.mark.parametrize("target", ["zipkin", "influxdb1", "clickhouse"])
def test_check_asks_servers_that_want_a_user(target: str) -> None:
    """A server that answers is there, also where its address has a user and a password."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scheme = "tcp" if target == "clickhouse" else "http"
        address = f"{scheme}://me:open%40sesame@127.0.0.1:{server.server_port}"
        variable = TARGETS[target].where[0]
        composition = Composition((target,))
        found = problems(composition, render(composition, None), {variable: address, "INFLUXDB1_DATABASE": "shop"})
        server.shutdown()
    assert not [problem for problem in found if problem.startswith(f"{target}:")]


@pytest.mark.process
@pytest.mark.parametrize(
    "address",
    [
        "http://me:sesame-open@127.0.0.1:9",
        "http://me:open/sesame-open@127.0.0.1:9",
        "http://127.0.0.1:9/?key=sesame-open",
        "me:sesame-open@127.0.0.1:9",
        "tcp://me:sesame-open@127.0.0.1:9?password=sesame-open",
    ],
)
@pytest.mark.parametrize("target", [name for name, one in TARGETS.items() if one.where])
def test_check_shows_no_secret(target: str, address: str) -> None:
    """A server that does not answer is named without the user, the password and the query of its address."""
    composition = Composition((target,))
    variable = TARGETS[target].where[0]
    found = problems(composition, render(composition, None), {variable: address, "AWS_PROFILE": "x"})
    assert [problem for problem in found if problem.startswith(f"{target}:")]
    assert "sesame" not in "".join(found)


def test_an_application_without_code(app: Flask) -> None:
    """One that only the instrumentor records has its variables and destinations; in its absence, the environment's."""
    app.add_url_rule("/plan", view_func=flask_chest("rows", chests=["splunk"])(lambda: ""), endpoint="plan")
    FlaskChestInstrumentor().instrument(tracked_vars=["user_id"])
    try:
        found = look_at(app, config_of(app))
    finally:
        FlaskChestInstrumentor().uninstrument()
    assert found is not None
    assert {variable.name for variable in found.variables} == {"user_id", "rows"}
    assert found.targets == ("splunk",)


@pytest.mark.process
def test_an_application_without_code_in_its_environment(chest: Callable[..., Result], app: Flask) -> None:
    """The command is typed without `opentelemetry-instrument`, perhaps: FLASK_CHEST_… variables say the same."""
    assert look_at(app, config_of(app)) is None
    environment = {"FLASK_CHEST_TRACKED_VARS": "cart_total", "FLASK_CHEST_CHESTS": "nowhere"}
    rendered = chest("collector", "render", "--target", "file", "--raw-values", env=environment)
    assert (rendered.exit_code, "flask.g.cart_total" in rendered.stdout) == (0, True)
    checked = chest("collector", "check", "--target", "file", env=environment)
    assert "there is no target 'nowhere'" in checked.stdout


def test_no_program_of_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the folder that one stands in is not run, whoever put it there."""
    program = tmp_path / ".build" / "bin" / "flask-chest-collector"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert find() != program
    on_path = tmp_path / "bin" / "otelcol-contrib"
    on_path.parent.mkdir()
    on_path.symlink_to(program)
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find() in (on_path, Path(__file__).resolve().parents[3] / ".build" / "bin" / program.name)


@pytest.mark.parametrize("entry", ["", ".", "bin"])
def test_no_program_by_a_relative_path(entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of PATH that means the folder that one stands in is left out; so is a package of that name there."""
    for place in ("", "bin", "flask_chest_collector"):
        (tmp_path / place).mkdir(exist_ok=True)
        for name in NAMES:
            (tmp_path / place / name).write_text("#!/bin/sh\n")
            (tmp_path / place / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", f"{entry}:/nowhere")
    assert find() in (None, Path(__file__).resolve().parents[3] / ".build" / "bin" / NAMES[0])
    assert not [path for path in places() if not path.is_absolute() or tmp_path in path.parents]


@pytest.mark.process
def test_run_where_a_process_cannot_become_another(tmp_path: Path) -> None:
    """There the collector is a child with the configuration in a file; its exit code is the command's."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\ncat "$2" > "$(dirname "$0")/seen"\nexit 3\n')
    program.chmod(0o755)
    assert as_child(program, "receivers: {}\n") == 3
    assert (tmp_path / "seen").read_text() == "receivers: {}\n"


@pytest.mark.process
def test_render_prints_what_it_would_write(tmp_path: Path) -> None:
    """Printed where the locale has other characters, a configuration is the same as in a file."""
    script = "from flask_chest_otel._cli import chest_cli; chest_cli()"
    command = [sys.executable, "-c", script, "collector", "render", "--target", "debug", "--target", "influxdb"]
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    printed = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, check=True).stdout
    subprocess.run([*command, "-o", "collector.yaml"], cwd=tmp_path, env=environ, capture_output=True, check=True)
    assert printed.decode("utf-8") == (tmp_path / "collector.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(printed)["service"]["pipelines"]


@pytest.mark.process
def test_the_collector_of_the_checkout_that_pip_has_copied(tmp_path: Path) -> None:
    """After `pip install .` and `make collector` the program is found by pip's note; other notes are not read."""
    site, checkout, here = tmp_path / "site", tmp_path / "a checkout", tmp_path / "here"
    shutil.copytree(Path(binary.__file__).parents[1], site / "flask_chest_otel")
    for place, url in ((site, checkout), (here, here)):
        program = url / ".build" / "bin" / "flask-chest-collector"
        program.parent.mkdir(parents=True)
        program.touch(0o755)
        note = place / "flask_chest_otel-9.dist-info"
        note.mkdir(parents=True)
        (note / "METADATA").write_text("Metadata-Version: 2.1\nName: flask-chest-otel\nVersion: 9\n")
        (note / "direct_url.json").write_text(json.dumps({"dir_info": {}, "url": url.as_uri()}))
    ask = "from flask_chest_otel._collector.binary import find; print(find())"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {ask}"]
    # Its coverage would be that of a copy, which is gone when the report is made.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(checkout / ".build" / "bin" / "flask-chest-collector")
