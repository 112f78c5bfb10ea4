"""Installed libraries whose queries and calls could be child spans: whether they are instrumented, and how to do so."""

from __future__ import annotations

from importlib import metadata
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple, Protocol

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts

from flask_chest_otel._doctor.part import Part, Row

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Instrumentor", "part"]

OURS = "flask-chest-otel"
_PREFIX = "opentelemetry-instrumentation-"


class Instrumentor(Protocol):
    """What is used of OpenTelemetry's ``BaseInstrumentor``, which has no types."""

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether it has instrumented its library in this process."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Requirements, such as ``redis >= 2.6``, that the installed library has to fulfil."""


class _Library(NamedTuple):
    """A library that makes calls over the network.

    Attributes:
        name: Name of the library's distribution.
        instrumentation: Name of its instrumentation's distribution, without ``opentelemetry-instrumentation-``.
        entry: Name of the instrumentation's entry point.
        instrumentor: Name of the instrumentation's class.
        below: A library above this one. Where it is installed, its spans are enough and this library is not listed.
        covers: What is in records where it is switched on.
        needs: A distribution that the instrumentation imports and does not bring.
    """

    name: str
    instrumentation: str
    entry: str
    instrumentor: str
    below: str = ""
    covers: str = "its queries or calls are"
    needs: str = ""


_LIBRARIES = (
    _Library(
        "sqlalchemy",
        "sqlalchemy",
        "sqlalchemy",
        "SQLAlchemyInstrumentor",
        covers="queries of engines made since then are",
        needs="greenlet",
    ),
    _Library("psycopg", "psycopg", "psycopg", "PsycopgInstrumentor", below="sqlalchemy"),
    _Library("psycopg2", "psycopg2", "psycopg2", "Psycopg2Instrumentor", below="sqlalchemy"),
    _Library("psycopg2-binary", "psycopg2", "psycopg2", "Psycopg2Instrumentor", below="sqlalchemy"),
    _Library("pymysql", "pymysql", "pymysql", "PyMySQLInstrumentor", below="sqlalchemy"),
    _Library("mysqlclient", "mysqlclient", "mysqlclient", "MySQLClientInstrumentor", below="sqlalchemy"),
    _Library("asyncpg", "asyncpg", "asyncpg", "AsyncPGInstrumentor", below="sqlalchemy"),
    _Library("pymongo", "pymongo", "pymongo", "PymongoInstrumentor"),
    _Library("redis", "redis", "redis", "RedisInstrumentor"),
    _Library("elasticsearch", "elasticsearch", "elasticsearch", "ElasticsearchInstrumentor"),
    _Library("cassandra-driver", "cassandra", "cassandra", "CassandraInstrumentor"),
    _Library("requests", "requests", "requests", "RequestsInstrumentor"),
    _Library("urllib3", "urllib3", "urllib3", "URLLib3Instrumentor", below="requests"),
    _Library("httpx", "httpx", "httpx", "HTTPXClientInstrumentor"),
    _Library("aiohttp", "aiohttp-client", "aiohttp-client", "AioHttpClientInstrumentor"),
    _Library("botocore", "botocore", "botocore", "BotocoreInstrumentor"),
    _Library("celery", "celery", "celery", "CeleryInstrumentor"),
    _Library("pika", "pika", "pika", "PikaInstrumentor"),
    _Library("kafka-python", "kafka-python", "kafka", "KafkaInstrumentor"),
    _Library("confluent-kafka", "confluent-kafka", "confluent_kafka", "ConfluentKafkaInstrumentor"),
)


def part() -> Part:
    """List the installed libraries and their instrumentations. Missing ones are hints, not problems."""
    found = Part("instrumentations", ("LIBRARY", "INSTRUMENTATION", "TYPE"))
    for library in _LIBRARIES:
        version = _version(library.name)
        if version and not (library.below and _version(library.below)):
            found.rows.append(Row(f"{library.name} {version}", *_state(library)))
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _state(library: _Library) -> tuple[str, str]:
    package = _PREFIX + library.instrumentation
    # With this package in the command, pip takes the release that fits the installed SDK.
    install = f"pip install {OURS} {package}"
    if not _version(package):
        return "missing", f"{install} {library.needs}".rstrip()
    if library.needs and not _version(library.needs):
        return f"lacks {library.needs}", f"pip install {library.needs}"
    instrumentor = _instrumentor(library.entry)
    if instrumentor is None:
        return "broken", f"pip install --upgrade {OURS} {package}"
    if instrumentor.is_instrumented_by_opentelemetry:
        return "switched on", f"{library.covers} in records"
    line = f"{library.instrumentor}().instrument"
    if get_dependency_conflicts(instrumentor.instrumentation_dependencies()) is not None:
        return (
            "refuses this version",
            f"pip install --upgrade {OURS} {package}, or {line}(skip_dep_check=True)",
        )
    return "not switched on", f"{line}()"


def _instrumentor(name: str) -> Instrumentor | None:
    """Return the instrumentor of a library, which is one per process; ``None`` where it cannot be loaded."""
    entry = next(iter(entry_points(group="opentelemetry_instrumentor", name=name)), None)
    try:
        instrumentor: Instrumentor | None = entry.load()() if entry is not None else None
    except Exception:  # noqa: BLE001 - a third party's module may raise anything
        return None
    return instrumentor
