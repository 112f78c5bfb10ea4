"""The borders: who may import whom, what is public, and what costs nothing to load."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flask_chest_otel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(flask_chest_otel.__file__).parent
TESTS = Path(__file__).parent.parent

DOORS = {
    *("__init__", "extension", "decorator", "instrumentor", "context"),
    *("id_generator", "logs", "servers", "testing", "viewer"),
}
"""What a user imports."""

ROOMS = (
    {"_version", "_base", "names", "ids"},
    {"errors"},
    {"tracked", "slo", "_guard", "_values"},
    {"config", "_records", "_otlp", "_self_metrics"},
    {"_store", "chests", "_tracking", "_server_span", "_outbox"},
    {"_request", "_analysis", "_slo"},
    {"_context", "_providers", "_collector", "_logs", "_viewer"},
    {"_lifecycle"},
    DOORS,
    {"_doctor", "_pytest_plugin"},
    {"_cli"},
)
"""Rooms in their order: each imports those of the steps before its own, and none beside it."""

MOST_LINES_OF_A_MODULE = 320
MOST_LINES_OF_A_CLASS = 200
TABLES = {"_values/convert.py", "config/settings.py"}
"""Modules that may be longer: a table of types, and one of settings."""

TYPED_NAMES = {"span", "plan", "context", "provider", "owner", "live"}

GLOBALS = {
    "_base/process.py": "which process this is",
    "_context/propagator.py": "how the global propagator finds the typed context",
    "_guard.py": "which process has logged what, and whether tests want to see what is caught",
    "_records/abandoned.py": "which process works off what was dropped at its end",
    "servers.py": "which process is a server's master",
}
"""Modules that set a name of their own again, with what it says."""

FILES_AND_RECORDS = {
    *("_version", "_base", "names", "ids", "errors", "tracked", "slo", "_guard", "_values"),
    *("config", "_records", "_store", "chests", "_analysis"),
}
"""Rooms that use the standard library alone."""

WIRE = {"_otlp", "_outbox", "_self_metrics"}
"""Rooms that know OpenTelemetry, and nothing of Flask."""
OF_THE_WIRE = {"opentelemetry", "grpc", "google"}
OF_THE_PAGE = {"flask", "werkzeug", "markupsafe"}
OF_THE_REST = {"opentelemetry", "flask", "werkzeug", "typing_extensions"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


@cache
def modules() -> list[tuple[str, Path]]:
    """Every module of the package: the room that it belongs to, and its file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "collector_config" not in parts:
            found.append((parts[0], path))
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def as_ruff_sorts(name: str) -> tuple[bool, bool, str]:
    """What is all in capitals, what begins with one, the rest."""
    return not name.isupper(), not name[0].isupper(), name


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path, *, typing: bool = False) -> Iterator[str]:
    """Modules that a file imports, also inside functions; with ``typing`` also those that only type checkers load."""
    waiting: list[ast.AST] = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        if not typing and is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "flask_chest_otel":
                yield from (f"flask_chest_otel.{name.name}" for name in node.names)
            else:
                yield node.module
        waiting.extend(ast.iter_child_nodes(node))


def step_of(room: str) -> int:
    (found,) = [number for number, rooms in enumerate(ROOMS) if room in rooms]
    return found


def test_imports_point_down() -> None:
    """A module imports from its own room and from rooms of earlier steps, for type checkers, too."""
    wrong = []
    for room, path in modules():
        for name in imports(path, typing=True):
            first, *rest = name.split(".")
            ours = first == "flask_chest_otel" and rest[0] != room and room != "__init__"
            wrong += [(name_of(path), name)] if ours and step_of(rest[0]) >= step_of(room) else []
    assert wrong == []


def third_parties(room: str) -> set[str]:
    """The libraries that are a room's business."""
    if room in FILES_AND_RECORDS:
        return set()
    return OF_THE_WIRE if room in WIRE else OF_THE_PAGE if room == "_viewer" else OF_THE_REST


def test_third_parties() -> None:
    """A room uses the libraries that are its business: files and records know nothing of Flask, nor of an SDK."""
    wrong = []
    for room, path in modules():
        if room not in {"_collector", "_doctor", "_cli", "_pytest_plugin", *DOORS}:
            known = {"flask_chest_otel", *sys.stdlib_module_names, *third_parties(room)}
            wrong += [(name_of(path), name) for name in imports(path) if name.split(".")[0] not in known]
    assert wrong == []


