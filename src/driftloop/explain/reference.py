"""The records of a decision's window and of its reference, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from driftloop.errors import KafkaError
from driftloop.explain.attempt import Attempt
from driftloop.explain.model import FeatureShift, Shift, Side
from driftloop.explain.records import Topic, read_raw
from driftloop.explain.shift import column_shifts, side
from driftloop.explain.target import Target, window_of
from driftloop.explain.trail import Trail
from driftloop.messages import Evidence, Ground, OffsetRange
from driftloop.plots.figures import compared, loss_name, percent
from driftloop.records import Columns, Joiner
from driftloop.settings import Profile

MOST = 20_000
"""Offsets that are read of window and of reference, at most, each."""

SAME_SHIFT = 0.02
"""Share of a feature that is worth a word."""


def records_shift(
    target: Target,
    trail: Trail,
    attempt: Attempt | None,
    profile: Profile,
    topic: Topic,
    client: Mapping[str, Any],
) -> Shift:
    """Read window and reference again and compare them, as far as they are there."""
    window, span = _window(target, trail, attempt)
    reference, span_before = _reference(target, trail, attempt)
    here, there = _ranges(window, topic), _ranges(reference, topic)
    if not here:
        why = "No window of records led to it." if not window else "Its window cannot be read."
        return Shift(None, None, told=(why,))
    try:
        both = [*here, *(one for one in there if one not in here)]
        parts = read_raw(client, both, profile, MOST)
        new = _rows([parts[one] for one in here], profile, span)
        apart = there and there != here
        old = _rows([parts[one] for one in there], profile, span_before) if apart else None
    except KafkaError as error:
        return Shift(None, None, told=(f"The records cannot be read: {error}",))
    now = side(new, window, profile)
    known = None if target.evidence is None else target.evidence.metrics.get("baseline_loss")
    if known is not None:
        now = replace(now, baseline=known)
    if old is None or not len(old):
        return Shift(None, now, told=(why_not(reference, here, topic),))
    before = side(old, reference, profile)
    columns = column_shifts(new, old, profile)
    return Shift(before, now, tuple(columns), tuple(_told(before, now, columns, profile)))


def _ranges(texts: Sequence[str], topic: Topic) -> list[OffsetRange]:
    """Ranges that can be read, or none if one cannot."""
    found = [OffsetRange.parse(text) for text in texts]
    return found if all(topic.there(one) for one in found) else []


def why_not(reference: Sequence[str], window: Sequence[OffsetRange], topic: Topic) -> str:
    """Why the window cannot be compared with its reference."""
    ranges = [OffsetRange.parse(text) for text in reference]
    if not ranges:
        return "It has no reference yet."
    if ranges == list(window):
        return (
            "It is the first window of its version, which later ones are compared with: there is "
            "none before it to compare it with."
        )
    named = ", ".join(reference)
    if any(topic.expired(one) for one in ranges):
        return f"Its reference, {named}, cannot be read: it has expired or was deleted."
    if not all(topic.there(one) for one in ranges):
        return f"Its reference, {named}, cannot be read: the topic ends before it, or is another."
    return f"Its reference, {named}, holds no complete record of its time."


def _rows(parts: list[Columns], profile: Profile, span: tuple[int, int] | None) -> Columns:
    """Complete records within an event time; all that have features where none are complete."""
    raw = Columns.concatenate(parts)
    rows = Joiner(max(profile.join_capacity, len(raw)), 0).add(raw) if len(raw) else raw
    if not len(rows):
        rows = raw.select(raw.has_features | raw.has_prediction)
    if span is not None and len(rows):
        rows = rows.select((rows.ts >= span[0]) & (rows.ts <= span[1]))
    return rows.select(np.argsort(rows.ts, kind="stable")) if len(rows) else rows


def _window(
    target: Target, trail: Trail, attempt: Attempt | None
) -> tuple[list[str], tuple[int, int] | None]:
    """Ranges and event time of the decision's window."""
    behind = target.evidence
    if behind is not None and behind.kind == "window":
        return behind.window, (behind.opened_at, behind.closed_at)
    if attempt is not None and attempt.window is not None:
        output = attempt.window.output
        return output.ranges, (output.opened_at, output.closed_at)
    request = target.request
    if request is None:
        return [], None
    ranges = window_of(request)
    if ranges:
        return ranges, None
    newest = [one for one in _loss_evidence(trail) if one.closed_at <= request.decided_at]
    if not newest:
        return [], None
    last = max(newest, key=lambda one: one.closed_at)
    return last.window, (last.opened_at, last.closed_at)


