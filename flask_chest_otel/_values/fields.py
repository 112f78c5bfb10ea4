"""Which types have named fields: a value of such a type is shown, and masked, field by field.

This module looks at types. It reads fields only where that does not run the value's own code.
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
    """Whether a type is a dataclass, an attrs class or a pydantic model: its text would show fields unmasked."""
    return (
        hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__pydantic_core_schema__")
    )


def field_names(kind: Any) -> list[str]:
    """The names of the fields of such a type, without those declared with ``repr=False``."""
    if hasattr(kind, "__dataclass_fields__"):
        return [field.name for field in dataclasses.fields(kind) if field.repr]
    if hasattr(kind, "__attrs_attrs__"):
        return [field.name for field in kind.__attrs_attrs__ if field.repr is True]
    return [name for name, field in kind.model_fields.items() if field.repr]


def is_mapping(kind: type) -> bool:
    """Whether a type has keys and values; Werkzeug's headers and SQLAlchemy's rows do without being a ``Mapping``."""
    if issubclass(kind, Mapping) or hasattr(kind, "_asdict"):
        return True
    return hasattr(kind, "items") and hasattr(kind, "keys") and hasattr(kind, "__getitem__")


def is_machinery(kind: type) -> bool:
    """Whether a type is a part of the program and not data: a module, an ORM model, a request, an application.

    Reading a model's attributes may query the database; the fields of the others lead to the configuration and to
    whole requests.
    """
    if kind is ModuleType or is_model(kind):
        return True
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return not roots.isdisjoint(_FRAMEWORK) and not is_mapping(kind) and not issubclass(kind, BaseException)


def shown_fields(value: object) -> Iterator[tuple[str, object]]:
    """Yield the public attributes of the object without running its code. A generator, as there may be very many."""
    found = chain(_own_dict(value).items(), _slots(value))
    return ((name, item) for name, item in found if type(name) is str and not name.startswith("_"))


def _slots(value: object) -> Iterator[tuple[str, object]]:
    for base in type(value).__mro__:
        # Types written in C have member descriptors, but no __slots__.
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
