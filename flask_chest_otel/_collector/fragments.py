"""The fragments in ``collector-config/``: targets and add-ons, the variables that each needs, and the files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ADD_ONS", "ALIAS", "BASE", "TARGETS", "Target", "folder", "read", "unknown", "variables_of"]

BASE = "base"
_VARIABLE = re.compile(r"\$\{env:(\w+)(?::-((?:\$\{[^}]*\}|[^}])*))?\}")


@dataclass(frozen=True, slots=True)
class Target:
    """One fragment: a target or an add-on.

    Attributes:
        what: A description for people.
        must: Variables that have to be set.
        where: Variables with addresses of servers; ``check`` tests whether these answer.
        signals: The signals that it takes, with commas.
    """

    what: str
    must: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    signals: str = "traces, metrics, logs"


TARGETS = {
    "aws": Target("CloudWatch metrics and logs, X-Ray", where=("CHEST_AWS_ENDPOINT",)),
    "clickhouse": Target("ClickHouse", where=("CLICKHOUSE_URL",)),
    "debug": Target("the collector's own log"),
    "file": Target("a file, OTLP as JSON lines"),
    "influxdb": Target("InfluxDB 2.x and 3.x", ("INFLUXDB_TOKEN",), ("INFLUXDB_URL",)),
    "influxdb1": Target("InfluxDB 1.x", where=("INFLUXDB1_URL",)),
    "kafka": Target("Kafka", where=("KAFKA_BROKERS",)),
    "otlp": Target("any OTLP/HTTP back end: Jaeger, Tempo, Loki, …", ("OTLP_TARGET_URL",), ("OTLP_TARGET_URL",)),
    "prometheus": Target("Prometheus, scraping", signals="metrics"),
    "prometheus_remote_write": Target(
        "Prometheus, Mimir, VictoriaMetrics by remote write", where=("PROMETHEUS_REMOTE_WRITE_URL",), signals="metrics"
    ),
    "splunk": Target(
        "Splunk Observability (SignalFx)", ("SPLUNK_ACCESS_TOKEN",), ("SPLUNK_INGEST_URL",), signals="traces, metrics"
    ),
    "splunk_hec": Target(
        "Splunk Enterprise and Cloud Platform (HEC)", ("SPLUNK_HEC_TOKEN",), ("SPLUNK_HEC_URL",), signals="logs"
    ),
    "zipkin": Target("Zipkin", where=("ZIPKIN_URL",), signals="traces"),
}
"""Targets by the names of their files, which are also their names in ``chests=``. A test compares both."""

ALIAS = "signalfx"
"""Flask-Chest's name for ``splunk``."""

ADD_ONS = {
    "kafka_consumer": Target("source: what other collectors put into Kafka", where=("KAFKA_BROKERS",)),
    "raw_values": Target("one point per request and variable"),
    "redaction": Target("masks secrets"),
    "secure": Target("TLS and a token at the door", ("CHEST_OTLP_TOKEN", "CHEST_TLS_CERT", "CHEST_TLS_KEY")),
    "span_metrics": Target("transactions and response time from spans"),
    "tail_sampling": Target("keeps errors, slow requests and a share of the rest"),
}


def folder() -> Path:
    """Return the folder of the fragments: in the installed package, else in the checkout."""
    installed = Path(__file__).parents[1] / "collector_config"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "collector-config"


def read(name: str) -> str:
    """Return the text of a fragment."""
    return (folder() / f"{name}.yaml").read_text(encoding="utf-8")


def unknown(name: str, known: Collection[str] = TARGETS) -> str:
    """Return the sentence about a target that does not exist."""
    guess = nearest(name, known)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"there is no target {name!r}.{hint} There are: {', '.join(known)}."


def variables_of(text: str) -> dict[str, str | None]:
    """Return the environment variables that a configuration reads, with their defaults; ``None``: without a default."""
    return {match[1]: match[2] for match in _VARIABLE.finditer(text)}
