"""Decisions come out the same from raw messages; what is missing or was changed is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driftloop.explain.check import Checker
from driftloop.explain.records import Topic
from driftloop.explain.reference import why_not
from driftloop.explain.target import belongs
from driftloop.explain.trail import Noted, Trail
from driftloop.messages import (
    Command,
    Cost,
    Event,
    Evidence,
    OffsetRange,
    RetrainRequested,
    TrainingFinished,
)
from tests.streams import published
from tests.unit.explain.runs import START_MS, STREAM, Run, messages, profile_of

_CYCLE = {"kind": "cycle", "length": "40m", "cycle": "20m", "lateness": "10m"}
_FAST = {"min_records": 60, "alpha_per_year": 50}

POLICIES: dict[str, dict[str, Any]] = {
    "accumulate": {"kind": "reducible", "cost": 10, "min_records": 60},
    "reducible-test": {"kind": "reducible", "mode": "test", **_FAST},
    "reducible-both": {"kind": "reducible", "mode": "both", "cost": 10, **_FAST},
    "mlma": {"kind": "mlma", **_FAST},
    "mlma-permuted": {"kind": "mlma", "loss_test": "block-permutation", **_FAST},
    "detector": {"kind": "detector", "detector": "page_hinkley", "min_records": 60},
    "any": {"kind": "any", **_FAST},
    "all": {"kind": "all", "criteria": ["loss", "score-ks"], **_FAST},
    "vote": {"kind": "vote", "votes": 2, **_FAST},
    "weighted": {"kind": "vote", "votes": 1, "combine": "weighted", **_FAST},
    "multi-criteria": {"kind": "multi-criteria", "votes": 2, "criteria": [
        "ks", "chi-square", "mmd", "loss", "psi > 0.1"], **_FAST},
    "periodic-records": {"kind": "periodic", "every_records": 150, "min_records": 60},
    "periodic": {"kind": "periodic", "every": "3h", "min_records": 60},
    "always": {"kind": "always", "min_records": 60},
}  # fmt: skip


def _finished(
    request: RetrainRequested, outcome: str = "rejected", **more: Any
) -> TrainingFinished:
    return TrainingFinished(
        id=f"finished-{request.id}",
        stream=STREAM,
        profile=request.profile,
        request_id=request.id,
        outcome=outcome,  # type: ignore[arg-type]
        finished_at=0,
        **more,
    )


def _command(action: Any, **more: Any) -> Command:
    given = {"id": f"{action}-1", "who": "ada", "why": "a test", "issued_at": START_MS}
    return Command(stream=STREAM, action=action, **{**given, **more})


@pytest.mark.parametrize("window", [None, _CYCLE], ids=["count", "cycle"])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_every_policy_comes_out_the_same(
    policy: dict[str, Any], window: dict[str, Any] | None
) -> None:
    """All requests of a run, whose trainings are rejected a while later; and all its evidence."""
    changes = {"policy": policy} | ({"window": window} if window else {})
    run = Run(profile_of(**changes), messages(), answer=lambda one, _: _finished(one)).play()
    assert run.requests
    for request in run.requests[-3:]:
        check, attempt = run.check(request)
        assert (check.outcome, check.differences, check.missing) == ("same", (), ())
        assert check.recomputed_id == request.id
        assert attempt is not None
        assert attempt.request == request
        assert check.evidence[0] == check.evidence[1] > 0
    for evidence in (run.evidence[0], run.evidence[-1]):
        assert run.check(evidence)[0].outcome == "same"


@pytest.mark.parametrize("late", [0, 15])
@pytest.mark.parametrize("piece", [7, 1000])
def test_late_labels_and_versions_come_out_the_same_however_they_are_read(
    late: int, piece: int
) -> None:
    run = Run(profile_of(), messages(late=late, versions=(0, 200, 420))).play()
    assert len(run.requests) >= 2
    for request in run.requests:
        check, attempt = run.check(request, piece=piece)
        assert check.outcome == "same"
        assert attempt is not None
        assert attempt.request == request


def test_versions_that_no_record_names_begin_where_their_windows_tell() -> None:
    """The publication was seen in the middle of a window, which no event says."""
    controls: dict[int, list[Event]] = {0: [published("v1")], 333: [published("v2")]}
    run = Run(profile_of(), messages(versions=None), controls).play()
    (request,) = run.requests[-1:]
    assert request.current_version == "v2"
    assert run.check(request)[0].outcome == "same"


def _named(values: list[bytes], versions: dict[int, str]) -> list[bytes]:
    """The messages, predicted by a version from each of these records on."""
    first, found = "", []
    for at, value in enumerate(values):
        first = versions.get(at, first)
        found.append(msgspec.json.encode({**msgspec.json.decode(value), "model_version": first}))
    return found


@pytest.mark.parametrize("later", [500, 400], ids=["no-window", "windows-at-the-second"])
def test_a_rollback_that_closed_no_window_is_placed_by_its_records(later: int) -> None:
    """Without its publication, its records would count as stale, and be of no later training."""
    values = _named(messages(), {0: "v1", 150: "v2", 230: "v1", 255: "v3", later: "v1"})
    controls: dict[int, list[Event]] = {
        5: [published("v1")],
        150: [published("v2")],
        229: [_again(1)],
        254: [published("v3")],
        300: [_command("retrain")],
        later: [_again(2)],
    }
    run = Run(profile_of(training={"records": 400}), values, controls).play()
    short = [one for one in run.evidence if one.window == [f"{STREAM}:0:230:254"]]
    assert not short
    asked = next(one for one in run.requests if one.reason == "command")
    check, attempt = run.check(asked)
    assert (check.outcome, check.differences) == ("same", ())
    assert attempt is not None
    assert attempt.request == asked
    assert asked.grounds[0].n == 300
    for evidence in run.evidence:
        assert run.check(evidence)[0].outcome == "same"


def _again(number: int) -> Event:
    return msgspec.structs.replace(
        published("v1"), id=f"again-{number}", request_id=f"again-{number}", action="rolled-back"
    )


@pytest.mark.parametrize("action", ["retrain", "snooze", "pin", "reset-reference", "retire"])
def test_commands_are_seen_where_they_were(action: str) -> None:
    """All evidence comes out the same; a stream that was retired is watched again from 330 on."""
    controls: dict[int, list[Event]] = {230: [_command(action)]}
    if action == "retire":
        controls[330] = [_command("resume")]
    run = Run(profile_of(), messages(), controls).play()
    if action == "retrain":
        asked = next(one for one in run.requests if one.reason == "command")
        assert run.check(asked)[0].outcome == "same"
    for evidence in run.evidence:
        check, _ = run.check(evidence)
        assert check.outcome == "same", evidence.decision
    held = {"snooze": "snoozed", "pin": "pinned"}
    if action in held:
        assert held[action] in {one.decision for one in run.evidence}


def test_a_command_that_was_never_let_in_counts_for_nothing() -> None:
    """As an unsigned one where signatures are required: others have answers, it has none."""
    run = Run(profile_of(), messages(), {10: [_command("resume")]}).play()
    pinned = _command("pin", id="unsigned")
    trail = run.trail
    trail.noted.insert(0, Noted(pinned, 0))
    for request in run.requests:
        assert run.check(request, trail=trail)[0].outcome == "same"


def test_a_first_model_comes_out_the_same() -> None:
    profile = profile_of(training={"records": 200, "initial": 100})
    values = [
        msgspec.json.encode({k: v for k, v in msgspec.json.decode(one).items() if k != "y_pred"})
        for one in messages(versions=None)
    ]
    run = Run(profile, values).play()
    assert run.requests[0].reason == "initial"
    assert run.check(run.requests[0])[0].outcome == "same"


@pytest.mark.parametrize("control", ["stream", "bh", "e-bh", "lord", "saffron"])
def test_a_fleets_verdict_follows_from_the_event(control: str) -> None:
    """What the stream proposes is decided again on records, what the fleet adds on its numbers."""
    profile = profile_of(
        policy={"kind": "mlma", **_FAST},
        fleet={"control": control, "fdr": 0.2, "tick": "1h", "lateness": "10m", "budget": 3},
    )
    run = Run(profile, messages(), answer=lambda one, _: _finished(one)).play()
    assert run.requests
    check, _ = run.check(run.requests[0])
    assert check.outcome == "same"
    rules = {one.rule for one in check.fleet}
    assert rules == ({"budget"} if control == "stream" else {"fleet-control", "budget"})
    grounds = [
        msgspec.structs.replace(one, rejected=not one.rejected, statistic=99.0)
        if one.family == "fleet"
        else one
        for one in run.requests[0].grounds
    ]
    tampered = msgspec.structs.replace(run.requests[0], grounds=grounds)
    check, _ = run.check(tampered, trail=_instead(run, tampered))
    assert check.outcome == "different"
    assert any(one.place.startswith("fleet: ") for one in check.differences)


def test_an_approved_request_comes_out_as_it_was_decided() -> None:
    profile = profile_of(policy={"cost": 10, "min_records": 60, "approval": True})
    run = Run(profile, messages(), {500: [_command("approve")]}).play()
    (request,) = run.requests
    assert request.grounds[-1].criterion == "approval"
    check, attempt = run.check(request)
    assert check.outcome == "same"
    assert attempt is not None
    assert attempt.window is not None
    assert attempt.window.evidence.decision == "awaiting-approval"


def _instead(run: Run, changed: Event) -> Trail:
    """The trail of a run in which one event says something else."""
    trail = run.trail
    trail.noted = [
        Noted(changed, one.at) if one.event.id == changed.id else one for one in trail.noted
    ]
    return trail


def test_a_tampered_number_is_named() -> None:
    run = Run(profile_of(), messages()).play()
    request = run.requests[0]
    first = msgspec.structs.replace(
        request.grounds[0], statistic=request.grounds[0].statistic * 1.01
    )  # type: ignore[operator]
    changed = msgspec.structs.replace(request, grounds=[first, *request.grounds[1:]])
    check, _ = run.check(changed, trail=_instead(run, changed))
    assert check.outcome == "different"
    (difference,) = check.differences
    assert difference.place == "grounds[0].statistic"
    assert float(difference.recorded) == pytest.approx(1.01 * float(difference.recomputed))


def test_records_that_were_changed_are_found_out() -> None:
    run = Run(profile_of(), messages()).play()
    request = run.requests[0]
    other = Run(run.profile, [*messages(seed=1)[:200], *run.values[200:]], events=run.events)
    check, _ = other.check(request)
    assert check.outcome == "different"
    known, same = check.evidence
    assert same < known
    assert len(check.otherwise) == min(known - same, 5)
    ids = {one.id for one in run.evidence}
    assert ids.issuperset(check.otherwise)
    assert f"not {check.otherwise[0][:12]}" in check.compared


def test_why_there_is_no_reference_is_told() -> None:
    topic = Topic(STREAM, 1, {0: 100}, {0: 600})
    window = [OffsetRange.parse(f"{STREAM}:0:200:300")]

    def told(first: int, last: int) -> str:
        return why_not([f"{STREAM}:0:{first}:{last}"], window, topic)

    assert "no reference" in why_not([], window, topic)
    assert "first window of its version" in told(200, 300)
    assert "expired" in told(50, 150)
    assert f"{STREAM}:0:550:650" in told(550, 650)
    assert "no complete record" in told(110, 150)


def test_another_policy_is_told_by_its_hash() -> None:
    run = Run(profile_of(), messages()).play()
    changed = profile_of(policy={"cost": 11, "min_records": 60})
    check, attempt = run.check(run.requests[0], profile=changed)
    assert (check.outcome, attempt) == ("not-possible", None)
    assert "the profile's settings have changed" in check.summary
    assert run.profile.hash in check.missing[0]
    assert changed.hash in check.missing[0]
    check, _ = run.check(run.evidence[-1], profile=changed)
    assert check.outcome == "different"
    assert "is not one of this profile" in " ".join(check.missing)


def test_a_beginning_that_expired_does_not_matter_behind_a_new_version() -> None:
    """Windows and references begin with each version; only the window's number is lost."""
    run = Run(profile_of(), messages(versions=(0, 220))).play()
    request = next(one for one in run.requests if one.current_version == "v2")
    check, _ = run.check(request, low=130)
    assert check.outcome == "same"
    assert check.recomputed_id == request.id
    assert "streams.a:0:0:129" in check.missing[0]
    assert "rests on none of them" in check.missing[0]


