"""Linear models of one shape, all at once, in float64.

Regression is ridge regression in closed form. A binary task is logistic regression by Newton's
method with halved steps; several classes are softmax regression by Nesterov-accelerated steps of
Boehning's bound on its curvature (Boehning, *Multinomial logistic regression algorithm*, 1992).
The intercept is not penalised.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from driftloop.trainer.job import Check, Spec

_FLOOR = 1e-9
"""Penalty a record that is always there: it makes collinear features solvable when l2 is 0."""
_NEWTON = 50
_HALVINGS = 12
_SOFTMAX = 500


def solve(
    spec: Spec, x: Tensor, y: Tensor, mask: Tensor, widths: list[int], check: Check
) -> Tensor:
    """Fit a stack.

    Args:
        spec: Task and penalty.
        x: (models, records, features) float64, zero where padded; column `widths[i]` of model i is
            the constant 1 of its intercept, columns from there on are padding.
        y: (models, records) labels, zero where padded.
        mask: (models, records), 1 for a record and 0 for padding.
        widths: Real features of each model.
        check: Called now and then; raises to give up.

    Returns:
        (models, features, outputs) coefficients, 0 for padding.
    """
    column = torch.arange(x.shape[2], device=x.device)  # (features,)
    width = torch.tensor(widths, device=x.device).unsqueeze(1)  # (models, 1)
    floor = _FLOOR * mask.sum(dim=1, keepdim=True)  # (models, 1)
    penalty = torch.where(column < width, torch.clamp(floor, min=spec.l2), floor)
    penalty = torch.where(column > width, torch.ones_like(penalty), penalty)  # (models, features)
    check()
    if spec.task == "regression":
        gram = torch.bmm(x.mT, x) + torch.diag_embed(penalty)
        return _solve(gram, torch.bmm(x.mT, y.unsqueeze(2)))
    if spec.task == "binary":
        return _logistic(x, y, mask, penalty, check)
    return _softmax(spec, x, y, mask, penalty, check)


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    factor, _ = torch.linalg.cholesky_ex(matrix)
    return torch.cholesky_solve(right, factor)


def _logistic(x: Tensor, y: Tensor, mask: Tensor, penalty: Tensor, check: Check) -> Tensor:
    def objective(b: Tensor) -> Tensor:
        eta = torch.bmm(x, b).squeeze(2)  # (models, records)
        loss = functional.softplus(eta) - y * eta
        return (loss * mask).sum(1) + 0.5 * (penalty * b.squeeze(2).square()).sum(1)

    beta = x.new_zeros(x.shape[0], x.shape[2], 1)
    value = objective(beta)
    done = torch.zeros_like(value, dtype=torch.bool)
    for _ in range(_NEWTON):
        check()
        p = torch.sigmoid(torch.bmm(x, beta).squeeze(2))
        slope = torch.bmm(x.mT, ((p - y) * mask).unsqueeze(2)) + penalty.unsqueeze(2) * beta
        weight = (p * (1.0 - p) * mask).unsqueeze(2)
        step = _solve(torch.bmm(x.mT, x * weight) + torch.diag_embed(penalty), slope)
        done |= ~torch.isfinite(step).all(dim=1).squeeze(1)
        length = torch.ones_like(value)
        moved = done.clone()
        for _ in range(_HALVINGS):
            trial = beta - length.view(-1, 1, 1) * step
            tried = objective(trial)
            better = ~moved & (tried <= value)
            beta = torch.where(better.view(-1, 1, 1), trial, beta)
            value = torch.where(better, tried, value)
            moved |= better
            if bool(moved.all()):
                break
            length = torch.where(moved, length, length * 0.5)
        done |= ~moved | (step.abs().amax(dim=(1, 2)) < 1e-10)
        if bool(done.all()):
            break
    return beta


def _softmax(
    spec: Spec, x: Tensor, y: Tensor, mask: Tensor, penalty: Tensor, check: Check
) -> Tensor:
    hot = functional.one_hot(y.long(), spec.outputs).to(x.dtype)
    diagonal = penalty.unsqueeze(2)  # (models, features, 1)
    bound = 0.5 * torch.bmm(x.mT, x) + torch.diag_embed(penalty)
    factor, _ = torch.linalg.cholesky_ex(bound)
    now = x.new_zeros(x.shape[0], x.shape[2], spec.outputs)
    last = now
    age = x.new_zeros(x.shape[0])  # steps since the momentum of each model started
    done = torch.zeros_like(age, dtype=torch.bool)
    for _ in range(_SOFTMAX):
        check()
        ahead = now + (age / (age + 3.0)).view(-1, 1, 1) * (now - last)
        error = (torch.softmax(torch.bmm(x, ahead), dim=2) - hot) * mask.unsqueeze(2)
        slope = torch.bmm(x.mT, error) + diagonal * ahead
        new = ahead - torch.cholesky_solve(slope, factor)
        uphill = (slope * (new - now)).sum(dim=(1, 2)) > 0.0  # O'Donoghue and Candes, 2015
        age = torch.where(uphill, torch.zeros_like(age), age + 1.0)
        keep = done.view(-1, 1, 1)
        last, now = torch.where(keep, last, now), torch.where(keep, now, new)
        done |= (now - last).abs().amax(dim=(1, 2)) < 1e-9
        if bool(done.all()):
            break
    return now
