"""Find a Kafka to work with, or start one: what ``driftloop kafka`` and the tests do.

In this order: the one that ``KAFKA_BOOTSTRAP_SERVERS`` names; the one that was started in this
home before; Docker, when an engine answers; Java 17 or later with jars that Maven copies once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.broker_docker import engine_answers
from driftloop.kafka.broker_local import LocalBroker, silent
from driftloop.kafka.broker_probe import ask
from driftloop.kafka.broker_state import BrokerFolder

__all__ = [
    "BrokerHandle",
    "BrokerStatus",
    "LocalBroker",
    "broker_status",
    "default_home",
    "ensure_broker",
    "stop_broker",
]

_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
_FOREIGN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class BrokerHandle:
    """A broker that answers.

    Attributes:
        bootstrap_servers: For ``bootstrap.servers``.
        how: ``environment``, ``java`` or ``docker``.
        started: True when this call started it; False when it was there.
        broker: The local broker; None for one that the environment names.
    """

    bootstrap_servers: str
    how: str
    started: bool
    broker: LocalBroker | None = None

    def stop(self) -> bool:
        """Stop the broker if this call started it; True when it did and still ran."""
        return self.started and self.broker is not None and self.broker.stop()


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """What is known of a home's broker.

    Attributes:
        how: ``environment``, ``java``, ``docker``, or ``none`` when there never was one.
        bootstrap_servers: Where it answers, or would; empty for ``none``.
        running: Its process runs; for ``environment`` the same as answering.
        topics: How many topics it has, internal ones left out; None when it does not answer.
        process: ``pid 123`` or ``container 0123456789ab``; empty for ``environment``.
        folder: Its files; None for ``environment``.
    """

    how: str
    bootstrap_servers: str
    running: bool
    topics: int | None
    process: str = ""
    folder: Path | None = None

    @property
    def answers(self) -> bool:
        """Tell whether it can be used."""
        return self.topics is not None


def default_home() -> Path:
    """Where Driftloop writes: ``DRIFTLOOP_HOME``, or ``.driftloop`` in the working folder."""
    return Path(os.environ.get("DRIFTLOOP_HOME") or ".driftloop").absolute()


def ensure_broker(
    home: Path | None = None,
    *,
    port: int | None = None,
    heap: str | None = None,
    tied: bool = False,
    client: Mapping[str, str] | None = None,
    report: Callable[[str], None] = silent,
) -> BrokerHandle:
    """Give a broker that answers; start one when there is none.

    Args:
        home: Folder of a local broker, by default `default_home`.
        port: Loopback port of a broker that has to be started; a free one by default.
        heap: Java's largest heap, as in ``512m``, for a broker that has to be started.
        tied: A broker started here ends with this process (not under Docker).
        client: Further client properties (SASL, TLS) for a broker that the environment names.
        report: Told each step that takes time.

    Raises:
        KafkaUnavailableError: The named one does not answer, or none can be started; the message
            says what to do.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        if ask(named, timeout=_FOREIGN_SECONDS, client=client) is None:
            raise KafkaUnavailableError(
                f"{_VARIABLE}={named} does not answer within {_FOREIGN_SECONDS:.0f} s. "
                "Start it, correct the variable, or unset it to use a local Kafka"
            )
        return BrokerHandle(named, "environment", started=False)
    home = home or default_home()
    with BrokerFolder(home.absolute()).locked():
        known = LocalBroker.find(home)
        if known is not None and known.is_running():
            known.wait()
            return BrokerHandle(known.bootstrap_servers, known.state.how, False, known)
        made = _start(home, port=port, heap=heap, tied=tied, report=report)
    return BrokerHandle(made.bootstrap_servers, made.state.how, True, made)


def broker_status(
    home: Path | None = None, *, client: Mapping[str, str] | None = None
) -> BrokerStatus:
    """Look at the broker that `ensure_broker` would use, and start nothing."""
    named = os.environ.get(_VARIABLE)
    if named:
        answer = ask(named, client=client)
        topics = answer.topics if answer else None
        return BrokerStatus("environment", named, answer is not None, topics)
    known = LocalBroker.find(home or default_home())
    if known is None:
        return BrokerStatus("none", "", running=False, topics=None)
    state = known.state
    running = known.is_running()
    return BrokerStatus(
        how=state.how,
        bootstrap_servers=known.bootstrap_servers,
        running=running,
        topics=known.topics() if running else None,
        process=f"container {state.container[:12]}" if state.container else f"pid {state.pid}",
        folder=known.folder.root,
    )


def stop_broker(home: Path | None = None, *, purge: bool = False) -> bool:
    """Stop the local broker of this home, and nothing else.

    Args:
        home: Its folder, by default `default_home`.
        purge: Remove its data and files too.

    Returns:
        True when it ran.
    """
    home = home or default_home()
    if not BrokerFolder(home.absolute()).root.is_dir():
        return False
    folder = BrokerFolder(home.absolute())
    with folder.locked():
        known = LocalBroker.find(home)
        ran = known is not None and known.stop()
        if purge and known is not None:
            known.purge()
        elif purge:
            shutil.rmtree(folder.root, ignore_errors=True)
    return ran


def _start(
    home: Path,
    *,
    port: int | None,
    heap: str | None,
    tied: bool,
    report: Callable[[str], None],
) -> LocalBroker:
    """Start one; where Docker answers but fails and nothing demanded it, try Java as well."""
    chosen = os.environ.get("DRIFTLOOP_KAFKA_RUNNER")
    try:
        return LocalBroker.start(home, port=port, heap=heap, tied=tied, report=report)
    except KafkaUnavailableError as first:
        if chosen or not engine_answers():
            raise
        report(f"Docker failed ({first}); trying Java")
        try:
            return LocalBroker.start(
                home, port=port, heap=heap, tied=tied, how="java", report=report
            )
        except KafkaUnavailableError as second:
            raise KafkaUnavailableError(f"Docker: {first}\nJava: {second}") from second
