"""Decisions: what follows from evidence, what holds it back, and what the status tells."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from driftloop.detection.outputs import (
    Alarm,
    Counters,
    InitialDue,
    LossWindow,
    Ordered,
    StateChanged,
    VersionChanged,
)
from driftloop.messages import (
    CommandAnswered,
    Event,
    Evidence,
    Ground,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.policy import StreamDecider, Tested
from driftloop.settings import Policy, Profile, Training
from tests.streams import STREAM, command
from tests.unit.policy.windows import DAY, features, losses


def decider(**policy: Any) -> StreamDecider:
    given = {"min_records": 10, **policy}
    return StreamDecider(STREAM, "flights", Profile(policy=Policy(**given)))


def asked(index: int, *, retrain: bool = True, n: int = 100) -> Tested:
    """A window after which the policy's criterion asks for a retrain, or not."""
    window = losses([1.0] * n, index=index)
    return Tested(
        window,
        "loss",
        [Ground(criterion="reducible", family="loss", rejected=retrain, n=n)],
        {"loss": 1.0, "accumulated": 3.0, "threshold": 2.0, "reference_loss": 0.5},
        retrain=retrain,
        saving=4.0,
    )


def decisions(state: StreamDecider, *items: Any) -> list[str]:
    """The decision that each window's evidence tells."""
    return [
        event.decision
        for item in items
        for event in state.decide(item)
        if isinstance(event, Evidence)
    ]


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def finished(request: RetrainRequested, outcome: Any = "failed", **more: Any) -> TrainingFinished:
    return TrainingFinished(
        id=f"{outcome}-{request.id}",
        stream=STREAM,
        profile="flights",
        request_id=request.id,
        outcome=outcome,
        finished_at=0,
        **more,
    )


def test_a_request_carries_its_whole_grounds_and_the_data_to_train_on() -> None:
    state = decider()
    item = asked(3)
    request, evidence, status = state.decide(item)
    assert isinstance(request, RetrainRequested)
    assert (request.reason, request.policy, request.priority) == ("policy", "reducible", 4.0)
    assert request.grounds == item.results
    assert isinstance(item.window, LossWindow)
    assert request.data == item.window.training
    assert (request.current_version, request.decided_at) == ("v1", 4 * DAY - 1)
    assert request.profile_hash == state.profile.hash
    assert isinstance(evidence, Evidence)
    assert (evidence.decision, evidence.records, evidence.window) == (
        "retrain",
        100,
        item.window.ranges,
    )
    assert isinstance(status, StreamStatus)
    assert (status.retrains, status.accumulated, status.threshold) == (1, 3.0, 2.0)


def test_a_request_names_the_part_of_the_training_window_that_was_chosen() -> None:
    item = asked(3)
    item.training = [f"{STREAM}:0:70:99"]
    (request,) = of(decider().decide(item), RetrainRequested)
    assert request.data == [f"{STREAM}:0:70:99"]


def test_the_same_decision_has_the_same_id_and_another_has_another() -> None:
    one, two = decider(), decider()
    assert [e.id for e in one.decide(asked(1))] == [e.id for e in two.decide(asked(1))]
    others = [decider().decide(asked(2)), decider(cost=3.0).decide(asked(1))]
    other_stream = StreamDecider("streams.b", "flights", decider().profile).decide(asked(1))
    later = asked(1)
    later.window = dataclasses.replace(later.window, closed_at=later.window.closed_at + 1)
    ids = [e.id for e in decider().decide(asked(1))]
    for events in (*others, other_stream, decider().decide(later)):
        assert not set(ids[:2]) & {e.id for e in events}
    assert len(set(ids)) == 3


def test_no_second_request_while_one_has_no_outcome() -> None:
    state = decider(outcome_timeout="3d")
    assert decisions(state, *map(asked, range(4))) == [
        "retrain",
        "in-flight",
        "in-flight",
        "in-flight",
    ]
    assert decisions(state, asked(4)) == ["retrain"]


@pytest.mark.parametrize("outcome", ["rejected", "failed", "superseded"])
def test_an_outcome_ends_the_wait_and_its_detail_is_told(outcome: str) -> None:
    state = decider(outcome_timeout="365d")
    request = of(state.decide(asked(0)), RetrainRequested)[0]
    (status,) = state.decide(finished(request, outcome, detail="too few"))
    assert status.detail == f"last training {outcome}: too few"
    assert decisions(state, asked(1)) == ["retrain"]


def test_a_request_that_was_superseded_does_not_hide_how_the_newer_one_ended() -> None:
    """The trainer tells of both in one transaction, of the older one last."""
    state = decider(outcome_timeout="1d")
    older, newer = (of(state.decide(asked(i)), RetrainRequested)[0] for i in (0, 3))
    (status,) = state.decide(finished(newer, "rejected", detail="worse"))
    assert status.detail == "last training rejected: worse"
    (status,) = state.decide(finished(older, "superseded", detail=f"by {newer.id}"))
    assert status.detail == "last training rejected: worse"


