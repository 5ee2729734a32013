"""New versions on live records over a real Kafka: watched, rolled back, tried, pinned."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from driftloop.messages import (
    CandidateTrained,
    ModelPublished,
    RetrainJudged,
    TrainingFinished,
    VersionOrdered,
)
from tests.integration.loop_rig import LoopRig, of, same, spoilt
from tests.integration.monitor_rig import MARGIN, Tail

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


def last_versions(rig: LoopRig, stream: str) -> list[str | None]:
    """The version that predicted each record of a stream, in order."""
    with Records(rig, stream) as tail:
        return tail.versions()


class Records(Tail):
    """The records of one stream."""

    def __init__(self, rig: LoopRig, stream: str) -> None:
        topics = rig.settings.topics
        self._stream = stream
        del topics
        self._rig = rig
        super().__init__(rig, [])
        self._consumer.assign([_beginning(stream)])

    def versions(self) -> list[str | None]:
        while self.poll(2.0):
            pass
        return [json.loads(one.value()).get("model_version") for one in self.messages]


def _beginning(stream: str) -> Any:
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    return TopicPartition(stream, 0, OFFSET_BEGINNING)


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
    ends = loop.feed_until(lambda: last_versions(rig, loop.stream)[-1:] == ["v1"])
    assert ends
    versions = [one for one in last_versions(rig, loop.stream) if one]
    order_of = [one for i, one in enumerate(versions) if i == 0 or versions[i - 1] != one]
    assert order_of == ["v1", "v2", "v1"]
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
