"""The ledger of a stream: what its retrains saved on live records; and trials in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftloop.detection.outputs import TrialVerdict
from driftloop.messages import Command, RetrainJudged, event_id
from driftloop.settings.policy import Price


@dataclass(slots=True)
class Ledger:
    """Sums over judged retrains, as `driftloop.messages.StreamStatus` explains them."""

    judged: int = 0
    better: int = 0
    worse: int = 0
    rollbacks: int = 0
    saved: float = 0.0
    seconds: float = 0.0


def entry(
    stream: str, profile: str, price: Price | None, found: TrialVerdict, detail: str
) -> RetrainJudged:
    """The ledger's entry of a retrain."""
    trial, numbers = found.trial, found.metrics
    return RetrainJudged(
        id=event_id(stream, "", "judged", (trial.request_id, trial.version)),
        stream=stream,
        profile=profile,
        request_id=trial.request_id,
        version=trial.version,
        parent_version=trial.against,
        verdict=found.verdict,
        records=found.records,
        saved=_minus(numbers["difference"]),
        low=_minus(numbers["high"]),
        high=_minus(numbers["low"]),
        level=numbers["level"] or 0.0,
        seconds=trial.seconds,
        device=trial.device,
        cost=None if price is None else price.gpu_second * trial.seconds,
        judged_at=found.ts,
        detail=detail,
    )


def words(trial: Any) -> str:
    """What is on trial; empty for None."""
    return "" if trial is None else f"{trial.kind} {trial.version} against {trial.against}"


def said(command: Command) -> str:
    """Who commands, and why."""
    return f"{command.who}: {command.why}"


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def on_records(found: TrialVerdict) -> str:
    """On how much it rests."""
    return (
        f" on {found.records} live records, by {found.metrics['difference']:.4g} of loss a record"
    )


def better_than(found: TrialVerdict) -> str:
    """What is claimed of a version that is not worse."""
    claim = "better than" if found.verdict == "better" else "not proven worse than"
    return f"{claim}, on {found.records} live records,"


def why(found: TrialVerdict) -> str:
    """Why a watch ended, in words."""
    if found.verdict == "unscored":
        return found.detail
    reasons = {
        "": "proven worse",
        "complete": "all records of training.watch were compared",
        "patience": "training.watch.patience is over",
        "superseded": "another version took its place",
    }
    return reasons[found.ending]
