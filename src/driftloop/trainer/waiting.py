"""Requests that still count: which supersede others, what a person waits for, what they promise.

All of it is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from driftloop.errors import MessageError
from driftloop.messages import ModelPublished, OffsetRange, RetrainRequested
from driftloop.settings import CountWindow, Profile


class Precedence(IntEnum):
    """What goes before what, whatever it saves: a person waits, then a stream without a model."""

    COMMAND = 0
    INITIAL = 1
    POLICY = 2


class Waiting(NamedTuple):
    """A request that waits; it takes over the age and the precedence of those it supersedes."""

    request: RetrainRequested
    since_ms: int
    precedence: Precedence


class Superseded(NamedTuple):
    """A request that is not trained, and why."""

    request: RetrainRequested
    reason: str
    detail: str


def precedence(request: RetrainRequested) -> Precedence:
    """A person's order or approval, a stream's first model, or the policy's decision."""
    ordered = any(one.criterion == "approval" for one in request.grounds)
    if request.reason == "command" or ordered:
        return Precedence.COMMAND
    return Precedence.INITIAL if request.reason == "initial" else Precedence.POLICY


DIGITS = 12
"""Digits of an id that are told: enough for `driftloop explain`."""


def settle(
    requests: Iterable[tuple[RetrainRequested, int]],
    current: Callable[[RetrainRequested], ModelPublished | None],
) -> tuple[list[Waiting], list[Superseded]]:
    """Which requests still count.

    A stream's newest request supersedes its older ones. One of the policy is superseded, too, when
    the stream has another version by now than the one it was decided on, trained on all of the
    newest records that the request names: its evidence is about a model that is gone.

    Args:
        requests: Each with its Kafka timestamp; those of a stream in the order of their offsets.
        current: The version of a request's stream, or None.
    """
    found: dict[str, Waiting] = {}
    seen: set[str] = set()
    older: list[tuple[RetrainRequested, str]] = []
    for request, at_ms in requests:
        if request.id in seen:
            continue
        seen.add(request.id)
        one = Waiting(request, at_ms, precedence(request))
        before = found.get(request.stream)
        if before is not None:
            older.append((before.request, request.stream))
            one = Waiting(
                request,
                min(at_ms, before.since_ms),
                min(one.precedence, before.precedence),
            )
        found[request.stream] = one
    out = [
        Superseded(request, "newer-request", _newer_request(found[stream].request))
        for request, stream in older
    ]
    waiting = []
    for one in found.values():
        version = current(one.request)
        if version is not None and outdated(one, version):
            out.append(Superseded(one.request, "newer-version", _newer_version(version)))
        else:
            waiting.append(one)
    return waiting, out


def _newer_request(by: RetrainRequested) -> str:
    return f"superseded by the stream's newer request {by.id[:DIGITS]}"


def _newer_version(version: ModelPublished) -> str:
    return (
        f"superseded by version {version.version}, published since it was decided and trained on "
        "the same records or newer ones"
    )


def outdated(one: Waiting, version: ModelPublished) -> bool:
    """Whether a decision of the policy is about another version than the current one."""
    request = one.request
    if one.precedence is not Precedence.POLICY or request.current_version is None:
        return False
    return version.version != request.current_version and _covers(version.data, request.data)


def _covers(trained: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether records were trained on up to the last one of each partition that is asked for."""
    ends, wanted = _ends(trained), _ends(asked)
    return bool(wanted) and all(ends.get(place, -1) >= end for place, end in wanted.items())


def _ends(ranges: Sequence[str]) -> dict[tuple[str, int], int]:
    ends: dict[tuple[str, int], int] = {}
    for one in parsed_ranges(ranges):
        place = (one.topic, one.partition)
        ends[place] = max(one.last, ends.get(place, -1))
    return ends


def parsed_ranges(ranges: Sequence[str]) -> list[OffsetRange]:
    """Ranges of a request; none where one has another form: such a request fails in training."""
    try:
        return [OffsetRange.parse(one) for one in ranges]
    except MessageError:
        return []


def window_records(request: RetrainRequested, profile: Profile | None) -> int:
    """Records of the window whose saving a request promises, ≥ 1; an estimate for cycles."""
    if profile is not None and isinstance(profile.window, CountWindow):
        return profile.window.records
    spans = (sum(part.size for part in parsed_ranges(one.window)) for one in request.grounds)
    return max([1, *spans])


def promised(request: RetrainRequested, profile: Profile | None) -> float | None:
    """Loss that a request promises to save a record, or None where it promises nothing."""
    if request.priority <= 0:
        return None
    return request.priority / window_records(request, profile)