def test_no_private_names_of_others() -> None:
    """Of Flask, Werkzeug and OpenTelemetry only public modules and names are imported, and one mark is looked for.

    OpenTelemetry's logs have no other home than ``_logs``, in its documentation, too.
    """
    private, marks = [], []
    for _, path in modules():
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = []
                if isinstance(node, ast.Constant) and "_opentelemetry" in str(node.value):
                    marks += [node.value] if str(node.value).startswith("_") else []
            third = [name.split(".") for name in names if name.startswith(("opentelemetry.", "flask.", "werkzeug."))]
            private += [parts for parts in third if any(part.startswith("_") and part != "_logs" for part in parts)]
    assert (private, marks) == ([], ["_is_instrumented_by_opentelemetry"])


def test_the_root_has_doors_only() -> None:
    """Every module has a room; beside doors the root has what all rooms use; a room's modules have plain names."""
    assert {room for room, _ in modules()} <= set().union(*ROOMS)
    at_the_root = {path.stem for path in PACKAGE.glob("*.py")}
    others = {"_version", "_guard", "_self_metrics", "_pytest_plugin", "errors", "names", "ids", "slo", "tracked"}
    assert at_the_root == DOORS | others
    inside = {path.stem for _, path in modules() if path.name != "__init__.py"} - at_the_root
    assert not {name for name in inside if name.startswith("_")}


def annotated(node: ast.AST) -> tuple[str, ast.expr | None]:
    """A parameter or attribute, and its annotation."""
    if isinstance(node, ast.arg):
        return node.arg, node.annotation
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target).rpartition(".")[2], node.annotation
    return "", None


def test_names_that_everybody_passes_on_are_typed() -> None:
    """No parameter or attribute named span, plan, context, provider, owner or live is ``Any``."""
    untyped = [
        (name_of(path), name)
        for _, path in modules()
        for name, annotation in map(annotated, nodes_of(path))
        if name in TYPED_NAMES and annotation is not None and ast.unparse(annotation) in ("Any", "Any | None")
    ]
    assert untyped == []


def test_few_modules_set_their_names_again() -> None:
    """``global`` stands where the state is of the process, and nowhere else."""
    with_it = {name_of(path) for _, path in modules() if any(isinstance(node, ast.Global) for node in nodes_of(path))}
    assert with_it == set(GLOBALS)


