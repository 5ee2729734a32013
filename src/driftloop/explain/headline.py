"""The explanation in a sentence, and what the event is."""

from __future__ import annotations

from collections.abc import Sequence

from driftloop.explain.model import CriterionFound, Shift, Trained, Worth
from driftloop.explain.target import Target
from driftloop.messages import (
    Command,
    CommandAnswered,
    Evidence,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.plots.figures import compared, loss_name
from driftloop.settings import Profile


def headline(
    target: Target,
    criteria: Sequence[CriterionFound],
    shift: Shift,
    training: Trained | None,
    value: Worth | None,
    profile: Profile,
) -> str:
    """Why, what came of it, and whether it helped."""
    request = target.request
    if request is None:
        evidence = target.evidence
        if evidence is None:
            return f"{target.asked.stream}: {_told(target).removesuffix('.')}"
        if evidence.kind == "alarm":
            return f"{evidence.stream}: detector {evidence.results[0].criterion} signalled"
        return f"{evidence.stream}: {_kept(evidence)}"
    return f"{request.stream} {_why(request, criteria, shift, profile)}; {_then(training, value)}"


def _kept(evidence: Evidence) -> str:
    return {
        "none": "nothing followed from this window",
        "watch": "features have shifted, the stream is watched and not retrained",
        "cool-down": "a retrain was due, and held back in the cool-down",
        "in-flight": "a retrain was due, and held back while another has no outcome",
        "snoozed": "a retrain was due, and held back while the stream is snoozed",
        "pinned": "a retrain was due, and held back while its version is pinned",
        "too-few-records": "a retrain was due, and held back for want of records of the version",
        "awaiting-approval": "a retrain was due, and waits for a person",
        "budget": "a retrain waits for the day's budget",
        "incident": "a retrain waits for the end of an incident",
        "fleet-control": "a retrain was proposed, and is not significant among the fleet",
        "fleet": "a retrain was proposed to the fleet",
    }.get(evidence.decision, evidence.decision)


def _why(
    request: RetrainRequested, criteria: Sequence[CriterionFound], shift: Shift, profile: Profile
) -> str:
    if request.reason == "initial":
        return "got its first model, for it had labelled records and none"
    if request.reason == "command":
        return f"was retrained because a person asked ({request.grounds[0].detail})"
    before, now = shift.reference, shift.window
    if before and now and before.loss and now.loss and now.loss > before.loss:
        name = loss_name(profile.loss)
        return f"was retrained when its {name} was {now.loss:.3g}, {_rise(now.loss, before.loss)}"
    spoke = [one.criterion for one in criteria if one.rejected]
    by = ", ".join(dict.fromkeys(spoke)) or request.policy
    return f"was retrained, for {by} asked for it"


def _rise(new: float, old: float) -> str:
    told = compared(new, old)
    return f"{told} the reference's" if told.endswith("times") else f"{told} against the reference"


def _then(training: Trained | None, value: Worth | None) -> str:
    if training is None or training.outcome == "waiting":
        return "no outcome is known yet"
    if training.outcome != "published":
        return f"training: {training.outcome}"
    if value is not None and value.rolled_back:
        return f"{training.version} was published and taken back"
    verdict = "" if value is None else value.verdict
    return {
        "better": f"{training.version} was worth it",
        "worse": f"{training.version} was worse than what it replaced",
        "undecided": f"{training.version} is not proven better or worse",
    }.get(verdict, f"{training.version} was published, and is not judged")


def about(target: Target) -> str:
    """What the event is, and the decision that it belongs to."""
    asked, request = target.asked, target.request
    if isinstance(asked, RetrainRequested):
        return f"A retrain request, by {asked.reason} under policy {asked.policy}."
    if isinstance(asked, Evidence):
        what = {"window": "a closed window", "alarm": "a detector's alarm"}.get(
            asked.kind, "what the fleet withheld"
        )
        led = "" if request is None else f" It led to retrain request {request.id}."
        return f"Evidence of {what}.{led}"
    led = f" It belongs to retrain request {request.id}." if request is not None else ""
    return f"{_told(target)}{led}"


def _told(target: Target) -> str:
    asked = target.asked
    match asked:
        case Command():
            return f"Command {asked.action} by {asked.who}: {asked.why}."
        case CommandAnswered():
            return f"Answer to a command {asked.action}: {asked.outcome}. {asked.detail}".strip()
        case ModelPublished():
            return f"Version {asked.version}, {asked.action}."
        case TrainingFinished():
            return f"Outcome of a training: {asked.outcome}."
        case RetrainJudged():
            return f"The ledger's entry of {asked.version}: {asked.verdict}."
        case VersionOrdered():
            return f"Order to {asked.action}: {asked.detail}."
    return f"{_named(target)}."


def _named(target: Target) -> str:
    return type(target.asked).__name__
