"""A policy in words: the settings that lead to a decision."""

from __future__ import annotations

from driftloop.plots.figures import loss_name
from driftloop.policy.promise import promise
from driftloop.settings import CycleWindow, Policy, Profile
from driftloop.settings.base import format_duration, milliseconds
from driftloop.settings.policy import VOTING


def policy_words(profile: Profile) -> list[str]:
    """Sentences: what makes a retrain due, what holds it back, what is promised."""
    policy, fleet = profile.policy, profile.fleet
    window = profile.window
    told = [
        f"A window is {format_duration(window.length)} of event time, closed "
        f"{format_duration(window.lateness)} after its end."
        if isinstance(window, CycleWindow)
        else f"A window is {window.records:,} labelled records.",
        *_due(policy, profile.loss),
    ]
    held = [f"at least {policy.min_records} losses of the version were seen"]
    if milliseconds(policy.cooldown):
        held.append(f"the last request is more than {format_duration(policy.cooldown)} ago")
    held.append(
        "no request waits for its outcome (for at most "
        f"{format_duration(policy.outcome_timeout)} of event time)"
    )
    told.append(f"It goes ahead once {', '.join(held)}.")
    if policy.approval:
        told.append("A person must approve each (policy.approval).")
    if fleet.control != "stream":
        told.append(
            f"The fleet's streams are judged together: {fleet.control} at fdr {fleet.fdr:g}."
        )
    if fleet.budget is not None:
        told.append(f"At most {fleet.budget:,} retrains a day, the highest priority first.")
    if fleet.during_incident == "hold":
        told.append("While an incident is open all of them wait.")
    line = promise(policy, fleet)
    told.append(f"Promise: {line}.")
    return told


def _due(policy: Policy, loss: str) -> list[str]:
    kind = policy.kind
    if kind == "never":
        return ["Policy never: the stream gets its first model alone."]
    if kind == "always":
        return ["Policy always: a retrain at every closed window."]
    if kind == "periodic":
        every = (
            f"{policy.every_records:,} labelled records"
            if policy.every_records
            else format_duration(policy.every) + " of event time"  # type: ignore[arg-type]
        )
        return [f"Policy periodic: a retrain every {every}."]
    if kind == "detector":
        name = policy.detector.name
        return [f"Policy detector: a retrain when a window closes after {name} has signalled."]
    if kind == "mlma":
        told = (
            "Policy mlma: the window's mean loss is tested against a reference that adapts and one "
            f"that does not ({policy.loss_test}, {policy.alpha_per_year:g} needless retrains a "
            "year at most); above either it asks for a retrain."
        )
        return [told]
    if kind in VOTING:
        names = ", ".join(
            one.name if one.effect is None else f"{one.name} > {one.effect:g}"
            for one in policy.criteria
        )
        need = {"any": "one", "all": "all"}.get(kind, str(policy.votes))
        also = (
            ", and one of the losses must reject by itself (without labels, of the score)"
            if kind == "multi-criteria"
            else ""
        )
        told = (
            f"Policy {kind}: {need} of the criteria {names} must speak for drift, combined by "
            f"{policy.combine}{also}."
        )
        return [told]
    return [_reducible(policy, loss)]


def _reducible(policy: Policy, loss: str) -> str:
    cost = (
        f"{policy.fixed_cost:g} in units of loss"
        if policy.fixed_cost is not None
        else f"{policy.cost:g} records' worth of the version's {loss_name(loss)}"
    )
    if policy.price is not None and policy.price.measured:
        cost += (
            f" for the {policy.price.seconds:g} s of training that are expected; by what the "
            "stream's newest trainings took, once there are any"
        )
    learns = "Policy reducible: a second learner corrects the model's predictions as labels come."
    if policy.mode == "accumulate":
        return (
            f"{learns} Once the loss that it would have saved exceeds the cost of a retrain "
            f"({cost}), a retrain is due."
        )
    if policy.mode == "test":
        return f"{learns} A retrain is due when a window's saving is significant."
    return (
        f"{learns} A retrain is due once what it would have saved exceeds the cost of a retrain "
        f"({cost}) and is significant."
    )
