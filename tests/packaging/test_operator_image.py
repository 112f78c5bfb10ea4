"""OpenTelemetry's operator: this package in the folder that it copies into pods, by `operator/python.Dockerfile`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.packaging.environments import outside, run

OPERATOR = Path(__file__).resolve().parents[2] / "collector-config" / "deploy" / "operator"
UPSTREAM = ("opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-instrumentation-flask")
"""Of what the operator's image installs, that which an application of Flask uses."""

SHOP = """
from flask import Flask, g

app = Flask(__name__)


@app.post("/cart/<int:cart_id>")
def cart(cart_id):
    g.user_id, g.cart_total = "u1", 42.5
    return {"cart": cart_id}


print(app.test_client().post("/cart/7", headers={"X-Request-ID": "r-17"}).status)
"""


@pytest.fixture(scope="module")
def folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has at /autoinstrumentation, made by the Dockerfile's own command."""
    text = (OPERATOR / "python.Dockerfile").read_text("utf-8")
    [install] = re.findall(r"^RUN pip (install --no-cache-dir --no-deps --target) /flask-chest \.$", text, re.MULTILINE)
    found = tmp_path_factory.mktemp("operator") / "autoinstrumentation"
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    run(Path(sys.executable), found.parent, *pip, "install", "--target", str(found), *UPSTREAM)
    ours = found.with_name("flask-chest")
    run(Path(sys.executable), found.parent, *pip, *install.split(), str(ours), str(wheel))
    subprocess.run(["cp", "-r", f"{ours}/.", str(found)], check=True)
    return found


def test_an_application_that_knows_nothing_is_instrumented(folder: Path, tmp_path: Path) -> None:
    """With PYTHONPATH as the operator sets it, an environment of Flask alone records variables, with its own Flask."""
    run(Path(sys.executable), tmp_path, "-m", "venv", "app")
    run(tmp_path / "app" / "bin" / "python", tmp_path, "-m", "pip", "install", "--quiet", "flask")
    assert not (folder / "flask").exists()
    (tmp_path / "shop.py").write_text(SHOP)
    [resource] = yaml.safe_load_all((OPERATOR / "instrumentation.yaml").read_text("utf-8"))
    ours = {one["name"]: one["value"] for one in resource["spec"]["python"]["env"]}
    exporters = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    path = f"{folder}/opentelemetry/instrumentation/auto_instrumentation:{folder}"
    env = {**outside(), **ours, **exporters, "PYTHONPATH": path}
    command = [str(tmp_path / "app" / "bin" / "python"), "shop.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    status, _, spans = done.stdout.partition("\n")
    assert status == "200 OK"
    span, _ = json.JSONDecoder().raw_decode(spans)
    assert (
        span["attributes"].items()
        >= {
            "http.route": "/cart/<int:cart_id>",
            "flask.g.user_id": "u1",
            "flask.g.cart_total": 42.5,
            "flask.request_id": "r-17",
        }.items()
    )
