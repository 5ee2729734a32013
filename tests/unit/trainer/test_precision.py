"""Matrix products of fewer bits: the loss hardly suffers, and the weights stay float32."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from driftloop.settings import Profile
from driftloop.statistics.losses import compute
from driftloop.trainer import mlp
from driftloop.trainer.dataset import spec_of
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import BINARY, CPU, REGRESSOR, TCN, make_job, predicted

LONG = {"epochs": 120, "patience": 25}
SPECS = {
    "regressor": dataclasses.replace(REGRESSOR, **LONG),
    "binary": dataclasses.replace(BINARY, **LONG),
    "tcn": dataclasses.replace(TCN, **LONG),
}
MODELS = 48
TOLERANCE = 0.06
"""Of the mean loss over models, relative to that of float32. Over 64 models it was 0.9 ± 1.2 % for
the regressor, 0.3 ± 0.7 % for the binary classifier, and -0.2 ± 3.0 % for the TCN."""


def mean_loss(name: str, precision: str, device: torch.device = CPU) -> float:
    """Mean loss of the models on records that they did not see."""
    spec = dataclasses.replace(SPECS[name], precision=precision)
    wholes = [make_job(number, spec, 3000, 8) for number in range(MODELS)]
    jobs, tests = (
        [dataclasses.replace(one, inputs=one.inputs[part], labels=one.labels[part])
         for one in wholes]
        for part in (slice(1500), slice(1500, None))
    )  # fmt: skip
    loss = "log_loss" if spec.task == "binary" else "squared"
    return float(
        np.mean([
            compute(loss, test.labels, predicted(test, fitted)).mean()
            for test, fitted in zip(tests, fit(jobs, device), strict=True)
        ])
    )  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_bf16_products_train_to_the_loss_of_float32(name: str) -> None:
    exact, rough = mean_loss(name, "float32"), mean_loss(name, "bf16")
    assert exact != rough  # it is another computation
    assert rough < (1.0 + TOLERANCE) * exact


def test_products_are_rounded_to_bf16_and_weights_are_not() -> None:
    """Within `_products` a product is bf16's; the trained weights have float32's bits."""
    x = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1))
    with mlp._products("bf16", CPU):
        assert torch.bmm(x, x).dtype == torch.bfloat16
    with mlp._products("float32", CPU):
        assert torch.bmm(x, x).dtype == torch.float32
    spec = dataclasses.replace(REGRESSOR, precision="bf16", epochs=5)
    for value in fit([make_job(1, spec)], CPU)[0].weights.values():
        assert value.dtype == np.float32
        rounded = torch.from_numpy(value).to(torch.bfloat16).to(torch.float32)
        assert not torch.equal(torch.from_numpy(value), rounded)


def test_tf32_is_float32_on_a_cpu() -> None:
    found = [
        fit([make_job(2, dataclasses.replace(TCN, precision=precision))], CPU)[0].weights
        for precision in ("float32", "tf32")
    ]
    assert all(np.array_equal(found[0][key], found[1][key]) for key in found[0])
    assert torch.backends.cuda.matmul.allow_tf32 is False


def test_linear_models_are_always_solved_in_full() -> None:
    profile = Profile()
    assert spec_of(profile, "bf16") == spec_of(profile, "float32")
    assert spec_of(Profile.model_validate({"model": {"kind": "mlp_regressor"}}), "bf16") != spec_of(
        Profile.model_validate({"model": {"kind": "mlp_regressor"}}), "float32"
    )
