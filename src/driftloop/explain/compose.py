"""An explanation: an event is found, decided again on its records, and told."""

from __future__ import annotations

import msgspec

from driftloop.errors import DriftloopError, SettingsError
from driftloop.explain.attempt import Attempt
from driftloop.explain.check import Checker
from driftloop.explain.criteria_words import criteria_found
from driftloop.explain.fleet import incident_rule
from driftloop.explain.headline import about, headline
from driftloop.explain.losses import loss_windows
from driftloop.explain.model import Explanation, Shift
from driftloop.explain.policy_words import policy_words
from driftloop.explain.records import Progress, read_rows, silent, topic_state
from driftloop.explain.reference import records_shift
from driftloop.explain.story import fleet_then, steps, trained, worth
from driftloop.explain.target import Target, belongs
from driftloop.explain.trail import LISTED, Events, Trail
from driftloop.explain.verdict import Check
from driftloop.messages import Command, Event, Evidence, FleetIncident, RetrainRequested
from driftloop.settings import Profile, Settings

SHORTEST = 8
"""Digits of an id that are enough to look for."""


def explain(settings: Settings, event_id: str, *, progress: Progress | None = None) -> Explanation:
    """Explain an event by its id; nothing but Kafka need run.

    Args:
        settings: Kafka, topics and profiles; the profile's settings must be those of then.
        event_id: Id, or its first digits, at least `SHORTEST`.
        progress: Is told how far reading is.

    Raises:
        DriftloopError: No event has such an id, or several have.
        KafkaUnavailableError: No broker answers.
    """
    told = silent if progress is None else progress
    events = Events(settings, told)
    asked = find_event(events, event_id)
    if isinstance(asked, FleetIncident):
        return _incident(asked, events.trail(""), settings)
    trail = events.trail(asked.stream)
    target = belongs(asked, trail)
    name, profile = _profile(settings, asked, target)
    if target.decided is None:
        return _undecided(target, trail, name, profile)
    client = settings.kafka.client()
    topic = topic_state(client, asked.stream, profile)
    checker = Checker(
        target, trail, name, profile, topic,
        lambda first: read_rows(client, topic, profile, first, told),
    )  # fmt: skip
    check, attempt = checker.run()
    shift = records_shift(target, trail, attempt, profile, topic, client)
    return tell(target, trail, name, profile, check, attempt, shift)


def find_event(events: Events, event_id: str) -> Event:
    """The one event of that id, or of an id that begins so; retrain requests come first.

    Raises:
        DriftloopError: None has, or several have: their ids are listed.
    """
    wanted = event_id.strip()
    if len(wanted) < SHORTEST:
        raise DriftloopError(
            f"an event's id, or at least its first {SHORTEST} digits, got {event_id!r}"
        )
    found = events.find(wanted)
    requests = [one for one in found if isinstance(one, RetrainRequested)]
    exact = [one for one in found if one.id == wanted]
    chosen = exact or requests or found
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        near = events.near(wanted)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise DriftloopError(
            f"no event with id {event_id!r} is on Driftloop's topics{hint}. Is it older than their "
            "retention, or of another cluster?"
        )
    lines = [f"  {one.id} {type(one).__name__} {one.stream}" for one in chosen[:LISTED]]
    more = f"\n  and {len(chosen) - LISTED} more" if len(chosen) > LISTED else ""
    raise DriftloopError(
        f"{len(chosen)} events have an id that begins with {event_id!r}; give more digits:\n"
        + "\n".join(lines)
        + more
    )


