"""Baggage for certain hosts only, even when a client follows a redirection to another host.

``requests``, ``urllib3`` and ``urllib`` copy the headers of a call to the call that follows a redirection. All of them
write headers with the standard library's ``HTTPConnection``. This module wraps that class where ``propagate_to`` is
used; the wrapper changes only headers that this module made.
"""

from __future__ import annotations

import functools
import weakref
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BoundBaggage", "install", "uninstall"]


class BoundBaggage(str):
    """The value of a header for certain hosts.

    Attributes:
        elsewhere: The value for all other hosts; an empty text: they get no such header.
        is_meant: Says whether a host gets this value.
    """

    __slots__ = ("elsewhere", "is_meant")

    elsewhere: str
    is_meant: Callable[[str], bool]

    @classmethod
    def of(cls, text: str, elsewhere: str, is_meant: Callable[[str], bool]) -> BoundBaggage:
        """Make such a value."""
        made = cls(text)
        made.elsewhere, made.is_meant = elsewhere, is_meant
        return made


def install() -> None:
    """Wrap the two methods of ``HTTPConnection``, unless they are wrapped already."""
    for name, wrapping in _WRAPPINGS.items():
        current = getattr(HTTPConnection, name)
        if not hasattr(current, _MARK):
            wrapped = wrapping(current)
            setattr(wrapped, _MARK, current)
            setattr(HTTPConnection, name, wrapped)


def uninstall() -> None:
    """Restore each of the two methods, unless other code has wrapped it since."""
    for name in _WRAPPINGS:
        original = vars(HTTPConnection)[name].__dict__.get(_MARK)
        if original is not None:
            setattr(HTTPConnection, name, original)


def _noting_target(putrequest: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(putrequest)
    def wrapper(self: object, method: str, url: object, *args: object, **kwargs: object) -> None:
        # A request line with a whole URL goes to a proxy; the URL names the real host.
        if isinstance(url, str) and "://" in url:
            _through_proxies[self] = urlsplit(url).hostname or ""
        elif _through_proxies:
            _through_proxies.pop(self, None)
        putrequest(self, method, url, *args, **kwargs)

    return wrapper


def _binding(putheader: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(putheader)
    def wrapper(self: object, header: object, *values: object) -> None:
        if len(values) == 1 and type(values[0]) is BoundBaggage:
            bound = values[0]
            if not bound.is_meant(_host_of(self)):
                if not bound.elsewhere:
                    return
                values = (bound.elsewhere,)
        putheader(self, header, *values)

    return wrapper


def _host_of(connection: Any) -> str:
    """The host that a connection reaches: the tunnel's destination where it goes through a proxy."""
    found = _through_proxies.get(connection) or getattr(connection, "_tunnel_host", None) or connection.host
    return str(found).strip("[]")


_MARK = "flask_chest_wrapped"
_WRAPPINGS = {"putrequest": _noting_target, "putheader": _binding}
_through_proxies: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()
