"""Seeded training jobs for the trainer's tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from driftloop.models import Encoding, ModelArtifact
from driftloop.models.predict import finish, forward
from driftloop.trainer.job import Fitted, Job, Spec, seed_of

CPU = torch.device("cpu")

LINEAR = Spec(kind="linear", task="regression")
LOGISTIC = Spec(kind="linear", task="binary")
SOFTMAX = Spec(kind="linear", task="multiclass", outputs=3)
REGRESSOR = Spec(
    kind="mlp_regressor", task="regression", loss="squared", hidden=(20, 7), epochs=25, patience=4
)
ABSOLUTE = Spec(
    kind="mlp_regressor", task="regression", loss="absolute", hidden=(32,), epochs=25, patience=4
)
BINARY = Spec(kind="mlp_classifier", task="binary", hidden=(9,), epochs=25, patience=4)
CLASSES = Spec(
    kind="mlp_classifier", task="multiclass", outputs=3, hidden=(16,), epochs=25, patience=4
)
TCN = Spec(
    kind="forecaster_tcn",
    task="regression",
    loss="squared",
    hidden=(8,),
    epochs=25,
    patience=4,
    lags=5,
    channels=6,
)
SPECS = {
    "linear": LINEAR,
    "logistic": LOGISTIC,
    "softmax": SOFTMAX,
    "regressor": REGRESSOR,
    "absolute": ABSOLUTE,
    "binary": BINARY,
    "classes": CLASSES,
    "tcn": TCN,
}


def make_job(number: int, spec: Spec, records: int | None = None, width: int | None = None) -> Job:
    """A job that follows from its number: a curved truth with a little noise."""
    generator = np.random.default_rng(number)
    records = records or int(generator.integers(20, 600))
    width = max(width or int(generator.integers(2, 20)), spec.lags)
    x = generator.standard_normal((records, width))
    truth = np.tanh(2.0 * x[:, 0]) + 0.8 * x[:, 1] * x[:, 0] + 0.5 * x[:, 1]
    truth += 0.1 * generator.standard_normal(records)
    labels = 40.0 + 10.0 * truth
    if spec.task == "binary":
        labels = (truth > 0.0).astype(float)
    if spec.task == "multiclass":
        labels = np.digitize(truth, [-0.5, 0.5]).astype(float)
    return Job(spec=spec, inputs=x, labels=labels, seed=seed_of(f"request {number}", 0))


def artifact_of(job: Job, fitted: Fitted) -> ModelArtifact:
    """A model whose features are its inputs, unscaled."""
    width = job.inputs.shape[1]
    names = tuple(map(str, range(width)))
    return ModelArtifact(
        kind=job.spec.kind,
        task=job.spec.task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=Encoding(
            numeric=names,
            categorical=(),
            mean=np.zeros(width),
            scale=np.ones(width),
            vocabulary=(),
            sequence=names[: job.spec.lags],
        ),
        weights=fitted.weights,
        target=fitted.target,
    )


def predicted(job: Job, fitted: Fitted) -> npt.NDArray[np.float64]:
    """What it predicts of the job's inputs."""
    artifact = artifact_of(job, fitted)
    return finish(artifact, forward(artifact, job.inputs))
