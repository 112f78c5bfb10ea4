"""Which types have names inside: the fields by which a value is shown, and masked.

It looks at types, and reads fields where that runs no code of the value's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from itertools import chain
from types import MemberDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from flask_chest_otel._values.lazy import is_model

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["field_names", "is_machinery", "is_mapping", "is_record", "names_of_tuple", "shown_fields"]

_FRAMEWORK: Final = frozenset({"flask", "werkzeug"})


def names_of_tuple(kind: type) -> tuple[str, ...] | None:
    names = getattr(kind, "_fields", None) if kind is not tuple and issubclass(kind, tuple) else None
    return names if type(names) is tuple and all(type(name) is str for name in names) else None


def is_record(kind: type) -> bool:
    """Whether a type is a dataclass, attrs' or pydantic's, whose text would show fields that must be masked."""
    return (
        hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__pydantic_core_schema__")
    )


def field_names(kind: Any) -> list[str]:
    """The fields of such a type, without those that it keeps out of its own text (``repr=False``)."""
    if hasattr(kind, "__dataclass_fields__"):
        return [field.name for field in dataclasses.fields(kind) if field.repr]
    if hasattr(kind, "__attrs_attrs__"):
        return [field.name for field in kind.__attrs_attrs__ if field.repr is True]
    return [name for name, field in kind.model_fields.items() if field.repr]


def is_mapping(kind: type) -> bool:
    """Whether a type has keys and values: also Werkzeug's headers and SQLAlchemy's rows, which are no ``Mapping``."""
    if issubclass(kind, Mapping) or hasattr(kind, "_asdict"):
        return True
    return hasattr(kind, "items") and hasattr(kind, "keys") and hasattr(kind, "__getitem__")


def is_machinery(kind: type) -> bool:
    """Whether a type is what an application is made of and no data: a module, a model, a request, an application.

    Models work when they are asked; the others lead to the configuration and to whole requests.
    """
    if kind is ModuleType or is_model(kind):
        return True
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return not roots.isdisjoint(_FRAMEWORK) and not is_mapping(kind) and not issubclass(kind, BaseException)


def shown_fields(value: object) -> Iterator[tuple[str, object]]:
    """Public attributes of the object itself, read without running its code, one by one: it may have a million."""
    found = chain(_own_dict(value).items(), _slots(value))
    return ((name, item) for name, item in found if type(name) is str and not name.startswith("_"))


def _slots(value: object) -> Iterator[tuple[str, object]]:
    for base in type(value).__mro__:
        # Types of C have members without having slots.
        for name, member in vars(base).items() if "__slots__" in vars(base) else ():
            if type(member) is MemberDescriptorType:
                with contextlib.suppress(AttributeError):  # not set
                    yield name, member.__get__(value)


def _own_dict(value: object) -> dict[str, object]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}
