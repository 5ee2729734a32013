"""Labelled records to training jobs: what is held out, what is refused, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.errors import TrainingError
from driftloop.messages import OffsetRange
from driftloop.models.contract import Inputs, TrainingJob
from driftloop.models.encoding import Encoding
from driftloop.records import Columns
from driftloop.settings import Profile
from driftloop.settings.kinds import FORECASTERS
from driftloop.trainer.job import Job, Spec
from driftloop.trainer.plugins import PluginJob

LEAST_UNSEEN = 10
"""Fewer newest records that the champion was not trained on could give no verdict."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The labelled records of a request, ordered by completion.

    Attributes:
        all: Every one of them.
        fitted: All that are not held out, which the challenger is trained on.
        held: Of the newest, those that the champion was not trained on; there the two meet.
        older: The oldest, on which they meet too; None where the profile asks for none.
        seen: How many of `held` the champion was trained on, for want of others.
        older_seen: How many of `older`.
    """

    all: Columns
    fitted: Columns
    held: Columns
    older: Columns | None = None
    seen: int = 0
    older_seen: int = 0


FITTED_AS = {"forecaster_linear": "linear", "forecaster_mlp": "mlp_regressor"}
"""Forecasters that differ from these kinds in what they see alone, and share stacks with them."""


def spec_of(profile: Profile, precision: str = "float32") -> Spec:
    """How the models of a profile are trained; kinds that ignore a setting leave it at default."""
    model = profile.model
    kind = FITTED_AS.get(model.kind, model.kind)
    convolves = kind == "forecaster_tcn"
    outputs = len(profile.classes) if profile.task == "multiclass" else 1
    if kind == "linear":
        return Spec(kind="linear", task=profile.task, outputs=outputs, l2=model.l2)
    return Spec(
        kind=kind,
        task=profile.task,
        outputs=outputs,
        loss=profile.loss if profile.task == "regression" else "log_loss",
        hidden=tuple(model.hidden),
        l2=model.l2,
        epochs=model.epochs,
        learning_rate=model.learning_rate,
        batch_records=model.batch_records,
        patience=model.patience,
        lags=len(profile.features.sequence) if convolves else 0,
        channels=model.channels if convolves else 0,
        precision=precision,
    )


def split(profile: Profile, labelled: Columns, known: Sequence[str] = ()) -> Dataset:
    """Hold out the newest records, and the oldest where the profile asks for that.

    The champion was mostly trained on a part of the newest records, where windows are shorter than
    the hold-out, and would look better there than it is. Those go to the challenger's training
    instead, unless fewer than `LEAST_UNSEEN` would be left to meet on.

    Args:
        profile: Says how many records are needed and how many are held out.
        labelled: Records with label, ordered by completion.
        known: Offset ranges that the champion was trained on.

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
    data = _parts(profile, records, trained_on(records, known))
    if profile.task != "regression" and len(np.unique(data.fitted.y)) < 2:
        name = int(data.fitted.y[0])
        label = profile.classes[name] if profile.classes else str(name)
        raise TrainingError(
            "one-class",
            f"all {len(data.fitted)} records to train on have the label {label!r}: "
            "widen training.window or training.records until another class occurs",
        )
    return data


def _parts(profile: Profile, records: Columns, seen: Mask) -> Dataset:
    n = len(records)
    size = min(max(1, round(n * profile.training.holdout)), n - 2)
    held = np.arange(n) >= n - size
    if (held & ~seen).sum() >= min(LEAST_UNSEEN, size):
        held &= ~seen
    older = np.arange(n) < min(round(n * profile.training.forgetting_holdout), n - size - 2)
    return Dataset(
        all=records,
        fitted=records.select(~(held | older)),
        held=records.select(held),
        older=records.select(older) if older.any() else None,
        seen=int((held & seen).sum()),
        older_seen=int((older & seen).sum()),
    )


def trained_on(records: Columns, known: Sequence[str]) -> Mask:
    """Which records a model was trained on, (records,).

    Args:
        records: Joined; both halves of a record must lie in the ranges.
        known: Offset ranges of its training. Topics do not count: a stream has one.
    """
    halves = np.zeros((2, len(records)), np.bool_)
    for text in known:
        one = OffsetRange.parse(text)
        for half, partitions, offsets in (
            (0, records.partitions, records.offsets),
            (1, records.origin_partitions, records.origin_offsets),
        ):
            within = (offsets >= one.first) & (offsets <= one.last)
            halves[half] |= within & (partitions == one.partition)
    both: Mask = np.logical_and(halves[0], halves[1])
    return both


def job_of(
    profile: Profile, records: Columns, seed: int, precision: str = "float32"
) -> tuple[Encoding, Job]:
    """Encoding and job of a set of labelled records; the precision is ``trainer.precision``."""
    features = profile.features
    encoding = Encoding.fit(
        records.x,
        records.categories,
        numeric=features.numeric,
        categorical=features.categorical,
        max_categories=features.max_categories,
        sequence=features.sequence,
        calendar=features.calendar,
        anchored=profile.model.kind in FORECASTERS,
    )
    inputs = encoding.encode(records.x, records.categories, records.feature_times)
    labels = records.y - encoding.levels(records.x) if encoding.anchored else records.y
    spec = spec_of(profile, precision)
    return encoding, Job(spec=spec, inputs=inputs, labels=labels, seed=seed)


def plugin_job_of(profile: Profile, records: Columns, seed: int, device: str) -> PluginJob:
    """The job of a plug-in, which is given the features as they are."""
    features = profile.features
    job = TrainingJob(
        inputs=Inputs(records.x, records.categories, records.feature_times),
        labels=records.y,
        numeric=tuple(features.numeric),
        categorical=tuple(features.categorical),
        max_categories=features.max_categories,
        calendar=tuple(features.calendar),
        task=profile.task,
        classes=tuple(profile.classes),
        loss=profile.loss,
        params=dict(profile.model.params),
        seed=seed,
        device=device,
    )
    return PluginJob(profile.model.kind, job)
