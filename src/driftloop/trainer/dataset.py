"""Labelled records to training jobs: what is held out, what is refused, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftloop.errors import TrainingError
from driftloop.models.encoding import Encoding
from driftloop.records import Columns
from driftloop.settings import Profile
from driftloop.trainer.job import Job, Spec


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The labelled records of a request, ordered by completion.

    Attributes:
        all: Every one of them.
        fitted: All but the newest, which the challenger is trained on.
        held: The newest, on which it meets the champion.
    """

    all: Columns
    fitted: Columns
    held: Columns


def spec_of(profile: Profile) -> Spec:
    """How the models of a profile are trained; kinds that ignore a setting leave it at default."""
    model = profile.model
    outputs = len(profile.classes) if profile.task == "multiclass" else 1
    if model.kind == "linear":
        return Spec(kind="linear", task=profile.task, outputs=outputs, l2=model.l2)
    return Spec(
        kind=model.kind,
        task=profile.task,
        outputs=outputs,
        loss=profile.loss if profile.task == "regression" else "log_loss",
        hidden=tuple(model.hidden),
        l2=model.l2,
        epochs=model.epochs,
        learning_rate=model.learning_rate,
        batch_records=model.batch_records,
        patience=model.patience,
    )


def split(profile: Profile, labelled: Columns) -> Dataset:
    """Hold out the newest records.

    Args:
        profile: Says how many records are needed and how many are held out.
        labelled: Records with label, ordered by completion.

    Raises:
        TrainingError: ``bad-features``, ``too-few-records`` or ``one-class``.
    """
    features = profile.features
    if not features.numeric and not features.categorical:
        raise TrainingError(
            "bad-features",
            "the profile names no features: set features.numeric or features.categorical",
        )
    usable = labelled.has_features & np.isfinite(labelled.y)
    found = int(usable.sum())
    least = profile.training.min_records
    if found < least:
        raise TrainingError(
            "too-few-records",
            f"{found} labelled records with features in the named ranges, training.min_records is "
            f"{least}: wait for more labels, or widen training.window or training.records",
        )
    records = labelled if found == len(labelled) else labelled.select(usable)
    held = min(max(1, round(found * profile.training.holdout)), found - 2)
    data = Dataset(
        all=records,
        fitted=records.select(slice(0, found - held)),
        held=records.select(slice(found - held, found)),
    )
    if profile.task != "regression" and len(np.unique(data.fitted.y)) < 2:
        name = int(data.fitted.y[0])
        label = profile.classes[name] if profile.classes else str(name)
        raise TrainingError(
            "one-class",
            f"all {len(data.fitted)} records to train on have the label {label!r}: "
            "widen training.window or training.records until another class occurs",
        )
    return data


def job_of(profile: Profile, records: Columns, seed: int) -> tuple[Encoding, Job]:
    """Encoding and job of a set of labelled records."""
    features = profile.features
    encoding = Encoding.fit(
        records.x,
        records.categories,
        numeric=features.numeric,
        categorical=features.categorical,
        max_categories=features.max_categories,
    )
    inputs = encoding.encode(records.x, records.categories)
    return encoding, Job(spec=spec_of(profile), inputs=inputs, labels=records.y, seed=seed)
