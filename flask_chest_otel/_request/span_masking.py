"""Masks the attributes of child spans that may contain secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flask_chest_otel._base.addresses import HIDDEN, shown_address, shown_url
from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._values.query_text import without_literals
from flask_chest_otel._values.redaction import MASK, redacted_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask_chest_otel.config.choices import QueryText

    Masking = Callable[[object, Mapping[str, object]], object]

__all__ = ["SpanMasking", "is_query", "masked_urls"]

_QUERIES: Final = ("db.query.text", "db.statement")
_PARAMETERS: Final = ("db.query.parameter", "db.operation.parameter", "db.statement.parameters")
_URLS: Final = ("url.full", "http.url", "http.target")
_QUERY_STRINGS: Final = ("url.query", "url.fragment")
_WORDS_OF_ERRORS: Final = ("exception.message", "exception.stacktrace")
_URL: Final = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def is_query(attributes: Mapping[str, object]) -> bool:
    """Whether a span with these attributes is a database call."""
    return "db.system.name" in attributes or "db.system" in attributes


def masked_urls(value: object) -> object:
    """Mask every address in a text, or in the texts of a list; return other values unchanged."""
    if isinstance(value, str):
        return _URL.sub(lambda found: shown_url(found[0]), value)
    return tuple(map(masked_urls, value)) if isinstance(value, (tuple, list)) else value


class SpanMasking:
    """Finds the masking for an attribute by its name.

    Args:
        query_text: The setting ``query_text``: what is kept of the text of queries.
    """

    def __init__(self, query_text: QueryText) -> None:
        self._query_text = query_text
        self._by_name: dict[str, Masking] = {
            **dict.fromkeys(_QUERIES, self._query),
            **dict.fromkeys(_WORDS_OF_ERRORS, self._words_of_error),
            **dict.fromkeys(_URLS, _url),
            **dict.fromkeys(_QUERY_STRINGS, _hidden),
            "db.connection_string": _address,
        }

    def of(self, name: str) -> Masking | None:
        """The masking for an attribute with this name; ``None`` where it needs none.

        A masking takes the value and the attributes of the span; it returns the value to keep (``None``: keep nothing).
        """
        if name.startswith(_PARAMETERS):
            return None if self._query_text == "all" else _mask
        return self._by_name.get(name) or (_mask if is_sensitive(name) else None)

    def _query(self, value: object, of_span: Mapping[str, object]) -> object:
        if self._query_text == "none":
            return None
        if self._query_text == "all" or not isinstance(value, str):
            return value
        return without_literals(value, str(of_span.get("db.system.name") or of_span.get("db.system", "")))

    def _words_of_error(self, value: object, of_span: Mapping[str, object]) -> object:
        """Mask the whole error text of a database: it quotes the query and values in no recognisable form."""
        if is_query(of_span):
            return value if self._query_text == "all" else MASK
        return redacted_words(value) if isinstance(value, str) else value


def _mask(value: object, of_span: Mapping[str, object]) -> object:  # noqa: ARG001 - the same signature as the others
    return MASK


def _url(value: object, of_span: Mapping[str, object]) -> object:  # noqa: ARG001 - as above
    return shown_url(value) if isinstance(value, str) else MASK


def _address(value: object, of_span: Mapping[str, object]) -> object:  # noqa: ARG001 - as above
    return shown_address(value)


def _hidden(value: object, of_span: Mapping[str, object]) -> object:  # noqa: ARG001 - as above
    return HIDDEN if value else value