def tell(
    target: Target,
    trail: Trail,
    name: str,
    profile: Profile,
    check: Check,
    attempt: Attempt | None,
    shift: Shift,
) -> Explanation:
    """Put an explanation together.

    Args:
        target: The event and its decision.
        trail: Events of its stream.
        name: Name of its profile.
        profile: The profile.
        check: Whether it comes out the same.
        attempt: What it came out of, or None.
        shift: What changed in the records.
    """
    request, decided = target.request, target.decided
    assert decided is not None  # noqa: S101  # for the type checker: asked before
    at = decided.closed_at if isinstance(decided, Evidence) else decided.decided_at
    grounds = decided.results if isinstance(decided, Evidence) else decided.grounds
    if target.evidence is not None and target.evidence.kind == "window":
        grounds = target.evidence.results or grounds
    training = None if request is None else trained(trail, request, profile.loss)
    version = decided.model_version if isinstance(decided, Evidence) else decided.current_version
    windows = loss_windows(target, trail, attempt)
    value = None
    if request is not None and training is not None:
        value = worth(
            trail,
            request,
            training,
            windows,
            profile.loss,
            watched=bool(profile.training.watch),
        )
    criteria = tuple(criteria_found(list(grounds), profile.loss))
    decision = "retrain" if request is not None else target.evidence.decision  # type: ignore[union-attr]
    return Explanation(
        id=target.asked.id,
        type=type(target.asked).__name__,
        stream=target.asked.stream,
        profile=name,
        loss=profile.loss,
        headline=headline(target, criteria, shift, training, value, profile),
        about=about(target),
        request_id=None if request is None else request.id,
        at=at,
        decision=decision,
        reason="" if request is None else request.reason,
        policy=tuple(policy_words(profile)) if _by_policy(target) else (),
        version=version,
        check=check,
        criteria=criteria,
        shift=shift,
        windows=windows,
        fleet=fleet_then(trail, target.asked.stream, name, profile, at),
        training=training,
        worth=value,
        steps=() if request is None else steps(trail, request.id, target.asked),
        event=msgspec.to_builtins(target.asked),
    )


def _by_policy(target: Target) -> bool:
    return target.request is None or target.request.reason == "policy"


def _profile(settings: Settings, asked: Event, target: Target) -> tuple[str, Profile]:
    """The profile that the decision names, else the one of its topic."""
    named = asked.profile or ("" if target.request is None else target.request.profile)
    if named in settings.profiles:
        return named, settings.profiles[named]
    found = settings.profile_of(asked.stream.partition(":")[0])
    if found is None:
        known = ", ".join(settings.profiles)
        raise SettingsError(
            f"the event is of profile {named!r}, and this configuration has {known}: give the file "
            "that its monitor had with --config"
        )
    return found


def _incident(asked: FleetIncident, trail: Trail, settings: Settings) -> Explanation:
    """An incident rests on its own numbers."""
    profile = settings.profiles.get(asked.profile)
    rule = None if profile is None else incident_rule(asked, profile.fleet)
    holds = rule is not None and rule.holds
    check = Check(
        "from-event" if holds or rule is None else "different",
        "The numbers of the event lead to what it says."
        if holds
        else "The numbers of the event do not lead to what it says under this configuration."
        if rule is not None
        else f"Profile {asked.profile} is not in this configuration: nothing can be computed.",
        fleet=() if rule is None else (rule,),
        notes=("How far each stream moved is not in the event; its test is taken as it is.",),
    )
    names = ", ".join(asked.streams[:LISTED]) + (" …" if len(asked.streams) > LISTED else "")
    at = asked.opened_at if asked.closed_at is None else asked.closed_at
    fleet = None
    if profile is not None:
        fleet = fleet_then(trail, "", asked.profile, profile, asked.opened_at)
    return Explanation(
        id=asked.id,
        type="FleetIncident",
        stream="",
        profile=asked.profile,
        loss="" if profile is None else profile.loss,
        headline=asked.detail[:1].upper() + asked.detail[1:],
        about=f"An incident of the fleet was {asked.action}; those that moved most: {names}.",
        request_id=None,
        at=at,
        decision=asked.action,
        reason="",
        policy=(),
        version=None,
        check=check,
        fleet=fleet,
        event=msgspec.to_builtins(asked),
    )


def _undecided(target: Target, trail: Trail, name: str, profile: Profile) -> Explanation:
    """An event whose decision is not known, or that had none."""
    asked = target.asked
    at = next((one.at for one in trail.noted if one.event.id == asked.id), 0)
    named = getattr(asked, "request_id", "") or getattr(asked, "command_id", "") or ""
    by = named or asked.id
    command = next((one for one in trail.of(Command) if one.id in {named, asked.id}), None)
    if command is not None or not named:
        who = "" if command is None else f" by {command.who} ({command.why})"
        check = Check("from-event", f"A person's command{who}: no policy decided anything.")
    else:
        lost = f"Retrain request {named}: it is no longer on the topic."
        check = Check("not-possible", "The decision behind it cannot be found.", missing=(lost,))
    return Explanation(
        id=asked.id,
        type=type(asked).__name__,
        stream=asked.stream,
        profile=name,
        loss=profile.loss,
        headline=headline(target, (), Shift(None, None), None, None, profile),
        about=about(target),
        request_id=None,
        at=at,
        decision="",
        reason="",
        policy=(),
        version=None,
        check=check,
        fleet=None,
        steps=steps(trail, by, asked),
        event=msgspec.to_builtins(asked),
    )
