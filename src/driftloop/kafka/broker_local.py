"""A Kafka broker of our own on this machine, for demos and tests."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.broker_docker import DockerRunner, engine_answers
from driftloop.kafka.broker_java import JavaRunner
from driftloop.kafka.broker_probe import ask, free_ports, is_free
from driftloop.kafka.broker_state import BrokerFolder, BrokerState, new_cluster_id

_ANSWER_SECONDS = 90.0
_POLL_SECONDS = 0.05
_PORT_TRIES = 5


class Runner(Protocol):
    """How a broker's process is run: as a Java process, or as a container."""

    def prepare(self, report: Callable[[str], None]) -> None:
        """Get what it runs from."""

    def launch(self, state: BrokerState) -> BrokerState:
        """Start it on the ports of `state`; the answer names the process too."""

    def lives(self, state: BrokerState) -> bool:
        """Tell whether it runs."""

    def end(self, state: BrokerState, grace: float) -> bool:
        """End it: kindly for `grace` seconds, then not; True when it ran."""

    def output(self, state: BrokerState) -> str:
        """What its log says of its faults."""

    def remove(self, state: BrokerState) -> None:
        """Remove what it keeps outside its folder."""


def silent(_: str) -> None:
    """Report nothing."""


class LocalBroker:
    """One broker on loopback, whose data lies in a folder and outlives it.

    As a context manager it stops the broker at the end::

        with LocalBroker.start(Path(".driftloop")) as broker:
            Producer({"bootstrap.servers": broker.bootstrap_servers})

    Made by `start` and `find`, not by hand.
    """

    def __init__(self, folder: BrokerFolder, state: BrokerState, runner: Runner) -> None:
        self._folder = folder
        self._state = state
        self._runner = runner

    @classmethod
    def start(
        cls,
        home: Path,
        *,
        port: int | None = None,
        heap: str | None = None,
        tied: bool = True,
        how: str | None = None,
        report: Callable[[str], None] = silent,
    ) -> Self:
        """Start a broker, or start it again on the data that is there, and wait until it answers.

        Args:
            home: Folder for its files (``home/kafka``); one broker a home.
            port: Loopback port for the clients; by default the one it had, or a free one.
            heap: Java's largest heap; by default ``DRIFTLOOP_KAFKA_HEAP`` or ``512m``.
            tied: End the broker when this process ends, however it ends (not under Docker).
            how: ``java`` or ``docker``; by default ``DRIFTLOOP_KAFKA_RUNNER``, or how the data
                that is there was made, or Docker where an engine answers, or Java.
            report: Told each step that takes time.

        Raises:
            KafkaUnavailableError: It runs already, nothing can run it, the port is taken, or it
                did not answer within 90 s.
        """
        folder = BrokerFolder(home.absolute())
        folder.root.mkdir(parents=True, exist_ok=True)
        known = folder.read()
        if known is not None and _runner(known.how, folder, tied=tied).lives(known):
            raise KafkaUnavailableError(
                f"a broker runs in {folder.root} already, at {known.bootstrap_servers}"
            )
        how = how or os.environ.get("DRIFTLOOP_KAFKA_RUNNER") or (known.how if known else None)
        how = how or ("docker" if engine_answers() else "java")
        if known is None or known.how != how:
            cluster = (folder.cluster() if how == "java" else None) or new_cluster_id()
            known = BrokerState(how=how, cluster=cluster, port=0, controller_port=0, heap="")
        heap = heap or os.environ.get("DRIFTLOOP_KAFKA_HEAP") or known.heap or "512m"
        broker = cls(
            folder, msgspec.structs.replace(known, heap=heap), _runner(how, folder, tied=tied)
        )
        broker._runner.prepare(report)
        broker._launch(port, report)
        return broker

    @classmethod
    def find(cls, home: Path) -> Self | None:
        """Find the broker that was started in this home, whether it runs or not."""
        folder = BrokerFolder(home.absolute())
        state = folder.read()
        return None if state is None else cls(folder, state, _runner(state.how, folder))

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port``, for ``bootstrap.servers``."""
        return self._state.bootstrap_servers

    @property
    def state(self) -> BrokerState:
        """How it was started."""
        return self._state

    @property
    def folder(self) -> BrokerFolder:
        """Its files."""
        return self._folder

    def is_running(self) -> bool:
        """Tell whether its process runs."""
        return self._runner.lives(self._state)

    def topics(self, timeout: float = 3.0) -> int | None:
        """Ask how many topics it has; None when it, and not just anyone on its port, is silent."""
        answer = ask(self.bootstrap_servers, timeout=timeout)
        return answer.topics if answer and answer.cluster == self._state.cluster else None

    def wait(self, timeout: float = _ANSWER_SECONDS) -> None:
        """Wait until it answers.

        Raises:
            KafkaUnavailableError: Its process ended, or it is silent after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.topics(timeout=1.0) is None:
            if not self.is_running():
                raise KafkaUnavailableError(
                    f"the broker at {self.bootstrap_servers} ended before it answered; "
                    f"its log in {self._folder.root} says:\n{self._runner.output(self._state)}"
                )
            if time.monotonic() >= deadline:
                raise KafkaUnavailableError(
                    f"the broker at {self.bootstrap_servers} runs but does not answer after "
                    f"{timeout:.0f} s; see {self._folder.root}, or stop it: driftloop kafka down"
                )
            time.sleep(_POLL_SECONDS)

    def restart(self, *, grace: float = 20.0) -> None:
        """Stop it (kill it when `grace` is 0), start it on the same port and data, and wait."""
        self._runner.end(self._state, grace)
        self._runner.prepare(silent)
        self._launch(self._state.port, silent)

    def kill(self) -> None:
        """End its process by SIGKILL, as a crash would."""
        self._runner.end(self._state, grace=0.0)

    def stop(self, grace: float = 20.0) -> bool:
        """Stop it and keep its data; True when it ran."""
        return self._runner.end(self._state, grace)

    def purge(self) -> None:
        """Stop it and remove its data and files."""
        self._runner.end(self._state, grace=5.0)
        self._runner.remove(self._state)
        shutil.rmtree(self._folder.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self, port: int | None, report: Callable[[str], None]) -> None:
        """Start the process; where another one was quicker to take a port, with other ports."""
        for attempt in range(_PORT_TRIES):
            last = self._state
            self._state = self._with_ports(port, fresh=attempt > 0)
            if last.container and self._state.port != last.port:
                # What Docker published is fixed: another port needs another container.
                report("Its port is taken by another program: its container is made anew, empty")
                self._runner.remove(last)
                self._state = msgspec.structs.replace(self._state, container="")
            report(f"Starting Kafka at {self.bootstrap_servers} ({self._state.how})")
            try:
                self._state = self._runner.launch(self._state)
                self._folder.write(self._state)
                self.wait()
            except KafkaUnavailableError as error:
                self._runner.end(self._state, grace=0.0)
                if not _port_was_taken(str(error)) or attempt + 1 == _PORT_TRIES:
                    raise
            except BaseException:  # Ctrl-C too: what was started is ended
                self._runner.end(self._state, grace=0.0)
                raise
            else:
                return

    def _with_ports(self, port: int | None, *, fresh: bool) -> BrokerState:
        """Choose ports: the wanted one, else those of last time, else free ones."""
        if port is not None and not is_free(port):
            raise KafkaUnavailableError(f"port {port} of 127.0.0.1 is taken by another program")
        had = (0, 0) if fresh else (self._state.port, self._state.controller_port)
        chosen = port or (had[0] if had[0] and is_free(had[0]) else free_ports(1)[0])
        controller = had[1]
        while not controller or controller == chosen or not is_free(controller):
            controller = free_ports(1)[0]
        return msgspec.structs.replace(self._state, port=chosen, controller_port=controller)


def _runner(how: str, folder: BrokerFolder, *, tied: bool = False) -> Runner:
    if how == "docker":
        return DockerRunner()
    if how == "java":
        return JavaRunner(folder, tied=tied)
    raise KafkaUnavailableError(f"a local Kafka is run by 'java' or 'docker', not by {how!r}")


def _port_was_taken(message: str) -> bool:
    said = message.lower()
    signs = ("address already in use", "port is already allocated", "failed to bind")
    return any(sign in said for sign in signs)
