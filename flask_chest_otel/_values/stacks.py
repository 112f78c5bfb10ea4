"""The traceback of an exception as text: in Python's format, bounded, without frames of this package."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._values.redaction import redacted_beginning, redacted_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType, TracebackType

__all__ = ["place_of", "stack_of"]

_OURS = str(Path(__file__).parents[1]) + os.sep
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_PLACE_CHARS = 255

# A deep recursion has a thousand frames; retries in a loop may chain any number of exceptions.
_MOST_FRAMES = 64
_MOST_CHAINED = 8
_MOST_GROUPED = 8
_MOST_TOLD = 16
_MOST_SAID = 4096

_MEMBER = "  | "
_HEADER = "Traceback (most recent call last):\n"
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


class _Link(NamedTuple):
    """One exception of a chain, and the sentence that connects it with the exception that followed from it."""

    error: BaseException
    came_by: str


def stack_of(error: BaseException) -> str:
    """The traceback of an exception and of the exceptions that led to it; a long traceback loses its middle.

    Those of the members of an exception group follow, indented.
    """
    return "".join(_whole(error, set()))


def place_of(error: BaseException, root: str) -> str:
    """``module:function:line`` of the last frame whose file is below the folder ``root``; ``""`` where there is none.

    Files in a virtual environment below ``root`` do not count: they are not the application's own code.
    """
    below = root.rstrip(os.sep) + os.sep
    for frame, line in reversed(_frames(error.__traceback__)):
        filename = frame.f_code.co_filename
        if filename.startswith(below) and _INSTALLED.isdisjoint(Path(filename[len(below) :]).parts):
            # Jinja sets a template's __name__ to its file name.
            module = str(frame.f_globals.get("__name__", "")).removeprefix(below)
            return f"{module}:{frame.f_code.co_name}:{line}"[:_PLACE_CHARS]
    return ""


def _whole(error: BaseException, told: set[int]) -> Iterator[str]:
    for link in reversed(_chain(error, told)):
        yield from _one(link.error)
        yield from _group(link.error, told)
        yield link.came_by


def _chain(error: BaseException, told: set[int]) -> list[_Link]:
    """The exception and its causes, back to the first one; none that is in ``told``, to which they are added."""
    links: list[_Link] = []
    came_by = ""
    one: BaseException | None = error
    while one is not None and id(one) not in told and len(links) < _MOST_CHAINED and len(told) < _MOST_TOLD:
        links.append(_Link(one, came_by))
        told.add(id(one))
        came_by = _CAUSE if one.__cause__ is not None else _CONTEXT
        # "is not None": the truth value of an exception is the application's code, and may be false or raise.
        one = one.__context__ if one.__cause__ is None and not one.__suppress_context__ else one.__cause__
    return links


def _one(error: BaseException) -> Iterator[str]:
    frames = _frames(error.__traceback__)
    if frames:
        yield _HEADER
        half = _MOST_FRAMES // 2
        if len(frames) > _MOST_FRAMES:
            yield from _written(frames[:half])
            yield f"  [... {len(frames) - 2 * half} more frames ...]\n"
            frames = frames[-half:]
        yield from _written(frames)
    yield _said(error)


def _group(error: BaseException, told: set[int]) -> Iterator[str]:
    """The members of an exception group, such as the failed tasks of an ``asyncio.TaskGroup``."""
    members = [member for member in _members(error) if isinstance(member, BaseException)]
    for number, member in enumerate(members, 1):
        if number > _MOST_GROUPED or len(told) >= _MOST_TOLD:
            yield f"  [... {len(members) - number + 1} more members ...]\n"
            return
        yield f"  +- {number} of {len(members)} -\n"
        yield indent("".join(_whole(member, told)), _MEMBER, bool)


def _members(error: BaseException) -> tuple[object, ...]:
    """The members of an exception group. Another exception may have an attribute of that name with other content."""
    try:
        found = getattr(error, "exceptions", ())
    except Exception:  # noqa: BLE001 - the application's own code
        return ()
    return tuple(found) if isinstance(found, (tuple, list)) else ()


def _said(error: BaseException) -> str:
    said = "".join(traceback.format_exception_only(type(error), error))
    if len(said) <= _MOST_SAID:
        return redacted_words(said)
    return redacted_beginning(said, 2 * _MOST_SAID)[:_MOST_SAID] + "\n"


def _frames(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    return [(frame, line) for frame, line in traceback.walk_tb(trace) if not frame.f_code.co_filename.startswith(_OURS)]


def _written(frames: Iterable[tuple[FrameType, int]]) -> list[str]:
    return traceback.StackSummary.extract(iter(frames)).format()
