"""A policy on undisturbed streams over many looks, and on streams that shift."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftloop.detection.outputs import Counters, FeatureWindow, LossWindow, VersionChanged
from driftloop.policy import StreamTester
from driftloop.policy.tested import Tested
from driftloop.settings import Features, Policy, Profile
from driftloop.statistics.correction import make_correction
from experiments._losses import SPREAD, Array, Noise

BLOCK = 64
SECONDS_A_DAY = 86_400.0
DAYS_A_YEAR = 365.25
FEATURES = ("a", "b")


@dataclass
class Count:
    """What happened to some streams.

    Attributes:
        streams: How many.
        looks: Windows of each.
        years: All together, stream-years.
        retrains: Decided in them.
        silent: Windows in which no test of the policy had a verdict.
        by: Rejections by criterion.
        delays: Windows from a shift to the retrain, one a stream; nan: none in time.
    """

    streams: int
    looks: int
    years: float
    retrains: int = 0
    silent: int = 0
    by: dict[str, int] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)


class Stream:
    """Windows of one stream, through the monitor's own tester.

    For policies on the losses, losses are drawn as `Noise` says. For ``reducible`` the champion's
    residuals are (so its losses are their absolute values), beside two features that say nothing.
    """

    def __init__(self, noise: Noise, policy: dict[str, Any], rng: np.random.Generator) -> None:
        # Part-day windows have their phases by count; the tester only needs a bound.
        window = {"kind": "count", "records": noise.records}
        features = Features(numeric=list(FEATURES))
        self.tester = StreamTester(
            Profile(policy=Policy(**policy), window=window, features=features)
        )
        self.noise = noise
        self._rng = rng
        self._paired = policy["kind"] == "reducible"
        self._voting = "ks" in policy.get("criteria", ())
        self._position = 0
        self.restart()

    def restart(self) -> None:
        """A new model version."""
        self.tester.test(VersionChanged("v"))
        self._correction = make_correction("regression", len(FEATURES))

    def draw(self, looks: int) -> Array:
        """Losses, or residuals, of so many windows, (looks · records,)."""
        n = looks * self.noise.records
        if self._paired:
            return self.noise.standard(self._rng, n)
        return self.noise.losses(self._rng, n)

    def look(self, values: Array) -> Tested:
        """Close a window."""
        n, first = len(values), self._position
        self._position += n
        losses, corrected = values, np.full(n, math.nan)
        if self._paired:
            losses, corrected = np.abs(values), self._corrected(values)
        if self._voting:
            self._features(n, first)
        phases = None
        if self.noise.phases:
            phases = self.noise.hours(self._position)[first:].astype(np.float64)
        tested = self.tester.test(
            LossWindow(
                **self._place(n, first),
                losses=losses,
                corrected=corrected,
                phases=phases,
                training=[],
                labelled=0,
                counters=Counters(),
            )
        )
        assert isinstance(tested, Tested)
        return tested

    def _corrected(self, residuals: Array) -> Array:
        x = self._rng.standard_normal((len(residuals), len(FEATURES)))
        better = self._correction.blocks(x, residuals, np.zeros(len(residuals)), BLOCK)
        return np.abs(residuals - better)

    def _features(self, n: int, first: int) -> None:
        x = self._rng.standard_normal((n, len(FEATURES)))
        scores = self._rng.standard_normal(n)
        window = FeatureWindow(**self._place(n, first), x=x, counters=Counters(), scores=scores)
        self.tester.test(window)

    def _place(self, n: int, first: int) -> dict[str, Any]:
        span = self.noise.days * SECONDS_A_DAY * 1000.0
        return {
            "index": first // n,
            "opened_at": 0,
            "closed_at": first + n,
            "span_ms": span,
            "ranges": [f"s[0]@{first}-{first + n - 1}"],
            "version": "v",
        }


def undisturbed(
    noise: Noise, policy: dict[str, Any], *, streams: int, looks: int, seed: int
) -> Count:
    """Count the retrains of streams that nothing happens to; each begins a new version."""
    count = Count(streams, looks, streams * looks * noise.days / DAYS_A_YEAR)
    for index in range(streams):
        stream = Stream(noise, policy, generator(seed, noise, index))
        for values in stream.draw(looks).reshape(looks, -1):
            tested = stream.look(values)
            count.silent += tested.p_value is None
            if tested.retrain:
                count.retrains += 1
                for one in tested.results:
                    if one.rejected:
                        count.by[one.criterion] = count.by.get(one.criterion, 0) + 1
                stream.restart()
    return count


def shifted(
    noise: Noise,
    policy: dict[str, Any],
    *,
    shift: float,
    streams: int,
    before: int,
    after: int,
    seed: int,
) -> Count:
    """Count the windows from a lasting rise of the mean loss by a share to the retrain.

    For ``reducible`` the residuals' level moves, by as many of their standard deviations as the
    losses' mean does of theirs: `shift` / `SPREAD`. Their absolute values rise by less.
    """
    count = Count(streams, before + after, streams * before * noise.days / DAYS_A_YEAR)
    for index in range(streams):
        stream = Stream(noise, policy, generator(seed, noise, index))
        values = stream.draw(before + after).reshape(before + after, -1)
        values[before:] += shift if policy["kind"] != "reducible" else shift / SPREAD
        delay = math.nan
        for look, window in enumerate(values):
            if stream.look(window).retrain:
                if look >= before:
                    delay = look - before + 1
                    break
                count.retrains += 1
                stream.restart()
        count.delays.append(delay)
    return count


def generator(seed: int, noise: Noise, index: int) -> np.random.Generator:
    """The same draws for every policy on a stream."""
    return np.random.default_rng([seed, zlib.crc32(noise.name.encode()), index])
