"""Training on a CUDA device, beside the CPU. Skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from driftloop.models.artifact import Weights
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import BINARY, CPU, LINEAR, REGRESSOR, TCN, make_job
from tests.unit.trainer.test_precision import SPECS, TOLERANCE, mean_loss

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

CUDA = torch.device("cuda")
MATES = 0.01
"""Largest difference of a weight, in standard deviations of its array, that the other models of a
stack may make: libraries choose the order of their sums by the size of the stack."""


def distance(one: Weights, other: Weights) -> float:
    return max(
        float(np.abs(one[name] - other[name]).max() / (other[name].std() + 1e-3)) for name in other
    )


@pytest.mark.parametrize("spec", [LINEAR, REGRESSOR, BINARY, TCN], ids=lambda one: str(one.kind))
def test_weights_hardly_depend_on_the_others_of_a_stack(spec: object) -> None:
    jobs = [make_job(number, spec, 600, 10) for number in range(24)]
    together = fit(jobs, CUDA)
    for number in (0, 11, 23):
        (alone,) = fit([jobs[number]], CUDA)
        assert distance(alone.weights, together[number].weights) < MATES


def test_a_linear_model_is_that_of_the_cpu() -> None:
    jobs = [make_job(number, LINEAR, 600, 10) for number in range(8)]
    for there, here in zip(fit(jobs, CUDA), fit(jobs, CPU), strict=True):
        assert distance(there.weights, here.weights) < 1e-6


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_models_lose_no_more_than_those_of_the_cpu(name: str, precision: str) -> None:
    assert mean_loss(name, precision, CUDA) < (1.0 + TOLERANCE) * mean_loss(name, "float32")


def test_a_stack_that_finds_no_memory_is_halved() -> None:
    jobs = [make_job(number, REGRESSOR, 2000, 10) for number in range(64)]
    free, _ = torch.cuda.mem_get_info(CUDA)
    held = torch.empty(max(free - 2**28, 0), dtype=torch.uint8, device=CUDA)
    try:
        found = fit(jobs, CUDA, memory="64GiB")
    finally:
        del held
        torch.cuda.empty_cache()
    assert len(found) == len(jobs)
