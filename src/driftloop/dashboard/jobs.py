"""What takes longer than a page may: in threads, a few at a time, with progress."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog

from driftloop.errors import DriftloopError

KEPT = 64
"""Jobs whose answer is remembered."""

WAITING = 20
"""Jobs that may be under way or wait; a further one fails at once."""

_log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Job:
    """A task and what came of it.

    Attributes:
        name: What it is known by.
        done: Steps done, for a bar.
        total: Steps in all; 0 while unknown.
        answer: What it came to, once it is over.
        fault: Why it failed, in words; empty otherwise.
        over: Whether it has ended.
        stop: Set where it is to end early.
    """

    name: str
    done: int = 0
    total: int = 0
    answer: Any = None
    fault: str = ""
    over: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


class Jobs:
    """Runs tasks in threads.

    Args:
        workers: Tasks at a time.
    """

    def __init__(self, workers: int = 2) -> None:
        self._pool = ThreadPoolExecutor(workers, "job")
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Job | None:
        """A job that was begun, if it is remembered."""
        with self._lock:
            return self._jobs.get(name)

    def all(self) -> list[Job]:
        """Those that are remembered, newest first."""
        with self._lock:
            return list(self._jobs.values())[::-1]

    def begin(self, name: str, task: Callable[[Job], Any], *, again: bool = False) -> Job:
        """Begin a task, or find the one of that name.

        Args:
            name: What it is known by.
            task: Gives the answer; what it raises of ours is the fault.
            again: Begin anew where one of that name is over.
        """
        with self._lock:
            known = self._jobs.get(name)
            if known is not None and not (again and known.over):
                return known
            if sum(not one.over for one in self._jobs.values()) >= WAITING:
                return Job(name, over=True, fault="too much is under way; try again later")
            job = Job(name)
            self._jobs[name] = job
            self._jobs.move_to_end(name)
            over = [one for one in self._jobs.values() if one.over]
            for one in over[: max(0, len(self._jobs) - KEPT)]:
                del self._jobs[one.name]
        self._pool.submit(self._run, job, task)
        return job

    def close(self) -> None:
        """End: what has not begun never does, and what runs is asked to stop."""
        with self._lock:
            for job in self._jobs.values():
                job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, task: Callable[[Job], Any]) -> None:
        try:
            job.answer = task(job)
        except DriftloopError as error:
            job.fault = str(error)
        except Exception as error:  # noqa: BLE001  # a page tells it, and the others go on
            _log.exception("dashboard.job_failed", job=job.name)
            job.fault = f"it failed: {error}"
        finally:
            job.over = True
