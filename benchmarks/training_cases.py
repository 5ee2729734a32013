"""What `benchmarks.training` measures, each case in a process of its own.

All cases of a kind train the same models on the same records: a perceptron with one hidden layer by
Adam, whose weights are those of the best epoch on the newest 15 % of the records, and a ridge
regression. No model stops early, so that all do the same work.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from driftloop.models.artifact import Weights
from driftloop.trainer.job import Fitted, Job, Spec, validation_records
from driftloop.trainer.train import device_of, fit

Array = npt.NDArray[np.float64]
RECORDS, WIDTH, HIDDEN, BATCH, EPOCHS, RATE = 2000, 10, 32, 256, 30, 0.01
JUDGED = 256  # models whose loss is measured, at most: the first ones
MLP = Spec(
    kind="mlp_regressor",
    task="regression",
    hidden=(HIDDEN,),
    l2=0.0,
    epochs=EPOCHS,
    patience=EPOCHS,
    learning_rate=RATE,
    batch_records=BATCH,
)
LINEAR = Spec(kind="linear", task="regression", l2=1.0)


def records(number: int, count: int, seed: int = 0) -> tuple[Array, Array]:
    """Records of a model: a bent plane of its own, with noise of a tenth."""
    truth, generator = np.random.default_rng(number), np.random.default_rng([number, seed])
    slope = truth.standard_normal(WIDTH)
    x = generator.standard_normal((count, WIDTH))
    y = x @ slope + 2.0 * np.sin(2.0 * x[:, 0]) + 0.1 * generator.standard_normal(count)
    return x, y


def jobs(spec: Spec, models: int) -> list[Job]:
    """Training jobs, the same for every case."""
    return [Job(spec, *records(number, RECORDS), number) for number in range(models)]


def one_perceptron(job: Job) -> Fitted:
    """A perceptron as one writes it in torch: a module, Adam, a loop over shuffled batches."""
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    mean, deviation = float(job.labels.mean()), float(job.labels.std())
    x = torch.from_numpy(job.inputs.astype(np.float32))
    y = torch.from_numpy(((job.labels - mean) / deviation).astype(np.float32)).unsqueeze(1)
    count = len(x) - validation_records(len(x))
    net = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)
    )
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    loss = torch.nn.MSELoss()
    lowest, best = float("inf"), net.state_dict()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(count).split(BATCH):
            adam.zero_grad()
            loss(net(x[chosen]), y[chosen]).backward()
            adam.step()
        with torch.no_grad():
            found = float(loss(net(x[count:]), y[count:]))
        if found < lowest:
            lowest = found
            best = {name: value.clone() for name, value in net.state_dict().items()}
    weights: Weights = {
        "weight.0": best["0.weight"].T.numpy(),
        "bias.0": best["0.bias"].numpy(),
        "weight.1": best["2.weight"].T.numpy(),
        "bias.1": best["2.bias"].numpy(),
    }
    return Fitted(weights=weights, target=(mean, deviation), epochs=EPOCHS, seconds=0.0)


def one_ridge(job: Job) -> Fitted:
    """Ridge regression of one model in torch."""
    torch.set_num_threads(1)
    x = torch.from_numpy(np.column_stack([job.inputs, np.ones(len(job.inputs))]))
    penalty = torch.diag(torch.tensor([job.spec.l2] * WIDTH + [0.0], dtype=x.dtype))
    found = torch.linalg.solve(x.T @ x + penalty, x.T @ torch.from_numpy(job.labels)).numpy()
    weights: Weights = {"weight.0": found[:WIDTH, None], "bias.0": found[WIDTH:]}
    return Fitted(weights=weights, target=(0.0, 1.0), epochs=0, seconds=0.0)


def sklearn_perceptron(job: Job) -> Fitted:
    """scikit-learn's MLPRegressor with the same layers, steps and validation records."""
    import warnings  # noqa: PLC0415  # each case loads only what it measures

    from sklearn.neural_network import MLPRegressor  # noqa: PLC0415

    warnings.simplefilter("ignore")  # it has not converged: the epochs are those of all cases
    mean, deviation = float(job.labels.mean()), float(job.labels.std())
    net = MLPRegressor(
        hidden_layer_sizes=(HIDDEN,),
        alpha=0.0,
        batch_size=BATCH,
        learning_rate_init=RATE,
        max_iter=EPOCHS,
        random_state=job.seed,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=EPOCHS,
    )
    net.fit(job.inputs, (job.labels - mean) / deviation)
    weights: Weights = {}
    for i, (weight, bias) in enumerate(zip(net.coefs_, net.intercepts_, strict=True)):
        weights |= {f"weight.{i}": weight, f"bias.{i}": bias}
    return Fitted(weights=weights, target=(mean, deviation), epochs=EPOCHS, seconds=0.0)


