"""Training jobs: grouped by what they share, stacked, and trained a whole group at once.

The same job gives the same weights whoever shares its stack, bit for bit on a CPU: everything is
padded by a function of the job alone, no sum runs over two models, and each stack is computed by
one thread. Several stacks are computed beside each other. On CUDA a library chooses the order of
its sums by the size of the stack: by how little weights may differ there is what
`tests/unit/trainer/test_cuda.py` asks of a device, where there is one.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog
import torch
from torch import Tensor

from driftloop.errors import Fault, SettingsError
from driftloop.models.artifact import Weights
from driftloop.trainer import linear, mlp
from driftloop.trainer.job import (
    Check,
    Fitted,
    Job,
    Spec,
    padded,
    target_of,
    validation_records,
)
from driftloop.trainer.memory import budget, host_models, is_refusal, need, needs, too_large
from driftloop.trainer.walk import RUN

_CPU_MODELS = 32
"""Models of a stack on a CPU, at most: their values of one step just stay in its cache."""
_CPU_FEW = 16
"""Fewer are not parted for the sake of a core that has nothing to do: the calls would cost it."""
_log = structlog.get_logger(__name__)


def device_of(setting: str) -> torch.device:
    """The device for ``trainer.device``: ``auto`` takes CUDA where there is one.

    Raises:
        SettingsError: A CUDA device is asked for that is not there.
    """
    if setting == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(setting)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        rule = f"a device that is there ({torch.cuda.device_count()} CUDA devices)"
        raise SettingsError([Fault("trainer.device", repr(setting), rule, "use 'auto' or 'cpu'")])
    return device


def fit(
    jobs: Sequence[Job],
    device: torch.device,
    check: Check = lambda: None,
    *,
    memory: str = "auto",
) -> list[Fitted]:
    """Train every job.

    Args:
        jobs: Of any kinds and shapes.
        device: Where.
        check: Called often, from several threads; what it raises ends the training.
        memory: As ``trainer.memory``: what all stacks together may take.

    Returns:
        One result a job, in their order. Weights may be non-finite when a job diverged.

    Raises:
        TrainingError: ``out-of-memory``: a job does not fit, not even alone.
    """
    results = []
    for found in fit_each(jobs, device, check, memory=memory):
        if isinstance(found, Exception):
            raise found
        results.append(found)
    return results


def fit_each(
    jobs: Sequence[Job],
    device: torch.device,
    check: Check = lambda: None,
    *,
    memory: str = "auto",
) -> list[Fitted | Exception]:
    """As `fit`, but where a stack fails its jobs get the exception and the others go on.

    A stack that finds no memory is halved, down to single jobs; these are tried again when nothing
    else is trained beside them.
    """
    if not jobs:
        return []
    workers = 1 if device.type == "cuda" else min(_processors(), len(jobs))
    most = budget(memory, device)
    alone = [i for i, job in enumerate(jobs) if needs(job) > most // workers]
    chosen = sorted({*range(len(jobs))} - {*alone})
    stacks = _stacks(jobs, chosen, device, most // workers, workers)
    results: dict[int, Fitted | Exception] = {}
    with _one_thread(device):
        with ThreadPoolExecutor(workers, "driftloop-fit") as pool:
            futures = [pool.submit(_fit_some, jobs, one, device, check) for one in stacks]
        for future in futures:
            results.update(future.result())
        alone += [i for i, found in results.items() if _refused(found)]
        for i in alone:
            fits = needs(jobs[i]) <= most
            found = _fit_some(jobs, [i], device, check)[i] if fits else None
            results[i] = too_large(jobs[i], most) if found is None or _refused(found) else found
    return [results[i] for i in range(len(jobs))]


def _stacks(
    jobs: Sequence[Job], chosen: Sequence[int], device: torch.device, most: int, workers: int
) -> list[list[int]]:
    """Which jobs are stacked, in `most` bytes; the largest first, for they decide the end."""
    groups: dict[tuple[Spec, tuple[int, int]], list[int]] = defaultdict(list)
    for i in chosen:
        groups[jobs[i].spec, jobs[i].shape].append(i)
    stacks = []
    for (spec, shape), members in groups.items():
        width = max(1, most // need(spec, shape))
        if device.type == "cpu":
            width = min(width, _CPU_MODELS, max(_CPU_FEW, -(-len(members) // workers)))
        else:
            width = min(width, host_models(spec, shape))
        stacks += [members[first : first + width] for first in range(0, len(members), width)]
    return sorted(stacks, key=lambda one: -jobs[one[0]].shape[0] * len(one))


def _fit_some(
    jobs: Sequence[Job], members: list[int], device: torch.device, check: Check
) -> dict[int, Fitted | Exception]:
    """Train a stack, or its halves where there is no memory for the whole."""
    try:
        found = fit_stack(jobs[members[0]].spec, [jobs[i] for i in members], device, check)
        return dict(zip(members, found, strict=True))
    except Exception as error:  # noqa: BLE001  # told to whoever asked for these jobs
        if not is_refusal(error) or len(members) == 1:
            return dict.fromkeys(members, error.with_traceback(None))
    # The error is gone by now, and what its frames held with it.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    _log.warning("trainer.stack_halved", models=len(members), device=str(device))
    half = len(members) // 2
    return {
        **_fit_some(jobs, members[:half], device, check),
        **_fit_some(jobs, members[half:], device, check),
    }


def _refused(found: Fitted | Exception) -> bool:
    return isinstance(found, Exception) and is_refusal(found)


def fit_stack(
    spec: Spec, jobs: Sequence[Job], device: torch.device, check: Check = lambda: None
) -> list[Fitted]:
    """Train jobs of one spec and one padded shape as one stack, on the calling thread."""
    began = time.perf_counter()
    check()
    # With one model the libraries take other paths, with other roundings.
    doubled = [*jobs, jobs[0]] if len(jobs) == 1 else list(jobs)
    targets = [target_of(spec, job.labels) for job in doubled]
    with torch.inference_mode():
        trainer = _fit_linear if spec.kind == "linear" else _fit_mlp
        found = trainer(spec, doubled, targets, device, check)
    seconds = (time.perf_counter() - began) / len(jobs)
    return [
        Fitted(weights=weights, target=target, epochs=epochs, seconds=seconds)
        for (weights, epochs), target, _ in zip(found, targets, jobs, strict=False)
    ]


def _fit_linear(
    spec: Spec,
    jobs: Sequence[Job],
    targets: Sequence[tuple[float, float]],
    device: torch.device,
    check: Check,
) -> list[tuple[Weights, int]]:
    records, width = jobs[0].shape
    x = np.zeros((len(jobs), records, width))
    y = np.zeros((len(jobs), records))
    mask = np.zeros((len(jobs), records))
    widths = [job.inputs.shape[1] for job in jobs]
    for i, (job, (mean, deviation)) in enumerate(zip(jobs, targets, strict=True)):
        count = len(job.inputs)
        x[i, :count, : widths[i]] = job.inputs
        x[i, :count, widths[i]] = 1.0
        y[i, :count] = (job.labels - mean) / deviation
        mask[i, :count] = 1.0
    solved = linear.solve(spec, _to(x, device), _to(y, device), _to(mask, device), widths, check)
    values = solved.cpu().numpy()  # (models, features, outputs)
    return [
        ({"weight.0": values[i, :w].copy(), "bias.0": values[i, w].copy()}, 0)
        for i, w in enumerate(widths)
    ]


def _fit_mlp(
    spec: Spec,
    jobs: Sequence[Job],
    targets: Sequence[tuple[float, float]],
    device: torch.device,
    check: Check,
) -> list[tuple[Weights, int]]:
    size, room = jobs[0].shape[0], mlp.validation_bucket(jobs[0].shape[0])
    width = padded(max(job.inputs.shape[1] for job in jobs))
    models = len(jobs)
    x = np.zeros((models, size, width), np.float32)
    y = np.zeros((models, size), np.float32)
    x_check = np.zeros((models, room, width), np.float32)
    y_check, mask_check = np.zeros((2, models, room), np.float32)
    counts = np.zeros(models, np.int64)
    for i, (job, (mean, deviation)) in enumerate(zip(jobs, targets, strict=True)):
        labels = (job.labels - mean) / deviation
        held = validation_records(len(labels))
        count = len(labels) - held
        # The walk through the records is regular, so their places are drawn once.
        order = np.random.default_rng([job.seed, 1]).permutation(count)
        order = np.resize(order, -(-count // RUN) * RUN)  # begins anew at its end
        inputs = job.inputs[:count].astype(np.float32)
        x[i, : len(order), : inputs.shape[1]] = inputs.take(order, axis=0)
        y[i, : len(order)] = labels[order]
        x_check[i, :held, : job.inputs.shape[1]] = job.inputs[count:]
        y_check[i, :held] = labels[count:]
        mask_check[i, :held] = 1.0
        counts[i] = count
    stack = mlp.Stack(
        x=_to(x, device),
        y=_to(y, device),
        counts=_to(counts, device),
        x_check=_to(x_check, device),
        y_check=_to(y_check, device),
        mask_check=_to(mask_check, device),
        widths=[job.inputs.shape[1] for job in jobs],
        seeds=[job.seed for job in jobs],
        first=[job.first for job in jobs],
    )
    return mlp.train(spec, stack, check)


def _to(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, let each operation run on the thread that calls it.

    How an operation is split among threads depends on the size of the whole stack, and the ends of
    the pieces round otherwise than their middles.
    """
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["device_of", "fit", "fit_stack"]
