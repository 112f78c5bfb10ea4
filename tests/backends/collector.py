"""The bundled collector as a process, with any of the fragments of `collector-config/`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.backends.require import REPOSITORY, built
from tests.backends.server import Server, free_port, request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIG = REPOSITORY / "collector-config"
MUST_BE_SET = {
    "SPLUNK_ACCESS_TOKEN": "token-of-the-tests",
    "SPLUNK_HEC_TOKEN": "token-of-the-tests",
    "CHEST_OTLP_TOKEN": "token-of-the-tests",
    "CHEST_TLS_CERT": "/nowhere/cert.pem",
    "CHEST_TLS_KEY": "/nowhere/key.pem",
}
"""What has no default, because there is no sensible one."""

_PORT = re.compile(r"\$\{env:([A-Z0-9_]+_PORT)\b")


def fragments() -> list[str]:
    """Return the names of all fragments, without `base` and without the ending."""
    return sorted(path.stem for path in CONFIG.glob("*.yaml") if path.stem != "base")


def config_arguments(names: Sequence[str | Path]) -> list[str]:
    """Return `--config …` for `base.yaml` and the named fragments, or files of one's own."""
    paths = [
        CONFIG / "base.yaml",
        *(CONFIG / f"{name}.yaml" if isinstance(name, str) else name for name in names),
    ]
    return [argument for path in paths for argument in ("--config", str(path))]


def validate(names: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Let the collector itself look at a composition; return its complaints, empty when it has none."""
    command = [str(built("flask-chest-collector")), "validate", *config_arguments(names)]
    done = subprocess.run(command, env=MUST_BE_SET | dict(env or {}), capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


class Collector(Server):
    """A collector of `base.yaml` and some fragments, with a free port for every port it asks for.

    Args:
        names: Fragments by name, or paths of files that come on top.
        folder: Its queues and its log; a restart finds them again.
        env: What the fragments want to know: where the target is, and so on.
        whole: One complete file, instead of base and fragments.
    """

    def __init__(
        self, *names: str | Path, folder: Path, env: Mapping[str, str] | None = None, whole: Path | None = None
    ) -> None:
        super().__init__(folder, env)
        self.scheme = "https" if "secure" in names else "http"
        self._arguments = config_arguments(names) if whole is None else ["--config", str(whole)]
        self.env = MUST_BE_SET | self.env
        self.env.setdefault("CHEST_QUEUE_DIR", str(self.folder / "queue"))
        self.env.setdefault("CHEST_FILE_PATH", str(self.folder / "telemetry.jsonl"))
        for name in self._ports():
            self.env.setdefault(name, str(free_port()))

    def _ports(self) -> list[str]:
        texts = [Path(path).read_text() for path in self._arguments[1::2]]
        return sorted({name for text in texts for name in _PORT.findall(text)})

    def command(self) -> list[str]:
        """Return the collector with its list of files."""
        return [str(built("flask-chest-collector")), *self._arguments]

    def is_ready(self) -> bool:
        """Return whether its health check is content: all receivers, the inner ones too, are listening."""
        return request(f"http://127.0.0.1:{self.env['CHEST_HEALTH_PORT']}/")[0] == 200

    @property
    def otlp_http(self) -> str:
        """Base URL for OTLP/HTTP: what `OTEL_EXPORTER_OTLP_ENDPOINT` takes."""
        return f"{self.scheme}://127.0.0.1:{self.env['CHEST_OTLP_HTTP_PORT']}"

    @property
    def otlp_grpc(self) -> str:
        """Target for OTLP/gRPC, as `host:port`."""
        return f"127.0.0.1:{self.env['CHEST_OTLP_GRPC_PORT']}"

    def own_metric(self, name: str, **labels: str) -> float:
        """Return the sum of one of the collector's own metrics, over the series that have these labels."""
        total = 0.0
        for line in self._own_page():
            if line.startswith((f"{name}{{", f"{name} ")) and all(
                f'{label}="{value}"' in line for label, value in labels.items()
            ):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def own_metric_names(self) -> set[str]:
        """Return the names of the collector's own metrics that have a value by now."""
        return {re.split(r"[{ ]", line)[0] for line in self._own_page() if not line.startswith("#")}

    def _own_page(self) -> list[str]:
        status, page = request(f"http://127.0.0.1:{self.env['CHEST_METRICS_PORT']}/metrics")
        if status != 200:
            raise self._error(f"answered {status} for its own metrics")
        return page.decode().splitlines()
