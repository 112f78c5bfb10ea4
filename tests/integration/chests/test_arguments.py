"""What can be known to be wrong before the first record: addresses, names, numbers, missing libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel import ChestConfigError
from flask_chest_otel.chests import MongoChest, SQLChest, WebhookChest

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cr3t"  # noqa: S105 - looked for in messages


@pytest.mark.parametrize(
    ("chest", "url"),
    [
        (SQLChest, f"user:{SECRET}@host"),
        (SQLChest, f"oracle://user:{SECRET}@host/db"),
        (SQLChest, f"postgresql+nothing://user:{SECRET}@host/db"),
        (SQLChest, f"postgresql://user:{SECRET}@host:port/db"),
        (SQLChest, f"sqlite+aiosqlite:///file?{SECRET}"),
        (SQLChest, "sqlite://"),
        (SQLChest, None),
        (MongoChest, f"user:{SECRET}@host"),
        (MongoChest, f"http://user:{SECRET}@host"),
        (MongoChest, f"mongodb://user:{SECRET}@host:port"),
        (MongoChest, None),
        (WebhookChest, f"user:{SECRET}@host"),
        (WebhookChest, f"ftp://user:{SECRET}@host/"),
        (WebhookChest, f"https:///path?key={SECRET}"),
        (WebhookChest, f"https://user:{SECRET}@host:port/"),
        (MongoChest, f"mongodb://user:{SECRET}/{SECRET}@host"),
        (WebhookChest, None),
    ],
)
def test_wrong_address(chest: Callable[[Any], Any], url: Any) -> None:
    """An address that cannot be used raises at once, says what to give instead, and does not show the password."""
    with pytest.raises(ChestConfigError, match=r"url=.* cannot be used: give ") as caught:
        chest(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("chest", "arguments"),
    [
        (SQLChest, {"name": "a,b"}),
        (SQLChest, {"table_prefix": "Chest-"}),
        (SQLChest, {"table_prefix": "x; DROP TABLE y; --"}),
        (SQLChest, {"capacity": 0}),
        (SQLChest, {"retry_for_s": -1}),
        (MongoChest, {"name": ""}),
        (MongoChest, {"capacity": "many"}),
        (WebhookChest, {"payload_generator": {}}),
        (WebhookChest, {"success_status_codes": ()}),
        (WebhookChest, {"success_status_codes": 200}),
        (WebhookChest, {"success_status_codes": ("200",)}),
        (WebhookChest, {"timeout_s": 0}),
    ],
)
def test_wrong_argument(chest: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Other arguments that cannot be used raise at once, too."""
    urls = {SQLChest: "sqlite:////tmp/x.db", MongoChest: "mongodb://host", WebhookChest: "https://host"}
    with pytest.raises(ChestConfigError, match="cannot be used: give "):
        chest(urls[chest], **arguments)  # type: ignore[index]  # one of the three


@pytest.mark.parametrize(
    "chest",
    [
        SQLChest(f"postgresql://user:{SECRET}@host:5432/db?password={SECRET}"),
        MongoChest(f"mongodb://user:{SECRET}@host/db?appname={SECRET}"),
        WebhookChest(f"https://host/services/{SECRET}"),
        MongoChest(f"mongodb+srv://user:{SECRET}@host/db"),
        WebhookChest(f"https://user:{SECRET}@host/path?token={SECRET}", headers={"X-SF-Token": SECRET}),
    ],
    ids=repr,
)
def test_repr_has_no_secrets(chest: Any) -> None:
    """What a chest shows of itself says where it writes, without passwords and keys."""
    assert SECRET not in repr(chest)
    assert "user" not in repr(chest)
    assert "host" in repr(chest)


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("SQLChest", "sqlalchemy", "flask-chest-otel[sql]"),
        ("MongoChest", "pymongo", "flask-chest-otel[mongo]"),
        ("WebhookChest", "requests", "flask-chest-otel[webhook]"),
    ],
)
def test_a_missing_library_says_what_to_type(
    name: str, module: str, install: str, run_python: Callable[..., str]
) -> None:
    """Only the chest that needs the library fails, and the message is a command."""
    said = run_python(f"""
        import sys
        sys.modules[{module!r}] = None
        import flask_chest_otel.chests
        try:
            flask_chest_otel.chests.{name}
        except ModuleNotFoundError as error:
            print(error, error.name)
    """)
    assert said == f'this chest needs the Python module {module}: pip install "{install}" {module}\n'


def test_a_missing_driver_says_what_to_type(run_python: Callable[..., str]) -> None:
    """Where no driver of a database is installed, one that would do is named."""
    said = run_python("""
        import importlib.util
        importlib.util.find_spec = lambda name: None
        from flask_chest_otel.chests import SQLChest
        for url in ("postgresql://host/db", "mysql+mysqldb://host/db"):
            try:
                SQLChest(url)
            except ModuleNotFoundError as error:
                print(error)
    """)
    assert said == (
        'SQLChest needs a driver for postgresql: pip install "psycopg[binary]"\n'
        "SQLChest needs a driver: pip install mysqlclient\n"
    )


def test_nothing_heavy_is_loaded_before_it_is_used(run_python: Callable[..., str]) -> None:
    """The package of chests loads no library; each chest loads its own only."""
    said = run_python("""
        import sys
        import flask_chest_otel.chests as chests
        heavy = {"sqlalchemy", "pymongo", "requests"}
        print(sorted(heavy & set(sys.modules)))
        chests.SQLChest
        print(sorted(heavy & set(sys.modules)), dir(chests)[:0], hasattr(chests, "Nothing"))
    """)
    assert said == "[]\n['sqlalchemy'] [] False\n"
