"""Objects that would work if they were asked: proxies that look something up, models that read from a database.

They are never made to: what they have already is taken, and nothing else.
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
    """The object behind a proxy that only looks into a variable of the context, as ``session`` and ``request`` do.

    Other proxies call a function of somebody's, which may open a connection or load a user: they stay as they are,
    but for ``current_user`` where Flask-Login has loaded the user already.
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
    """Whether a type passes itself off as another: Werkzeug's ``LocalProxy``, wrapt's, Django's lazy objects, mocks."""
    return any("__class__" in vars(base) for base in kind.__mro__ if base is not object)


def _is_werkzeugs(kind: type) -> bool:
    """Whether a type is Werkzeug's ``LocalProxy``, or derived from it."""
    return any(base.__name__ == "LocalProxy" and base.__module__ == _PROXY_MODULE for base in kind.__mro__)


def is_model(kind: type) -> bool:
    """Whether a type is an object-relational mapper's, whose attributes may read from a database."""
    return any(hasattr(kind, mark) for mark in _MODEL_MARKS)


def loaded_field(value: Any, name: str) -> object:
    """An attribute, or a dictionary's entry; ``None`` where it is not there, or would have to be loaded."""
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
    # Werkzeug has no public name for what a proxy was made of; without this one nothing is unwrapped.
    try:
        source = object.__getattribute__(proxy, "_LocalProxy__wrapped")
    except AttributeError:
        return proxy
    # By type: a proxy of a proxy says that it is of the class of whatever is behind.
    if type(source) is ContextVar or type(source).__qualname__ in _LOCALS:
        return proxy._get_current_object()
    login = sys.modules.get("flask_login")
    if login is not None and proxy is getattr(login, "current_user", None):
        here = sys.modules["flask"].g._get_current_object()
        return vars(here).get("_login_user", proxy)
    return _of_ours(proxy, source)


def _of_ours(proxy: Any, source: object) -> object:
    """The typed context: made when it is asked for, and asked for by whoever put it on ``g``."""
    ours = getattr(source, "__module__", None) == "flask_chest_otel.extension"
    return proxy._get_current_object() if ours else proxy


def _of_mapped(value: Any, name: str) -> object:
    """An attribute of an SQLAlchemy model, if it is loaded; its primary key is known also after a commit."""
    kind = type(value)
    mapper = kind.__mapper__
    state = sys.modules["sqlalchemy"].inspect(value)
    if name in mapper.attrs:
        if name in state.dict:
            return state.dict[name]
        keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        return state.identity[keys.index(name)] if name in keys and state.identity is not None else None
    # A property of the class may read any attribute.
    return None if state.expired_attributes else getattr(value, name, None)