def test_modules_and_classes_are_short() -> None:
    """A module has at most 320 lines and a class at most 200, but for two tables."""
    judged = [path for _, path in modules() if name_of(path) not in TABLES]
    assert [path for path in judged if len(path.read_text("utf-8").splitlines()) > MOST_LINES_OF_A_MODULE] == []
    classes = [(path, node) for path in judged for node in nodes_of(path) if isinstance(node, ast.ClassDef)]
    long = [
        (path, node.name) for path, node in classes if (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_CLASS
    ]
    assert long == []


def offered_by(tree: ast.Module) -> list[list[str]]:
    return [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
        if "__all__" in ast.unparse(node).split("=")[0]
    ]


def test_all_is_sorted() -> None:
    """Each module says what it offers, sorted; packages only re-export."""
    assert [path for _, path in modules() if not ast.get_docstring(tree_of(path))] == [], "a module says what it owns"
    for _, path in modules():
        tree = tree_of(path)
        found = offered_by(tree)
        # Of the last kind is a room whose modules are named in full.
        if path.name != "__init__.py" or path.parent == PACKAGE or len(tree.body) == 1:
            continue
        (offered,) = found
        assert offered == sorted(offered, key=as_ruff_sorts), path
        allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
        assert all(isinstance(node, allowed) or is_type_checking(node) for node in tree.body), path


def test_lines_of_ours_cannot_raise() -> None:
    """Whoever logs does so by ``_guard.Log``, which keeps what filters of the application raise to itself."""
    # Rooms whose business records are, made by others; and what the doctor listens to.
    mine = {"_guard.py", "export_warnings.py", "logs.py", "log_lines.py"}
    judged = [path for room, path in modules() if path.name not in mine and room != "_logs"]
    assert [path for path in judged if "getLogger" in path.read_text() or "logging" in set(imports(path))] == []


def test_public_names() -> None:
    """What the package offers is there, sorted, and in ``dir`` before it is loaded."""
    assert flask_chest_otel.__all__ == sorted(flask_chest_otel.__all__, key=as_ruff_sorts)
    for name in flask_chest_otel.__all__:
        found = getattr(flask_chest_otel, name)
        assert name in dir(flask_chest_otel)
        if name not in ("__version__", "current_context"):
            home = getattr(found, "__module__", None)
            assert getattr(importlib.import_module(str(home)), name) is found
    with pytest.raises(AttributeError, match="nothing"):
        flask_chest_otel.nothing  # noqa: B018 - the point


def test_lazy_names_and_typed_names_agree() -> None:
    """Type checkers and the running program find each name in the same place."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    typed = {
        name.name: node.module
        for block in tree.body
        if is_type_checking(block)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    homes = {name: f"flask_chest_otel.{home}" for name, home in vars(flask_chest_otel)["_HOMES"].items()}
    assert typed == homes
    assert set(homes) == set(flask_chest_otel.__all__)


@pytest.mark.parametrize(
    ("module", "barred"),
    [
        ("flask_chest_otel", {"flask", "opentelemetry", "sqlite3"}),
        ("flask_chest_otel._pytest_plugin", {"flask", "opentelemetry", "sqlite3"}),
        ("flask_chest_otel._cli", {"opentelemetry", "sqlite3"}),
        ("flask_chest_otel.config", {"flask", "opentelemetry"}),
        ("flask_chest_otel.extension", {"opentelemetry.exporter", "sqlite3", "grpc", "requests"}),
    ],
)
def test_light_to_load(run_python: Callable[..., str], module: str, barred: set[str]) -> None:
    """Entry points that every command loads bring neither Flask nor an SDK along; the extension no exporter."""
    # Measuring coverage brings modules of its own into every process.
    plain, with_it = (
        set(json.loads(run_python(f"import json, sys, {name}; print(json.dumps(sorted(sys.modules)))")))
        for name in ("os", module)
    )
    loaded = with_it - plain
    assert not {name for name in loaded if name in barred or name.split(".")[0] in barred}


@pytest.mark.process
@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy belongs to the environment of development")
def test_typed_for_users(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A type checker sees decorated views with their own types, and refuses what is no view."""
    (tmp_path / "use.py").write_text(USE)
    # A cold run of mypy over Flask and OpenTelemetry takes ten seconds, a warm one two.
    cache = pytestconfig.rootpath / ".pytest_cache" / "mypy"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "use.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


USE = """
from typing import Callable

from flask.views import View
from typing_extensions import assert_type

from flask_chest_otel import FlaskChest, TrackedVar, current_request_id, flask_chest, trace_id_for


@flask_chest
def bare(number: int) -> str:
    return str(number)


@flask_chest("a", TrackedVar("b"))
def names(number: int, *, word: str = "") -> tuple[str, int]:
    return word, number


@flask_chest(tracked_vars={"GET": ["a", TrackedVar("b")]}, chests=["x"], inherit=False)
async def mapped() -> str:
    return ""


@flask_chest(["a"], request_id_generator=lambda: "x")
class Page(View):
    pass


assert_type(bare(1), str)
assert_type(names(1, word="x"), tuple[str, int])
assert_type(Page(), Page)
assert_type(current_request_id(), str | None)
assert_type(trace_id_for("x"), str)
view: Callable[[int], str] = bare
bare("x")  # type: ignore[arg-type]
flask_chest("a")(3)  # type: ignore[type-var]
FlaskChest(tracked_vars=["a"], response_headers=(), export=None)
FlaskChest(list_limit="3")  # type: ignore[arg-type]
FlaskChest(export="oltp")  # type: ignore[arg-type]
FlaskChest(durability="batches")  # type: ignore[arg-type]
FlaskChest(server_span="chests")  # type: ignore[arg-type]
TrackedVar("a", metric="countr")  # type: ignore[arg-type]
"""


def test_every_test_says_what_it_expects() -> None:
    """One docstring line for each test of this suite."""
    silent = [
        f"{path.name}::{node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize(("name", "home"), vars(flask_chest_otel)["_ELSEWHERE"].items())
def test_names_that_are_elsewhere(name: str, home: str) -> None:
    """Importing them from the package says where they are, and there they are."""
    with pytest.raises(ImportError, match=f"^type: from flask_chest_otel.{home} import {name}$"):
        exec(f"from flask_chest_otel import {name}")  # noqa: S102 - as a user writes it
    module = importlib.import_module(f"flask_chest_otel.{home}")
    assert name in module.__all__
    assert hasattr(module, name)


def test_help_is_for_users() -> None:
    """``help(flask_chest_otel)`` begins with an application, and names every public module."""
    doc = str(flask_chest_otel.__doc__)
    assert "FlaskChest(app" in doc
    assert all(f"flask_chest_otel.{module}" in doc for module in ("chests", "logs", "servers", "testing"))
