"""The inside of a plug-in's process: one call, one answer."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import msgspec
import numpy as np

from driftloop.models.artifact import ModelArtifact
from driftloop.models.contract import Inputs, Progress, TrainingJob
from driftloop.models.encoding import Encoding
from driftloop.models.formats import FORMATS
from driftloop.models.payload import Payload, plugin_of
from driftloop.models.predict import predict


class Answer(NamedTuple):
    """How a call ended.

    Attributes:
        outcome: ``done``, ``raised`` or ``memory``.
        value: What it returned.
        error: What it raised, in words.
        trace: The traceback.
    """

    outcome: str
    value: Any = None
    error: str = ""
    trace: str = ""


def main(results: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call, and send an `Answer`; progress goes before it as numbers."""
    os.setpgid(0, 0)  # one group with all that the plug-in starts, and apart from Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = Answer("done", function(*arguments, results.send))
    except MemoryError:
        answer = Answer("memory")
    except BaseException as error:  # noqa: BLE001  # told to the trainer, whatever it is
        words = " ".join(str(error).split())
        answer = Answer("raised", None, f"{type(error).__name__}: {words}", traceback.format_exc())
    results.send(answer)
    results.close()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)


def fit(kind: str, job: TrainingJob, progress: Progress) -> dict[str, Any]:
    """Train one job; the fields of `driftloop.trainer.job.Fitted`.

    Raises:
        TypeError: The plug-in returned something else than one `FittedModel`, or facts that are no
            JSON.
    """
    began = time.perf_counter()
    plugin = plugin_of(kind)
    random.seed(job.seed)
    np.random.seed(job.seed % 2**32)  # noqa: NPY002  # for plug-ins that draw from the shared one
    found = plugin.fit([job], lambda share: progress(float(share)))
    if len(found) != 1 or not hasattr(found[0], "model"):
        raise TypeError("fit must return one FittedModel a job")
    facts: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(found[0].facts)))
    content = FORMATS[plugin.format].dump(found[0].model)
    return {
        "weights": {},
        "target": (0.0, 1.0),
        "epochs": 0,
        "seconds": time.perf_counter() - began,
        "encoding": found[0].encoding or Encoding.names_only(job.numeric, job.categorical),
        "payload": Payload(kind, plugin.format, content, facts),
    }


def predict_all(artifact: ModelArtifact, inputs: Inputs, progress: Progress) -> Any:  # noqa: ARG001
    """Predict with an artifact, as every reader of it does."""
    return predict(artifact, inputs.x, inputs.categories, inputs.ts)
