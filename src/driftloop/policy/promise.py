"""What a policy promises in advance: how many needless retrains there will be."""

from __future__ import annotations

from driftloop.settings import Fleet, Policy
from driftloop.settings.base import format_duration
from driftloop.settings.policy import VOTING
from driftloop.statistics.levels import SECONDS_PER_YEAR, expected_needless_retrains

UNCONTROLLED = frozenset({"weighted", "fisher", "stouffer"})
"""Rules of a vote that keep no level where criteria depend on each other."""

STREAMS = (100, 1000)
"""Sizes of a fleet for which the promise is told."""


def needless_per_year(policy: Policy) -> float | None:
    """Expected needless retrains of a stream without drift in a year, at most.

    Returns:
        `Policy.alpha_per_year` where the policy tests at that level; 0 for ``never``; None where
        it promises nothing: schedules, detectors, accumulated loss, and votes that are weighted
        or combined by Fisher's or Stouffer's rule: criteria on the same window depend on each
        other, which those rules do not allow for (`statistics.combine`).
    """
    if policy.kind == "never":
        return 0.0
    levelled = policy.kind in VOTING and policy.combine not in UNCONTROLLED
    tested = policy.kind == "reducible" and policy.mode != "accumulate"
    if levelled or tested or policy.kind == "mlma":
        return policy.alpha_per_year
    return None


def promise(policy: Policy, fleet: Fleet) -> str:
    """The promise in a line, for people.

    >>> promise(Policy(kind="mlma", alpha_per_year=0.1), Fleet())
    'at most 0.1 needless retrains a stream and year; 100 streams: 10; 1,000 streams: 100'
    """
    needless = needless_per_year(policy)
    if needless is not None and (fleet.control == "stream" or not needless):
        counts = (
            f"{n:,} streams: {expected_needless_retrains(needless, n, SECONDS_PER_YEAR):.4g}"
            for n in STREAMS
        )
        line = f"at most {needless:g} needless retrains a stream and year; {'; '.join(counts)}"
    elif needless is not None:
        line = f"at most {fleet.fdr:.3g} of all retrains needless ({fleet.control} over the fleet)"
    elif policy.kind == "periodic" and policy.every is not None:
        line = f"a retrain every {format_duration(policy.every)} a stream, needed or not"
    elif policy.kind == "periodic":
        line = f"a retrain every {policy.every_records:,} labelled records a stream, needed or not"
    elif policy.kind == "always":
        line = "a retrain at every closed window of losses, needed or not"
    else:
        line = "no number of needless retrains is promised"
    if fleet.budget is not None:
        line += f"; at most {fleet.budget:,} retrains a day in all"
    return line
