"""The fleet's own shift, told apart from one stream's.

A holiday or a broken upstream raises the losses of many streams at once. The median of the streams'
standardised losses shows it: it is tested as one more stream, an incident for the engineer, and
removed from each stream, so that what stays is the stream's own.

Sizes and power at .05 by simulation (2,000 ticks; 50 streams of normal scores with the correlation
r between streams; the common part AR(1) over time with φ; power against a rise of all scores by
1.5 standard errors; share of streams wrongly rejected at .05 while all are raised by 3):

===============  =======  ==========  =====  ==================  ==========
streams          history  size        power  wrongly rejected:   sign test:
                                             removed, untouched  size
===============  =======  ==========  =====  ==================  ==========
r = 0            10       .027        1.00   .050, .913          .036
r = 0            100      .041        1.00   .048, .911          .028
r = .3, φ = 0    10       .047        .75    .025, .910          .311
r = .3, φ = 0    30       .048        .82    .026, .912          .314
r = .3, φ = .6   10       .072        .82    .026, .909          .317
r = .3, φ = .6   30       .069        .84    .025, .916          .327
r = .3, φ = .9   30       .090        .91    .026, .914          .317
r = .3, φ = .9   100      .061        .87    .025, .914          .299
===============  =======  ==========  =====  ==================  ==========
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.autocorrelation import finite
from driftloop.statistics.loss_registry import LOSS_TESTS
from driftloop.statistics.phases import Phases
from driftloop.statistics.results import TestResult, no_verdict

MIN_STREAMS = 5
"""Fewer streams with a verdict than this are no fleet: nothing is tested or removed."""

MIN_HISTORY = 8
"""Fewer earlier medians than this: no verdict against the fleet's own history."""

SCORE_LIMIT = 8.0
"""A score is held within ± this: a p-value of 6e-16 and one of 1e-300 say the same."""


class FleetShift(msgspec.Struct, frozen=True):
    """What a tick says of the fleet as a whole.

    Attributes:
        median: Of the streams' scores, in standard errors, positive when losses have risen; to be
            kept as history, unless the tick was an incident. nan when there is no fleet.
        residuals: Each stream's score less the median, the stream's own; nan where it had no
            verdict. The scores themselves when there is no fleet.
        test: Whether the fleet moved up. `effect` is the median less its usual value, in standard
            errors; `n` counts streams with a verdict, `n_reference` medians of the history.
    """

    median: float
    residuals: dict[str, float]
    test: TestResult

    def p_value(self, stream: str) -> float:
        """Return the p-value of a stream's own rise, Φ(-residual); nan without a verdict.

        Raises:
            KeyError: The stream was not among the scores.
        """
        return float(special.ndtr(-self.residuals[stream]))


