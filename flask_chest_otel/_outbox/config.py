"""From settings and standard variables to a route: which folder, how much, where to."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from opentelemetry.sdk.resources import Resource

from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._guard import Log, Refusal, count_refusal, printable
from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._otlp.endpoint import EXPORTER, HTTP, SIGNALS, exporters_of, protocol_of
from flask_chest_otel._outbox import folder as outbox_folder_module
from flask_chest_otel._outbox.buffer import OutboxConfig
from flask_chest_otel._outbox.worker import Route
from flask_chest_otel.config import ChestConfig, resolve
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.names import SERVICE_INSTANCE_ID, SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flask_chest_otel._otlp.client import OtlpEndpoint

__all__ = ["folder_here", "outbox_folder", "route_of", "service_name", "user_instance_id"]

_NAME_CHARS = 100  # file systems take 255 bytes

_logger = Log("flask_chest_otel")


def route_of(
    environ: Mapping[str, str],
    config: ChestConfig | None = None,
    service: str | None = None,
    protocols: Mapping[str, str] = MappingProxyType({}),
) -> Route:
    """The route that settings and the environment describe.

    Args:
        environ: The environment.
        config: Settings; unless given, those of the environment.
        service: The application's name; unless given, that of OpenTelemetry's resource.
        protocols: ``grpc`` by signal; the rest goes by HTTP.

    Raises:
        ChestConfigError: A variable of the OTLP exporter cannot be used.
    """
    if config is None:
        config = resolve({}, {}, environ, on_malformed=_say)
    if service is None:
        service = service_name(None)
    addresses = tuple(_addresses(environ, protocols))
    folder = outbox_folder(config, service, _naming(environ, addresses))
    home = folder.parent if config.outbox_dir is None else None
    outbox = OutboxConfig(folder, config.outbox_max_bytes, config.outbox_max_age_s, home)
    return Route(outbox, addresses, config.shutdown_timeout_s, config.export_batch_bytes)


def folder_here(config: ChestConfig, app_name: str | None, environ: Mapping[str, str]) -> Path:
    """Where the outbox of an application lies that is run with this environment.

    Raises:
        ChestConfigError: A variable of the OTLP exporter cannot be used.
    """
    if config.outbox_dir is not None:
        return outbox_folder(config, "", ())
    signals = [signal for signal in SIGNALS if EXPORTER not in exporters_of(signal, environ)]
    protocols = {signal: protocol_of(signal, environ) for signal in signals}
    addresses = tuple(_addresses(environ, protocols))
    return outbox_folder(config, service_name(app_name), _naming(environ, addresses))


def outbox_folder(config: ChestConfig, service: str, addresses: Iterable[OtlpEndpoint]) -> Path:
    """Where an outbox lies: the setting, else one folder per user, service and where that sends to."""
    if config.outbox_dir is not None:
        return Path(config.outbox_dir).absolute()
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", service).strip(".")[:_NAME_CHARS] or "unknown"
    if name != service:
        # Another service's name may have become the same.
        name = f"{name}-{_digest(service)}"
    return _state_folder() / "flask_chest_otel" / name / _digest("\n".join(map(_destination, addresses)))


def _addresses(environ: Mapping[str, str], protocols: Mapping[str, str]) -> Iterator[OtlpEndpoint]:
    """One address per signal; logs go without where their variables are wrong: most applications send none."""
    for signal in SIGNALS:
        try:
            yield address_of(signal, environ, protocols.get(signal, HTTP))
        except ChestConfigError as error:
            if signal != "logs":
                raise
            count_refusal(Refusal.SETTING, "logs", "%s: log records go nowhere", error)


def _naming(environ: Mapping[str, str], addresses: Iterable[OtlpEndpoint]) -> list[OtlpEndpoint]:
    """The addresses that an outbox's folder is named by: that of logs only where they go their own way.

    Folders had their names before there were logs, and what waits there is to be sent.
    """
    own_way = any(environ.get(f"OTEL_EXPORTER_OTLP_LOGS_{name}") for name in ("ENDPOINT", "HEADERS"))
    return [address for address in addresses if own_way or address.signal != "logs"]


def _destination(address: OtlpEndpoint) -> str:
    """Where an address leads to, and as whom, without keys: those are changed, and what waits is to be sent then."""
    parts = urlsplit(address.url)
    user, _, host = parts.netloc.rpartition("@")
    query = sorted(pair for pair in parse_qsl(parts.query) if not is_sensitive(pair[0]))
    headers = sorted(
        (name.lower(), value)
        for name, value in address.headers
        if name.lower() not in ("authorization", "cookie") and not is_sensitive(name)
    )
    return repr((address.signal, parts.scheme, user.partition(":")[0], host, parts.path, query, headers))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()


def service_name(app_name: str | None) -> str:
    """The environment's name for the service; the application's where that gives none."""
    given = str(Resource.create().attributes.get(SERVICE_NAME, ""))
    return app_name if app_name is not None and given.startswith("unknown_service") else given


def user_instance_id(environ: Mapping[str, str]) -> str | None:
    """The ``service.instance.id`` that the user gave in ``OTEL_RESOURCE_ATTRIBUTES``."""
    if SERVICE_INSTANCE_ID not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return None
    found = Resource.create().attributes.get(SERVICE_INSTANCE_ID)
    return str(found) if found else None


def _state_folder() -> Path:
    """The user's folder for what programs keep; a server's user often has none, or none of its own."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if given.startswith("/"):
        return Path(given)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none
    if home.is_absolute() and os.access(home, os.W_OK):
        return home / ".local" / "state"
    return outbox_folder_module.temporary()


def _say(error: ChestConfigError) -> None:
    _logger.warning("%s; the default is used", printable(str(error)))