def test_training_data_that_reaches_back_to_what_is_gone_are_told_apart() -> None:
    """Without evidence nothing tells where a window begins."""
    run = Run(profile_of(), messages(versions=(0, 220))).play()
    request = next(one for one in run.requests if one.current_version == "v2")
    trail = run.trail
    trail.evidence = {k: v for k, v in trail.evidence.items() if v.event.model_version != "v1"}  # type: ignore[attr-defined]
    check, _ = run.check(request, low=130, trail=trail)
    assert check.outcome == "partly"
    assert {one.place for one in check.differences} == {"data[0]"}
    assert "but for the records to train on" in check.summary


def test_a_version_whose_first_records_expired_cannot_be_decided_again() -> None:
    run = Run(profile_of(), messages()).play()
    request = run.requests[0]
    check, _ = run.check(request, low=130)
    assert check.outcome in {"partly", "not-possible"}
    assert "streams.a:0:0:129" in check.missing[0]
    check, _ = run.check(request, low=590)
    assert check.outcome == "not-possible"
    assert "window of the decision itself" in check.missing[0]


def test_a_state_that_began_anew_is_found_by_its_windows_numbers() -> None:
    """As after a change of the profile, or with monitor.start = latest."""
    run = Run(profile_of(), messages(), begin=100).play()
    check, _ = run.check(run.requests[0])
    assert check.outcome == "same"
    assert check.began == "offset 100, where the stream's state began anew"