def sklearn_ridge(job: Job) -> Fitted:
    """scikit-learn's Ridge."""
    from sklearn.linear_model import Ridge  # noqa: PLC0415

    found = Ridge(alpha=job.spec.l2).fit(job.inputs, job.labels)
    weights: Weights = {"weight.0": found.coef_[:, None], "bias.0": np.array([found.intercept_])}
    return Fitted(weights=weights, target=(0.0, 1.0), epochs=0, seconds=0.0)


def _quiet() -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def pooled(one: Callable[[Job], Fitted]) -> Callable[[Sequence[Job]], list[Fitted]]:
    """One by one in a pool of as many processes as there are cores; they have begun already."""
    count = len(os.sched_getaffinity(0))
    _quiet()
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_quiet)
    warm = jobs(MLP if "perceptron" in one.__name__ else LINEAR, 4 * count)
    list(pool.map(one, warm))
    return lambda many: list(pool.map(one, many, chunksize=max(1, len(many) // (4 * count))))


def alone(one: Callable[[Job], Fitted]) -> Callable[[Sequence[Job]], list[Fitted]]:
    """One after the other in this process."""
    one(jobs(MLP if "perceptron" in one.__name__ else LINEAR, 1)[0])
    return lambda many: [one(job) for job in many]


def stacked(device: str) -> Callable[[Sequence[Job]], list[Fitted]]:
    """Driftloop's trainer."""
    where = device_of(device)
    for spec in (MLP, LINEAR):
        fit(jobs(spec, 2), where)

    def run(many: Sequence[Job]) -> list[Fitted]:
        return fit(many, where)

    return run


CASES: dict[str, tuple[Spec, Callable[[], Callable[[Sequence[Job]], list[Fitted]]]]] = {
    "mlp: Driftloop": (MLP, lambda: stacked("cpu")),
    "mlp: Driftloop, CUDA": (MLP, lambda: stacked("cuda")),
    "mlp: torch, one by one": (MLP, lambda: alone(one_perceptron)),
    "mlp: torch, process pool": (MLP, lambda: pooled(one_perceptron)),
    "mlp: scikit-learn MLPRegressor, process pool": (MLP, lambda: pooled(sklearn_perceptron)),
    "linear: Driftloop": (LINEAR, lambda: stacked("cpu")),
    "linear: Driftloop, CUDA": (LINEAR, lambda: stacked("cuda")),
    "linear: torch, one by one": (LINEAR, lambda: alone(one_ridge)),
    "linear: scikit-learn Ridge, process pool": (LINEAR, lambda: pooled(sklearn_ridge)),
}


def loss(found: Sequence[Fitted]) -> tuple[float, float]:
    """Mean squared error of the first models on 2,000 fresh records each, and its own error."""
    errors = []
    for number, one in enumerate(found[:JUDGED]):
        x, y = records(number, RECORDS, seed=1)
        for layer in range(len(one.weights) // 2):
            x = np.maximum(x, 0.0) if layer else x
            x = x @ one.weights[f"weight.{layer}"] + one.weights[f"bias.{layer}"]
        mean, scale = one.target
        errors.append(float(np.square(x[:, 0] * scale + mean - y).mean()))
    deviation = float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0
    return float(np.mean(errors)), deviation / len(errors) ** 0.5


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(case: str, models: int) -> dict[str, Any]:
    """Figures of a case: seconds and CPU seconds a model, MB beyond the records, loss."""
    spec, make = CASES[case]
    run = make()
    many = jobs(spec, models)
    if "CUDA" in case:
        torch.cuda.reset_peak_memory_stats()
    before, peak_before = _resident(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    found = run(many)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, peak_before) * 1024
    mean, error = loss(found)
    return {
        "models": models,
        "models_per_s": models / wall,
        "cpu_ms_per_model": None if "pool" in case else cpu / models * 1e3,
        "peak_mb": (peak - before) / 2**20,
        "device_mb": torch.cuda.max_memory_allocated() / 2**20 if "CUDA" in case else None,
        "loss": mean,
        "loss_error": error,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
