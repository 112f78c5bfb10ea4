"""A collector that wants to know who we are, over HTTP and gRPC."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._otlp.endpoint import GRPC, HTTP
from tests.backends.certificates import certificate
from tests.backends.moody import Moody
from tests.backends.moody_grpc import MoodyGrpc
from tests.backends.outbox import kept
from tests.unit.export.batches import route_to, spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig

    Begin = Callable[[WorkerConfig], OutboxWorker]

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("impatient")]

SERVERS: dict[str, Any] = {HTTP: Moody, GRPC: MoodyGrpc}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Of the server, of a client that it knows, of one that it does not know; keys with another's and a password."""
    found = {}
    for name in ("server", "client", "stranger"):
        (tmp_path / name).mkdir()
        found[name] = certificate(tmp_path / name, "IP:127.0.0.1")
    found["locked"] = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", found["client"], "-aes256", "-passout", "pass:secret", "-out", found["locked"]],
        check=True,
        capture_output=True,
    )
    return found


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
@pytest.mark.parametrize(
    ("wrong_certificate", "wrong_key", "says"),
    [
        ("stranger", "stranger", {HTTP: "ALERT", GRPC: "UNAVAILABLE"}),
        ("client", "stranger", {HTTP: "KEY_VALUES_MISMATCH", GRPC: "KEY_VALUES_MISMATCH"}),
        ("client", "locked", {HTTP: "the key has a password", GRPC: "the key has a password"}),
        ("client", "nowhere", {HTTP: "No such file", GRPC: "No such file"}),
    ],
)
def test_a_wrong_one_is_said_and_renewed_while_we_run(
    begin: Begin,
    tmp_path: Path,
    files: dict[str, Path],
    protocol: str,
    wrong_certificate: str,
    wrong_key: str,
    says: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The batch waits and the log says why; what is put right on disk is used at the next try, in the same process."""
    own, key = tmp_path / "own.crt", tmp_path / "own.key"
    shutil.copy(files[wrong_certificate], own)
    if wrong_key != "nowhere":
        shutil.copy(files[wrong_key], key)
    with SERVERS[protocol](certificate=files["server"], clients=files["client"]) as moody:
        dispatch = begin(
            route_to(
                moody.url,
                tmp_path / "outbox",
                protocol=protocol,
                OTEL_EXPORTER_OTLP_CERTIFICATE=str(files["server"]),
                OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(own),
                OTEL_EXPORTER_OTLP_CLIENT_KEY=str(key),
            )
        )
        dispatch.put("traces", 1, spans("a"))
        assert not dispatch.flush(5.0)
        assert len(kept(tmp_path / "outbox")) == 1
        assert says[protocol] in caplog.text
        shutil.copy(files["client"], own)
        shutil.copy(files["client"], key)
        assert dispatch.flush(5.0)
        assert [span["name"] for span in moody.receiver.spans()] == ["a"]


POST = """
    import sys
    from flask_chest_otel._otlp.client import address_of
    from flask_chest_otel._otlp.http import HttpClient

    own, key = sys.argv[1:]
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": own,
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
    }
    print(HttpClient(address_of("traces", environ)).post(b"").says)
"""


def test_nobody_is_asked_for_a_password(tmp_path: Path, files: dict[str, Path]) -> None:
    """A key with a password is no use, and does not make a process with a terminal wait for somebody to type."""
    script = tmp_path / "post.py"
    script.write_text(textwrap.dedent(POST))
    command = [sys.executable, str(script), str(files["client"]), str(files["locked"])]
    terminal = f"import pty, sys; sys.exit(pty.spawn({command!r}))"
    done = subprocess.run(
        [sys.executable, "-c", terminal], stdin=subprocess.PIPE, capture_output=True, text=True, timeout=30, check=True
    )
    assert "the key has a password" in done.stdout
    assert "pass phrase" not in done.stdout
