"""Checks of the server: whether forks are noticed, and whether uWSGI's workers run threads."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel._base.process import notices_native_forks
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel.servers import UWSGI_THREADS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["part"]

_OFF = frozenset({"0", "false", "no", "off"})


def part(environ: Mapping[str, str], folder: Path | None = None) -> Part:
    """Check whether forks are noticed, and read uWSGI's options.

    Args:
        environ: The environment; uWSGI reads options from ``UWSGI_…``.
        folder: Where ``*.ini`` files of uWSGI are looked for; ``None``: the current folder.
    """
    found = Part("servers", ("SERVERS", "FOUND", "THEREFORE"))
    if notices_native_forks():
        found.rows.append(Row("forks", "noticed", "also those in C (uWSGI): each worker counts from zero"))
    else:
        found.rows.append(Row("forks", "noticed, but for those in C", f"no MADV_WIPEONFORK on this {sys.platform}"))
    for path in sorted((folder or Path()).glob("*.ini")):
        options = _uwsgi_options(path)
        if options is not None:
            _look_at(str(path), options, found)
    of_environment = {
        name.removeprefix("UWSGI_").lower().replace("_", "-"): text
        for name, text in environ.items()
        if name.startswith("UWSGI_")
    }
    if of_environment:
        _look_at("UWSGI_… in the environment", of_environment, found)
    return found


def _look_at(where: str, options: Mapping[str, str], found: Part) -> None:
    threads = any(options.get(name, "off").lower() not in _OFF for name in UWSGI_THREADS)
    found.rows.append(Row(where, "threads run" if threads else "threads are off", "uWSGI"))
    if not threads:
        found.problems.append(
            f"{where}: uWSGI runs no threads there, so that nothing would ever be exported: "
            "type enable-threads = true into its configuration"
        )
    if options.get("lazy-apps", "off").lower() in _OFF and not notices_native_forks():
        found.problems.append(f"{where}: forks in C are not noticed on this system: type lazy-apps = true there")


def _uwsgi_options(path: Path) -> dict[str, str] | None:
    """Return the options of a file's section ``[uwsgi]``; ``None`` where it has none.

    An option may come more than once, which ``configparser`` refuses; the last one counts.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return None
    section = re.search(r"^\[uwsgi\]\s*$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        return None
    pairs = re.findall(r"^\s*([\w-]+)\s*(?:=\s*(.*?))?\s*$", section[1], re.MULTILINE)
    return {name: value or "true" for name, value in pairs}
