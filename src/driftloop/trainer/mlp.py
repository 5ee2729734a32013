"""Training of the networks of one shape, all at once: perceptrons, and TCNs for forecasts.

All models of a stack go in lockstep: their records fill the same bucket, and a step takes the same
number of records of each. A model visits its own records in an order of its own; an epoch is one
walk through the bucket, so a model with fewer records sees some of them twice. Gradients are
written out, not taped: see `network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from driftloop.models.artifact import Weights
from driftloop.trainer.job import Check, Spec, padded, validation_records
from driftloop.trainer.network import Network, Views
from driftloop.trainer.walk import RUN, orders, walk

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_HUBER = 0.1
"""An absolute loss is followed as Huber's, straight beyond so many standard deviations."""
_BLOCK = 256
"""Epochs for which orders are drawn at a time, at most."""


@dataclass(slots=True, eq=False)
class Stack:
    """Models of one shape.

    Attributes:
        x: (models, bucket, features) float32, in an order drawn once. Rows from `counts` on are
            padding, but those that fill the last run, which repeat the first ones.
        y: (models, bucket) scaled labels, or class indices.
        counts: (models,) records to fit.
        x_check: (models, validation, features) newest records.
        y_check: (models, validation) their labels.
        mask_check: (models, validation), 0 for padding.
        widths: Real features of each model.
        seeds: Of each model.
        first: First weights of each model, unpadded; None where they are drawn.
    """

    x: Tensor
    y: Tensor
    counts: Tensor
    x_check: Tensor
    y_check: Tensor
    mask_check: Tensor
    widths: list[int]
    seeds: list[int]
    first: list[Weights | None]


def validation_bucket(size: int) -> int:
    """Room for the validation records of any job whose records fill a bucket of `size`."""
    return padded(validation_records(size))


def _slope(spec: Spec, outputs: Tensor, y: Tensor) -> Tensor:
    """Gradient of the loss by the outputs, (models, outputs, records)."""
    if spec.task == "multiclass":
        return torch.softmax(outputs, dim=1) - functional.one_hot(y.long(), spec.outputs).mT
    if spec.task == "binary":
        return torch.sigmoid(outputs) - y.unsqueeze(1)
    residual = outputs - y.unsqueeze(1)
    if spec.loss == "absolute":
        return torch.clamp(residual / _HUBER, -1.0, 1.0)
    return residual


