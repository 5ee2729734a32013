"""What becomes of versions: pins, rollbacks by command, too many rollbacks, no flapping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.detection.outputs import Counters, Ordered, Trial, TrialVerdict
from driftloop.messages import (
    Evidence,
    RetrainJudged,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.policy import StreamDecider
from driftloop.records import Columns
from driftloop.settings import Policy, Profile, Training
from tests.court import COST, Court, candidate, trained
from tests.streams import MINUTE, START, STREAM, command, make_columns
from tests.unit.policy.test_decide import asked
from tests.unit.policy.windows import DAY

NUMBERS: dict[str, float | None] = {
    "records": 200.0, "loss_new": 2.0, "loss_old": 1.0, "difference": 1.0, "low": 0.5,
    "high": 1.5, "level": 0.99, "log_e_worse": 5.0, "log_e_better": None,
}  # fmt: skip


def decider(training: dict[str, Any] | None = None, **policy: Any) -> StreamDecider:
    profile = Profile(
        policy=Policy(min_records=10, **policy),
        training=Training.model_validate({"records": 2000, **(training or {})}),
        features={"numeric": ["a"]},  # type: ignore[arg-type]  # a table
    )
    return StreamDecider(STREAM, "flights", profile)


def verdict(
    version: str, against: str, found: str = "worse", kind: str = "watch", **more: Any
) -> TrialVerdict:
    trial = Trial(kind, version, against, against, against, f"request-{version}", 2.0, "cpu")  # type: ignore[arg-type]
    given: dict[str, Any] = {
        "ending": "" if found == "worse" else "complete",
        "records": 200,
        "metrics": NUMBERS,
        "ts": START,
    }
    return TrialVerdict(trial=trial, verdict=found, **{**given, **more})  # type: ignore[arg-type]


def order(action: Any, current: str | None = "v3", **more: Any) -> Ordered:
    training = [f"{STREAM}:0:0:9"]
    return Ordered(command(action, **more), training, 10, current, 21 * DAY, Counters())


def orders(events: list[Any]) -> list[tuple[str, str | None, str | None, str]]:
    found = [one for one in events if isinstance(one, VersionOrdered)]
    return [(one.action, one.version, one.against, one.reason) for one in found]


def status(events: list[Any]) -> StreamStatus:
    last = events[-1]
    assert isinstance(last, StreamStatus)
    return last


def test_a_rollback_by_command_names_the_version_or_its_parent() -> None:
    state = decider()
    state.decide(trained("v3", "v2"))
    found = state.decide(order("rollback"))
    assert orders(found) == [("rollback", None, "v3", "command")]
    assert (found[0].who, found[0].detail) == ("a", "b")  # type: ignore[attr-defined]
    assert "rollback to the parent ordered by a: b" in status(found).detail
    again = state.decide(order("rollback", id="again", version="v1"))
    assert orders(again) == [("rollback", "v1", "v3", "command")]
    told = TrainingFinished(
        id="t",
        stream=STREAM,
        profile="p",
        request_id=again[0].id,
        outcome="failed",
        reason="rollback-failed",
        detail="no artifact",
        finished_at=0,
    )
    assert status(state.decide(told)).detail == "rollback-failed: no artifact"


@pytest.mark.parametrize(
    ("current", "asked_for", "told"),
    [(None, None, "no version to go back from"), ("v3", "v3", "v3 is the current version already")],
)
def test_a_rollback_that_means_nothing_is_told(
    current: str | None, asked_for: str | None, told: str
) -> None:
    state = decider()
    event = Ordered(command("rollback", version=asked_for), [], 0, current, START, Counters())
    found = state.decide(event)
    assert not orders(found)
    assert told in status(found).detail


def test_the_newest_publication_is_what_a_command_is_about() -> None:
    """Records of it may not have come yet."""
    state = decider()
    state.decide(trained("v4", "v3"))
    assert orders(state.decide(order("rollback", "v3"))) == [("rollback", None, "v4", "command")]


def test_a_pin_gives_up_a_training_under_way() -> None:
    state = decider()
    sent = [one for one in state.decide(asked(1)) if isinstance(one, RetrainRequested)]
    found = state.decide(order("pin"))
    assert orders(found) == [("discard", None, None, "command")]
    assert found[0].request_id == sent[0].id  # type: ignore[attr-defined]
    assert status(found).state == "pinned"


def test_a_pin_of_another_version_goes_back_to_it() -> None:
    state = decider()
    state.decide(trained("v3", "v2"))
    assert orders(state.decide(order("pin", version="v1"))) == [("rollback", "v1", "v3", "command")]
    assert not orders(decider().decide(order("pin", version="v3")))


def test_what_was_in_training_when_the_pin_came_and_is_published_all_the_same_is_taken_back() -> (
    None
):
    state = decider()
    (sent,) = [one for one in state.decide(asked(1)) if isinstance(one, RetrainRequested)]
    state.decide(order("pin"))
    late = state.decide(trained("v4", "v3", request_id=sent.id))
    assert orders(late) == [("rollback", "v3", "v4", "command")]
    assert not orders(state.decide(trained("v3", "v4", action="rolled-back")))


def test_other_publications_are_left_alone_as_the_pin_may_be_read_late() -> None:
    """A monitor that lost its state reads commands and publications anew, in any order."""
    state = decider()
    state.decide(order("pin"))
    assert not orders(state.decide(trained("v4", "v3")))


def test_a_command_that_is_read_again_gives_the_same_order() -> None:
    first, again = decider(), decider()
    first.decide(trained("v3", "v2"))
    again.decide(trained("v7", "v6"))
    one, other = first.decide(order("rollback"))[0], again.decide(order("rollback"))[0]
    assert one.id == other.id


def test_a_candidate_of_a_pinned_stream_is_given_up() -> None:
    state = decider({"canary": True})
    state.decide(order("pin"))
    assert orders(state.decide(candidate("v4", "v3"))) == [("discard", "v4", None, "command")]


def test_a_pinned_version_stays_though_it_is_worse() -> None:
    state = decider()
    state.decide(order("pin"))
    found = state.decide(verdict("v4", "v3"))
    assert not orders(found)
    assert [one.verdict for one in found if isinstance(one, RetrainJudged)] == ["worse"]
    assert "it stays, for the stream is pinned" in status(found).detail


def test_a_canary_keeps_the_stream_from_asking_again_however_long_it_takes() -> None:
    state = decider({"canary": True}, outcome_timeout="1h")
    (sent,) = [one for one in state.decide(asked(1)) if isinstance(one, RetrainRequested)]
    event = candidate("v4", "v3")
    on_trial = type(event)(
        **{name: getattr(event, name) for name in event.__struct_fields__} | {"request_id": sent.id}
    )
    state.decide(on_trial)
    found = [one for one in state.decide(asked(9)) if isinstance(one, Evidence)]
    assert [one.decision for one in found] == ["in-flight"]
    done = TrainingFinished(
        id="t", stream=STREAM, profile="p", request_id=sent.id, outcome="rejected", finished_at=0
    )
    state.decide(done)
    assert [one for one in state.decide(asked(10)) if isinstance(one, RetrainRequested)]


def test_money_is_told_where_it_is_set() -> None:
    state = decider(price={"gpu_second": 0.5, "seconds": 1.0, "loss": 1.0})
    (judged,) = [one for one in state.decide(verdict("v4", "v3")) if isinstance(one, RetrainJudged)]
    assert (judged.seconds, judged.cost) == (2.0, 1.0)
    assert (judged.saved, judged.low, judged.high) == (-1.0, -1.5, -0.5)


def test_after_too_many_rollbacks_in_a_row_retrains_wait_for_a_person() -> None:
    state = decider({"rollback_limit": 2})
    assert not decided(state, 1, "awaiting-approval")
    state.decide(verdict("v4", "v3"))
    found = state.decide(verdict("v5", "v3"))
    assert "2 automatic rollbacks in a row" in status(found).detail
    settle(state)
    events = state.decide(asked(20))
    assert not [one for one in events if isinstance(one, RetrainRequested)]
    assert status(events).state == "awaiting-approval"
    assert status(events).rollbacks == 2
    sent = state.decide(order("approve"))
    assert [one for one in sent if isinstance(one, RetrainRequested)]
    settle(state)
    assert decided(state, 40, "retrain")


@pytest.mark.parametrize("found", ["better", "undecided"])
def test_a_version_that_held_its_own_ends_the_count(found: str) -> None:
    state = decider({"rollback_limit": 2})
    state.decide(verdict("v4", "v3"))
    state.decide(verdict("v5", "v3", found))
    state.decide(verdict("v6", "v5"))
    settle(state)
    assert decided(state, 20, "retrain")


def test_a_version_that_another_replaced_does_not() -> None:
    state = decider({"rollback_limit": 2})
    state.decide(verdict("v4", "v3"))
    state.decide(verdict("v5", "v3", "undecided", ending="superseded"))
    state.decide(verdict("v6", "v5"))
    settle(state)
    assert decided(state, 20, "awaiting-approval")


def settle(state: StreamDecider) -> None:
    """Whatever was in flight has its outcome."""
    in_flight = state._pace.in_flight
    if in_flight is not None:
        state.decide(
            TrainingFinished(
                id="t",
                stream=STREAM,
                profile="p",
                request_id=in_flight,
                outcome="published",
                finished_at=0,
            )
        )


def decided(state: StreamDecider, index: int, wanted: str) -> bool:
    found = [one for one in state.decide(asked(index)) if isinstance(one, Evidence)]
    return [one.decision for one in found] == [wanted]


class Regimes:
    """A stream whose coefficient changes as soon as a model has learned the one before.

    Its trainer fits the newest records, and obeys orders as `driftloop.trainer.orders` does.
    """

    def __init__(self, *, limit: int, canary: bool, seed: int) -> None:
        self.profile = Profile.model_validate(
            {
                "features": {"numeric": ["a"]},
                "loss": "squared",
                "window": {"kind": "count", "records": 50},
                "policy": {"kind": "periodic", "every_records": 400, "detectors": []},
                "training": {
                    "records": 50,
                    "rollback_limit": limit,
                    "watch": {"records": 300},
                    "canary": canary,
                },
            }
        )
        self.models: dict[str, Any] = {}
        self.court = Court(self.profile, self.models)
        self.rng = np.random.default_rng(seed)
        self.slope, self.sequence, self.sent, self.read = 1.0, 0, 0, 0
        self.current = self.publish(1.0, "trained", None)
        self.switches: list[tuple[int, str, str]] = []

    def publish(self, slope: float, action: str, request: str | None, back: Any = None) -> Any:
        before = getattr(self, "current", None)
        self.sequence += 1
        version = back or f"v{self.sequence}"
        self.models.setdefault(version, lambda rows, slope=slope: slope * rows.x[:, 0])
        event = trained(
            version,
            before.version if before else None,
            id=f"model-{self.sequence}",
            sequence=self.sequence,
            action=action,
            request_id=request or f"request-{version}",
            published_at=START + self.sent * MINUTE,
        )
        self.current = event
        self.court.control(event)
        return event

    def step(self, n: int = 10) -> None:
        x = self.rng.standard_normal((n, 1))
        predict = self.models[self.current.version]
        rows: Columns = make_columns(
            self.profile,
            START + MINUTE * np.arange(self.sent, self.sent + n),
            first=self.sent,
            x=x,
            y=self.slope * x[:, 0] + 0.1 * self.rng.standard_normal(n),
            versions=[self.current.version] * n,
        )
        rows.y_pred = predict(rows)
        self.sent += n
        self.court.records(rows)
        fresh, self.read = self.court.events[self.read :], len(self.court.events)
        for event in fresh:
            self.serve(event)

    def serve(self, event: Any) -> None:
        if isinstance(event, RetrainRequested):
            learned = self.slope
            self.slope = -self.slope * 1.5 if abs(self.slope) < 100 else 1.0  # the adversary
            self.switches.append((self.sent, "trained", f"v{self.sequence + 1}"))
            self.publish(learned, "trained", event.id)
            self.court.control(
                TrainingFinished(
                    id=f"done-{event.id}",
                    stream=STREAM,
                    profile="default",
                    request_id=event.id,
                    outcome="published",
                    cost=COST,
                    finished_at=0,
                )
            )
        elif isinstance(event, VersionOrdered) and event.against == self.current.version:
            assert event.action == "rollback"
            self.switches.append((self.sent, "rolled-back", str(event.version)))
            self.publish(0.0, "rolled-back", None, back=event.version)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_stream_that_turns_against_each_new_model_does_not_flap(limit: int) -> None:
    """Each training is rolled back at most once, and after `limit` of them all is quiet."""
    stream = Regimes(limit=limit, canary=False, seed=3)
    for _ in range(1500):
        stream.step()
    kinds = [kind for _, kind, _ in stream.switches]
    rollbacks = kinds.count("rolled-back")
    assert limit <= rollbacks <= kinds.count("trained")
    judged = {one.version: one.verdict for one in stream.court.of(RetrainJudged)}
    restored = [version for _, kind, version in stream.switches if kind == "rolled-back"]
    assert restored
    in_a_row = 0
    for one in judged.values():
        in_a_row = in_a_row + 1 if one == "worse" else 0
        assert in_a_row <= limit
    last = stream.court.of(StreamStatus)[-1]
    assert last.state == "awaiting-approval"
    assert "automatic rollbacks in a row" in last.detail
    assert stream.switches[-1][0] < stream.sent / 2, stream.switches
