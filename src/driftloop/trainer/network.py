"""Networks of one shape, all at once: flat parameters, layers as views, gradients written out.

A layer is an affine map with ReLU behind it, but for the last. A multilayer perceptron is nothing
else. A TCN has causal convolutions with growing dilation before it (Bai, Kolter and Koltun,
*An empirical evaluation of generic convolutional and recurrent networks for sequence modeling*,
2018, without residual blocks; van den Oord et al., *WaveNet*, 2016). Of its outputs a forecast
reads the newest alone, and for that one a convolution of k taps and dilation kⁱ is a product with
k neighbours laid side by side: the sequence gets shorter by k with each layer. So it takes a step
of few batched matrix products, as a perceptron does; a recurrent net (GRU) would take one for each
lag, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from driftloop.models.artifact import Weights
from driftloop.models.context import TAPS, convolutions, span
from driftloop.trainer.job import Spec, padded

Views = list[tuple[Tensor, Tensor]]
"""Weight (models, outputs, inputs) and bias (models, outputs, 1) of each layer."""

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Layer:
    inputs: int  # padded
    outputs: int  # padded, but for the last layer
    weight: int  # first place in the flat parameters
    bias: int


class Network:
    """Shape and computation of the models of a stack.

    Args:
        spec: Kind and widths.
        features: Padded inputs of a model; the first `spec.lags` are its sequence, oldest first.

    Attributes:
        size: Places in the flat parameters of one model.
    """

    def __init__(self, spec: Spec, features: int) -> None:
        self._spec = spec
        self._convolutions = convolutions(spec.lags) if spec.lags else 0
        self._before = span(spec.lags) - spec.lags if spec.lags else 0  # zeros before the oldest
        channels = padded(spec.channels) if spec.lags else 0
        self._others = padded(features - spec.lags) if spec.lags else features
        self._layers: list[_Layer] = []
        self.size = 0
        for i in range(self._convolutions):
            self._add(TAPS * (channels if i else 1), channels)
        sizes = [channels + self._others, *(padded(width) for width in spec.hidden), spec.outputs]
        for inputs, outputs in pairwise(sizes):
            self._add(inputs, outputs)

    def _add(self, inputs: int, outputs: int) -> None:
        bias = self.size + inputs * outputs
        self._layers.append(_Layer(inputs, outputs, self.size, bias))
        self.size = bias + padded(outputs)

    @property
    def values(self) -> int:
        """How many values of a record its layers read and give, padding included."""
        places = span(self._spec.lags) if self._spec.lags else 0
        total = padded(self._spec.outputs)
        for i, one in enumerate(self._layers):
            rows = places // TAPS ** (i + 1) if i < self._convolutions else 1
            total += rows * one.inputs
        return total

    def views(self, flat: Tensor) -> Views:
        """The layers of flat parameters, (models, size)."""
        return [
            (
                flat[:, one.weight : one.bias].view(-1, one.outputs, one.inputs),
                flat[:, one.bias : one.bias + one.outputs].unsqueeze(2),
            )
            for one in self._layers
        ]

    def penalties(self, l2: float, device: torch.device) -> Tensor:
        """Penalty of each parameter, (size,): that of weights, and none of biases."""
        out = torch.zeros(self.size, device=device)
        for one in self._layers:
            out[one.weight : one.bias] = l2
        return out

    def _real(self, width: int) -> list[tuple[Places, int]]:
        """Of each layer of a model with so many features: rows that are inputs, and outputs."""
        spec = self._spec
        if not spec.lags:
            sizes = [width, *spec.hidden, spec.outputs]
            return [(np.arange(inputs), outputs) for inputs, outputs in pairwise(sizes)]
        channels = np.arange(spec.channels)
        across = np.arange(TAPS)[:, None] * padded(spec.channels)
        taps = [np.arange(TAPS), *[(across + channels).ravel()] * (self._convolutions - 1)]
        others = padded(spec.channels) + np.arange(width - spec.lags)
        rows = [*taps, np.concatenate([channels, others]), *map(np.arange, spec.hidden)]
        outputs = [spec.channels] * self._convolutions + [*spec.hidden, spec.outputs]
        return list(zip(rows, outputs, strict=True))

    @staticmethod
    def _block(flat: npt.NDArray[Any], layer: _Layer) -> npt.NDArray[Any]:
        """The weight of a layer in the flat parameters of one model, (inputs, outputs), a view."""
        return flat[layer.weight : layer.bias].reshape(layer.outputs, layer.inputs).T

    def first(self, width: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
        """Initial weights and biases, uniform within 1/sqrt(inputs), as torch's layers draw them.

        Adam moves each by about the learning rate a step: from He's larger weights, and from biases
        of zero, a regression needs up to twice as many epochs for the same loss. Padded units get
        none and, without a gradient, stay at zero.
        """
        flat = np.zeros(self.size, np.float32)
        for one, (rows, outputs) in zip(self._layers, self._real(width), strict=True):
            most = 1.0 / np.sqrt(max(len(rows), 1))
            block = self._block(flat, one)
            block[rows, :outputs] = generator.uniform(-most, most, (len(rows), outputs))
            flat[one.bias : one.bias + outputs] = generator.uniform(-most, most, outputs)
        return flat

    def pack(self, flat: npt.NDArray[np.float32], weights: Weights) -> None:
        """Write a perceptron's unpadded weights into their places; the padding is zero already."""
        for i, one in enumerate(self._layers):
            weight, bias = weights[f"weight.{i}"], weights[f"bias.{i}"]
            block = self._block(flat, one)
            block[: weight.shape[0], : weight.shape[1]] = weight
            flat[one.bias : one.bias + len(bias)] = bias

    def unpack(self, flat: npt.NDArray[np.float32], width: int) -> Weights:
        """Named weights of one model with so many features, without padding."""
        weights: Weights = {}
        for i, (one, (rows, outputs)) in enumerate(
            zip(self._layers, self._real(width), strict=True)
        ):
            conv = i < self._convolutions
            prefix, number = ("conv.", i) if conv else ("", i - self._convolutions)
            block = self._block(flat, one)
            weights[f"{prefix}weight.{number}"] = np.ascontiguousarray(block[rows, :outputs])
            weights[f"{prefix}bias.{number}"] = flat[one.bias : one.bias + outputs].copy()
        return weights

    def forward(self, x: Tensor, views: Views) -> list[Tensor]:
        """What each layer multiplies, and at the end the outputs, (models, outputs, records).

        Values of dense layers lie feature by feature, (models, features, records): so the product
        that gives a single output is one of a row, not of a column, which takes nine times as
        long, and sums over records run along the memory. Those of convolutions lie record by
        record, (models, records x places, taps x channels), neighbours side by side.

        Args:
            x: (models, records, features).
            views: Of the parameters.
        """
        value, values = x, []
        lags = self._spec.lags
        if lags:
            value = functional.pad(x[:, :, :lags], (self._before, 0))
            for weight, bias in views[: self._convolutions]:
                value = value.reshape(len(x), -1, weight.shape[2])
                values.append(value)
                value = torch.baddbmm(bias.mT, value, weight.mT).relu_()
            others = functional.pad(x[:, :, lags:], (0, self._others - x.shape[2] + lags))
            value = torch.cat([value, others.to(value.dtype)], dim=2)
        value = value.mT
        for i in range(self._convolutions, len(views)):
            values.append(value)
            weight, bias = views[i]
            value = torch.baddbmm(bias, weight, value)
            value = value.relu_() if i + 1 < len(views) else value
        return [*values, value]

    def backward(self, values: list[Tensor], delta: Tensor, views: Views, slopes: Views) -> None:
        """Write the gradient of a loss by the parameters.

        Args:
            values: From `forward`.
            delta: (models, outputs, records) gradient by the outputs. It and `values` are
                overwritten.
            views: Of the parameters.
            slopes: Of the gradient, likewise.
        """
        open_ = len(views)  # layers whose slopes are still to be written
        if delta.shape[1] == 1 and open_ - 2 >= self._convolutions:
            open_ -= 2
            delta = _last_two(values[open_:], delta, views[open_:], slopes[open_:])
            if open_:
                weight = views[open_][0] * views[open_ + 1][0].mT
                delta = self._below(open_, weight, delta, values[open_])
        for i in reversed(range(self._convolutions, open_)):
            slopes[i][0].copy_(torch.bmm(delta, values[i].mT))
            _sum_last(delta, slopes[i][1])
            if i:
                delta = self._below(i, views[i][0], delta, values[i])
        self._convolved(values, delta.mT, views, slopes)

    def _below(self, i: int, weight: Tensor, delta: Tensor, value: Tensor) -> Tensor:
        """The gradient by what layer i - 1 gives, before its ReLU."""
        if i == self._convolutions:  # the other inputs have no layer before them
            channels = self._layers[i - 1].outputs
            weight, value = weight[:, :, :channels], value[:, :channels]
        return _through_relu(torch.bmm(weight.mT, delta), value)

    def _convolved(self, values: list[Tensor], delta: Tensor, views: Views, slopes: Views) -> None:
        """The convolutions' part of `backward`; `delta` is (models, records, channels) here."""
        for i in reversed(range(self._convolutions)):
            delta = delta.reshape(len(delta), -1, self._layers[i].outputs)
            slopes[i][0].copy_(torch.bmm(delta.mT, values[i]))
            slopes[i][1].copy_(delta.sum(dim=1).unsqueeze(2))
            if i:
                delta = _through_relu(torch.bmm(delta, views[i][0]), values[i])


