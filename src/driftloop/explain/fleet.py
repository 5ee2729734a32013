"""The fleet's verdict on a request, computed again from the numbers that the request carries."""

from __future__ import annotations

import math
import re

from driftloop.explain.compare import same_numbers
from driftloop.explain.verdict import FleetRule
from driftloop.messages import FleetIncident, Ground
from driftloop.policy.fleet_voice import e_of
from driftloop.settings import Fleet

_REJECTED = re.compile(r"of which (\d+) are rejected")
_CONTROL = re.compile(r"^([a-z-]+) at fdr ([0-9.e-]+)")


def fleet_rules(grounds: list[Ground], fleet: Fleet) -> tuple[FleetRule, ...]:
    """Each step of the fleet, by the event alone.

    Args:
        grounds: Of the request, or of evidence of kind ``fleet``.
        fleet: Settings, for what the event does not carry: the level of incidents.
    """
    rules = {"fleet-control": _control, "budget": _budget}
    found = []
    for ground in grounds:
        if ground.family != "fleet":
            continue
        if ground.criterion == "incident":
            found.append(_incident(ground, fleet))
        elif ground.criterion in rules:
            found.append(rules[ground.criterion](ground))
    return tuple(found)


def _control(ground: Ground) -> FleetRule:
    named = _CONTROL.search(ground.detail)
    kind, fdr = (named[1], float(named[2])) if named else ("", math.nan)
    threshold = math.nan if ground.threshold is None else ground.threshold
    p = math.nan if ground.p_value is None else ground.p_value
    holds = True
    if kind in {"bh", "e-bh"}:
        counted = _REJECTED.search(ground.detail)
        k = max(int(counted[1]), 1) if counted else 1
        level = ground.n / (fdr * k) if kind == "e-bh" else fdr * k / max(ground.n, 1)
        holds = bool(counted) and same_numbers(level, threshold)
    if kind == "e-bh":
        e = e_of(p, math.nan) if ground.statistic is None else ground.statistic
        passes = e >= threshold
        told = f"e-BH: e = {e:.3g} against {threshold:.3g}"
    else:
        passes = p <= threshold
        told = f"{kind or 'fleet control'}: p = {p:.3g} against {threshold:.3g}"
    verdict = "significant among the fleet" if passes else "not significant among the fleet"
    return FleetRule(
        "fleet-control", f"{told}: {verdict} ({ground.detail})", holds and passes == ground.rejected
    )


def _budget(ground: Ground) -> FleetRule:
    used, budget = ground.statistic or 0.0, ground.threshold or 0.0
    goes = used < budget
    told = f"{used:g} of {budget:g} retrains used that day: {'sent' if goes else 'held'}"
    says = not ground.detail.startswith("held")
    return FleetRule("budget", f"{told} ({ground.detail})", goes == says)


def _incident(ground: Ground, fleet: Fleet) -> FleetRule:
    share, least = ground.effect or 0.0, ground.threshold or 0.0
    return FleetRule(
        "incident",
        f"{share:.0%} of {ground.n} streams moved together, {least:.0%} make an incident "
        f"({ground.detail})",
        _opens(share, least, ground.p_value, fleet) or "released" in ground.detail,
    )


def incident_rule(event: FleetIncident, fleet: Fleet) -> FleetRule:
    """Whether the numbers of an incident's event open or close it."""
    opens = _opens(event.share, fleet.incident_share, event.p_value, fleet)
    p = "none" if event.p_value is None else f"{event.p_value:.3g}"
    told = (
        f"{event.moved} of {event.observed} streams moved ({event.share:.0%}, an incident needs "
        f"{fleet.incident_share:.0%}), p = {p} against {fleet.incident_alpha:g}"
    )
    verdict = "they moved together" if opens else "no longer together"
    return FleetRule("incident", f"{told}: {verdict}", opens == (event.action == "opened"))


def _opens(share: float, least: float, p_value: float | None, fleet: Fleet) -> bool:
    return share >= least and p_value is not None and p_value <= fleet.incident_alpha
