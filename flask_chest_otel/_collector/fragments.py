"""What there is in ``collector-config/``: targets, what each needs, and where the files are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flask_chest_otel.errors import nearest

__all__ = ["ADD_ONS", "ALIAS", "BASE", "TARGETS", "Target", "folder", "read", "unknown", "variables_of"]

BASE = "base"
_VARIABLE = re.compile(r"\$\{env:(\w+)(?::-((?:\$\{[^}]*\}|[^}])*))?\}")


@dataclass(frozen=True, slots=True)
class Target:
    """One fragment that is a target.

    Attributes:
        what: What it is, for people.
        must: Variables without which it cannot work.
        where: Variables with the addresses of servers, checked for an answer.
        signals: What it takes.
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
"""By the name of the file, which is also the name in ``chests=``. A test compares with the files."""

ALIAS = "signalfx"
"""What Flask-Chest called ``splunk``."""

ADD_ONS = {
    "kafka_consumer": Target("source: what other collectors put into Kafka", where=("KAFKA_BROKERS",)),
    "raw_values": Target("one point per request and variable"),
    "redaction": Target("masks secrets"),
    "secure": Target("TLS and a token at the door", ("CHEST_OTLP_TOKEN", "CHEST_TLS_CERT", "CHEST_TLS_KEY")),
    "span_metrics": Target("transactions and response time from spans"),
    "tail_sampling": Target("keeps errors, slow requests and a share of the rest"),
}


def folder() -> Path:
    """Where the fragments are: in the installed package, else in the checkout."""
    installed = Path(__file__).parents[1] / "collector_config"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "collector-config"


def read(name: str) -> str:
    """The text of a fragment."""
    return (folder() / f"{name}.yaml").read_text(encoding="utf-8")


def unknown(name: str) -> str:
    """The sentence about a target that is not there."""
    guess = nearest(name, TARGETS)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"there is no target {name!r}.{hint} There are: {', '.join(TARGETS)}."


def variables_of(text: str) -> dict[str, str | None]:
    """The environment variables that a text reads, each with its default; ``None``: it has none."""
    return {match[1]: match[2] for match in _VARIABLE.finditer(text)}
