"""What of an address or of an environment variable may be shown: no user, no password, no query, no key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_chest_otel._base.sensitive import is_sensitive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["shown_address", "shown_url", "shown_variable", "without_secrets"]

HIDDEN = "***"

SHORTEST_SECRET = 4
"""Characters; shorter ones would be found in every other word."""

_SECRET_VARIABLE = re.compile(r"HEADERS|TOKEN|PASSWORD|_KEY$")
_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*:/+)?(.*)@", re.IGNORECASE)
# Scheme, hosts, port, path: nothing that could be a password without its user.
_PLAIN = re.compile(
    r"([a-z][a-z0-9+.-]*:/+(?!/))?(\*\*\*@)?([\w.-]+|\[[0-9a-f:.]+\])?(:\d*)?(,[\w.-]+(:\d*)?)*(/[^\s:@]*(:\d+)?)?",
    re.IGNORECASE,
)
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_BETWEEN = re.compile(r"[,;&?#@\s]|://")
_NAME = re.compile(r"^[\w.-]+=(?=[^=])")


def shown_address(address: object, *, path: bool = True, user: str = f"{HIDDEN}@") -> str:
    """``address`` without what may be secret: user, password, query and fragment; all of it where that is not clear.

    Args:
        address: An address, right or wrong.
        path: Whether the path is shown, too.
        user: What stands in the place of user and password.
    """
    if not isinstance(address, str):
        return HIDDEN
    found = _USER_INFO.match(address)
    # A query with an @ looks like a password with a question mark: what follows may belong to either.
    if found is not None and re.search(r"[?#]", found[2]):
        return HIDDEN
    text = re.split(r"[?#]", _USER_INFO.sub(rf"\1{HIDDEN}@", address))[0]
    if not _PLAIN.fullmatch(text):
        return HIDDEN
    text = text.replace(f"{HIDDEN}@", user, 1)
    return text if path else re.sub(r"(?<![:/])/(?!/).*", "", text)


def shown_url(url: str) -> str:
    """``url`` as a request was sent to it, without user, password and query; host and path stay."""
    head, mark, _ = _QUERY.sub("?", url, count=1).partition("?")
    scheme, between, rest = head.partition("://")
    if not between:
        return HIDDEN if "@" in head else head + (f"?{HIDDEN}" if mark else "")
    host, slash, path = rest.partition("/")
    before_at = rest.rpartition("@")[0]
    if "@" in path and ":" in before_at:
        return HIDDEN  # a password with a slash in it, perhaps
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" + (f"?{HIDDEN}" if mark else "")


def shown_variable(name: str, text: str) -> str:
    """The value of an environment variable, as it may be shown."""
    if _SECRET_VARIABLE.search(name) or is_sensitive(name):
        return HIDDEN
    is_address = name.endswith(("_ENDPOINT", "_URL"))
    entries = text.split(",")
    return ",".join(shown_address(one) if is_address or "://" in one or "@" in one else one for one in entries)


def without_secrets(line: str, environ: Mapping[str, str]) -> str:
    """``line`` without what :func:`shown_variable` hides of ``environ``: others quote what they could not use."""
    for secret in sorted(_secrets(environ), key=len, reverse=True):
        line = line.replace(secret, HIDDEN)
    return line


def _secrets(environ: Mapping[str, str]) -> set[str]:
    return {secret for name, text in environ.items() for secret in _hidden_parts(text, shown_variable(name, text))}


def _hidden_parts(text: str, shown: str) -> Iterator[str]:
    if shown != text:
        yield from (part for part in {text, *_parts(text)} - _parts(shown) if len(part) >= SHORTEST_SECRET)


def _parts(text: str) -> set[str]:
    """What stands between the signs of an address or of a list, without its name; user and password also alone."""
    found = {_NAME.sub("", part) for part in _BETWEEN.split(text)}
    return found | {one for part in found for one in re.split("[:/]", part)}
