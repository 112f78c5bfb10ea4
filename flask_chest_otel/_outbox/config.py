"""Finds the folder, the bounds and the addresses of an outbox in settings and environment variables."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from opentelemetry.sdk.resources import (
    TELEMETRY_SDK_LANGUAGE,
    TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION,
    OTELResourceDetector,
    Resource,
)

from flask_chest_otel._base.process import current_process
from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._guard import Log, Refusal, count_refusal, printable
from flask_chest_otel._otlp.client import address_of
from flask_chest_otel._otlp.endpoint import EXPORTER, HTTP, SIGNALS, exporters_of, protocol_of
from flask_chest_otel._outbox import folder as outbox_folder_module
from flask_chest_otel._outbox.buffer import OutboxConfig
from flask_chest_otel._outbox.worker import WorkerConfig
from flask_chest_otel.config import ChestConfig, resolve
from flask_chest_otel.errors import ChestConfigError
from flask_chest_otel.names import SERVICE_INSTANCE_ID, SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flask_chest_otel._otlp.client import OtlpEndpoint

__all__ = ["folder_here", "given_resource", "outbox_folder", "service_name", "user_instance_id", "worker_config_of"]

_NAME_CHARS = 100  # file systems take 255 bytes

_OF_RESOURCE = ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS")

_logger = Log("flask_chest_otel")


def worker_config_of(
    environ: Mapping[str, str],
    config: ChestConfig | None = None,
    service: str | None = None,
    protocols: Mapping[str, str] = MappingProxyType({}),
) -> WorkerConfig:
    """Return the configuration of the worker that settings and environment variables describe.

    Args:
        environ: The environment variables.
        config: Settings; ``None``: the settings in the environment variables.
        service: The application's name; ``None``: the name in OpenTelemetry's resource.
        protocols: Signal to ``grpc`` or ``http/protobuf``; HTTP for signals that are missing.

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
    return WorkerConfig(outbox, addresses, config.shutdown_timeout_s, config.export_batch_bytes)


def folder_here(config: ChestConfig, app_name: str | None, environ: Mapping[str, str]) -> Path:
    """Return the outbox's folder of an application that runs with these environment variables.

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
    """Return the outbox's folder: the setting ``outbox_dir``, else one folder per user, service and destination."""
    if config.outbox_dir is not None:
        return Path(config.outbox_dir).absolute()
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", service).strip(".")[:_NAME_CHARS] or "unknown"
    if name != service:
        # The replacement may have made two services' names equal.
        name = f"{name}-{_digest(service)}"
    return _state_folder() / "flask_chest_otel" / name / _digest("\n".join(map(_destination, addresses)))


def _addresses(environ: Mapping[str, str], protocols: Mapping[str, str]) -> Iterator[OtlpEndpoint]:
    """Yield one address per signal.

    Wrong variables of logs are reported and do not raise: most applications send no logs.
    """
    for signal in SIGNALS:
        try:
            yield address_of(signal, environ, protocols.get(signal, HTTP))
        except ChestConfigError as error:
            if signal != "logs":
                raise
            count_refusal(Refusal.SETTING, "logs", "%s: log records go nowhere", error)


def _naming(environ: Mapping[str, str], addresses: Iterable[OtlpEndpoint]) -> list[OtlpEndpoint]:
    """Return the addresses that are part of the folder's name; the address of logs only if it has variables of its own.

    Releases without logs named the folder by the other addresses. Batches that wait in such a folder are still sent.
    """
    own_way = any(environ.get(f"OTEL_EXPORTER_OTLP_LOGS_{name}") for name in ("ENDPOINT", "HEADERS"))
    return [address for address in addresses if own_way or address.signal != "logs"]


def _destination(address: OtlpEndpoint) -> str:
    """Return server, path and user of an address, without keys.

    When a key is replaced, the folder keeps its name, so waiting batches are sent with the new key.
    """
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


def given_resource() -> Resource:
    """Return the resource of the environment variables; read once, as the SDK logs each time what it cannot read."""
    return _given_resource(current_process(), *map(os.environ.get, _OF_RESOURCE))


@lru_cache(maxsize=1)
def _given_resource(_process: object, *_variables: str | None) -> Resource:
    try:
        return Resource.create()
    except RuntimeError:
        # The interpreter is ending, and starts none of the threads in which the SDK asks its detectors.
        sdk = {TELEMETRY_SDK_LANGUAGE: "python", TELEMETRY_SDK_NAME: "opentelemetry"}
        sdk[TELEMETRY_SDK_VERSION] = version("opentelemetry-sdk")
        return Resource(sdk).merge(OTELResourceDetector().detect())


def service_name(app_name: str | None) -> str:
    """Return the service's name from the environment variables; the application's name if they give none."""
    given = str(given_resource().attributes.get(SERVICE_NAME, ""))
    unknown = not given or given.startswith("unknown_service")
    return app_name if app_name is not None and unknown else given or "unknown_service"


def user_instance_id(environ: Mapping[str, str]) -> str | None:
    """Return the ``service.instance.id`` that ``OTEL_RESOURCE_ATTRIBUTES`` gives; ``None``: it gives none."""
    if SERVICE_INSTANCE_ID not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return None
    found = given_resource().attributes.get(SERVICE_INSTANCE_ID)
    return str(found) if found else None


def _state_folder() -> Path:
    """Return the user's folder for the state of programs.

    A server's user often has no home folder that it can write: then it is the user's folder for temporary files.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    if given.startswith("/"):
        return Path(given)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none
    if home.is_absolute() and os.access(home, os.W_OK):
        return home / ".local" / "state"
    return outbox_folder_module.temporary()


def _say(error: ChestConfigError) -> None:
    _logger.warning("%s; the default is used", printable(str(error)))
