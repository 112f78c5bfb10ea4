"""Which attributes of child spans may be secret, and what is kept of these."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from flask_chest_otel._base.addresses import HIDDEN, shown_address, shown_url
from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._values.query_text import without_literals
from flask_chest_otel._values.redaction import MASK, redacted_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask_chest_otel.config.choices import QueryText

    Masking = Callable[[Any, Mapping[str, Any]], Any]

__all__ = ["SpanMasking", "is_query", "masked_urls"]

_QUERIES: Final = ("db.query.text", "db.statement")
_PARAMETERS: Final = ("db.query.parameter", "db.operation.parameter", "db.statement.parameters")
_URLS: Final = ("url.full", "http.url", "http.target")
_QUERY_STRINGS: Final = ("url.query", "url.fragment")
_WORDS_OF_ERRORS: Final = ("exception.message", "exception.stacktrace")
_URL: Final = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def is_query(attributes: Mapping[str, Any]) -> bool:
    """Whether a span with these attributes is a call of a database."""
    return "db.system.name" in attributes or "db.system" in attributes


def masked_urls(value: Any) -> Any:
    """A text, or texts of a list, with every address in it as it may be shown; everything else as it is."""
    if isinstance(value, str):
        return _URL.sub(lambda found: shown_url(found[0]), value)
    return tuple(map(masked_urls, value)) if isinstance(value, (tuple, list)) else value


class SpanMasking:
    """Finds what is to be done with an attribute, by its name.

    Args:
        query_text: What is kept of the text of queries.
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
        """A function from a value and the span's attributes to what is kept (``None``: nothing); ``None``: no need."""
        if name.startswith(_PARAMETERS):
            return None if self._query_text == "all" else _mask
        return self._by_name.get(name) or (_mask if is_sensitive(name) else None)

    def _query(self, value: Any, of_span: Mapping[str, Any]) -> Any:
        if self._query_text == "none":
            return None
        if self._query_text == "all" or not isinstance(value, str):
            return value
        return without_literals(value, str(of_span.get("db.system.name") or of_span.get("db.system", "")))

    def _words_of_error(self, value: Any, of_span: Mapping[str, Any]) -> Any:
        """A database's errors quote the query and what stood in it, without quotes around that."""
        if is_query(of_span):
            return value if self._query_text == "all" else MASK
        return redacted_words(value) if isinstance(value, str) else value


def _mask(value: Any, of_span: Mapping[str, Any]) -> Any:  # noqa: ARG001 - the same shape as the others
    return MASK


def _url(value: Any, of_span: Mapping[str, Any]) -> Any:  # noqa: ARG001 - as above
    return shown_url(value) if isinstance(value, str) else MASK


def _address(value: Any, of_span: Mapping[str, Any]) -> Any:  # noqa: ARG001 - as above
    return shown_address(value)


def _hidden(value: Any, of_span: Mapping[str, Any]) -> Any:  # noqa: ARG001 - as above
    return HIDDEN if value else value
