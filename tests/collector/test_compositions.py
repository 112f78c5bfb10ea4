"""The rules that hold for every fragment, and what the collector itself says about each composition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.backends.collector import CONFIG, MUST_BE_SET, fragments, validate
from tests.backends.require import require_built

if TYPE_CHECKING:
    from tests.collector.conftest import StartCollector

GATED = [name for name in fragments() if "_gate:" in (CONFIG / f"{name}.yaml").read_text()]
ADD_ONS = ("secure", "raw_values", "span_metrics", "kafka_consumer", "redaction", "tail_sampling")
NOT_ALONE = dict.fromkeys(ADD_ONS, "file")
"""Add-ons, which need a target."""
MIB = 1024 * 1024
VARIABLE = re.compile(r"\$\{env:(\w+)(:-[^}]*)?\}")
PORT = re.compile(r"\$\{env:(\w+_PORT):-(\d+)\}")


def load(name: str) -> dict[str, Any]:
    """Return a file of collector-config, parsed."""
    document: dict[str, Any] = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    return document


@pytest.mark.real
@pytest.mark.parametrize("name", fragments())
def test_collector_accepts_base_and(name: str) -> None:
    """The collector's own validation has nothing to say about base.yaml with one fragment."""
    require_built("flask-chest-collector")
    assert validate([NOT_ALONE[name], name] if name in NOT_ALONE else [name]) == ""


@pytest.mark.real
def test_collector_accepts_all_together() -> None:
    """All fragments fit into one collector."""
    require_built("flask-chest-collector")
    assert validate(fragments()) == ""


@pytest.mark.real
def test_base_alone_is_not_complete() -> None:
    """base.yaml has no pipeline: whoever forgets the target hears it at once."""
    require_built("flask-chest-collector")
    assert "pipeline" in validate([])


def test_gates_are_found() -> None:
    """The tests below look at something."""
    assert {"influxdb", "file"} <= set(GATED)


@pytest.mark.parametrize("name", GATED)
def test_application_meets_only_gates(name: str) -> None:
    """Whatever takes the application's data limits, drops what is not for it, and ends at its gate's queue."""
    document = load(name)
    doors = {
        key: pipeline for key, pipeline in document["service"]["pipelines"].items() if "otlp" in pipeline["receivers"]
    }
    assert doors
    for key, pipeline in doors.items():
        # First what may refuse, then what drops, then what changes.
        assert pipeline["processors"][:2] == ["memory_limiter", f"filter/{name}"], key
        [gate] = pipeline["exporters"]
        assert gate == f"otlp_grpc/{name}_gate", key
        assert document["exporters"][gate] == {
            **document["exporters"][gate],
            "wait_for_ready": True,
            "timeout": "2s",
            "retry_on_failure": {
                "enabled": True,
                "initial_interval": "1s",
                "max_interval": "2s",
                "max_elapsed_time": "10s",
            },
            "sending_queue": {
                "enabled": True,
                "storage": "file_storage",
                "sizer": "bytes",
                "queue_size": "${env:CHEST_GATE_BYTES:-268435456}",
                "num_consumers": 100,
                "batch": {"flush_timeout": "200ms", "min_size": 1_000_000, "max_size": 4_000_000},
            },
        }, key


@pytest.mark.parametrize("name", GATED)
def test_nothing_behind_a_gate_may_refuse(name: str) -> None:
    """Behind the gate there is no memory limiter, and every inner receiver takes larger messages than the door."""
    document = load(name)
    for key, pipeline in document["service"]["pipelines"].items():
        if "otlp" not in pipeline["receivers"]:
            behind = {processor.split("/")[0] for processor in pipeline.get("processors", ())}
            # Changing a large batch takes longer than the gate waits: that is done in front of it.
            assert not behind & {"memory_limiter", "transform"}, key
    door = load("base")["receivers"]["otlp"]["protocols"]
    assert door["grpc"]["max_recv_msg_size_mib"] * MIB == door["http"]["max_request_body_size"]
    for key, receiver in document["receivers"].items():
        grpc = receiver["protocols"]["grpc"]
        assert grpc["max_recv_msg_size_mib"] > door["grpc"]["max_recv_msg_size_mib"], key
        assert grpc["endpoint"].startswith("127.0.0.1:"), key


@pytest.mark.parametrize("name", GATED)
def test_targets_wait_for_ever_on_disk(name: str) -> None:
    """Every exporter that can has a queue on disk, bounded in bytes, and tries for ever."""
    for key, exporter in load(name)["exporters"].items():
        if key.endswith("_gate") or "sending_queue" not in exporter:
            continue
        if not exporter["sending_queue"]["enabled"]:
            assert is_behind_a_queue(name, key), key
            continue
        assert exporter["sending_queue"]["storage"] == "file_storage", key
        assert exporter["sending_queue"]["sizer"] == "bytes", key
        assert exporter["retry_on_failure"]["max_elapsed_time"] == 0, key


def is_behind_a_queue(name: str, exporter: str) -> bool:
    """Whether everything that an exporter gets comes over a loop-back connection from a queue, which is no gate's."""
    document = load(name)
    queues = {
        one["endpoint"] for key, one in document["exporters"].items() if "endpoint" in one and not key.endswith("_gate")
    }
    pipelines = [one for one in document["service"]["pipelines"].values() if exporter in one["exporters"]]
    receivers = {receiver for pipeline in pipelines for receiver in pipeline["receivers"]}
    return bool(receivers) and all(
        document["receivers"][one]["protocols"]["grpc"]["endpoint"] in queues for one in receivers
    )


def test_names_do_not_collide() -> None:
    """No two fragments define the same component or pipeline: the later one would replace the earlier."""
    seen: dict[str, str] = {}
    for name in ["base", *fragments()]:
        document = load(name)
        sections = {**document, **document.get("service", {})}
        for section in ("receivers", "processors", "connectors", "exporters", "pipelines"):
            for key in sections.get(section) or ():
                if f"{section}/{key}" == "receivers/otlp" and name == "secure":
                    continue  # it puts a lock on the door: that is what it is for
                assert seen.setdefault(f"{section}/{key}", name) == name, f"{section}/{key}"


def test_ports_do_not_collide() -> None:
    """Every port variable has one default, and no two the same."""
    found = {pair for path in CONFIG.glob("*.yaml") for pair in PORT.findall(path.read_text())}
    assert len(found) > 10
    assert len({name for name, _ in found}) == len(found)
    assert len({port for _, port in found}) == len(found)


@pytest.mark.parametrize("name", ["base", *fragments()])
def test_variables_are_explained(name: str) -> None:
    """Every variable that a file reads has a default there and is named in the file's opening comment."""
    text = (CONFIG / f"{name}.yaml").read_text()
    head = text[: text.index("\n\n")]
    for variable, default in VARIABLE.findall(text):
        assert default or variable in MUST_BE_SET, f"{variable} has no default"
        explained = variable in head or ("_PORT" in variable and variable.removesuffix("_PORT") in head)
        assert explained, f"{variable} is not explained"


@pytest.mark.real
def test_a_start_has_no_old_notation(start_collector: StartCollector) -> None:
    """The collector has nothing to say about paths in statements: no note of what a later release may refuse."""
    collector = start_collector(
        "influxdb", "influxdb1", "aws", "splunk", "otlp", "zipkin", "file", "raw_values", "span_metrics"
    )
    assert "paths were modified" not in collector.log()
    assert "deprecated" not in collector.log()
