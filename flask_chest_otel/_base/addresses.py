"""Addresses and environment variables without secrets: user, password, query and keys are hidden."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_chest_otel._base.sensitive import is_sensitive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["shown_address", "shown_url", "shown_variable", "without_secrets"]

HIDDEN = "***"

SHORTEST_SECRET = 4
"""Characters. Shorter secrets are not replaced in log lines: they would match parts of ordinary words."""

_SECRET_VARIABLE = re.compile(r"HEADERS|TOKEN|PASSWORD|_KEY$")
_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*:/+)?(.*)@", re.IGNORECASE)
# Scheme, hosts, port, path. Text of this form cannot be a password that lost its user name.
_PLAIN = re.compile(
    r"([a-z][a-z0-9+.-]*:/+(?!/))?(\*\*\*@)?([\w.-]+|\[[0-9a-f:.]+\])?(:\d*)?(,[\w.-]+(:\d*)?)*(/[^\s:@]*(:\d+)?)?",
    re.IGNORECASE,
)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_BETWEEN = re.compile(r"[,;&?#@\s]|://")
_NAME = re.compile(r"^[\w.-]+=(?=[^=])")


def shown_address(address: object, *, path: bool = True, user: str = f"{HIDDEN}@") -> str:
    """Return ``address`` without user, password, query and fragment; ``***`` where these cannot be told from the rest.

    Args:
        address: An address; it need not be valid.
        path: Whether the path is shown.
        user: The text that replaces user and password.
    """
    if not isinstance(address, str):
        return HIDDEN
    found = _USER_INFO.match(address)
    # A query that contains an @ looks like a password that contains a question mark, so the rest may be secret.
    if found is not None and re.search(r"[?#]", found[2]):
        return HIDDEN
    text = re.split(r"[?#]", _USER_INFO.sub(rf"\1{HIDDEN}@", address))[0]
    if not _PLAIN.fullmatch(text):
        return HIDDEN
    text = text.replace(f"{HIDDEN}@", user, 1)
    return text if path else re.sub(r"(?<![:/])/(?!/).*", "", text)


def shown_url(url: str) -> str:
    """Return ``url`` without user, password and query; host and path stay."""
    head, mark, _ = _QUERY.sub("?", url, count=1).partition("?")
    scheme, between, rest = head.partition("://")
    if not between:
        return HIDDEN if "@" in head else head + (f"?{HIDDEN}" if mark else "")
    host, slash, path = rest.partition("/")
    before_at = rest.rpartition("@")[0]
    if "@" in path and ":" in before_at:
        return HIDDEN  # the password may contain a slash
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" + (f"?{HIDDEN}" if mark else "")


def shown_variable(name: str, text: str) -> str:
    """Return the value of an environment variable without secrets; ``***`` where the name says that it is a secret."""
    if _SECRET_VARIABLE.search(name) or is_sensitive(name):
        return HIDDEN
    is_address = name.endswith(("_ENDPOINT", "_URL"))
    return ",".join(_shown_entry(one, is_address=is_address) for one in text.split(","))


def _shown_entry(entry: str, *, is_address: bool) -> str:
    """Return one entry of a list, such as ``OTEL_RESOURCE_ATTRIBUTES``, without secrets."""
    key, equals, _ = entry.partition("=")
    if equals and is_sensitive(key):
        return f"{key}={HIDDEN}"
    return shown_address(entry) if is_address or "://" in entry or "@" in entry else entry


def without_secrets(line: str, environ: Mapping[str, str]) -> str:
    """Return ``line`` without the texts that :func:`shown_variable` hides in ``environ``.

    Error messages of other libraries quote values that they could not use.
    """
    for secret in sorted(_secrets(environ), key=len, reverse=True):
        line = line.replace(secret, HIDDEN)
    return line


def _secrets(environ: Mapping[str, str]) -> set[str]:
    return {secret for name, text in environ.items() for secret in _hidden_parts(text, shown_variable(name, text))}


def _hidden_parts(text: str, shown: str) -> Iterator[str]:
    if shown != text:
        yield from (part for part in {text, *_parts(text)} - _parts(shown) if len(part) >= SHORTEST_SECRET)


def _parts(text: str) -> set[str]:
    """Split an address or a list at its separators. Names before ``=`` are left out, user and password also split."""
    found = {_NAME.sub("", part) for part in _BETWEEN.split(text)}
    return found | {one for part in found for one in re.split("[:/]", part)}
