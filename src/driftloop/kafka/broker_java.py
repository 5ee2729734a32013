"""Run Kafka with Java, from jars that Maven copied once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import msgspec

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka import broker_process
from driftloop.kafka.broker_state import BrokerFolder, BrokerState

KAFKA_VERSION = "4.1.1"
_OLDEST_JAVA = 17
_LOCAL = files("driftloop.kafka") / "local"
_INSTALL = (
    "Debian/Ubuntu: sudo apt-get install openjdk-17-jre-headless maven; "
    "macOS: brew install openjdk@17 maven, then "
    'export JAVA_HOME="$(brew --prefix openjdk@17)/libexec/openjdk.jdk/Contents/Home"'
)

# One broker that is its own controller, for one machine. Each line that is not plain:
# - index files are allocated whole: 64 kB instead of 10 MB makes thousands of topics cheap;
# - a topic's files, and transactions whose owner was killed, go within a second;
# - groups form at once, since no large group of consumers is expected to arrive together;
# - the cleaner's buffer is 16 MB instead of 128 MB, to fit a small heap;
# - a killed broker's session ends after 4 s, not 9: until then its successor may not register.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
{common}"""
COMMON_PROPERTIES = {
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "log.index.size.max.bytes": "65536",
    "log.segment.delete.delay.ms": "1000",
    "log.retention.check.interval.ms": "30000",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


def find_java() -> str:
    """Find Java 17 or later.

    Returns:
        The path of ``java``: below ``JAVA_HOME`` when that is set, otherwise on ``PATH``.

    Raises:
        KafkaUnavailableError: There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        raise KafkaUnavailableError(f"java is not on PATH and JAVA_HOME is not set. {_INSTALL}")
    try:
        shown = subprocess.run(  # noqa: S603
            [java, "-version"], capture_output=True, text=True, check=True, timeout=30
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise KafkaUnavailableError(f"{java} does not run: {error}. {_INSTALL}") from error
    match = re.search(r'version "(?:1\.)?(\d+)', shown)
    if match is None or int(match[1]) < _OLDEST_JAVA:
        found = shown.splitlines()[0] if shown else "a java that tells no version"
        raise KafkaUnavailableError(
            f"Kafka {KAFKA_VERSION} needs Java {_OLDEST_JAVA} or later, "
            f"but {java} says {found!r}. {_INSTALL}"
        )
    return java


def cache_folder() -> Path:
    """Where the jars are kept for all homes: ``DRIFTLOOP_CACHE`` or the user's cache folder."""
    own = os.environ.get("DRIFTLOOP_CACHE")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "driftloop"


def jars(report: Callable[[str], None]) -> Path:
    """Give the folder of Kafka's jars; Maven fills it the first time.

    The folder's name holds the pom's hash, and it appears by one rename: it is whole or absent,
    also when several processes ask at once.

    Args:
        report: Told what takes time.

    Raises:
        KafkaUnavailableError: Maven is missing or failed.
    """
    pom = (_LOCAL / "pom.xml").read_bytes()
    what = f"Kafka {KAFKA_VERSION}"
    return fetch_jars(pom, f"kafka-{KAFKA_VERSION}", f"{what} with Maven (43 MB, once)", report)


def fetch_jars(pom: bytes, name: str, what: str, report: Callable[[str], None]) -> Path:
    """Give the folder of the jars that a pom names; see `jars`.

    Args:
        pom: What Maven reads.
        name: Beginning of the folder's name.
        what: Told when they are downloaded.
        report: Told what takes time.

    Raises:
        KafkaUnavailableError: Maven is missing or failed.
    """
    folder = cache_folder() / f"{name}-{hashlib.sha256(pom).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError(f"mvn is not on PATH. {_INSTALL}")
    report(f"Downloading {what}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{name}-") as aside:
        (Path(aside) / "pom.xml").write_bytes(pom)
        command = [maven, "-B", "-ntp", "-q", "-f", f"{aside}/pom.xml"]
        command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-DoutputDirectory={aside}/jars"]
        for last in (False, True):  # a download that broke off is worth a second try
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            )
            if done.returncode == 0:
                break
            if last:
                said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
                raise KafkaUnavailableError(f"mvn could not fetch the jars of {name}:\n{said}")
        try:
            (Path(aside) / "jars").rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was first, with the same jars
                raise
    return folder