def test_a_topic_that_is_gone_is_told() -> None:
    run = Run(profile_of(), messages()).play()
    trail = run.trail
    target = belongs(run.requests[0], trail)
    gone = Topic(STREAM, 0, {}, {})
    check, _ = Checker(target, trail, "numbers", run.profile, gone, lambda _: []).run()
    assert check.outcome == "not-possible"
    assert STREAM in check.missing[0]


def test_an_outcome_is_placed_as_late_as_the_evidence_says() -> None:
    """It was written long before the monitor saw it, as where the monitor was down meanwhile."""
    run = Run(profile_of(), messages(), answer=lambda one, _: _finished(one), delay=25).play()
    run.events = [
        Noted(one.event, one.at - 20_000) if isinstance(one.event, TrainingFinished) else one
        for one in run.events
    ]
    for request in run.requests:
        check, _ = run.check(request)
        assert check.outcome == "same"
    for evidence in [one for one in run.evidence if one.kind == "window"][:12]:
        assert run.check(evidence)[0].outcome == "same"


def test_a_cost_that_follows_measured_seconds_comes_out_the_same() -> None:
    """Each training takes longer than the one before; whatever came of it, it counts."""
    price = {"gpu_second": 1.0, "seconds": 1.0, "loss": 0.5, "measured": True}
    policy = {"kind": "reducible", "price": price, "min_records": 60}
    took = iter(range(3, 100, 3))

    def answer(request: RetrainRequested, _offset: int) -> TrainingFinished:
        cost = Cost(seconds=float(next(took)), records=200, device="cpu")
        return _finished(request, "failed", cost=cost)

    run = Run(profile_of(policy=policy), messages(1200), answer=answer).play()
    thresholds = [one.grounds[0].threshold for one in run.requests]
    assert thresholds[:4] == [2.0, 2.0, 6.0, 6.0]
    for request in run.requests:
        check, attempt = run.check(request)
        assert (check.outcome, check.differences) == ("same", ())
        assert check.evidence[0] == check.evidence[1] > 0
        assert attempt is not None
        assert attempt.request == request
    short = run.trail
    short.noted = [one for one in short.noted if not isinstance(one.event, TrainingFinished)]
    check, _ = run.check(run.requests[-1], trail=short)
    assert check.outcome != "same"


def test_evidence_of_an_alarm_comes_out_the_same() -> None:
    policy = {"kind": "detector", "detector": "page_hinkley", "min_records": 60}
    run = Run(profile_of(policy=policy), messages()).play()
    alarms = [one for one in run.evidence if one.kind == "alarm"]
    assert alarms
    check, attempt = run.check(alarms[0])
    assert check.outcome == "same"
    assert attempt is not None
    assert isinstance(attempt.evidence, Evidence)