def _loss(spec: Spec, outputs: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Mean loss of each model, (models,)."""
    if spec.task == "multiclass":
        chosen = torch.log_softmax(outputs, dim=1).gather(1, y.long().unsqueeze(1)).squeeze(1)
        values = -chosen
    elif spec.task == "binary":
        values = functional.softplus(outputs.squeeze(1)) - y * outputs.squeeze(1)
    else:
        residual = outputs.squeeze(1) - y
        values = residual.abs() if spec.loss == "absolute" else residual.square()
    return (values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)


class _Run:
    """The models of a stack that are not finished, one a row, and the best weights of all."""

    def __init__(self, spec: Spec, stack: Stack) -> None:
        models, self.size, features = stack.x.shape
        device = stack.x.device
        self.spec, self.stack = spec, stack
        self.network = Network(spec, features)
        self.generators = [np.random.default_rng(seed) for seed in stack.seeds]
        first = [
            self.network.first(width, generator)
            for width, generator in zip(stack.widths, self.generators, strict=True)
        ]
        for flat, given in zip(first, stack.first, strict=True):
            if given is not None:
                self.network.pack(flat, given)
        self.runs_x, self.runs_y = stack.x.view(-1, RUN * features), stack.y.view(-1, RUN)
        self.ramp = torch.arange(self.size // RUN, dtype=torch.float64, device=device)
        self.batch = min(padded(spec.batch_records), self.size)
        self.time = torch.zeros((), device=device)
        self.best = torch.from_numpy(np.stack(first)).to(device)  # (models, parameters)
        self.best_epoch = [0] * models
        decay = self.network.penalties(spec.l2, device)

        # From here on one row a model that is still in the stack.
        self.model = torch.arange(models, device=device)
        self.params = self.best.clone()
        self.moment1, self.moment2 = torch.zeros_like(self.params), torch.zeros_like(self.params)
        self.decay = decay / stack.counts.unsqueeze(1).to(self.params.dtype)
        self.counts = -(-stack.counts // RUN)  # of runs
        self.checks = (stack.x_check, stack.y_check, stack.mask_check)
        self.kept = self.params.clone()
        self.lowest = torch.full((models,), torch.inf, device=device)
        self.waited, self.taken = torch.zeros_like(self.counts), torch.zeros_like(self.counts)
        self.over = torch.zeros(models, dtype=torch.bool, device=device)
        self.strides = self.starts = torch.zeros((models, 0), dtype=torch.int64, device=device)

    def epoch(self, number: int, check: Check) -> None:
        """One walk through the records."""
        at = number % _BLOCK
        if at == 0:
            epochs = min(_BLOCK, self.spec.epochs - number)
            drawn = [
                orders(self.generators[model], count, epochs)
                for model, count in zip(self.model.tolist(), self.counts.tolist(), strict=True)
            ]
            device = self.params.device
            self.strides = torch.from_numpy(np.stack([one[0] for one in drawn])).to(device)
            self.starts = torch.from_numpy(np.stack([one[1] for one in drawn])).to(device)
        runs = self.counts.unsqueeze(1)
        places = walk(self.strides[:, at, None], self.starts[:, at, None], runs, self.ramp)
        places += (self.model * len(self.ramp)).unsqueeze(1)
        views = self.network.views(self.params)
        slopes = torch.zeros_like(self.params)
        slope_views = self.network.views(slopes)
        with _products(self.spec.precision, self.params.device):
            for chosen in torch.split(places, self.batch // RUN, dim=1):
                check()
                self._slopes(chosen, views, slope_views)
                if self.spec.l2:
                    slopes.addcmul_(self.params, self.decay)
                self._adam(slopes)

    def _slopes(self, chosen: Tensor, views: Views, slopes: Views) -> None:
        at, rows = chosen.reshape(-1), len(chosen)  # one index: a fourth of the time of x[chosen]
        x = self.runs_x.index_select(0, at).view(rows, -1, self.stack.x.shape[2])
        y = self.runs_y.index_select(0, at).view(rows, -1)
        values = self.network.forward(x, views)
        delta = _slope(self.spec, values[-1], y).div_(y.shape[1])
        self.network.backward(values, delta, views, slopes)

    def _adam(self, slopes: Tensor) -> None:
        """Kingma and Ba, *Adam*, 2015, algorithm 1; torch does it in one pass over the memory."""
        torch._fused_adam_(
            [self.params],
            [slopes],
            [self.moment1],
            [self.moment2],
            [],
            [self.time.add_(1.0)],
            lr=self.spec.learning_rate,
            beta1=_BETA1,
            beta2=_BETA2,
            weight_decay=0.0,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def judge(self, number: int) -> bool:
        """Keep weights that are better on the validation records; whether any model goes on."""
        x, y, mask = self.checks
        outputs = self.network.forward(x, self.network.views(self.params))[-1]
        losses = _loss(self.spec, outputs, y, mask)
        better = (losses < self.lowest) & ~self.over
        self.kept = torch.where(better.unsqueeze(1), self.params, self.kept)
        self.lowest = torch.where(better, losses, self.lowest)
        self.taken = torch.where(better, number + 1, self.taken)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.over |= self.waited >= self.spec.patience  # for good, however long it stays here
        rows = torch.nonzero(~self.over).squeeze(1).tolist()
        if rows and 2 * len(rows) <= len(self.over) and len(self.over) > 2:
            if len(rows) == 1:  # a stack of one takes another path through the library
                rows = sorted([*rows, 0 if rows[0] else 1])
            self.keep()
            self._shrink(torch.tensor(rows, device=self.params.device))
        return bool(rows)

    def weigh(self) -> None:
        """Let first weights that were given count as those of epoch 0."""
        given = [one is not None for one in self.stack.first]
        if any(given):
            x, y, mask = self.checks
            outputs = self.network.forward(x, self.network.views(self.params))[-1]
            losses = _loss(self.spec, outputs, y, mask)
            counts = torch.tensor(given, device=losses.device) & torch.isfinite(losses)
            self.lowest = torch.where(counts, losses, self.lowest)

    def keep(self) -> None:
        """Write down the best weights of every row."""
        self.best[self.model] = self.kept
        for model, epoch in zip(self.model.tolist(), self.taken.tolist(), strict=True):
            self.best_epoch[model] = epoch

    def _shrink(self, rows: Tensor) -> None:
        self.checks = (self.checks[0][rows], self.checks[1][rows], self.checks[2][rows])
        for name in (
            "model",
            "params",
            "moment1",
            "moment2",
            "decay",
            "counts",
            "kept",
            "lowest",
            "waited",
            "taken",
            "over",
            "strides",
            "starts",
        ):
            setattr(self, name, getattr(self, name)[rows])


def train(spec: Spec, stack: Stack, check: Check) -> list[tuple[Weights, int]]:
    """Train a stack of at least two models.

    A model's weights are those of its best epoch on its newest records; it is finished after
    `spec.patience` epochs without a better one, and leaves the stack when half of it is finished.

    Args:
        spec: Shared by all models.
        stack: Their records.
        check: Called every step; raises to give up.

    Returns:
        Weights of each model, float32 and unpadded, and the epoch they are of.
    """
    run = _Run(spec, stack)
    run.weigh()
    for number in range(spec.epochs):
        run.epoch(number, check)
        if not run.judge(number):
            break
    run.keep()
    flat = run.best.cpu().numpy()
    return [
        (run.network.unpack(flat[model], width), run.best_epoch[model])
        for model, width in enumerate(stack.widths)
    ]


_TF32 = ("allow_tf32", True)


@contextmanager
def _products(precision: str, device: torch.device) -> Iterator[None]:
    """Let matrix products take fewer bits; the weights that they read stay float32."""
    if precision == "bf16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    if precision != "tf32" or device.type != "cuda":
        yield
        return
    matmul = torch.backends.cuda.matmul
    # The older name is refused once anything in the process has used the newer one.
    name, on = ("fp32_precision", "tf32") if hasattr(matmul, "fp32_precision") else _TF32
    before = getattr(matmul, name)
    setattr(matmul, name, on)
    try:
        yield
    finally:
        setattr(matmul, name, before)
