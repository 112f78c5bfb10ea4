"""Write the reference pages, dashboards and alerts' objects: ``make docs``.

Settings come from ``config.ChestConfig``, names on the wire from ``tools.wire_names``, the API from docstrings.
``tests/docs/test_reference.py`` fails when a page is not what this makes.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask_chest_otel
from flask_chest_otel import chests, config, logs, names, servers, testing, viewer
from flask_chest_otel._store.store import QUARTER_GIB, WEEK_S
from flask_chest_otel.config.tracked_vars import TrackedVars
from tools import alerts, dashboards
from tools.wire_names import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["main", "pages"]

REPOSITORY = Path(__file__).resolve().parents[1]
GENERATED = "<!-- Made by `make docs` from {source}; do not edit. -->\n\n"


def main() -> int:
    """Write every generated page."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(REPOSITORY))  # noqa: T201 - what a command line says
    return 0


def pages() -> dict[Path, str]:
    """Path to what should stand there."""
    reference = REPOSITORY / "docs" / "reference"
    return {
        reference / "settings.md": _settings_page(),
        reference / "names.md": _names_page(),
        reference / "api.md": _api_page(),
        **dashboards.files(),
        **alerts.files(),
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *map(list, rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# Settings

_GROUPS = {
    "What is tracked": ("tracked_vars", "context", "propagate", "attribute_prefix"),
    "Request ids": ("request_id", "response_headers"),
    "Where data go": ("export", "chests", "durability", "tracer_provider", "meter_provider"),
    "The embedded store": ("store_",),
    "The outbox, on the way to a collector": ("outbox_", "export_batch", "shutdown_timeout"),
    "Spans and requests": ("server_span", "excluded_urls", "handled_exceptions", "query_text"),
    "Logs and events": ("log", "request_log", "events"),
    "Service level objectives": ("slo",),
    "Limits": ("cardinality_limit", "value_limit", "list_limit", "variables_limit"),
    "Switches": ("enabled", "raise_exceptions"),
}
"""Heading to what the names of its settings begin with; the longest beginning decides."""

_FURTHER = "Further settings"


def _group_of(name: str) -> str:
    found = [(len(begin), title) for title, group in _GROUPS.items() for begin in group if name.startswith(begin)]
    return max(found)[1] if found else _FURTHER


def _settings_page() -> str:
    groups: dict[str, list[Any]] = {title: [] for title in (*_GROUPS, _FURTHER)}
    for row in fields(config.ChestConfig):
        groups[_group_of(row.name)].append(row)
    sections = [part for title, rows in groups.items() if rows for part in _settings_group(title, rows)]
    return GENERATED.format(source="`config.ChestConfig`") + _SETTINGS_INTRODUCTION + "\n".join(sections)


def _settings_group(title: str, rows: list[Any]) -> Iterable[str]:
    table = [
        (
            f"[`{row.name}`](#{row.name})",
            _shown_default(row),
            config.setting_of(row).sentence.partition(". ")[0].rstrip("."),
        )
        for row in rows
    ]
    yield f"## {title}\n"
    yield _table(("setting", "default", "what it does"), table)
    yield from map(_setting_section, rows)


def _default(value: Any) -> str:
    return "()" if isinstance(value, TrackedVars) else repr(value).replace("'", '"')


def _shown_default(row: Any) -> str:
    words = _in_words(row.name, row.default)
    return f"`{_default(row.default)}`" + (f" ({words})" if words else "")


_BYTES = {2**30: "GiB", 2**20: "MiB", 2**10: "KiB"}
_SECONDS = {86400: "day", 3600: "hour", 60: "minute"}


def _in_words(name: str, value: Any) -> str:
    """A number of bytes or seconds as people say it: 256 MiB, 1 day."""
    units = _BYTES if name.endswith("_bytes") else _SECONDS if name.endswith("_s") else {}
    for size, unit in units.items():
        if isinstance(value, (int, float)) and value >= size and value % size == 0:
            count = int(value // size)
            return f"{count} {unit}" + ("s" if units is _SECONDS and count > 1 else "")
    return ""


def _setting_section(row: Any) -> str:
    setting = config.setting_of(row)
    variable = config.PREFIX + row.name.upper()
    lines = [
        f"### `{row.name}`\n",
        f"{setting.sentence}\n",
        f"* default: {_shown_default(row)}",
        f"* takes: {setting.allowed}",
        f'* also: `app.config["{variable}"]`, environment variable `{variable}`',
    ]
    if setting.secret:
        lines.append("* a secret: never shown in messages or in `repr()`")
    return "\n".join(lines) + "\n"


_SETTINGS_INTRODUCTION = f"""# Settings

Each can be given in three places. The first that says something wins:

1. an argument: `FlaskChest(app, list_limit=10)`;
2. Flask's configuration: `app.config["FLASK_CHEST_LIST_LIMIT"] = 10`;
3. the environment: `FLASK_CHEST_LIST_LIMIT=10`.

In the environment, commas stand between the entries of a list; `tracked_vars` also takes JSON; callables and providers
are written `module:attribute`; `none` stands for `None`, or an empty list, where that is allowed.

A value that cannot be used raises `ChestConfigError` when the extension is put on the application; the message names
the setting, the value and what is allowed. The same holds for an unknown key `FLASK_CHEST_…` in `app.config`; an
unknown environment variable gets one warning. Without code (`opentelemetry-instrument`), a malformed value gets one
line in the log and its default. Options of the `flask chest` commands begin with `FLASK_CHEST_CLI_` in the environment.

OpenTelemetry's own variables (`OTEL_…`) keep their meaning.

The embedded store keeps requests for {WEEK_S / 86400:g} days and takes {QUARTER_GIB // 2**20} MiB
at most, its write-ahead log included; the oldest requests go first. `flask chest doctor` says how full it is.

"""

# Names on the wire


def _names_page() -> str:
    rows = [(f"`{row.name}`", row.where, row.type, row.unit or "-", row.sentence) for row in REFERENCE]
    table = _table(("name", "where", "type", "unit", "what it holds"), rows)
    return GENERATED.format(source="`tools/wire_names.py`") + _NAMES_INTRODUCTION + table + _NAMES_END


_NAMES_INTRODUCTION = f"""# Names on the wire

Everything that this package adds to spans, metrics and HTTP. The instrumentation scope of metrics is
`{names.SCOPE}`, with the package's version.

"""

_NAMES_END = """
Those of the server span itself (`http.route`, `http.response.status_code`, …) are on [a page of their
own](server-span.md).
"""

# The API


def _api_page() -> str:
    described = [name for name in flask_chest_otel.__all__ if name not in ("__version__", "current_context")]
    public = [(name, getattr(flask_chest_otel, name)) for name in described]
    errors = [(name, value) for name, value in public if inspect.isclass(value) and issubclass(value, Exception)]
    others = [entry for entry in public if entry not in errors]
    parts = [_API_INTRODUCTION]
    parts += ["## `flask_chest_otel`\n", _CURRENT_CONTEXT, *(_entry(name, value) for name, value in others)]
    parts += ["## `flask_chest_otel.testing`\n", *(_entry(name, getattr(testing, name)) for name in testing.__all__)]
    of_chests = [name for name in chests.__all__ if name not in testing.__all__]
    parts += ["## `flask_chest_otel.chests`\n", *(_entry(name, getattr(chests, name)) for name in of_chests)]
    parts += ["## `flask_chest_otel.logs`\n", *(_entry(name, getattr(logs, name)) for name in logs.__all__)]
    parts += ["## `flask_chest_otel.servers`\n", *(_entry(name, getattr(servers, name)) for name in _SERVERS)]
    parts += ["## `flask_chest_otel.viewer`\n", *(_entry(name, getattr(viewer, name)) for name in viewer.__all__)]
    parts += ["## Errors\n", *(_entry(name, value) for name, value in errors)]
    return GENERATED.format(source="docstrings") + "\n".join(parts)


_API_INTRODUCTION = """# API

Everything that may be imported from `flask_chest_otel` and its modules `chests`, `logs`, `servers`, `testing` and
`viewer`; modules whose names begin with `_` are not public. The commands explain themselves: `flask chest --help`.
"""


_SERVERS = [name for name in servers.__all__ if inspect.isfunction(getattr(servers, name))]

# A proxy has no docstring of its own.
_CURRENT_CONTEXT = """### `current_context`

The typed context of the running request (`FlaskChest(app, context=MyContext)`), from anywhere in it; the same object
as `chest.context`.

Raises:

* `RuntimeError`: `context=` was not given, or no request is running.
"""


def _entry(name: str, value: Any) -> str:
    kind = "" if not inspect.isclass(value) or issubclass(value, Exception) else "class "
    lines = [f"### `{name}`\n", f"<!-- object: {value.__module__}.{value.__qualname__} -->\n"]
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        lines.append(f"```text\n{kind}{name}{_signature(value)}\n```\n")
    lines.append(_markdown(inspect.getdoc(value) or ""))
    if inspect.isclass(value):
        lines += [_method(method) for method in vars(value).values() if _is_documented(method)]
    return "\n".join(lines)


def _is_documented(method: Any) -> bool:
    return inspect.isfunction(method) and not method.__name__.startswith("_") and bool(method.__doc__)


def _method(method: Callable[..., Any]) -> str:
    signature = _signature(method).replace("(self, ", "(").replace("(self)", "()")
    return f"#### `.{method.__name__}{signature}`\n\n{_markdown(inspect.getdoc(method) or '')}"


def _signature(value: Any) -> str:
    signature = inspect.signature(value)
    shown = f"({', '.join(_parameters(signature))})"
    returned = signature.return_annotation
    # Any stands where overloads say more than one line can.
    says_nothing = inspect.isclass(value) or returned in (inspect.Signature.empty, "Any")
    arrow = "" if says_nothing else f" -> {returned}"
    return shown + arrow


_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _parameters(signature: inspect.Signature) -> Iterable[str]:
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            if not any(one.kind is one.VAR_POSITIONAL for one in signature.parameters.values()):
                yield "*"
        star = _STARS.get(parameter.kind, "")
        absent = parameter.default is parameter.empty
        yield f"{star}{parameter.name}" + ("" if absent else f"={_in_a_signature(parameter.default)}")


def _in_a_signature(value: Any) -> str:
    return value.__name__ if inspect.isfunction(value) else repr(value)


def _markdown(doc: str) -> str:
    """A Google-style docstring as Markdown: sections as lists, double backticks as single ones."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", doc.replace("``", "`"))
    found: list[str] = []
    section = ""
    for line in text.splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Raises|Returns):", line)
        entry = re.fullmatch(r" {4}(\*?[\w, ]+): (.*)", line)
        if heading:
            section = heading[1]
            found += [f"**{section}**", ""]
        elif section and entry:
            found.append(f"* `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("    "):
            found.append(f"  {line.strip()}" if found[-1] else line.strip())
        else:
            section = section if not line else ""
            found.append(re.sub(r"::$", ":", line))
    return "\n".join(found).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
