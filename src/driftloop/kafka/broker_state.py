"""What a local broker leaves on disk: its folder, the note of how it runs, and a lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

_FAULT = re.compile(r"\b(ERROR|FATAL|Error|Caused by)\b|Exception\b")


class BrokerState(msgspec.Struct, frozen=True):
    """How a broker was started, as ``broker.json`` holds it.

    Attributes:
        how: ``java`` or ``docker``.
        cluster: Kafka's cluster id; what answers on the port under another id is not ours.
        port: Loopback port of the clients.
        controller_port: Loopback port of the controller (of no use under Docker).
        heap: Java's largest heap, as in ``512m``.
        pid: Process id under ``java``, otherwise 0.
        start: When that process started, as `driftloop.kafka.broker_process.start_of` says it.
        container: Container id under ``docker``, otherwise empty.
    """

    how: str
    cluster: str
    port: int
    controller_port: int
    heap: str
    pid: int = 0
    start: str = ""
    container: str = ""

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class BrokerFolder:
    """The files of one local broker, all below ``home/kafka``."""

    home: Path

    @property
    def root(self) -> Path:
        """The broker's folder."""
        return self.home / "kafka"

    @property
    def data(self) -> Path:
        """Kafka's logs (``log.dirs``)."""
        return self.root / "data"

    @property
    def properties(self) -> Path:
        """Kafka's ``server.properties``, written anew at each start."""
        return self.root / "server.properties"

    @property
    def log(self) -> Path:
        """What Kafka logs."""
        return self.root / "broker.log"

    @property
    def console(self) -> Path:
        """What the process prints beside its log: faults of the Java machine, mostly."""
        return self.root / "console.log"

    @property
    def _note(self) -> Path:
        return self.root / "broker.json"

    def read(self) -> BrokerState | None:
        """Read the note; None when there is none, or none that can be read."""
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=BrokerState)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, state: BrokerState) -> None:
        """Write the note, whole or not at all."""
        aside = self._note.with_suffix(f".{os.getpid()}")
        aside.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
        aside.replace(self._note)

    def cluster(self) -> str | None:
        """The cluster id that Kafka's data was formatted with; None without data."""
        try:
            text = (self.data / "meta.properties").read_text(encoding="utf-8")
        except OSError:
            return None
        found = [line.partition("=")[2] for line in text.splitlines() if "cluster.id=" in line]
        return found[0].strip() if found else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, so that two commands at once do not start two brokers in it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w", encoding="ascii") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def faults(self, count: int = 8) -> str:
        """What Kafka logged and printed about its end, for an error message.

        Its last lines only tell how it shut down; the cause stands before, in lines that name an
        error or an exception. Where there are none, the last lines are given after all.
        """
        lines: list[str] = []
        for path in (self.console, self.log):
            with contextlib.suppress(OSError):
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if _FAULT.search(line)]
        chosen = list(dict.fromkeys(told))[:count] or lines[-count:]
        return "\n".join(f"  {line[:300]}" for line in chosen if line.strip())


def new_cluster_id() -> str:
    """Make a random cluster id as Kafka does: 16 bytes in URL-safe base 64, not led by ``-``."""
    while True:
        made = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii")
        if not made.startswith("-"):
            return made
