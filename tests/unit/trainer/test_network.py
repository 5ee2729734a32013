"""A TCN against torch's own layers and optimizer, one model at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from driftloop.models.artifact import Weights
from driftloop.models.predict import forward
from driftloop.trainer.job import Job, Spec, padded, target_of, validation_records
from driftloop.trainer.network import Network
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import CPU, TCN, artifact_of, make_job

DEEP = dataclasses.replace(TCN, lags=12, channels=20, hidden=(17, 5))
SPECS = {
    "two": TCN,
    "three": DEEP,
    "one": dataclasses.replace(TCN, lags=3),
    "headless": dataclasses.replace(TCN, hidden=()),
}


class Reference(nn.Module):
    """Dilated causal convolutions over the whole sequence, of which the newest place is read."""

    def __init__(self, spec: Spec, weights: Weights) -> None:
        super().__init__()
        self.lags = spec.lags
        self.convolutions, self.dense = nn.ModuleList(), nn.ModuleList()
        for i in range(sum(name.startswith("conv.weight") for name in weights)):
            weight = torch.from_numpy(weights[f"conv.weight.{i}"])
            inputs, outputs = weight.shape[0] // 3, weight.shape[1]
            layer = nn.Conv1d(inputs, outputs, 3, dilation=3**i)
            layer.weight.data = weight.reshape(3, inputs, outputs).permute(2, 1, 0).clone()
            layer.bias.data = torch.from_numpy(weights[f"conv.bias.{i}"]).clone()
            self.convolutions.append(layer)
        for i in range(sum(name.startswith("weight") for name in weights)):
            weight = torch.from_numpy(weights[f"weight.{i}"])
            dense = nn.Linear(*weight.shape)
            dense.weight.data = weight.T.clone()
            dense.bias.data = torch.from_numpy(weights[f"bias.{i}"]).clone()
            self.dense.append(dense)

    def forward(self, x: Tensor) -> Tensor:
        before = 3 ** len(self.convolutions) - self.lags
        value = functional.pad(x[:, None, : self.lags], (before, 0))  # (records, 1, places)
        for layer in self.convolutions:
            value = torch.relu(layer(value))
        value = torch.cat([value[:, :, -1], x[:, self.lags :]], dim=1)
        for i, layer in enumerate(self.dense):
            value = torch.relu(value) if i else value
            value = layer(value)
        return value.squeeze(1)

    def penalty(self) -> Tensor:
        return sum(
            (layer.weight.square().sum() for layer in (*self.convolutions, *self.dense)),
            torch.zeros(()),
        )

    def slopes(self) -> Weights:
        """The gradient, by the names of the weights."""
        found: Weights = {}
        for i, layer in enumerate(self.convolutions):
            value = layer.weight.grad.permute(2, 1, 0)
            found[f"conv.weight.{i}"] = value.reshape(-1, value.shape[2]).numpy()
            found[f"conv.bias.{i}"] = layer.bias.grad.numpy()
        for i, layer in enumerate(self.dense):
            found[f"weight.{i}"] = layer.weight.grad.T.numpy()
            found[f"bias.{i}"] = layer.bias.grad.numpy()
        return found


def _first(spec: Spec, job: Job) -> Weights:
    """The weights that a training of the job starts from."""
    width = job.inputs.shape[1]
    network = Network(spec, padded(width))
    return network.unpack(network.first(width, np.random.default_rng(job.seed)), width)


def _singles(values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("name", SPECS)
def test_the_gradient_is_that_of_autograd_through_torchs_layers(name: str) -> None:
    spec = SPECS[name]
    for number, width in ((1, 14), (2, max(spec.lags, 5))):
        job = make_job(number, spec, 32, width)
        x, y = torch.from_numpy(job.inputs), torch.from_numpy(job.labels - 40.0)
        model = Reference(spec, _first(spec, job)).double()
        residual = model(x) - y
        (0.5 * residual.square().sum()).backward()
        network = Network(spec, padded(width))
        flat = network.first(width, np.random.default_rng(job.seed)).astype(np.float64)
        gradient = np.zeros_like(flat)
        views, slopes = (network.views(torch.from_numpy(one[None])) for one in (flat, gradient))
        values = network.forward(functional.pad(x, (0, padded(width) - width))[None], views)
        network.backward(values, residual.detach()[None, None, :], views, slopes)
        assert torch.allclose(values[-1][0, 0], model(x), rtol=1e-9)
        found = network.unpack(gradient, width)
        for key, value in model.slopes().items():
            assert np.abs(value).max() > 0.0, key
            assert np.allclose(found[key], value, rtol=1e-9, atol=1e-9), key


@pytest.mark.parametrize("hidden", [(), (9,), (20, 7), (6, 5, 4)])
@pytest.mark.parametrize("outputs", [1, 3])
def test_slopes_of_a_perceptron_are_those_of_autograd(
    hidden: tuple[int, ...], outputs: int
) -> None:
    spec = Spec("mlp_regressor", "regression", outputs=outputs, hidden=hidden)
    network = Network(spec, 16)
    flat = np.stack([network.first(11, np.random.default_rng(seed)) for seed in (1, 2, 3)])
    generator = torch.Generator().manual_seed(1)
    x = functional.pad(torch.randn(3, 50, 11, generator=generator, dtype=torch.float64), (0, 5))
    delta = torch.randn(3, outputs, 50, generator=generator, dtype=torch.float64)
    leaf = torch.from_numpy(flat).double().requires_grad_()
    value = x
    for i, (weight, bias) in enumerate(network.views(leaf)):
        value = torch.relu(value) if i else value
        value = value @ weight.mT + bias.mT
    (value * delta.mT).sum().backward()

    found = torch.zeros_like(leaf, requires_grad=False)
    views, slopes = network.views(leaf.detach()), network.views(found)
    values = network.forward(x, views)
    assert torch.allclose(values[-1].mT, value, rtol=1e-9)
    network.backward(values, delta.clone(), views, slopes)
    assert leaf.grad.abs().max() > 0.1
    assert torch.allclose(found, leaf.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SPECS)
def test_steps_are_those_of_torchs_adam_one_model_at_a_time(name: str) -> None:
    """One step an epoch, of all records, so that no order matters."""
    spec = dataclasses.replace(SPECS[name], batch_records=4096, epochs=8, learning_rate=0.002)
    sizes = ((1, spec.lags), (2, spec.lags + 1), (3, spec.lags + 14))
    jobs = [make_job(number, spec, 75, width) for number, width in sizes]
    found = fit(jobs, CPU)
    assert max(fitted.epochs for fitted in found) > 3
    for job, fitted in zip(jobs, found, strict=True):
        count = len(job.labels) - validation_records(len(job.labels))
        assert count == 64  # each record as often as every other in the bucket of 128
        mean, deviation = target_of(spec, job.labels)
        x, y = _singles(job.inputs), _singles((job.labels - mean) / deviation)
        model = Reference(spec, _first(spec, job))
        adam = torch.optim.Adam(model.parameters(), lr=spec.learning_rate)
        for _ in range(fitted.epochs):
            adam.zero_grad()
            loss = 0.5 * (model(x[:count]) - y[:count]).square().mean()
            (loss + 0.5 * spec.l2 / count * model.penalty()).backward()
            adam.step()
        with torch.no_grad():
            expected, got = model(x), Reference(spec, fitted.weights)(x)
        # Where a slope is almost nothing, Adam's first steps follow its sign, which may be noise.
        assert torch.allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("name", SPECS)
def test_numpy_predicts_what_torch_computes(name: str) -> None:
    spec = SPECS[name]
    job = make_job(5, spec, 200, 15)
    fitted = fit([job], CPU)[0]
    artifact = artifact_of(job, fitted)
    with torch.no_grad():
        expected = Reference(spec, fitted.weights)(_singles(job.inputs)).numpy()
    got = forward(artifact, job.inputs)[:, 0]
    assert np.allclose(got, expected, atol=1e-5, rtol=1e-5)


def test_a_prediction_has_the_same_bits_alone_and_among_others() -> None:
    for spec in (TCN, DEEP):
        job = make_job(6, spec, 100, 14)
        artifact = artifact_of(job, fit([job], CPU)[0])
        together = forward(artifact, job.inputs)
        for size in (1, 2, 3, 5, 17, 64):
            for first in range(0, 100 - size, 13):
                part = forward(artifact, job.inputs[first : first + size])
                assert part.tobytes() == together[first : first + size].tobytes()


def test_padded_channels_stay_out_of_the_weights() -> None:
    fitted = fit([make_job(2, DEEP, 100, 14)], CPU)[0]
    shapes = {name: value.shape for name, value in fitted.weights.items()}
    assert shapes == {
        "conv.weight.0": (3, 20),
        "conv.bias.0": (20,),
        "conv.weight.1": (60, 20),
        "conv.bias.1": (20,),
        "conv.weight.2": (60, 20),
        "conv.bias.2": (20,),
        "weight.0": (20 + 14 - 12, 17),
        "bias.0": (17,),
        "weight.1": (17, 5),
        "bias.1": (5,),
        "weight.2": (5, 1),
        "bias.2": (1,),
    }
