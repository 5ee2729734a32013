"""What a training's matrix products alone would cost: the least that its arithmetic allows."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.training_cases import BATCH, EPOCHS, HIDDEN, RECORDS, WIDTH
from driftloop.trainer.job import bucket, padded, validation_records

_STACK, _ROUNDS, _REPEATS = 16, 9, 50
_CUDA_STACK = 4096


def measure_cuda() -> dict[str, Any]:
    """The same on a CUDA device, for a stack that fills it, in float32."""
    x = torch.randn(_CUDA_STACK, BATCH, padded(WIDTH + 1), device="cuda")
    weight = torch.randn(_CUDA_STACK, x.shape[2], HIDDEN, device="cuda")
    out = torch.empty(_CUDA_STACK, BATCH, HIDDEN, device="cuda")
    best = 0.0
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            began.record()
            for _ in range(_REPEATS):
                torch.bmm(x, weight, out=out)
            ended.record()
            torch.cuda.synchronize()
            spent = began.elapsed_time(ended) / 1e3
            best = max(best, 2 * x.numel() * HIDDEN * _REPEATS / spent / 1e9)
    return {"gflops": best, "rounds": _ROUNDS}


def measure() -> dict[str, Any]:
    """Billions of operations a core and second of the first layer's products."""
    torch.set_num_threads(1)
    x = torch.randn(_STACK, BATCH, padded(WIDTH + 1))
    weight = torch.randn(_STACK, x.shape[2], HIDDEN)
    out = torch.empty(_STACK, BATCH, HIDDEN)
    best = 0.0
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            began = time.thread_time()
            for _ in range(_REPEATS):
                torch.bmm(x, weight, out=out)
            spent = time.thread_time() - began
            best = max(best, 2 * x.numel() * HIDDEN * _REPEATS / spent / 1e9)
    return {"gflops": best, "rounds": _ROUNDS}


def operations() -> float:
    """Floating-point operations of one model's matrix products, in billions."""
    inputs = padded(WIDTH + 1)
    forward = 2 * (inputs * HIDDEN + HIDDEN)
    backward = 2 * inputs * HIDDEN  # the last layer's slopes are sums
    held = validation_records(RECORDS)
    return EPOCHS * (bucket(RECORDS) * (forward + backward) + held * forward) / 1e9


def render_cuda(ceiling: dict[str, Any], row: dict[str, Any]) -> str:
    """The same sentence of a CUDA device, by the clock."""
    reached = operations() * row["models_per_s"]
    return (
        f"On the CUDA device these products alone reach {ceiling['gflops']:,.0f} billion "
        f"operations a second (best of {ceiling['rounds']}); the training of {row['models']:,} "
        f"perceptrons does {reached:,.1f} billion, {reached / ceiling['gflops']:.0%} of that, in "
        f"{row['device_mb']:,.0f} MB of its memory."
    )


def render(ceiling: dict[str, Any], row: dict[str, Any]) -> str:
    """A sentence: how much of it the stacked perceptrons reach."""
    reached = operations() / (row["cpu_ms_per_model"] / 1e3)
    return (
        f"Batched products of the first layer's shape alone reach {ceiling['gflops']:,.0f} billion "
        f"operations a second of a core (best of {ceiling['rounds']}); the training of "
        f"{row['models']:,} perceptrons does {reached:,.1f} billion of its matrix products a "
        f"second of a core, {reached / ceiling['gflops']:.0%} of that: the rest is Adam, "
        "activations, sums, and reading the records in another order each epoch."
    )
