"""The borders: who may import whom, what is public, and what costs nothing to load."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flask_chest_otel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(flask_chest_otel.__file__).parent
TESTS = Path(__file__).parent.parent

PLAIN = {
    *(
        "_addresses",
        "_answers",
        "_baggage",
        "_bound_baggage",
        "_field_types",
        "_fields",
        "_lazy",
        "_deriving",
        "_arguments",
        "_definitions",
        "_patterns",
        "_checks",
        "_sinks",
        "_retry_after",
        "_units",
        "_version",
        "errors",
        "names",
        "config",
        "tracked",
        "ids",
        "_values",
        "_redaction",
        "_guard",
        "_request",
        "_process",
        "_abandoned",
        "_forks",
        "_sqlite",
    ),
    "chests",
}
OTEL = {
    "_active_requests",
    "_body",
    "_added_metrics",
    "_exceptions",
    "_http",
    "_server_span",
    "id_generator",
    "_instruments",
    "_plan",
    "_span_processor",
    "_export",
}
FLASK = {
    *(
        "_collector",
        "_marks",
        "_excluded",
        "_finding",
        "_recording",
        "_response",
        "_routes",
        "_attach",
        "_lifecycle",
        "_propagation",
        "_state",
        "_typed_context",
        "extension",
        "decorator",
        "context",
    ),
}
DOORS = {"instrumentor", "_cli", "_doctor", "_viewer", "servers", "testing", "_pytest_plugin"}
LAYERS = (PLAIN, OTEL, FLASK, DOORS)
OTEL_AND_WHAT_IT_STANDS_ON = {"stdlib", "opentelemetry", "grpc", "google"}
FLASK_AND_WHAT_IT_STANDS_ON = {"stdlib", "opentelemetry", "flask", "werkzeug", "typing_extensions"}
ALLOWED = ({"stdlib"}, OTEL_AND_WHAT_IT_STANDS_ON, FLASK_AND_WHAT_IT_STANDS_ON)


def modules() -> list[tuple[str, Path]]:
    """Every module of the package: the topic it belongs to, and its file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",) and "collector_config" not in parts:
            found.append((parts[0], path))
    return found


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports when it runs, also inside functions."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt) and is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "flask_chest_otel":
                yield from (f"flask_chest_otel.{name.name}" for name in node.names)
            else:
                yield node.module
        waiting.extend(ast.iter_child_nodes(node))


def layer_of(topic: str) -> int:
    (found,) = [number for number, layer in enumerate(LAYERS) if topic in layer]
    return found


@pytest.mark.parametrize(("topic", "path"), modules(), ids=lambda value: getattr(value, "stem", value))
def test_imports_point_down(topic: str, path: Path) -> None:
    """A module imports from its own layer and those below, and third parties as its layer may."""
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "flask_chest_otel":
            assert layer_of(rest[0]) <= layer_of(topic), name
        elif layer_of(topic) < len(ALLOWED):
            source = "stdlib" if first in sys.stdlib_module_names else first
            assert source in ALLOWED[layer_of(topic)], name


def test_every_module_has_a_layer() -> None:
    """A new module is put into a layer here, on purpose."""
    assert {topic for topic, _ in modules()} <= set().union(*LAYERS)


@pytest.mark.parametrize("path", [path for _, path in modules()], ids=lambda path: path.stem)
def test_all_is_sorted(path: Path) -> None:
    """Each module says what it offers, sorted; packages only re-export."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module says what it owns"
    offered = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
        if "__all__" in ast.unparse(node).split("=")[0]
    ]
    if path.name != "__init__.py":
        return
    assert len(offered) == 1
    assert offered[0] == sorted(offered[0])
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    assert all(isinstance(node, allowed) or is_type_checking(node) for node in tree.body)


@pytest.mark.parametrize("path", [path for _, path in modules()], ids=lambda path: path.stem)
def test_lines_of_ours_cannot_raise(path: Path) -> None:
    """Whoever logs does so by ``_guard.Log``, which keeps what filters of the application raise to itself."""
    if path.name not in ("_guard.py", "_probe.py"):
        assert "getLogger" not in path.read_text()
        assert "logging" not in set(imports(path))


def test_public_names() -> None:
    """What the package offers is there, sorted, and in ``dir`` before it is loaded."""
    assert flask_chest_otel.__all__ == sorted(flask_chest_otel.__all__)
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
    assert all(f"flask_chest_otel.{module}" in doc for module in ("chests", "servers", "testing"))
