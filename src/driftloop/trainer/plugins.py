"""Jobs of model plug-ins, each in a process of its own, so that one fails its own request only.

A job's process is forked from a clean server that has the shipped libraries loaded, so it begins
with nothing that another job left behind. From outside it is watched for its end, its time and its
memory; it is killed when it exceeds one of them, when the batch is given up, and it ends by itself
when the trainer dies. Nothing but our own values crosses between the processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import structlog

from driftloop.errors import TrainingError
from driftloop.models.artifact import ModelArtifact
from driftloop.models.contract import Inputs, TrainingJob
from driftloop.settings import TrainerSettings
from driftloop.settings.base import parse_size
from driftloop.settings.kinds import SHIPPED_KINDS
from driftloop.trainer import plugin_process as child
from driftloop.trainer.job import Check, Fitted

_LOOK_SECONDS = 0.05
_FAMILY_LOOKS = 20
"""Looks from one to the next that counts the processes that a plug-in started, too."""
_PRELOADED = {
    "sklearn": ("driftloop.models.plugins.sklearn", "skops.io"),
    "xgboost": ("driftloop.models.plugins.xgboost",),
}
_LOCK = threading.Lock()
"""multiprocessing asks for all of its processes when one starts: one thread at a time does."""
_log = structlog.get_logger(__name__)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PluginJob:
    """A job for a plug-in.

    Attributes:
        kind: The plug-in's name.
        job: What it is given.
    """

    kind: str
    job: TrainingJob

    @property
    def labels(self) -> Array:
        """(records,) numbers, or class indices."""
        return self.job.labels

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.job.seed


@dataclass(slots=True, eq=False)
class _Running:
    index: int
    kind: str
    process: Any
    results: Connection
    began: float = field(default_factory=time.monotonic)
    progress: float = 0.0
    looks: int = 0


class PluginPool:
    """Runs jobs of plug-ins, so many beside each other, each in a new process.

    Args:
        settings: How many, how long, and with how much memory.
        kinds: Kinds that the profiles name; the libraries of shipped ones are loaded once.

    Attributes:
        processes: How many run beside each other.
    """

    def __init__(self, settings: TrainerSettings, kinds: Sequence[str] = ()) -> None:
        self.processes = settings.plugin_processes or os.cpu_count() or 1
        self._seconds = settings.plugin_timeout.total_seconds()
        self._memory, self._most = parse_size(settings.plugin_memory), settings.plugin_memory
        self._context = multiprocessing.get_context("forkserver")
        extras = sorted({SHIPPED_KINDS[kind] for kind in kinds if kind in SHIPPED_KINDS})
        modules = [module for extra in extras for module in _PRELOADED[extra]]
        self._context.set_forkserver_preload([child.__name__, *_main_module(), *modules])

    def fit(self, jobs: Sequence[PluginJob], check: Check) -> list[Fitted | Exception]:
        """Train every job; where one fails its place has the reason.

        Args:
            jobs: Of any kinds.
            check: Called often; what it raises ends all processes.
        """
        calls = [(one.kind, child.fit, (one.kind, one.job)) for one in jobs]
        return [
            one if isinstance(one, Exception) else Fitted(**one) for one in self._run(calls, check)
        ]

    def predict(self, artifact: ModelArtifact, inputs: Inputs, check: Check) -> Array:
        """Predict with a plug-in's artifact.

        Raises:
            TrainingError: As `fit` gives it.
        """
        (found,) = self._run([(artifact.kind, child.predict_all, (artifact, inputs))], check)
        if isinstance(found, Exception):
            raise found
        predictions: Array = found
        return predictions

    def _run(
        self, calls: Sequence[tuple[str, Callable[..., Any], tuple[Any, ...]]], check: Check
    ) -> list[Any]:
        found: list[Any] = [None] * len(calls)
        waiting = deque(enumerate(calls))
        running: list[_Running] = []
        try:
            while waiting or running:
                check()
                while waiting and len(running) < self.processes:
                    index, (kind, function, arguments) = waiting.popleft()
                    running.append(self._start(index, kind, function, arguments))
                wait(
                    [part for one in running for part in (one.results, one.process.sentinel)],
                    _LOOK_SECONDS,
                )
                for one in list(running):
                    ended = self._look(one)
                    if ended is not None:
                        found[one.index] = ended[0]
                        running.remove(one)
                        _end(one)
        finally:
            for one in running:
                _end(one)
        return found

    def _start(
        self, index: int, kind: str, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> _Running:
        results, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=child.main, args=(theirs, function, arguments), name=f"driftloop-{kind}"
        )
        with _LOCK:
            process.start()
        theirs.close()
        return _Running(index, kind, process, results)

    def _look(self, one: _Running) -> tuple[Any] | None:
        """What a job ended with, or None while it goes on."""
        with _LOCK:
            alive = one.process.is_alive()  # asked first: what it said last is read below
        try:
            while one.results.poll():
                told = one.results.recv()
                if isinstance(told, child.Answer):
                    return (self._value(one, told),)
                one.progress = told
        except (EOFError, OSError):
            return (self._died(one),)
        if not alive:
            return (self._died(one),)
        if time.monotonic() - one.began > self._seconds:
            return (self._late(one),)
        one.looks += 1
        used = _memory(one.process.pid, family=one.looks % _FAMILY_LOOKS == 0)
        if used > self._memory:
            return (self._fat(one, used),)
        return None

    def _value(self, one: _Running, told: child.Answer) -> Any:
        if told.outcome == "done":
            return told.value
        if told.outcome == "memory":
            return self._fat(one, None)
        _log.error("trainer.plugin_raised", kind=one.kind, error=told.error, trace=told.trace)
        return TrainingError(
            "plugin-raised",
            f"model kind {one.kind!r} raised {told.error}; the trainer's log has the traceback",
        )

    def _died(self, one: _Running) -> TrainingError:
        with _LOCK:
            one.process.join(5.0)
            code = one.process.exitcode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit status {code}"
        hint = ", as the system does when memory runs out" if code == -9 else ""
        return TrainingError(
            "plugin-died", f"the process of model kind {one.kind!r} ended {how}{hint}"
        )

    def _late(self, one: _Running) -> TrainingError:
        return TrainingError(
            "plugin-timeout",
            f"model kind {one.kind!r} was ended after {self._seconds:g} s, "
            f"{one.progress:.0%} of its work done by its own account: raise "
            "trainer.plugin_timeout, or give it less to do",
        )

    def _fat(self, one: _Running, used: int | None) -> TrainingError:
        told = f"took {used / 2**20:.0f} MiB" if used else "could get no more memory"
        return TrainingError(
            "plugin-memory",
            f"model kind {one.kind!r} {told}, trainer.plugin_memory is "
            f"{self._most}: raise it, or give the kind less to do",
        )


def _main_module() -> list[str]:
    """The program's own module, which each process would otherwise import anew."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = "driftloop.cli.app"  # what the installed command runs
    return [*([spec.name] if spec else []), *([program] if program in sys.modules else [])]


def _memory(pid: int | None, *, family: bool) -> int:
    """Resident bytes of a process, and of those that it started; 0 when it has ended."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *(process.children(recursive=True) if family else ())):
            total += int(one.memory_info().rss)
    return total


def _end(one: _Running) -> None:
    """End a job's process and its group: those that it started, too."""
    with _LOCK:
        one.process.kill()  # which may not have made its group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.join()
        one.process.close()
    one.results.close()
