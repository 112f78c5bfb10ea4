"""What of addresses and variables is shown."""

from __future__ import annotations

import pytest

from flask_chest_otel._base.addresses import shown_address, shown_variable, without_secrets

ADDRESSES = {
    "http://host:4318/v1/traces": "http://host:4318/v1/traces",
    "http://host:4318?token=hunter2": "http://host:4318",
    "http://me:hunter2@host:4318/x#hunter2": "http://***@host:4318/x",
    "http://me:hun/ter2@host:4318": "http://***@host:4318",
    "http://me:hun@ter2@host:4318": "http://***@host:4318",
    "me:hunter2@host:4318": "***@host:4318",
    "hunter2@host": "***@host",
    "http://me:hunter2": "***",
    "http://host?mail=me@hunter2": "***",
    "http://host#me@hunter2": "***",
    "mongodb://me:hunter2@one:27017,two:27018/db?authSource=x": "mongodb://***@one:27017,two:27018/db",
    "unix:///run/c.sock": "unix:///run/c.sock",
    "[::1]:4317": "[::1]:4317",
    "host:9092": "host:9092",
}


@pytest.mark.parametrize(("address", "shown"), ADDRESSES.items())
def test_addresses(address: str, shown: str) -> None:
    """Scheme, host, port and path; three stars in the place of a user, and for all of it where that is not clear."""
    assert shown_address(address) == shown
    assert shown_address(address, user="") == shown.replace("***@", "")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/hunter2/key", "https://host"),
        ("https://me:hunter2@host:8443/hunter2?x", "https://host:8443"),
        ("https://host", "https://host"),
    ],
)
def test_addresses_without_a_path(address: str, shown: str) -> None:
    """Where the path may be a key, the server alone."""
    assert shown_address(address, path=False, user="") == shown


VARIABLES = {
    "OTEL_EXPORTER_OTLP_HEADERS": ("authorization=Bearer hunter2", "***"),
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": ("/etc/key.pem", "***"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("me:hunter2@host:4318", "***@host:4318"),
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": ("http://h:9411/api/v2/spans?key=hunter2", "http://h:9411/api/v2/spans"),
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ("http://me:hun/ter2@host", "http://***@host"),
    "OTEL_SERVICE_NAME": ("shop", "shop"),
    "OTEL_RESOURCE_ATTRIBUTES": ("a=b,db.password=hunter2,c=http://me:hunter2@h", "a=b,db.password=***,***@h"),
}


@pytest.mark.parametrize(("name", "pair"), VARIABLES.items())
def test_variables(name: str, pair: tuple[str, str]) -> None:
    """A key's value is three stars, an address is shown as one, the rest as it is."""
    assert shown_variable(name, pair[0]) == pair[1]


def test_what_others_quote() -> None:
    """A line that quotes a part of what is hidden loses that part alone."""
    environ = {name: text for name, (text, _) in VARIABLES.items()}
    line = "no port 'hun' at host:4318 of shop, h:9411 said hunter2, ter2, Bearer authorization"
    assert (
        without_secrets(line, environ) == "no port 'hun' at host:4318 of shop, h:9411 said ***, ***, *** authorization"
    )