def test_an_outcome_of_another_request_does_not_end_the_wait() -> None:
    state = decider(outcome_timeout="365d")
    request = of(state.decide(asked(0)), RetrainRequested)[0]
    other = of(decider().decide(asked(5)), RetrainRequested)[0]
    state.decide(finished(other))
    assert decisions(state, asked(1)) == ["in-flight"]
    state.decide(finished(request))
    assert decisions(state, asked(2)) == ["retrain"]


def test_a_new_version_ends_the_wait_and_must_show_losses_of_its_own() -> None:
    state = decider(outcome_timeout="365d", min_records=150)
    assert decisions(state, asked(0), asked(1), asked(2)) == [
        "too-few-records",
        "retrain",
        "in-flight",
    ]
    (status,) = state.decide(VersionChanged("v2"))
    assert (status.model_version, status.state, status.loss) == ("v2", "warming-up", None)
    assert decisions(state, asked(3), asked(4)) == ["too-few-records", "retrain"]


def test_the_cool_down_counts_from_the_last_request_in_event_time() -> None:
    state = decider(cooldown="2d", outcome_timeout="0s")
    assert decisions(state, *map(asked, range(4))) == [
        "retrain",
        "cool-down",
        "cool-down",
        "retrain",
    ]


def test_a_pinned_stream_is_not_retrained_until_it_is_unpinned() -> None:
    state = decider()
    answer, status = state.decide(ordered("pin"))
    assert isinstance(answer, CommandAnswered)
    assert isinstance(status, StreamStatus)
    assert status.state == "pinned"
    assert decisions(state, asked(0)) == ["pinned"]
    state.decide(ordered("unpin"))
    assert decisions(state, asked(1)) == ["retrain"]


def test_a_snoozed_stream_is_not_retrained_before_the_end_of_the_snooze() -> None:
    state = decider()
    state.decide(ordered("snooze", until=2 * DAY))
    first, last = state.decide(asked(0))
    assert isinstance(first, Evidence)
    assert first.decision == "snoozed"
    assert isinstance(last, StreamStatus)
    assert last.state == "snoozed"
    assert decisions(state, asked(1), asked(2)) == ["snoozed", "retrain"]


def test_a_snooze_without_an_end_holds_until_it_is_ended() -> None:
    state = decider()
    state.decide(ordered("snooze"))
    assert decisions(state, asked(0), asked(400)) == ["snoozed", "snoozed"]
    answer, _ = state.decide(ordered("snooze", id="past", until=0))
    assert isinstance(answer, CommandAnswered)
    assert answer.outcome == "refused"
    assert decisions(state, asked(401)) == ["snoozed"]
    state.decide(ordered("resume"))
    assert decisions(state, asked(402)) == ["retrain"]


def ordered(action: str, *, training: bool = True, **more: Any) -> Ordered:
    data = [f"{STREAM}:0:0:49"] if training else []
    return Ordered(command(action, **more), data, 50 * training, "v1", DAY, Counters(records=50))


def test_a_commanded_retrain_goes_ahead_whatever_holds_the_policy_back() -> None:
    state = decider(kind="never")
    state.decide(ordered("pin"))
    request, answer, status = state.decide(ordered("retrain"))
    assert isinstance(request, RetrainRequested)
    assert isinstance(answer, CommandAnswered)
    assert (answer.outcome, answer.led_to) == ("accepted", [request.id])
    assert (request.reason, request.data) == ("command", [f"{STREAM}:0:0:49"])
    assert request.grounds[0].detail == "a: b"
    assert (request.current_version, request.decided_at) == ("v1", DAY)
    assert isinstance(status, StreamStatus)
    assert (status.retrains, status.records, status.state) == (1, 50, "pinned")
    assert state.decide(ordered("retrain"))[0] == answer
    state = decider(kind="never")  # its state was lost, and the topic is read again
    assert state.decide(ordered("retrain"))[0].id == request.id


def test_a_commanded_retrain_without_records_says_why_nothing_happens() -> None:
    answer, status = decider().decide(ordered("retrain", training=False))
    assert isinstance(answer, CommandAnswered)
    assert (answer.outcome, answer.led_to) == ("refused", [])
    assert isinstance(status, StreamStatus)
    assert status.retrains == 0
    assert "no labelled records" in status.detail


def due() -> InitialDue:
    return InitialDue([f"{STREAM}:0:0:99"], 100, 5 * DAY, Counters(records=100))


def test_the_first_model_is_requested_and_waited_for() -> None:
    state = decider(outcome_timeout="365d")
    request, status = state.decide(due())
    assert isinstance(request, RetrainRequested)
    assert (request.reason, request.current_version) == ("initial", None)
    assert (request.data, request.decided_at) == ([f"{STREAM}:0:0:99"], 5 * DAY)
    assert isinstance(status, StreamStatus)
    assert (status.retrains, status.state) == (1, "warming-up")
    assert decisions(state, asked(6)) == ["in-flight"]


def test_a_pinned_stream_gets_no_first_model_by_itself() -> None:
    state = decider()
    state.decide(ordered("pin"))
    assert not of(state.decide(due()), RetrainRequested)


