"""New versions on live records over a real Kafka: watched, rolled back, tried, pinned."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median_low
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from driftloop.messages import (
    CandidateTrained,
    Command,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
    VersionOrdered,
)
from driftloop.policy.cost import NEWEST
from tests.integration.loop_rig import LoopRig, of, same, spoilt
from tests.integration.monitor_rig import MARGIN

Make = Callable[..., LoopRig]


@pytest.fixture
def make(tmp_path: Path, kafka_bootstrap: str) -> Iterator[Make]:
    """Makes the loop's surroundings; what still runs is ended afterwards."""
    with ExitStack() as stack:

        def call(**more: Any) -> LoopRig:
            return stack.enter_context(LoopRig(tmp_path, kafka_bootstrap, **more))

        yield call


class Loop:
    """One stream under way, with the first version that it asked for itself."""

    def __init__(self, rig: LoopRig, *parts: str) -> None:
        self.rig = rig
        self.features, self.stream = rig.make_pair("a")
        for part in ("trainer", "monitor", "scorer", *parts):
            rig.part(part)
        self.tail = rig.tail("models", "trainings", "retrain", "status")
        self.first: ModelPublished = self.feed_until(lambda: self.of(ModelPublished))[0]
        self.feed_until(lambda: versions_of(rig, self.stream))  # it serves

    def of(self, kind: type[Any]) -> list[Any]:
        return of(self.tail.events(self.stream), kind)

    def feed_until(self, done: Callable[[], Any], slope: float = 1.0) -> Any:
        """Feed records until something happened."""
        deadline = time.monotonic() + MARGIN
        while not (found := done()):
            assert time.monotonic() < deadline, f"not in time: {self.tail.events(self.stream)[-5:]}"
            self.rig.check()
            self.rig.feed(self.features, slope=slope)
            self.tail.poll(0.2)
        return found

    def until(self, done: Callable[[], Any], what: str) -> Any:
        return self.tail.until(done, what)


def versions_of(rig: LoopRig, stream: str) -> list[str]:
    """The version that predicted each record of a stream that was predicted, in order."""
    consumer = Consumer({**rig.client, "group.id": "versions", "enable.auto.commit": False})
    try:
        end = consumer.get_watermark_offsets(TopicPartition(stream, 0), timeout=30)[1]
        consumer.assign([TopicPartition(stream, 0, OFFSET_BEGINNING)])
        found: list[str] = []
        seen = 0
        while seen < end:
            for message in consumer.consume(1000, timeout=5.0):
                assert message.error() is None, message.error()
                seen = message.offset() + 1
                version = json.loads(message.value()).get("model_version")
                found += [version] if version else []
        return found
    finally:
        consumer.close()


def runs(values: list[str]) -> list[str]:
    """Each value once for every run of it."""
    return [one for i, one in enumerate(values) if i == 0 or values[i - 1] != one]


def test_a_bad_version_is_rolled_back_and_the_scorer_predicts_with_its_parent_again(
    make: Make,
) -> None:
    loop = Loop(make(training="watch = { records = 300 }"))
    rig = loop.rig
    bad = ModelPublished(
        **rig.variant(loop.first, "v2", spoilt("v2")), published_at=round(time.time() * 1000)
    )
    rig.send(rig.settings.topics.models, bad)
    restored = loop.feed_until(
        lambda: [one for one in loop.of(ModelPublished) if one.action == "rolled-back"]
    )[0]
    assert (restored.version, restored.uri, restored.sha256) == (
        "v1",
        loop.first.uri,
        loop.first.sha256,
    )
    assert (restored.sequence, restored.parent_version) == (3, "v2")
    (order,) = loop.of(VersionOrdered)
    assert (order.action, order.version, order.against) == ("rollback", "v1", "v2")
    assert order.reason == "live-losses"
    assert order.metrics["loss_new"] > order.metrics["loss_old"]
    (judged,) = [one for one in loop.of(RetrainJudged) if one.version == "v2"]
    assert judged.verdict == "worse"
    assert judged.high < 0
    assert judged.records >= 200
    assert judged.seconds == 0.5
    loop.feed_until(lambda: versions_of(rig, loop.stream)[-1:] == ["v1"])
    assert runs(versions_of(rig, loop.stream)) == ["v1", "v2", "v1"]
    status = loop.feed_until(
        lambda: (
            (found := loop.tail.status(loop.stream))
            and found.model_version == "v1"
            and found.rollbacks == 1
            and found
        )
    )
    assert (status.judged, status.worse, status.trial) == (1, 1, "")
    assert len(loop.of(VersionOrdered)) == 1


def command(rig: LoopRig, *arguments: str) -> None:
    """Run ``driftloop stream``; what comes of it is seen in the topics."""
    named = ["--who", "ada", "--why", "test", "--no-wait", "--config", str(rig.config)]
    words = ["stream", *arguments, *named]
    result = rig.run(*words)
    assert result.returncode == 0, result.stderr


