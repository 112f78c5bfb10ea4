"""Secrets in settings stand in no repr, no message and no log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel import ChestConfigError, FlaskChest, FlaskChestInstrumentor, flask_chest
from flask_chest_otel._otlp.client import address_of
from flask_chest_otel.config import resolve

if TYPE_CHECKING:
    from tests.conftest import Rig

SECRET = "hunter2-of-the-tests"  # noqa: S105 - the point


def test_in_the_repr_of_settings() -> None:
    """The key of the mapping is three stars."""
    config = resolve({"request_id_secret": SECRET}, {}, {})
    assert SECRET not in repr(config) + str(config) + str(config.shown())
    assert "request_id_secret=***" in repr(config)


@pytest.mark.parametrize("given", [SECRET.encode(), [SECRET], {"key": SECRET}, (SECRET,)], ids=repr)
def test_in_the_error_about_itself(rig: Rig, given: Any) -> None:
    """A key of the wrong type is refused without being shown, as argument and in ``app.config``."""
    with pytest.raises(ChestConfigError) as argument:
        FlaskChest(rig.plain(), request_id_secret=given)
    app = rig.plain("other")
    app.config["FLASK_CHEST_REQUEST_ID_SECRET"] = given
    with pytest.raises(ChestConfigError) as configured:
        FlaskChest(app)
    for error in (argument.value, configured.value):
        assert SECRET not in str(error) + repr(error) + repr(error.value)
        assert "a text that is not empty" in str(error)


def test_in_the_error_about_a_misspelt_one(rig: Rig) -> None:
    """A key of ``app.config`` that looks like a secret's is named without its value."""
    app = rig.plain()
    app.config["FLASK_CHEST_REQUEST_ID_SECRETS"] = SECRET
    with pytest.raises(ChestConfigError) as caught:
        FlaskChest(app)
    assert SECRET not in str(caught.value)


def test_in_the_log_of_zero_code(caplog: pytest.LogCaptureFixture) -> None:
    """A malformed key has one line in the log, without it."""
    caplog.set_level(logging.DEBUG)
    FlaskChestInstrumentor().instrument(request_id_secret=[SECRET])
    FlaskChestInstrumentor().uninstrument()
    assert "request_id_secret" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("url", [f"http://me:{SECRET}@host:4318", f"http://host:4318?key={SECRET}"])
def test_in_an_address(url: str) -> None:
    """Passwords, queries and headers of a collector's address are not shown."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET}"}
    address = address_of("traces", environ)
    assert address.shown.startswith("http://host:4318")
    assert SECRET not in repr(address) + address.shown


@pytest.mark.parametrize("url", [f"ftp://me:{SECRET}@host", f"http://me:{SECRET}/x@host:4318"])
def test_in_the_error_about_an_address(url: str) -> None:
    """One that cannot be used is shown without its password, also where that was not quoted."""
    with pytest.raises(ChestConfigError) as caught:
        address_of("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["request_id_secrt", "request_id_secrets", "api_key"])
def test_in_the_log_about_a_misspelt_argument(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A word of a secret, or a slip in the name of a secret setting: named in the log without its value."""
    caplog.set_level(logging.DEBUG)
    FlaskChestInstrumentor().instrument(**{name: SECRET})
    FlaskChestInstrumentor().uninstrument()
    assert f"{name}='***'" in caplog.text
    assert SECRET not in caplog.text


def test_in_the_error_about_a_slip_in_the_configuration(rig: Rig) -> None:
    """The same for a key of ``app.config`` that has no word of a secret in it."""
    app = rig.plain()
    app.config["FLASK_CHEST_REQUEST_ID_SECRT"] = SECRET
    with pytest.raises(ChestConfigError, match=r"FLASK_CHEST_REQUEST_ID_SECRET\?") as caught:
        FlaskChest(app)
    assert SECRET not in str(caught.value) + repr(caught.value.value)


ADDRESS = f"postgresql://me:{SECRET}@host/db"


@pytest.mark.parametrize("given", [[ADDRESS], ADDRESS, [object(), ADDRESS], {"audit": ADDRESS}, [f"me:{SECRET}@host"]])
def test_in_an_address_among_chests(rig: Rig, given: Any) -> None:
    """The address of a database where a chest belongs is refused without being shown, with what to write instead."""
    with pytest.raises(ChestConfigError, match=r"SQLChest\(url\)") as argument:
        FlaskChest(rig.plain(), chests=given)
    app = rig.plain("other")
    app.config["FLASK_CHEST_CHESTS"] = given
    with pytest.raises(ChestConfigError, match="FLASK_CHEST_CHESTS=") as configured:
        FlaskChest(app)
    for error in (argument.value, configured.value):
        assert SECRET not in str(error) + repr(error) + repr(error.value)


def test_in_an_address_on_a_route() -> None:
    """The same on a route, which takes names."""
    with pytest.raises(ChestConfigError, match=r"'postgresql://\*\*\*'.*routes take its name") as caught:
        flask_chest(chests=[ADDRESS])
    assert SECRET not in str(caught.value) + repr(caught.value.value)
