"""A real Kafka broker in KRaft mode, one process."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

from tests.backends.certificates import authority, signed
from tests.backends.require import built, installed
from tests.backends.server import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CLUSTER = "Zmxhc2stY2hlc3Qtb3RlbA"
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions=3
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
group.initial.rebalance.delay.ms=0
# A broker that was killed may register anew when it has been given up.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""
LOCKED = """
listeners=LOCKED://127.0.0.1:{port},INNER://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=LOCKED://127.0.0.1:{port},INNER://127.0.0.1:{inner}
listener.security.protocol.map=LOCKED:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INNER
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/authority.crt
ssl.client.auth=required
listener.name.locked.ssl.client.auth=required
listener.name.locked.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.locked.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class Kafka(Server):
    """One broker that is its own controller; topics appear when somebody writes to them."""

    # A Java server on a busy machine.
    ready_within_s = 90.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.broker = f"127.0.0.1:{self.port}"
        self._properties = folder / "server.properties"
        self._properties.write_text(self._settings())

    def _settings(self) -> str:
        return PROPERTIES.format(port=self.port, controller=free_port(), folder=self.folder)

    def start(self) -> None:
        """Start it; the first time, unpack its jars and format its disk."""
        if not (self.folder / "jars").exists():
            jars = self.folder / "jars"
            jars.mkdir()
            # Not with tarfile: Python 3.11.2 does not know the filter without which newer ones warn.
            subprocess.run(["tar", "-C", str(jars), "-xf", str(built("kafka"))], check=True)
            format_disk = ["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._properties)]
            subprocess.run([*self._java(), *format_disk, *self._users()], capture_output=True, check=True)
        super().start()

    def command(self) -> Sequence[str]:
        """Return the broker's main class with its configuration."""
        return [*self._java("-Xmx384m"), "kafka.Kafka", str(self._properties)]

    def is_ready(self) -> bool:
        """Return whether it takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def collector_env(self) -> Mapping[str, str]:
        """What `kafka.yaml` and `kafka_consumer.yaml` want to know."""
        return {"KAFKA_BROKERS": self.broker}

    def _users(self) -> list[str]:
        return []

    def _java(self, *options: str) -> list[str]:
        java = str(installed("java", "default-jre-headless"))
        return [java, *options, "-XX:TieredStopAtLevel=1", "-cp", f"{self.folder}/jars/*"]


class LockedKafka(Kafka):
    """A broker that speaks TLS, wants a certificate of its own authority, and a name and a password (SCRAM)."""

    user, password = "chest", "password-of-the-tests"

    def _settings(self) -> str:
        self.authority = authority(self.folder, "authority")
        signed(self.folder, self.authority, "broker")
        self.caller = signed(self.folder, self.authority, "caller")
        plain = super()._settings()
        # The last line of a name counts.
        controller = plain.partition("voters=1@127.0.0.1:")[2].partition("\n")[0]
        return plain + LOCKED.format(port=self.port, inner=free_port(), controller=controller, folder=self.folder)

    def _users(self) -> list[str]:
        return ["--add-scram", f"SCRAM-SHA-512=[name={self.user},password={self.password}]"]

    @property
    def collector_env(self) -> Mapping[str, str]:
        """The same, and the keys to it."""
        return {**super().collector_env, "KAFKA_TLS": self.tls(), "KAFKA_AUTH": self.auth()}

    def tls(self, trusted: Path | None = None, *, with_certificate: bool = True) -> str:
        """Return what `KAFKA_TLS` has to say."""
        mine = f", cert_file: {self.caller}, key_file: {self.caller}" if with_certificate else ""
        return f"{{ca_file: {trusted or self.authority}{mine}}}"

    def auth(self, password: str = password) -> str:
        """Return what `KAFKA_AUTH` has to say."""
        return f"{{sasl: {{mechanism: SCRAM-SHA-512, username: {self.user}, password: {password}}}}}"
