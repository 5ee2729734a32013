"""Variants of the reducible loss, and a stream under one of them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from driftloop.statistics.correction import make_correction
from driftloop.statistics.eprocess import EDetector
from driftloop.statistics.loss_tests import paired_mean_test
from driftloop.statistics.window_scores import paired_score
from experiments._champion import Array, Champions, losses

BLOCK = 64
FORGETTING = (0.98, 0.995, 0.999)
BINS = 4
_SHARE = 0.01  # of the weight of each forgetting that is dealt anew a block


@dataclass(frozen=True)
class Variant:
    """How the saving is measured, and when it is enough.

    Attributes:
        name: In words.
        features: That the correction sees: ``none`` (its level alone), ``linear``, ``fourier``
            (32 random Fourier features beside them), ``hidden`` (the champion's layer beside
            them), ``bins`` (quartiles of each feature: leaves of depth-one trees), ``season``
            (terms of the seasons beside them).
        forgetting: λ; 0 mixes `FORGETTING` by exponential weights of their losses.
        clip: Bound of the absolute d, in mean losses of the version's first window; 0: none.
        scale: What c counts: ``mean`` losses, ``deviation``s of the loss, both of the version's
            first window; or ``fixed``: of the first version for good.
        also: What must hold besides S > c: ``test``: the mean of d since S was nil is significant
            at `level`; ``e``: the e-detector over windows is above 1 / `level`.
        level: Its level.
        delay: Windows until labels come.
        honest: With a delay, correct with what was known when the record was predicted, not when
            its label came.
    """

    name: str
    features: Literal["none", "linear", "fourier", "hidden", "bins", "season"] = "linear"
    forgetting: float = 0.995
    clip: float = 0.0
    scale: Literal["mean", "deviation", "fixed"] = "mean"
    also: Literal["", "test", "e"] = ""
    level: float = 0.01
    delay: int = 0
    honest: bool = False


def design(champions: Champions, features: str, seed: int) -> Array:
    """What the correction sees of each record, (n, width)."""
    stream = champions.stream
    x: Array = champions.x
    if features == "none":
        return np.empty((len(x), 0))
    if features == "hidden":
        return np.hstack([x, champions.hidden])
    if features == "season":
        return np.hstack([x, stream.season])
    if features == "bins":
        edges = np.quantile(x[: stream.train], np.arange(1, BINS) / BINS, axis=0)
        return np.hstack([(x > edge).astype(np.float64) for edge in edges])
    if features == "fourier":
        rng = np.random.default_rng(seed)
        sample = x[: min(stream.train, 300)]
        gaps = np.linalg.norm(sample[:, None] - sample[None], axis=2)
        width = float(np.median(gaps[gaps > 0.0]))
        weights = rng.standard_normal((x.shape[1], 32)) / width
        waves = np.cos(x @ weights + rng.uniform(0.0, 2.0 * np.pi, 32))
        return np.asarray(np.hstack([x, waves]))
    return x


class Corrector:
    """One correction, or several of different forgetting, mixed."""

    def __init__(
        self, task: Literal["regression", "binary"], width: int, forgetting: float
    ) -> None:
        rates = FORGETTING if forgetting == 0.0 else (forgetting,)
        self._parts = [make_correction(task, width, forgetting=rate) for rate in rates]
        self._log = np.zeros(len(rates))
        self._task = task
        self._scale = math.nan

    def correct(self, z: Array, y: Array, predicted: Array) -> Array:
        """Correct before learning, block by block."""
        if len(self._parts) == 1:
            return self._parts[0].blocks(z, y, predicted, BLOCK)
        out = np.empty_like(predicted)
        for first in range(0, len(y), BLOCK):
            part = slice(first, first + BLOCK)
            found = np.array([one.block(z[part], y[part], predicted[part]) for one in self._parts])
            weights = np.exp(self._log - self._log.max())
            weights = (1.0 - _SHARE) * weights / weights.sum() + _SHARE / len(weights)
            out[part] = weights @ found
            self._log = np.log(weights) - self._penalty(found, y[part])
        return out

    def _penalty(self, found: Array, y: Array) -> Array:
        """Loss of each in the block: log loss, or absolute error in mean errors."""
        if self._task == "binary":
            held = np.clip(found, 1e-6, 1.0 - 1e-6)
            return np.asarray(-np.log(np.where(y > 0.5, held, 1.0 - held)).sum(axis=1))
        errors = np.abs(found - y)
        if math.isnan(self._scale):
            self._scale = float(errors.mean()) or 1.0
        return np.asarray(errors.sum(axis=1) / self._scale)

    def at_once(self, z: Array, y: Array, predicted: Array) -> Array:
        """Correct all with what is known now, and forget what it learned of them."""
        weights = np.exp(self._log - np.logaddexp.reduce(self._log))
        found = [one.block(z, y, predicted) for one in copy.deepcopy(self._parts)]
        return np.asarray(weights @ np.array(found))


@dataclass
class Run:
    """A stream under a policy.

    Attributes:
        loss: Mean of all records after the first champion's.
        retrains: How many.
        windows: Decisions.
    """

    loss: float
    retrains: int
    windows: int


@dataclass
class _Version:
    """What is known of one version."""

    corrector: Corrector
    first: int
    s: float = 0.0
    unit: float = math.nan
    bound: float = math.inf
    since: list[Array] = field(default_factory=list)
    seen: list[Array] = field(default_factory=list)
    detector: EDetector = field(default_factory=EDetector)
    log_e: float = -math.inf


class Reducible:
    """A stream under reducible loss."""

    def __init__(self, champions: Champions, variant: Variant, seed: int) -> None:
        self._champions = champions
        self._variant = variant
        self._z = design(champions, variant.features, seed)

    def run(self, cost: float) -> Run:
        """Retrain where S is above `cost` units of the variant's scale."""
        stream, variant = self._champions.stream, self._variant
        self._unit = math.nan  # of the first version
        trained, total, count, retrains = stream.train, 0.0, 0, 0
        version = self._new(trained)
        snapshots: dict[int, Corrector] = {}
        starts = range(stream.train, len(stream.y) - stream.window + 1, stream.window)
        for first in starts:
            total += float(self._loss(trained, first).sum())
            count += stream.window
            if variant.honest:
                snapshots[first] = copy.deepcopy(version.corrector)
            known = first - variant.delay * stream.window
            if known < version.first:
                continue
            self._learn(version, trained, known, snapshots.pop(known, None))
            if self._enough(version, cost):
                trained = known + stream.window
                version = self._new(first + stream.window)
                snapshots.clear()
                retrains += 1
        return Run(total / count, retrains, len(starts))

    def _new(self, first: int) -> _Version:
        task, width = self._champions.stream.task, self._z.shape[1]
        return _Version(Corrector(task, width, self._variant.forgetting), first)

    def _loss(self, trained: int, first: int) -> Array:
        part = slice(first, first + self._champions.stream.window)
        predicted = self._champions.predict(trained, part.start, part.stop)
        return losses(self._champions.stream, part, predicted)

    def _learn(self, version: _Version, trained: int, first: int, then: Corrector | None) -> None:
        stream, variant = self._champions.stream, self._variant
        part = slice(first, first + stream.window)
        predicted = self._champions.predict(trained, part.start, part.stop)
        z, y = self._z[part], stream.y[part]
        own = losses(stream, part, predicted)
        early = None if then is None else then.at_once(z, y, predicted)
        better = version.corrector.correct(z, y, predicted)
        d = own - losses(stream, part, better if early is None else early)
        if math.isnan(version.unit):
            version.unit = float(own.std() if variant.scale == "deviation" else own.mean())
            if math.isnan(self._unit):
                self._unit = version.unit
            if variant.scale == "fixed":
                version.unit = self._unit
            version.bound = variant.clip * version.unit or math.inf
        d = np.clip(d, -version.bound, version.bound)
        version.s = max(0.0, version.s + float(d.sum()))
        if variant.also == "e":
            earlier = np.concatenate(version.seen[-20:]) if version.seen else np.empty(0)
            version.log_e = version.detector.update([paired_score(d, earlier)])
            version.seen.append(d)
        if version.s == 0.0:
            version.since.clear()
        else:
            version.since.append(d)

    def _enough(self, version: _Version, cost: float) -> bool:
        if not version.s > cost * version.unit:
            return False
        if self._variant.also == "test":
            result = paired_mean_test(np.concatenate(version.since))
            return result.has_verdict and result.p_value <= self._variant.level
        if self._variant.also == "e":
            return version.log_e >= -math.log(self._variant.level)
        return True


def periodic(champions: Champions, every: int, delay: int = 0) -> Run:
    """Retrain after so many windows; 0: never."""
    stream = champions.stream
    trained, total, count, retrains = stream.train, 0.0, 0, 0
    starts = range(stream.train, len(stream.y) - stream.window + 1, stream.window)
    for index, first in enumerate(starts):
        part = slice(first, first + stream.window)
        predicted = champions.predict(trained, part.start, part.stop)
        total += float(losses(stream, part, predicted).sum())
        count += stream.window
        if every and index % every == every - 1:
            trained = max(part.stop - delay * stream.window, stream.train)
            retrains += 1
    return Run(total / count, retrains, len(starts))
