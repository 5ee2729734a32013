"""A real Kafka with TLS, SASL/SCRAM and ACLs: nobody may do anything that no ACL allows."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from driftloop.kafka.broker_java import JavaRunner, find_java
from driftloop.kafka.broker_probe import ask, free_ports
from driftloop.kafka.broker_state import BrokerFolder, BrokerState, new_cluster_id

ADMIN = "admin"
_SECONDS = 90.0
_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
# What the local broker has, but for its listeners: clients come by TLS and log in.
_MORE = """\
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login} required \
username="{admin}" password="{password}";
ssl.keystore.type=PKCS12
ssl.keystore.location={keys}
ssl.keystore.password={password}
ssl.truststore.type=PEM
ssl.truststore.location={certificate}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin};User:ANONYMOUS
allow.everyone.if.no.acl.found=false
"""
_ALL = AclBindingFilter(
    ResourceType.ANY,
    None,
    ResourcePatternType.ANY,
    None,
    None,
    AclOperation.ANY,
    AclPermissionType.ANY,
)


class _Runner(JavaRunner):
    """Runs it. Only the controller's listener, on loopback, is without a log-in."""

    def __init__(self, folder: BrokerFolder, password: str) -> None:
        super().__init__(folder, tied=True)
        self._password = password

    def _settings(self, state: BrokerState) -> str:
        more = _MORE.format(
            port=state.port,
            controller_port=state.controller_port,
            login=_LOGIN,
            admin=ADMIN,
            password=self._password,
            keys=self._folder.root / "keys.p12",
            certificate=self._folder.root / "ca.pem",
        )
        replaced = {line.partition("=")[0] for line in more.splitlines()}
        plain = super()._settings(state).splitlines()
        return "\n".join([one for one in plain if one.partition("=")[0] not in replaced] + [more])

    def _format(self, cluster: str, *more: str) -> None:
        scram = f"SCRAM-SHA-512=[name={ADMIN},password={self._password}]"
        super()._format(cluster, *more, "--add-scram", scram)


class SecuredBroker:
    """One broker on loopback.

    Args:
        home: Folder for its files.

    Raises:
        KafkaUnavailableError: Java or Maven is missing, or it does not start.
    """

    def __init__(self, home: Path) -> None:
        self._folder = BrokerFolder(home.absolute())
        self._folder.root.mkdir(parents=True)
        self.password = "open-sesame"  # noqa: S105  # of all its users
        self._make_certificate()
        self._runner = _Runner(self._folder, self.password)
        self._runner.prepare(lambda _: None)
        port, controller = free_ports(2)
        state = BrokerState("java", new_cluster_id(), port, controller, "512m")
        self._state = self._runner.launch(state)
        self._wait()
        self.admin = AdminClient(self.client(ADMIN))

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port``."""
        return self._state.bootstrap_servers

    def properties(self, user: str) -> dict[str, str]:
        """Client properties of a user, but for the brokers."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self._folder.root / "ca.pem"),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.password,
            "log_level": "2",
        }

    def client(self, user: str) -> dict[str, str]:
        """All client properties of a user."""
        return {**self.properties(user), "bootstrap.servers": self.bootstrap_servers}

    def add_user(self, name: str) -> None:
        """Make a user without any right."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(name, info, self.password.encode())
        for future in self.admin.alter_user_scram_credentials([change]).values():
            future.result(30)

    def allow(self, bindings: Iterable[AclBinding]) -> None:
        """Make ACLs; the broker heeds them from now on."""
        wanted = list(bindings)
        for future in self.admin.create_acls(wanted).values():
            future.result(30)
        self._until(lambda found: set(wanted) <= found)

    def forbid(self, bindings: Iterable[AclBinding]) -> None:
        """Take ACLs away; the broker heeds that from now on."""
        wanted = list(bindings)
        filters = [
            AclBindingFilter(
                one.restype,
                one.name,
                one.resource_pattern_type,
                one.principal,
                one.host,
                one.operation,
                one.permission_type,
            )
            for one in wanted
        ]
        for future in self.admin.delete_acls(filters).values():
            assert len(future.result(30)) == 1
        self._until(lambda found: not set(wanted) & found)

    def _until(self, done: object) -> None:
        deadline = time.monotonic() + _SECONDS
        while not done(set(self.admin.describe_acls(_ALL).result(30))):  # type: ignore[operator]
            assert time.monotonic() < deadline, "the ACLs do not take effect"

    def stop(self) -> None:
        """End it."""
        self._runner.end(self._state, grace=5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _make_certificate(self) -> None:
        """A key of the broker's own, and the certificate that clients trust."""
        keytool = str(Path(find_java()).with_name("keytool"))
        store = [*("-keystore", str(self._folder.root / "keys.p12")), "-storetype", "PKCS12"]
        store += ["-storepass", self.password, "-alias", "broker", "-J-XX:TieredStopAtLevel=1"]
        make = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=broker", "-validity", "3650"]
        make += ["-ext", "san=ip:127.0.0.1"]
        tell = ["-exportcert", "-rfc", "-file", str(self._folder.root / "ca.pem")]
        for command in (make, tell):
            subprocess.run([keytool, *command, *store], check=True, capture_output=True, timeout=60)

    def _wait(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while ask(self.bootstrap_servers, timeout=1.0, client=self.properties(ADMIN)) is None:
            assert self._runner.lives(self._state), self._runner.output(self._state)
            assert time.monotonic() < deadline, "the broker does not answer"


def shown(properties: Mapping[str, str]) -> str:
    """Properties as a table of a configuration file."""
    return "\n".join(f'"{name}" = "{value}"' for name, value in properties.items())