def test_periodic_retrains_at_the_first_window_after_each_period() -> None:
    state = decider(kind="periodic", every="3d", outcome_timeout="0s")
    calm = [asked(index, retrain=False) for index in range(8)]
    assert "".join(decision[0] for decision in decisions(state, *calm)) == "nnnrnnrn"


def test_a_periods_clock_starts_with_a_new_version() -> None:
    state = decider(kind="periodic", every="3d")
    calm = [asked(index, retrain=False) for index in range(6)]
    assert decisions(state, *calm[:2]) == ["none", "none"]
    state.decide(VersionChanged("v2"))
    assert decisions(state, *calm[2:]) == [
        *["none", "none", "retrain", "in-flight"][:1],
        "none",
        "retrain",
        "none",
    ]


def test_never_retrains_nothing() -> None:
    assert decisions(decider(kind="never"), *map(asked, range(3))) == ["none"] * 3


def test_shifted_features_make_a_stream_watched_until_they_are_calm_again() -> None:
    state = decider()
    state.decide(asked(0, retrain=False))
    window = features(index=0)
    events = state.decide(Tested(window, "features", [], shifted=True))
    assert [type(e) for e in events] == [Evidence, StreamStatus]
    assert (events[0].decision, events[1].state) == ("watch", "watched")
    assert events[1].records == 100
    calm = state.decide(Tested(features(index=1), "features", []))
    assert (calm[0].decision, calm[1].state) == ("none", "monitoring")


def test_an_alarm_is_evidence_that_names_the_record() -> None:
    (event,) = decider().decide(Alarm("adwin", 7 * DAY, f"{STREAM}:0:5:5", "v1", 9.5))
    assert isinstance(event, Evidence)
    assert (event.kind, event.window, event.closed_at) == ("alarm", [f"{STREAM}:0:5:5"], 7 * DAY)
    assert (event.results[0].criterion, event.results[0].statistic) == ("adwin", 9.5)


@pytest.mark.parametrize(
    ("name", "on", "family"),
    [
        ("adwin", "loss", "loss"),
        ("ddm", "error", "loss"),
        ("hddm_w:score", "score", "score"),
        ("kswin:x.a", "x.a", "features"),
    ],
)
def test_an_alarm_is_evidence_of_what_its_detector_reads(name: str, on: str, family: str) -> None:
    alarm = Alarm(name, 7 * DAY, f"{STREAM}:0:5:5", "v1", 0.5, on)
    (event,) = decider().decide(alarm)
    assert isinstance(event, Evidence)
    (ground,) = event.results
    assert (ground.criterion, ground.family, ground.rejected) == (name, family, True)
    assert f"the {on} has changed" in ground.detail
    assert event.metrics == {on: 0.5}


def test_a_silent_or_retired_topic_shows_in_the_state_until_it_speaks() -> None:
    state = decider()
    state.decide(asked(0, retrain=False))
    states = []
    for kind in ("silent", "active", "refused", "retired"):
        (status,) = state.decide(StateChanged(kind, None, "v1", detail=f"now {kind}"))
        states.append(status.state)
        assert status.detail == f"now {kind}"
    assert states == ["silent", "monitoring", "refused", "retired"]


def test_the_status_tells_the_counters_of_the_window() -> None:
    state = decider()
    item = asked(0, retrain=False)
    assert isinstance(item.window, LossWindow)
    item.window.counters = Counters(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    status = of(state.decide(item), StreamStatus)[0]
    found = [getattr(status, field.name) for field in dataclasses.fields(Counters)]
    assert found == list(range(1, 11))
    assert (status.windows, status.event_time) == (1, DAY - 1)


def test_a_decider_that_was_put_away_goes_on_alike() -> None:
    kept, stored = decider(cooldown="2d"), decider(cooldown="2d")
    for index in range(6):
        stored = pickle.loads(pickle.dumps(stored))  # noqa: S301
        assert kept.decide(asked(index)) == stored.decide(asked(index))


def test_labelled_records_that_nobody_predicts_ask_for_a_first_model() -> None:
    """Until there are predictions, a version, a request, or a first model that will come."""

    def detail(state: StreamDecider, *, counted: int = 0) -> str:
        window = dataclasses.replace(
            losses([float("nan")] * 100), counters=Counters(losses=counted)
        )
        status = state.decide(Tested(window, "loss", [], {}))[-1]
        assert isinstance(status, StreamStatus)
        return status.detail

    told = "no model: set training.initial, or send a retrain command"
    assert detail(decider()) == told
    assert detail(decider(), counted=100) == ""
    first = Profile(training=Training(initial=300))
    assert detail(StreamDecider(STREAM, "flights", first)) == ""
    served = decider()
    served.decide(VersionChanged("v1"))
    assert detail(served) == ""
    asked_for = decider()
    asked_for.decide(Ordered(command("retrain"), [f"{STREAM}:0:0:9"], 10, None, 0, Counters()))
    assert detail(asked_for) == ""
