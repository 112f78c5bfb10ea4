"""Objects that do work when they are read: proxies call a function, models query a database.

This module never triggers that work: it takes only what such an object has loaded already.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["is_model", "is_proxy", "loaded_field", "unwrapped"]

_PROXY_MODULE: Final = "werkzeug.local"
_MOST_PROXIES: Final = 8
_LOCALS: Final = frozenset({"Local", "LocalStack"})  # Werkzeug's, around a ContextVar
# SQLAlchemy's mapped classes; those of Django, Peewee and MongoEngine.
_MODEL_MARKS: Final = ("__mapper__", "_meta")


def unwrapped(value: object) -> object:
    """The object behind a proxy that only reads a context variable, as ``session`` and ``request`` do.

    Other proxies call a function, which may open a connection or load a user: they are returned unchanged, except
    ``current_user`` where Flask-Login has loaded the user already.
    """
    for _ in range(_MOST_PROXIES):
        if not _is_werkzeugs(type(value)):
            break
        behind = _behind(value)
        if behind is value:
            break
        value = behind
    return value


def is_proxy(kind: type) -> bool:
    """Whether a type pretends to be another one: Werkzeug's ``LocalProxy``, wrapt's, Django's lazy objects, mocks."""
    return any("__class__" in vars(base) for base in kind.__mro__ if base is not object)


def _is_werkzeugs(kind: type) -> bool:
    """Whether a type is Werkzeug's ``LocalProxy``, or derived from it."""
    return any(base.__name__ == "LocalProxy" and base.__module__ == _PROXY_MODULE for base in kind.__mro__)


def is_model(kind: type) -> bool:
    """Whether a type is a model of an object-relational mapper: reading its attributes may query the database."""
    return any(hasattr(kind, mark) for mark in _MODEL_MARKS)


def loaded_field(value: Any, name: str) -> object:
    """An attribute or a dictionary's entry; ``None`` where there is none, or where reading it would load it."""
    value = unwrapped(value)
    kind = type(value)
    if issubclass(kind, dict):
        return dict.get(value, name)
    if _is_werkzeugs(kind):
        return None
    if hasattr(kind, "__mapper__"):
        return _of_mapped(value, name)
    return getattr(value, name, None)


def _behind(proxy: Any) -> object:
    # Werkzeug has no public name for the source of a proxy. If this private one goes, proxies stay as they are.
    try:
        source = object.__getattribute__(proxy, "_LocalProxy__wrapped")
    except AttributeError:
        return proxy
    # type(), not isinstance(): a proxy of a proxy pretends to have the class of the object behind it.
    if type(source) is ContextVar or type(source).__qualname__ in _LOCALS:
        return proxy._get_current_object()
    login = sys.modules.get("flask_login")
    if login is not None and proxy is getattr(login, "current_user", None):
        here = sys.modules["flask"].g._get_current_object()
        return vars(here).get("_login_user", proxy)
    return _of_ours(proxy, source)


def _of_ours(proxy: Any, source: object) -> object:
    """The typed context. Reading it is safe: the code that put its proxy on ``g`` has asked for it."""
    ours = getattr(source, "__module__", None) == "flask_chest_otel.extension"
    return proxy._get_current_object() if ours else proxy


def _of_mapped(value: Any, name: str) -> object:
    """An attribute of an SQLAlchemy model if it is loaded; the primary key stays known after a commit."""
    kind = type(value)
    mapper = kind.__mapper__
    state = sys.modules["sqlalchemy"].inspect(value)
    if name in mapper.attrs:
        if name in state.dict:
            return state.dict[name]
        keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        return state.identity[keys.index(name)] if name in keys and state.identity is not None else None
    # A property may read any attribute, so it is read only where no attribute has expired.
    return None if state.expired_attributes else getattr(value, name, None)