class JavaRunner:
    """Runs one broker as a Java process.

    Args:
        folder: The broker's files.
        tied: End the broker when this process ends, even by SIGKILL.
    """

    def __init__(self, folder: BrokerFolder, *, tied: bool = False) -> None:
        self._folder = folder
        self._tied = tied
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._java = ""
        self._jars = Path()

    def prepare(self, report: Callable[[str], None]) -> None:
        """Find Java and get the jars."""
        self._java = find_java()
        self._jars = jars(report)

    def launch(self, state: BrokerState) -> BrokerState:
        """Start the process; it does not answer yet."""
        folder = self._folder
        folder.properties.write_text(self._settings(state), encoding="utf-8")
        if not (folder.data / "meta.properties").exists():
            self._format(state.cluster)
        for stale in (folder.log, folder.console):
            stale.unlink(missing_ok=True)
        command = [self._java, f"-Xmx{state.heap}", "-Xms128m", "-XX:+ExitOnOutOfMemoryError"]
        # A broker of minutes: the second compiler and parallel collection cost more CPU than they
        # save (47 s with them, 29 s without, over 216,000 records to 100 topics).
        command += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += ["-Djava.awt.headless=true", f"-Ddriftloop.log={folder.log.absolute()}"]
        command += [f"-Dlog4j2.configurationFile={self._log_settings()}"]
        command += ["-cp", f"{self._jars}/*", "kafka.Kafka", str(folder.properties.absolute())]
        with folder.console.open("wb") as console:
            child = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for the command, not the broker
            )
        self._child = child
        start = broker_process.start_of(child.pid) or ""
        if self._tied:
            self._guard = subprocess.Popen(  # noqa: S603
                [sys.executable, "-S", broker_process.__file__, str(child.pid), start],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        return msgspec.structs.replace(state, pid=child.pid, start=start)

    def lives(self, state: BrokerState) -> bool:
        """Tell whether the process runs."""
        return broker_process.lives(state.pid, state.start)

    def end(self, state: BrokerState, grace: float) -> bool:
        """End the process; True when it still ran."""
        ran = broker_process.end(state.pid, state.start, grace=grace)
        if self._child is not None and self._child.pid == state.pid:
            self._child.wait()
            self._child = None
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.communicate(b"\n")
            self._guard = None
        return ran

    def output(self, state: BrokerState) -> str:
        """What it logged and printed of its faults."""
        del state
        return self._folder.faults()

    def remove(self, state: BrokerState) -> None:
        """Nothing is left but the folder."""

    def _settings(self, state: BrokerState) -> str:
        """Text of ``server.properties``."""
        common = "\n".join(f"{key}={value}" for key, value in COMMON_PROPERTIES.items())
        return (
            _PROPERTIES.format(
                port=state.port,
                controller_port=state.controller_port,
                data=self._folder.data.absolute(),
                common=common,
            )
            + "\n"
        )

    def _log_settings(self) -> Path:
        # Java reads a file, and the package may be anywhere, even in a zip.
        path = self._folder.root / "log4j2.xml"
        path.write_bytes((_LOCAL / "log4j2.xml").read_bytes())
        return path.absolute()

    def _format(self, cluster: str, *more: str) -> None:
        command = [self._java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{self._jars}/*"]
        command += [f"-Ddriftloop.log={self._folder.root.absolute()}/format.log"]
        command += [f"-Dlog4j2.configurationFile={self._log_settings()}"]
        command += ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster]
        command += ["-c", str(self._folder.properties.absolute()), *more]
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
            raise KafkaUnavailableError(f"Kafka could not format {self._folder.data}:\n{said}")