def _last_two(values: list[Tensor], delta: Tensor, views: Views, slopes: Views) -> Tensor:
    """What `backward` does for a single output and the dense layer before it.

    The weight v of a unit is the same for all records, so they are summed without it. And where
    the unit's ReLU lets a record pass, the unit is w·x + b: sums over the unit, which v's slope is,
    are those over x times w and b. So the values of the units are gone through once, not thrice.

    Args:
        values: What the last two layers multiply, and the outputs.
        delta: (models, 1, records) gradient by the outputs.
        views: Of the last two layers' parameters.
        slopes: Of their gradient.

    Returns:
        `delta` where each unit's ReLU lets it pass, (models, units, records).
    """
    (weight, bias), ahead = views[0], views[1][0].mT
    passed = _through_relu(delta.expand_as(values[1]), values[1])
    product, total = torch.bmm(passed, values[0].mT), passed.sum(dim=2, keepdim=True)
    torch.mul(product, ahead, out=slopes[0][0])
    torch.mul(total, ahead, out=slopes[0][1])
    _sum_last(product * weight, slopes[1][0].mT).addcmul_(total, bias)
    _sum_last(delta, slopes[1][1])
    return passed


def _sum_last(values: Tensor, out: Tensor) -> Tensor:
    """Sum (models, features, records) over records into `out`, (models, features, 1)."""
    return torch.sum(values, dim=2, keepdim=True, dtype=out.dtype, out=out)


def _through_relu(delta: Tensor, value: Tensor) -> Tensor:
    """The gradient before a ReLU that gave `value`, which it overwrites."""
    torch.ops.aten.threshold_backward.grad_input(delta, value, 0.0, grad_input=value)
    return value