def test_a_candidate_serves_once_live_records_have_not_shown_it_worse(make: Make) -> None:
    """The scorer ignores it until then; the request has its one outcome at the end."""
    loop = Loop(make(training="canary = { records = 200 }, watch = { records = 300 }"))
    rig = loop.rig
    known = loop.tail.status(loop.stream)
    rig.feed(loop.features, 600, slope=3.0)
    wanted = (known.losses if known else 0) + 600
    loop.feed_until(
        lambda: (found := loop.tail.status(loop.stream)) and found.losses >= wanted, slope=3.0
    )
    command(rig, "retrain", loop.stream)
    (candidate,) = loop.feed_until(lambda: loop.of(CandidateTrained), slope=3.0)
    assert (candidate.version, candidate.parent_version) == ("v2", "v1")
    assert len(loop.of(ModelPublished)) == 1
    assert not [one for one in loop.of(TrainingFinished) if one.request_id == candidate.request_id]
    promoted = loop.feed_until(lambda: loop.of(ModelPublished)[1:], slope=3.0)[0]
    assert (promoted.action, promoted.version, promoted.uri) == ("promoted", "v2", candidate.uri)
    (order,) = loop.of(VersionOrdered)
    assert (order.action, order.reason, order.against) == ("promote", "canary", "v1")
    done = loop.until(
        lambda: [one for one in loop.of(TrainingFinished) if one.version == "v2"], "the outcome"
    )
    assert [one.outcome for one in done] == ["published"]
    assert done[0].request_id == candidate.request_id
    judged = loop.feed_until(lambda: loop.of(RetrainJudged), slope=3.0)[0]
    assert (judged.version, judged.parent_version) == ("v2", "v1")
    assert judged.verdict == "better"
    assert judged.records == 300
    assert judged.low > 0
    assert runs(versions_of(rig, loop.stream)) == ["v1", "v2"]


def test_a_candidate_worse_on_live_records_never_serves(make: Make) -> None:
    loop = Loop(make(training="canary = { records = 300 }"))
    rig = loop.rig
    told = rig.variant(loop.first, "v2", spoilt("v2"))
    bad = CandidateTrained(**told, profile_hash="p", trained_at=round(time.time() * 1000))
    rig.send(rig.settings.topics.trainings, bad)
    (done,) = loop.feed_until(
        lambda: [one for one in loop.of(TrainingFinished) if one.request_id == bad.request_id]
    )
    assert (done.outcome, done.reason, done.version) == ("rejected", "canary-worse", None)
    (order,) = loop.of(VersionOrdered)
    assert order.action == "discard"
    assert order.metrics["loss_new"] > order.metrics["loss_old"]
    (judged,) = loop.of(RetrainJudged)
    assert (judged.verdict, judged.version) == ("worse", "v2")
    assert len(loop.of(ModelPublished)) == 1
    assert set(versions_of(rig, loop.stream)) == {"v1"}


def test_a_person_goes_back_and_pins(make: Make) -> None:
    """Also to a version whose event compaction may have removed: it is found in the store."""
    loop = Loop(make(training="watch = false"))
    rig = loop.rig
    for version in ("v2", "v3"):
        event = ModelPublished(
            **rig.variant(loop.of(ModelPublished)[-1], version, same(version)),
            published_at=round(time.time() * 1000),
        )
        rig.send(rig.settings.topics.models, event)
        loop.until(lambda event=event: event in loop.of(ModelPublished), version)
    command(rig, "rollback", loop.stream)
    back = loop.until(lambda: loop.of(ModelPublished)[3:], "the rollback to the parent")[0]
    assert (back.version, back.action, back.parent_version) == ("v2", "rolled-back", "v3")
    assert back.detail == "ada: test"
    command(rig, "pin", loop.stream, "--version", "v1")
    back = loop.until(lambda: loop.of(ModelPublished)[4:], "the pinned version")[0]
    assert (back.version, back.action) == ("v1", "rolled-back")
    status = loop.until(
        lambda: (found := loop.tail.status(loop.stream)) and found.state == "pinned" and found,
        "the status",
    )
    assert status.state == "pinned"
    named = ["--why", "test", "--config", str(rig.config)]
    never = rig.run("stream", "rollback", loop.stream, "--version", "v9", *named)
    assert never.returncode == 2
    assert "--version: a version of" in never.stderr
    # A program of the user's does not look into the store: the trainer says that it is not there.
    gone = Command(
        id="gone",
        stream=loop.stream,
        action="rollback",
        who="ada",
        why="test",
        issued_at=round(time.time() * 1000),
        version="v0",
    )
    rig.send(rig.settings.topics.commands, gone)
    failed = loop.until(
        lambda: [one for one in loop.of(TrainingFinished) if one.reason == "rollback-failed"],
        "the answer",
    )[0]
    assert "no artifact" in failed.detail
    assert "v0" in failed.detail
    loop.until(
        lambda: "v0" in getattr(loop.tail.status(loop.stream), "detail", ""), "the status of it"
    )
    assert [one.who for one in loop.of(VersionOrdered)] == ["ada"] * 3


def test_what_trainings_took_is_what_the_policy_asks_for_the_next(make: Make) -> None:
    """By the seconds that the trainer tells, of every training that came before."""
    price = "price = { gpu_second = 1.0, seconds = 1e-6, loss = 1.0, measured = true }"
    loop = Loop(make(training="watch = false", policy=f'kind = "reducible"\n{price}'))
    slope, asked = 4.0, 0
    while asked < 4:
        loop.feed_until(lambda asked=asked: len(loop.of(RetrainRequested)) > asked, slope)
        asked, slope = len(loop.of(RetrainRequested)), -slope
        loop.until(lambda asked=asked: len(loop.of(TrainingFinished)) >= asked, "its outcome")
    took = [1e-6]
    by_request = {one.request_id: one for one in loop.of(TrainingFinished)}
    for request in loop.of(RetrainRequested)[:4]:
        for ground in request.grounds:
            if ground.criterion == "reducible":
                taken = f"a retrain takes {median_low(took[-NEWEST:]):.4g} s ("
                assert taken in ground.detail
        took.append(by_request[request.id].cost.seconds)
    assert median_low(took[-NEWEST:]) > 1e-6  # not the expected any more
