"""Where a stream's monitor saw the events that it was given, as far as other events tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from driftloop.explain.given import Recorded, Seen
from driftloop.explain.target import command_of
from driftloop.explain.trail import Trail
from driftloop.messages import (
    CandidateTrained,
    Command,
    CommandAnswered,
    Cost,
    Evidence,
    ModelPublished,
    OffsetRange,
    RetrainRequested,
    TrainingFinished,
    event_id,
)
from driftloop.settings import CycleWindow, Profile
from driftloop.settings.base import milliseconds

Window = tuple[Evidence, int]
"""Evidence of a window of losses, and the wall-clock time of its message, ms."""

ANEW = frozenset({"reset-reference", "resume"})
"""Commands behind which the next window begins."""

LATER_WINDOWS = 3
"""Numbers of windows by cycles that are tried around the one that their time gives."""


def recorded_evidence(trail: Trail) -> dict[str, Recorded]:
    """Evidence of windows, by id."""
    return {
        name: Recorded(one.event, one.at)
        for name, one in trail.evidence.items()
        if isinstance(one.event, Evidence) and one.event.kind == "window"
    }


def control_events(trail: Trail) -> list[Seen]:
    """The events that the stream was given, placed as `driftloop.explain.replay` says.

    Args:
        trail: Events of the stream.
    """
    led_to, answered = _led_to(trail), _answered(trail)
    windows = _loss_windows(trail)
    found: list[Seen] = []
    told: set[tuple[str, str]] = set()
    for one in trail.noted:
        event = one.event
        if isinstance(event, Command):
            found += _command(event, one.at, led_to.get(event.id), answered, windows)
        elif isinstance(event, CandidateTrained | TrainingFinished):
            found.append(Seen(event, one.at))
        if isinstance(event, TrainingFinished) and event.outcome == "published":
            event = _publication(event)
        if isinstance(event, ModelPublished) and (event.version, event.request_id) not in told:
            told.add((event.version, event.request_id))
            found.append(Seen(event, one.at))
    return [_placed(one, found, windows) for one in found]


def _placed(one: Seen, all_of_them: Sequence[Seen], windows: Sequence[Window]) -> Seen:
    """A publication before the first window that is its own; others as they are."""
    if not isinstance(one.event, ModelPublished):
        return one
    version = one.event.version
    again = [
        other.at
        for other in all_of_them
        if isinstance(other.event, ModelPublished)
        and other.event.version == version
        and other.at > one.at
    ]
    own = [
        (window, at)
        for window, at in windows
        if window.model_version == version and at < min(again, default=at + 1)
    ]
    return one._replace(before=_first_behind(one.at, own))


def _command(
    event: Command,
    written: int,
    request: RetrainRequested | None,
    answered: Mapping[str, int],
    windows: Sequence[Window],
) -> list[Seen]:
    """A command at its place; none where it was never let in."""
    if request is not None:
        last = max((OffsetRange.parse(text).last for text in request.data), default=-1)
        return [Seen(event, written, last + 1, request.decided_at)]
    if answered and event.id not in answered:
        return []  # refused as unsigned, or not read yet
    at = answered.get(event.id, written)
    if event.action in ANEW:
        return [Seen(event, at, _first_behind(at, windows))]
    return [Seen(event, at)]


def _answered(trail: Trail) -> dict[str, int]:
    """When the monitor answered each command, wall-clock time, ms."""
    return {
        one.event.command_id: one.at
        for one in trail.noted
        if isinstance(one.event, CommandAnswered)
    }


def _led_to(trail: Trail) -> dict[str, RetrainRequested]:
    """The request that each command of a retrain led to."""
    found = {}
    for request in trail.of(RetrainRequested):
        if request.reason == "command":
            command = command_of(request, trail)
            if command is not None:
                found[command.id] = request
    return found


def _publication(event: TrainingFinished) -> ModelPublished:
    """The publication that an outcome tells of: the topic of versions keeps the newest alone."""
    return ModelPublished(
        id=event.id,
        stream=event.stream,
        profile=event.profile,
        version=event.version or "",
        sequence=0,
        parent_version=None,
        kind="",
        uri="",
        sha256="",
        format="",
        champion=event.champion,
        challenger=event.challenger or {},
        data=[],
        cost=event.cost or Cost(seconds=0.0, records=0, device=""),
        request_id=event.request_id,
        published_at=event.finished_at,
        action="rolled-back" if event.reason == "rolled-back" else "trained",
    )


def _loss_windows(trail: Trail) -> list[Window]:
    return [
        (one.event, one.at)
        for one in trail.evidence.values()
        if isinstance(one.event, Evidence)
        and one.event.kind == "window"
        and "loss" in one.event.metrics
        and len(one.event.window) == 1
    ]


def _first_behind(written: int, windows: Sequence[Window]) -> int | None:
    """First offset of the first window that closed after an event was written."""
    offsets = [OffsetRange.parse(event.window[0]).first for event, at in windows if at >= written]
    return min(offsets, default=None)


def beginnings(trail: Trail, stream: str, profile: Profile, until: int) -> list[int]:
    """Offsets at which the stream's state began anew under this profile, the newest first.

    A window by count carries its number in its id, and a state that begins counts from 0.
    """
    if isinstance(profile.window, CycleWindow):
        return []
    found = set()
    for one in trail.evidence.values():
        event = one.event
        if not isinstance(event, Evidence) or event.kind != "window" or len(event.window) != 1:
            continue
        if event.closed_at <= until and _made(event, stream, profile, 0):
            found.add(OffsetRange.parse(event.window[0]).first)
    return sorted(found, reverse=True)


def first_window(trail: Trail, low: int) -> int | None:
    """Offset at which the first window of losses begins that is wholly there."""
    offsets = [OffsetRange.parse(event.window[0]).first for event, _ in _loss_windows(trail)]
    return min((first for first in offsets if first >= low), default=None)


def window_number(event: Evidence, stream: str, profile: Profile, most: int) -> int | None:
    """Number of a window by the id of its evidence; None: another profile made it.

    Args:
        event: The evidence.
        stream: Its stream.
        profile: The profile.
        most: Windows by count that are tried.
    """
    numbers = range(most)
    if isinstance(profile.window, CycleWindow):
        first = event.opened_at // milliseconds(profile.window.length)
        numbers = range(first, first + LATER_WINDOWS)
    return next((i for i in numbers if _made(event, stream, profile, i)), None)


def _made(event: Evidence, stream: str, profile: Profile, number: int) -> bool:
    kind = "evidence-loss" if "loss" in event.metrics else "evidence-features"
    place = (number, event.opened_at, event.closed_at, *event.window)
    return event_id(stream, profile.hash, kind, place) == event.id


__all__ = ["beginnings", "control_events", "first_window", "recorded_evidence", "window_number"]