def fleet_scores(
    losses_by_stream: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    test: str = "welch",
    tolerance: float = 0.0,
    phases: Mapping[str, Phases] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return each stream's standardised window loss: z = -Φ⁻¹(p) of its loss test.

    Standard normal where the stream did not drift, whatever its unit, noise, dependence and sizes.

    Args:
        losses_by_stream: A closed window's losses, (n,), and the reference's, (m,), by stream.
        test: A name of `LOSS_TESTS`; resampling ones resolve z to about 3 only.
        tolerance: Rise of the mean loss that is accepted, in units of the loss.
        phases: Phase index of batch and reference records, for the streams that have cycles.
        seed: For tests that draw at random.

    Returns:
        z by stream, within ±`SCORE_LIMIT`, positive where the loss rose; nan without a verdict.

    Raises:
        SettingsError: The test is unknown, or phases and losses differ in length.
    """
    function = LOSS_TESTS.get(test)
    if function is None:
        raise SettingsError([Fault("test", repr(test), f"must be one of {', '.join(LOSS_TESTS)}")])
    known = phases or {}
    scores = {}
    for stream, (batch, reference) in losses_by_stream.items():
        result = function(
            batch, reference, tolerance=tolerance, phases=known.get(stream), seed=seed
        )
        z = -float(special.ndtri(result.p_value))
        scores[stream] = min(max(z, -SCORE_LIMIT), SCORE_LIMIT) if not math.isnan(z) else z
    return scores


def fleet_shift(
    scores: Mapping[str, float],
    history: npt.ArrayLike = (),
    *,
    null: Literal["history", "independent"] = "history",
) -> FleetShift:
    """Test whether the fleet as a whole moved up, and remove its movement from each stream.

    M is the median score of the K streams with a verdict.

    - ``history``: H0: M comes from the law of its own earlier values, whatever binds the streams.
      t = (M - mean) / √(s² (1 + 1/h)), the prediction of one more of h normal values, Student's t
      with h - 1 degrees of freedom; s² is the history's variance, at least that of K independent
      streams, π / (2K). Exact for independent normal medians, careful where the floor binds; a
      fleet that drifts slowly takes its history along. No verdict below `MIN_HISTORY` medians.
    - ``independent``: H0: scores are independent between streams, and each as likely above 0 as
      below: the sign test, P(Binomial(K, 1/2) ≥ number above 0). Common causes, which all fleets
      have, make it reject; it is for a fleet without a history.

    A median bears some streams having drifted by themselves: one in seven of 40 moves it by .2
    standard errors. When half have, the fleet's shift *is* their drift, and removing it hides it:
    then this test rejects.

    Args:
        scores: z by stream, as from `fleet_scores`; nan and infinite ones are no verdict.
        history: (h,) medians of earlier ticks without an incident, any order; non-finite ones are
            dropped.
        null: Which of the two.

    Raises:
        SettingsError: `null` is unknown.

    >>> tick = fleet_shift({"a": 3.0, "b": 2.8, "c": 3.4, "d": 2.9, "e": 6.0}, [0.1, -0.2] * 5)
    >>> tick.median, round(tick.residuals["e"], 1), tick.test.p_value < 0.01
    (3.0, 3.0, True)
    """
    if null not in {"history", "independent"}:
        raise SettingsError([Fault("null", repr(null), "must be history or independent")])
    values = finite(list(scores.values()))
    past = finite(history)
    streams = len(values)
    if streams < MIN_STREAMS:
        reason = f"{streams} streams with a verdict, fewer than {MIN_STREAMS}"
        return FleetShift(math.nan, _less(scores, 0.0), no_verdict(reason, n=streams))
    with np.errstate(over="ignore"):
        median = float(np.median(values))
    test = _sign_test(values) if null == "independent" else _against_history(median, streams, past)
    return FleetShift(median, _less(scores, median), test)


def _less(scores: Mapping[str, float], shift: float) -> dict[str, float]:
    """Return the scores less a shift, nan where they are not finite."""
    return {name: float(z) - shift if math.isfinite(z) else math.nan for name, z in scores.items()}


@np.errstate(over="ignore", invalid="ignore")  # absurd magnitudes end in "no verdict"
def _against_history(median: float, streams: int, past: npt.NDArray[np.float64]) -> TestResult:
    """Return Student's prediction test of one more median."""
    h = len(past)
    if h < MIN_HISTORY:
        reason = f"{h} earlier medians, fewer than {MIN_HISTORY}"
        return no_verdict(reason, n=streams, n_reference=h)
    effect = median - float(past.mean())
    variance = max(float(past.var(ddof=1)), math.pi / (2.0 * streams))
    if not math.isfinite(effect) or not math.isfinite(variance):
        return no_verdict("scores too large to compare", n=streams, n_reference=h)
    statistic = effect / math.sqrt(variance * (1.0 + 1.0 / h))
    return TestResult(
        statistic=statistic,
        p_value=float(special.stdtr(h - 1, -statistic)),
        effect=effect,
        n=streams,
        n_reference=h,
        n_effective=float(streams),
        n_effective_reference=float(h),
    )


def _sign_test(values: npt.NDArray[np.float64]) -> TestResult:
    """Return the one-sided sign test; scores of exactly 0 do not count."""
    above, trials = int((values > 0.0).sum()), int((values != 0.0).sum())
    effect = float(np.median(values))
    if trials == 0:
        return no_verdict("all scores are 0", effect=effect, n=len(values))
    # P(X ≥ above) = P(X > above - 1); bdtrc(-1, …) is nan for an argument below 0.
    p_value = float(special.bdtrc(above - 1, trials, 0.5)) if above else 1.0
    return TestResult(
        statistic=float(above),
        p_value=p_value,
        effect=effect,
        n=len(values),
        n_reference=0,
        n_effective=float(trials),
        n_effective_reference=0.0,
    )