def _reference(
    target: Target, trail: Trail, attempt: Attempt | None
) -> tuple[list[str], tuple[int, int] | None]:
    """Ranges, and event time where it is one window, of what the window is compared with."""
    grounds: list[Ground] = []
    if target.evidence is not None:
        grounds += target.evidence.results
    if target.request is not None:
        grounds += target.request.grounds
    if attempt is not None and attempt.window is not None:
        grounds += attempt.window.evidence.results
    named = sorted(
        (one for one in grounds if one.reference), key=lambda one: one.family != "features"
    )
    known = _loss_evidence(trail)
    if attempt is not None:
        known += [one.evidence for one in attempt.replay.windows if "loss" in one.evidence.metrics]
    if named:
        ranges = named[0].reference
        same = next((one for one in known if one.window == ranges), None)
        return ranges, None if same is None else (same.opened_at, same.closed_at)
    decided = target.decided
    if decided is None:
        return [], None
    version = decided.model_version if isinstance(decided, Evidence) else decided.current_version
    own = [one for one in known if one.model_version == version]
    if not own:
        return [], None
    first = min(own, key=lambda one: one.closed_at)
    return first.window, (first.opened_at, first.closed_at)


def _loss_evidence(trail: Trail) -> list[Evidence]:
    return [
        one.event
        for one in trail.evidence.values()
        if isinstance(one.event, Evidence)
        and one.event.kind == "window"
        and "loss" in one.event.metrics
    ]


def _told(before: Side, now: Side, columns: Sequence[FeatureShift], profile: Profile) -> list[str]:
    name = loss_name(profile.loss)
    told = []
    if before.loss is not None and now.loss is not None:
        text = (
            f"{name[0].upper()}{name[1:]}: {before.loss:.4g} in the reference, {now.loss:.4g} in "
            f"the window ({compared(now.loss, before.loss)})"
        )
        if now.baseline is not None:
            beside = "better" if now.loss < now.baseline else "no better"
            text += (
                f"; the last label alone would have {now.baseline:.4g}, so the model is {beside} "
                "than trivial"
            )
        told.append(f"{text}.")
    if before.bias is not None and now.bias is not None:
        told.append(_bias(before.bias, now.bias))
    features = [one for one in columns if one.role == "feature"]
    moved = [one for one in features if (one.share or 0.0) >= SAME_SHIFT]
    if moved:
        parts = [f"{one.name} {percent(one.share or 0.0)} ({one.told})" for one in moved[:3]]
        told.append(f"Of the features' shift: {', '.join(parts)}.")
        told.append(_size(moved[0]))
    elif features:
        told.append(
            "No feature differs from the reference by more than samples of these sizes do: if the "
            "loss has risen, it is what the features mean for the label that has changed."
        )
    return told


def _bias(before: float, now: float) -> str:
    side = "above" if now > 0 else "below"
    return (
        f"Labels lie {abs(now):.3g} {side} the predictions on average; in the reference "
        f"{abs(before):.3g} {'above' if before > 0 else 'below'}."
    )


def _size(largest: FeatureShift) -> str:
    distance = largest.distance or 0.0
    size = "small" if distance < 0.15 else "clear" if distance < 0.35 else "large"
    return f"The largest, {largest.name}, is {size}: Jensen-Shannon distance {distance:.2f} of 1."
