"""A retrain in three sentences: why it was asked for, what training did, whether it helped."""

from __future__ import annotations

from typing import NamedTuple

from driftloop.dashboard.words import count, loss, moment, percent, times
from driftloop.plots.figures import why_undecided
from driftloop.readmodel.rows import RequestRow, VersionRow

REASONS = {
    "policy": "the policy",
    "command": "an operator",
    "initial": "the stream, which had no model yet",
}

CRITERIA = {
    "reducible": "a newer model would have saved more loss than a retrain costs",
    "mlma": "the loss of a window left its adaptive reference",
    "mlma-anchored": "the loss of a window left the reference of this version",
    "loss": "the loss rose",
}


class Story(NamedTuple):
    """What is told of a retrain.

    Attributes:
        row: The request with what came of it.
        why: Why it was asked for.
        training: What training did.
        worth: Whether it helped.
        tone: Colour of `worth`: ``good``, ``bad`` or ``plain``.
        back: The version before, where this one is in use and can be gone back from; else None.
    """

    row: RequestRow
    why: str
    training: str
    worth: str
    tone: str
    back: str | None


def story_of(row: RequestRow, orders: list[RequestRow], versions: list[VersionRow]) -> Story:
    """Tell a retrain.

    Args:
        row: Of kind ``retrain``.
        orders: Rollbacks of its stream.
        versions: Of its stream, newest first.
    """
    old = against(row, versions)
    worth, tone = _worth(row, orders, old)
    current = versions[0].version if versions else None
    back = old if row.outcome == "published" and row.version == current else None
    return Story(row, why(row), training(row, old), worth, tone, back)


def against(row: RequestRow, versions: list[VersionRow]) -> str | None:
    """The version that a retrain replaced, or that was in use when it ended; None: none was.

    It may be another than the one of the time of the decision: a rollback can come between.

    Args:
        row: Of kind ``retrain``.
        versions: Of its stream, newest first.
    """
    for one in versions:
        trained = one.request_id == row.id and one.action != "rolled-back"
        if row.outcome == "published" and trained:
            return one.parent_version
    if row.outcome == "published" or not versions:
        return row.from_version
    ended = row.finished_at
    before = (one for one in versions if ended is None or one.published_at <= ended)
    found = next(before, None)
    return row.from_version if found is None else found.version


def why(row: RequestRow) -> str:
    """Why a retrain was asked for."""
    when = moment(row.decided_at)
    if row.reason != "policy":
        asked = f"Asked for on {when} by {REASONS.get(row.reason, row.reason)}"
        more = row.criteria if row.reason != "command" else ""
        return f"{asked}: {more}." if more else f"{asked}."
    spoke = [one.strip() for one in row.criteria.split(",") if one.strip()]
    told = [CRITERIA[one] for one in spoke if one in CRITERIA]
    others = [one for one in spoke if one not in CRITERIA]
    if others:
        told.append(f"{', '.join(others)} spoke for drift")
    because = "; ".join(told) or "its rule was met"
    return f"Asked for on {when} by the policy {row.policy}: {because}."


def training(row: RequestRow, old: str | None) -> str:
    """What training did; `old`: the version beside which the new one was put."""
    held = ""
    if row.champion_loss is not None and row.challenger_loss is not None:
        held = (
            f" On held-out records its loss was {loss(row.challenger_loss)}, "
            f"against {loss(row.champion_loss)} of {old or 'the old model'}"
        )
        if row.champion_loss > 0:
            held += f" ({_change(row.challenger_loss, row.champion_loss)})"
        held += "."
    cost = f" from {count(row.records)} records" if row.records else ""
    if row.outcome == "published":
        return f"Trained {row.version}{cost}, and published it.{held}"
    if row.outcome == "rejected":
        return f"The new model was refused: {row.detail or row.outcome_reason}."
    if row.outcome == "failed":
        return f"Training failed: {row.detail or row.outcome_reason}."
    if row.outcome == "superseded":
        return "Nothing was trained: a newer request or version took its place."
    if row.candidate:
        return f"{row.candidate} is trained, and on trial beside {old}."
    return "It waits for the trainer, or is in work."


def _change(new: float, old: float) -> str:
    share = new / old - 1
    return f"{percent(abs(share))} {'more' if share > 0 else 'less'}"


def _worth(row: RequestRow, orders: list[RequestRow], old: str | None) -> tuple[str, str]:
    if row.dismissed_by:
        return f"{row.dismissed_by} called it a false alarm: {row.dismissed_why}.", "warn"
    undone = next(
        (one for one in orders if row.version is not None and one.from_version == row.version),
        None,
    )
    taken = f" A rollback was ordered on {moment(undone.decided_at)}." if undone else ""
    if row.verdict == "better":
        return f"It helped: {_saved(row)}.{taken}", "good"
    if row.verdict == "worse":
        return f"It did harm: {_saved(row)}.{taken}", "bad"
    if row.verdict == "undecided":
        doubt = why_undecided(row.low, row.high)
        return f"No difference could be proven: {_saved(row)}.{doubt}{taken}", "plain"
    if row.verdict == "unscored":
        return f"No live record could be compared.{taken}", "plain"
    if row.outcome == "published":
        return f"Live records have not judged it yet.{taken}", "plain"
    if row.outcome in {"rejected", "failed"}:
        return f"{old or 'The old model'} serves on; nothing changed.", "plain"
    return "It cannot be said yet.", "plain"


def _saved(row: RequestRow) -> str:
    saved = row.saved or 0.0
    told = f"{'saved' if saved >= 0 else 'cost'} {loss(abs(saved))} of loss a record"
    if row.low is not None and row.high is not None and row.level is not None:
        told += f" ({percent(row.level)} interval {loss(row.low)} to {loss(row.high)})"
    if row.judged_records:
        told += f" on {times(row.judged_records, 'live record')}"
    return told
