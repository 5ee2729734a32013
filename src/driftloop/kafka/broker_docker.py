"""Run Kafka in a Docker container."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import msgspec

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.broker_java import COMMON_PROPERTIES, KAFKA_VERSION
from driftloop.kafka.broker_state import BrokerState

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_DATA = "/var/lib/kafka/data"  # the image's own volume, which its user may write
_CONTROLLER_PORT = 9093  # inside the container
_ASK_SECONDS = 10.0
_PULL_SECONDS = 900.0


def engine_answers(timeout: float = 5.0) -> bool:
    """Tell whether a Docker engine answers here."""
    if shutil.which("docker") is None:
        return False
    try:
        done = _docker("info", "--format", "{{.ServerVersion}}", timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


class DockerRunner:
    """Runs one broker as a container, whose data lives as long as the container."""

    def prepare(self, report: Callable[[str], None]) -> None:
        """Get the image.

        Raises:
            KafkaUnavailableError: It is not here and cannot be pulled.
        """
        if _docker("image", "inspect", IMAGE).returncode == 0:
            return
        report(f"Pulling {IMAGE} (once)")
        try:
            done = _docker("pull", "--quiet", IMAGE, timeout=_PULL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise KafkaUnavailableError(f"docker pull {IMAGE}: no end in 15 minutes") from error
        if done.returncode != 0:
            raise KafkaUnavailableError(f"docker pull {IMAGE} failed: {done.stderr.strip()}")

    def launch(self, state: BrokerState) -> BrokerState:
        """Start the stopped container of this state, or make a new one.

        Raises:
            KafkaUnavailableError: Docker refuses; its message says why (a taken port, for one).
        """
        if state.container and _docker("start", state.container).returncode == 0:
            return state
        settings = {
            **COMMON_PROPERTIES,
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
            "controller.listener.names": "CONTROLLER",
            "listeners": (
                f"PLAINTEXT://0.0.0.0:{state.port},CONTROLLER://localhost:{_CONTROLLER_PORT}"
            ),
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{state.port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": _DATA,
        }
        command = ["run", "--detach", "--label", "driftloop.kafka=local"]
        command += ["--publish", f"127.0.0.1:{state.port}:{state.port}"]
        command += ["--env", f"CLUSTER_ID={state.cluster}"]
        command += ["--env", f"KAFKA_HEAP_OPTS=-Xms128m -Xmx{state.heap}"]
        for key, value in settings.items():
            command += ["--env", f"KAFKA_{key.replace('.', '_').upper()}={value}"]
        done = _docker(*command, IMAGE, timeout=60.0)
        if done.returncode != 0:
            raise KafkaUnavailableError(f"docker run {IMAGE} failed: {done.stderr.strip()}")
        return msgspec.structs.replace(state, container=done.stdout.strip())

    def lives(self, state: BrokerState) -> bool:
        """Tell whether the container runs."""
        if not state.container:
            return False
        done = _docker("inspect", "--format", "{{.State.Running}}", state.container)
        return done.returncode == 0 and done.stdout.strip() == "true"

    def end(self, state: BrokerState, grace: float) -> bool:
        """Stop the container; its data stays. True when it still ran."""
        if not self.lives(state):
            return False
        if grace > 0:
            done = _docker(
                "stop", "--time", str(int(grace)), state.container, timeout=grace + _ASK_SECONDS
            )
        else:
            done = _docker("kill", state.container)
        if done.returncode != 0:
            raise KafkaUnavailableError(
                f"docker could not stop container {state.container[:12]}: {done.stderr.strip()}"
            )
        return True

    def output(self, state: BrokerState) -> str:
        """The end of what the container printed."""
        if not state.container:
            return ""
        done = _docker("logs", "--tail", "8", state.container)
        return (done.stdout + done.stderr).strip()

    def remove(self, state: BrokerState) -> None:
        """Remove the container and its data."""
        if state.container:
            _docker("rm", "--force", "--volumes", state.container, timeout=60.0)


def _docker(*arguments: str, timeout: float = _ASK_SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["docker", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
