"""Several criteria together: one p-value, floors, and what must speak for drift besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from driftloop.criteria import describe
from driftloop.messages import Ground
from driftloop.policy.grounds import number
from driftloop.policy.standing import Standing
from driftloop.settings import Policy
from driftloop.statistics.combine import WEIGHTED, combine


class Vote(NamedTuple):
    """The outcome of a vote.

    Attributes:
        p_value: Of all criteria together; None without a verdict, or where votes are weighted.
        passed: Whether drift is decided.
        ground: The vote as a ground.
    """

    p_value: float | None
    passed: bool
    ground: Ground


def vote(
    policy: Policy,
    standing: Mapping[str, Standing],
    level: float,
    window: list[str],
    *,
    labels: bool,
) -> Vote:
    """Combine the criteria of a policy of several.

    A criterion whose effect is below its floor counts with p = 1. One that has no verdict yet does
    not count, and K is the number of those that have. Criteria without a p-value are conditions:
    one of them must be over its floor, for ``all`` each of them (with ``weighted`` they vote like
    all others).

    Args:
        policy: Kind, criteria, votes, rule.
        standing: Where each criterion stands, by name.
        level: Level of this decision.
        window: Ranges of the window that is decided on.
        labels: Whether the window has losses: then ``multi-criteria`` needs one of family ``loss``
            to reject by itself, else one of family ``score``.
    """
    names = [one.name for one in policy.criteria if one.name in standing]
    if policy.combine == "weighted":
        return _weighted(policy, standing, names, window)
    calibrated = [name for name in names if _calibrated(name)]
    conditions = [one.name for one in policy.criteria if not _calibrated(one.name)]
    weights = {one.name: one.weight for one in policy.criteria}
    p_values = [standing[name].p_value for name in calibrated]
    rule = policy.combine.replace("-", "_")
    p = combine(
        rule,
        p_values,
        r=policy.required_votes if rule == "partial_conjunction" else None,
        weights=[weights[name] for name in calibrated] if rule in WEIGHTED else None,
    )
    reasons = [f"{policy.combine}, {policy.required_votes} of {len(p_values)}"]
    passed = bool(p <= level)
    met = [name in standing and standing[name].counts for name in conditions]
    if conditions and not (all(met) if policy.kind == "all" else any(met)):
        passed = False
        reasons.append(f"{sum(met)} of {len(met)} effects over their floors")
    if policy.kind == "multi-criteria":
        family = "loss" if labels else "score"
        own = [n for n in calibrated if _family(standing[n]) == family]
        if not any(standing[name].counts for name in own):
            passed = False
            reasons.append(f"no criterion of the {family} rejects by itself")
    speaking = [name for name in names if standing[name].counts]
    reasons.append("for drift: " + (", ".join(speaking) or "none"))
    ground = Ground(
        criterion=policy.kind,
        family="policy",
        statistic=float(len(speaking)),
        p_value=number(p),
        threshold=level,
        rejected=passed,
        n=len(p_values),
        window=window,
        detail="; ".join(reasons),
    )
    return Vote(number(p), passed, ground)


def _weighted(
    policy: Policy, standing: Mapping[str, Standing], names: list[str], window: list[str]
) -> Vote:
    """Count rejections by weight against the share of votes that is required."""
    weights = {one.name: one.weight for one in policy.criteria}
    total = sum(weights.values())
    speaking = [name for name in names if standing[name].counts]
    share = sum(weights[name] for name in speaking) / total
    needed = policy.required_votes / len(policy.criteria)
    passed = share >= needed - 1e-12
    ground = Ground(
        criterion=policy.kind,
        family="policy",
        statistic=share,
        threshold=needed,
        rejected=passed,
        n=len(names),
        window=window,
        detail="weighted; for drift: " + (", ".join(speaking) or "none"),
    )
    return Vote(None, passed, ground)


def _calibrated(name: str) -> bool:
    known = describe(name)
    return known is None or known.calibrated


def _family(one: Standing) -> str:
    return one.grounds[0].family if one.grounds else ""


__all__ = ["Vote", "vote"]
