"""The licences of what is in a Go program: the Go release and every module that is linked into it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Licences", "Module", "licences_of", "modules_of"]

DISTRIBUTION = Path(__file__).resolve().parents[2] / "collector-config" / "distribution"

NAMES = re.compile(r"(licen[sc]e|copying|copyright|notice|patents|unlicense)([-._].*)?", re.IGNORECASE)
ADDED = re.compile(r"copyright|notice|patents", re.IGNORECASE)
"""What stands beside a licence."""

NOT_LINKED = {"testdata", "vendor", "node_modules", "debian", ".github"}
NO_TEXT = {".go", ".json", ".sh", ".tmpl", ".py", ".js", ".yml", ".yaml"}
HEAD = """\
Licences of what is in the program flask-chest-collector: the Go release and the Go modules that it was built with. The
source of each module is what the Go module proxy has for its name and version.
"""

# What a licence says in words that no other one has, and its name in SPDX's list.
PHRASES = {
    r"Apache License,?\s+Version 2\.0": "Apache-2.0",
    r"Mozilla Public License,? [Vv]ersion 2\.0": "MPL-2.0",
    r"Permission is hereby granted, free of charge, to any person obtaining a copy": "MIT",
    r"Redistributions? of source code must retain (?:(?!endorse or promote).)*$": "BSD-2-Clause",
    r"Redistributions? of source code must retain .*endorse or promote": "BSD-3-Clause",
    r"Permission to use, copy, modify,? and(/or)? distribute this software for any purpose": "ISC",
    r"This is free and unencumbered software": "Unlicense",
    r"CC0 1\.0 Universal|dedicate any and all copyright interest|CC0 Public Domain": "CC0-1.0",
    r"Boost Software License": "BSL-1.0",
    r"1\. Origin of Software|This software is provided 'as-is', without any express": "Zlib",
    r"UNICODE LICENSE V3|Unicode, Inc\.": "Unicode-3.0",
    r"GNU (LESSER |AFFERO )?GENERAL PUBLIC LICENSE": "GPL",
}


class Module(NamedTuple):
    """A Go module."""

    name: str
    version: str


@cache
def _go(*arguments: str) -> str:
    return subprocess.run(["go", *arguments], cwd=DISTRIBUTION, capture_output=True, text=True, check=True).stdout


def modules_of(program: Path) -> list[Module]:
    """The modules that are linked into a program; of one that another replaces, the other."""
    found: list[Module] = []
    for line in _go("version", "-m", str(program)).splitlines():
        kind, *rest = line.split() or [""]
        if kind == "=>":
            found.pop()
        if kind in ("dep", "=>"):
            found.append(Module(*rest[:2]))
    return sorted(found)


def _folder(module: Module) -> Path:
    """Where the module is unpacked; fetched when it is not there."""
    # Go's cache writes capital letters as "!" and the small letter.
    name = re.sub("[A-Z]", lambda letter: f"!{letter[0].lower()}", "@".join(module))
    folder = Path(_go("env", "GOMODCACHE").strip(), name)
    if not folder.is_dir():
        _go("mod", "download", "@".join(module))
    return folder


def _texts(module: Module) -> Iterator[tuple[str, str]]:
    """Each licence in a module: path and text.

    Raises:
        LookupError: It has none.
    """
    folder = _folder(module)
    found = [path for path in sorted(folder.rglob("*")) if _is_licence(path.relative_to(folder)) and path.is_file()]
    if not [path for path in found if path.parent == folder]:
        raise LookupError(f"{' '.join(module)} has no licence in {folder}")
    for path in found:
        yield path.relative_to(folder).as_posix(), path.read_text("utf-8", errors="replace")


def _is_licence(path: Path) -> bool:
    return bool(NAMES.fullmatch(path.name)) and path.suffix not in NO_TEXT and not NOT_LINKED & set(path.parts)


@dataclass(frozen=True)
class Licences:
    """What a program is licensed under.

    Attributes:
        text: All licences, each once, with whose it is.
        expression: Which these are, in SPDX's words.
    """

    text: str
    expression: str


def licences_of(program: Path) -> Licences:
    """Gather the licences of a Go program.

    Raises:
        LookupError: A module has none, one that is not known, or one that does not fit the others.
    """
    whose = {Path(_go("env", "GOROOT").strip(), "LICENSE").read_text("utf-8"): [_release()]}
    names = {"BSD-3-Clause", "MIT"}  # Go's, and this project's
    for module in modules_of(program):
        for path, text in _texts(module):
            whose.setdefault(text.strip("\r\n") + "\n", []).append(f"{' '.join(module)}: {path}")
            names |= _names(text, f"{' '.join(module)}: {path}")
    parts = ["\n".join(owners) + "\n\n" + text for text, owners in sorted(whose.items(), key=lambda one: one[1])]
    return Licences(f"\n{'=' * 100}\n".join([HEAD, *parts]), " AND ".join(sorted(names)))


def _release() -> str:
    return f"The Go standard library, {_go('env', 'GOVERSION').strip()}"


def _names(text: str, whose: str) -> set[str]:
    flat = re.sub(r"(\s|\*|#|//)+", " ", text)
    found = {name for phrase, name in PHRASES.items() if re.search(phrase, flat)}
    if not found and not ADDED.match(whose.rpartition("/")[2].rpartition(" ")[2]):
        raise LookupError(f"{whose} is a licence that is not known: add it to PHRASES, if it fits")
    if "GPL" in found:
        raise LookupError(f"{whose} is of the GPL's family: it may not be in a program under the other licences")
    return found
