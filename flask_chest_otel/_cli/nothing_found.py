"""Explains why a query found no request: names conditions that no stored request fulfils, and similar values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._cli.output import safe
from flask_chest_otel._cli.times import clock
from flask_chest_otel._records.schema import utc_text
from flask_chest_otel._store.wanted import Wanted
from flask_chest_otel.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._store.reader import StoreReader

__all__ = ["why_nothing"]


def why_nothing(reader: StoreReader, wanted: Wanted, *, utc: bool = False) -> str:
    """Write a sentence for each condition that no stored request fulfils, even without the other conditions.

    Args:
        reader: A store in which the query has found nothing.
        wanted: The query.
        utc: Whether times are shown in UTC.

    Returns:
        The sentences, each after a space, to be appended to another sentence; ``""`` where there is nothing to say.
    """
    span = reader.span(Wanted())
    if span is None:
        return " The store is empty."
    return "".join(
        f" {sentence}." for sentence in (*_about_times(wanted, span, utc=utc), *_about_names(reader, wanted))
    )


def _about_times(wanted: Wanted, span: tuple[int, int], *, utc: bool) -> Iterator[str]:
    oldest, newest = map(utc_text, span)
    shown = clock((oldest, newest), utc=utc)
    since, until = wanted.since_unix_ns, wanted.until_unix_ns
    if since is not None and until is not None and since >= until:
        yield "--since is not before --until"
        return
    if since is not None and since > span[1]:
        yield f"The newest request began {shown[newest]}"
    if until is not None and until <= span[0]:
        yield f"The oldest request began {shown[oldest]}"


def _about_names(reader: StoreReader, wanted: Wanted) -> Iterator[str]:
    """Yield a sentence for each condition, other than times, that no request fulfils."""
    for name in ("route", "service", "version"):
        given = getattr(wanted, name)
        if given and not _any(reader, Wanted(**{name: given})):
            known = [row.group[0] for row in reader.overview(Wanted(), (name,)) if row.group[0]]
            meant = nearest(given, known)
            hint = f" (did you mean {safe(repr(meant))}?)" if meant is not None else ""
            yield f"No request at all has the {name} {safe(repr(given))}{hint}"
    for alone, words in (
        (Wanted(path=wanted.path), f"path {wanted.path!r}"),
        (Wanted(error_type=wanted.error_type), f"exception {wanted.error_type!r}"),
        *((Wanted(variables=((name, None),)), f"variable {name!r}") for name, _ in wanted.variables),
    ):
        if alone != Wanted() and not _any(reader, alone):
            yield f"No request at all has the {safe(words)}"


def _any(reader: StoreReader, wanted: Wanted) -> bool:
    return reader.first_key(wanted, 1) is not None
