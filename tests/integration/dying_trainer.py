"""A trainer that kills itself at a named step, as a process of its own: `STEP CONFIGURATION`."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from confluent_kafka import KafkaException, Producer

from driftloop.logs import configure
from driftloop.models import ModelStore
from driftloop.settings import load_settings
from driftloop.trainer import publish, work
from driftloop.trainer.job import Check, Job
from driftloop.trainer.service import TrainerService

_EPOCHS = 5
"""Calls of the training's check before it dies."""


def die() -> None:
    """End at once, as by ``kill -9``: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: Any, name: str) -> None:
    """Die once a function has returned for the first time."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        die()

    setattr(owner, name, call)


def _in_training() -> None:
    original = work.fit_each

    def fit_each(
        jobs: Sequence[Job], device: torch.device, check: Check, *, memory: str = "auto"
    ) -> list[Any]:
        calls = 0

        def counted() -> None:
            nonlocal calls
            calls += 1
            if calls > _EPOCHS:
                die()
            check()

        return original(jobs, device, counted, memory=memory)

    work.fit_each = fit_each


def _in_store() -> None:
    """Before the files, written aside, get their place."""
    Path.rename = lambda *_: die()  # type: ignore[method-assign, assignment, return-value]


class _Dying(Producer):
    """A producer that dies at its first commit; all that the transaction has is at the broker."""

    def commit_transaction(self, timeout: float) -> None:
        self.flush(timeout)
        if _Dying.step == "in-commit":  # asked for; the answer is not awaited
            with suppress(KafkaException):
                super().commit_transaction(0.001)
        elif _Dying.step == "after-commit":
            super().commit_transaction(timeout)
        die()

    step = ""


def _at_commit(step: str) -> None:
    _Dying.step = step
    publish.Producer = _Dying  # type: ignore[misc]


STEPS: dict[str, Callable[[], None]] = {
    "after-load": lambda: _after(work.Trainer, "_load"),
    "in-training": _in_training,
    "in-store": _in_store,
    "after-store": lambda: _after(ModelStore, "save"),
    "before-commit": lambda: _at_commit("before-commit"),
    "in-commit": lambda: _at_commit("in-commit"),
    "after-commit": lambda: _at_commit("after-commit"),
}


def main(step: str, configuration: str) -> None:
    """Serve until the step comes."""
    configure()
    STEPS[step]()
    TrainerService(load_settings(configuration), once=True).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
