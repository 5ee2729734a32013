"""What a training's matrix products alone would cost: the least that its arithmetic allows."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from benchmarks.training_cases import BATCH, EPOCHS, HIDDEN, RECORDS, WIDTH
from driftloop.trainer.job import bucket, padded

_STACK, _ROUNDS, _REPEATS = 16, 5, 50


def measure() -> dict[str, Any]:
    """Billions of operations a second of the first layer's products, all cores at once."""
    cores = len(os.sched_getaffinity(0))
    x = torch.randn(_STACK, BATCH, padded(WIDTH + 1))
    weight = torch.randn(_STACK, x.shape[2], HIDDEN)
    out = torch.empty(_STACK, BATCH, HIDDEN)
    work = 2 * x.numel() * HIDDEN * _REPEATS * cores

    def products(_: int) -> None:
        mine = torch.empty_like(out)
        for _ in range(_REPEATS):
            torch.bmm(x, weight, out=mine)

    torch.set_num_threads(1)
    best = 0.0
    with torch.inference_mode(), ThreadPoolExecutor(cores) as pool:
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            list(pool.map(products, range(cores)))
            best = max(best, work / (time.perf_counter() - began) / 1e9)
    return {"gflops": best, "cores": cores}


def operations() -> float:
    """Floating-point operations of one model's matrix products, in billions."""
    inputs = padded(WIDTH + 1)
    forward = 2 * (inputs * HIDDEN + HIDDEN)
    backward = 2 * (inputs * HIDDEN + HIDDEN) + 2 * HIDDEN
    return EPOCHS * (bucket(RECORDS) * (forward + backward) + 0.15 * RECORDS * forward) / 1e9


def render(ceiling: dict[str, Any], row: dict[str, Any]) -> str:
    """A sentence: how much of it the stacked perceptrons reach."""
    reached = operations() * row["models_per_s"]
    return (
        f"Batched products of the first layer's shape alone reach {ceiling['gflops']:,.0f} GFLOP/s "
        f"on {ceiling['cores']} cores here (best of {_ROUNDS}); the training of {row['models']:,} "
        f"perceptrons does {reached:,.1f} GFLOP/s of matrix products, "
        f"{reached / ceiling['gflops']:.0%} of that: the rest is Adam, activations, sums and "
        "reading records in another order each epoch."
    )
