"""One trace from a decision to the first prediction by the new version, over a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from driftloop.messages import ModelPublished, RetrainRequested, TrainingFinished
from driftloop.messages.envelope import header
from tests.collector import Collector, Seen
from tests.integration.loop_rig import LoopRig, of


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What still runs is ended afterwards."""
    with ExitStack() as made:
        yield made


IDS = ("event_id", "request_id")
ABOUT_A_STREAM = ("retrain_", "request_", "version_", "order_", "trial_", "candidate_", "load_")
"""What log lines begin with, behind their part, that are about a stream and an event of it."""

ORDER = ["decide retrain", "wait", "train", "load", "fit", "gate", "fit again", "store"]
PUBLISHED = ["publish model.published", "publish training.finished"]
LAST = ["load model", "first prediction"]


def test_a_trace_runs_from_the_decision_to_the_first_prediction(
    tmp_path: Path, kafka_bootstrap: str, stack: ExitStack
) -> None:
    collector = stack.enter_context(Collector())
    rig = stack.enter_context(LoopRig(tmp_path, kafka_bootstrap))
    with rig.config.open("a") as config:
        config.write(f'[telemetry]\notlp_endpoint = "{collector.endpoint}"\n')
    features, stream = rig.make_pair("a")
    tail = stack.enter_context(rig.tail("retrain", "models", "trainings"))
    for part in ("monitor", "trainer", "scorer"):
        rig.part(part)

    def published() -> bool:
        rig.feed(features)
        return bool(of(tail.events(stream), ModelPublished))

    tail.until(published, "the first version")
    (request,) = of(tail.events(stream), RetrainRequested)
    traces = {
        header(message.headers(), "ce_id"): header(message.headers(), "traceparent")
        for message in tail.messages
    }
    trace = traces[request.id].split("-")[1]

    def all_came() -> list[Seen]:
        rig.feed(features)
        found = collector.trace(trace)
        return found if {*ORDER, *PUBLISHED, *LAST} <= {one.name for one in found} else []

    spans: list[Seen] = tail.until(all_came, "all spans")
    named = {one.name: one for one in spans}
    assert len(named) == len(spans)

    # All parts tell of it, in the order in which things were done.
    found = [one.name for one in spans if not one.name.startswith("publish ")]
    assert found == [*ORDER, *LAST]
    services = {one.service for one in spans}
    assert services == {f"driftloop-{part}" for part in ("monitor", "trainer", "scorer")}

    # Each hangs on what led to it, and the messages of Kafka name the very spans.
    parents = {one.name: one.parent for one in spans}
    root = named["decide retrain"]
    assert root.parent == ""
    assert root.span == traces[request.id].split("-")[2]
    assert parents["wait"] == parents["train"] == root.span
    train = named["train"].span
    assert {parents[step] for step in ORDER[3:]} == {train}
    (version,) = of(tail.events(stream), ModelPublished)
    (finished,) = of(tail.events(stream), TrainingFinished)
    for event, name in (
        (version, "publish model.published"),
        (finished, "publish training.finished"),
    ):
        assert named[name].span == traces[event.id].split("-")[2]
        assert named[name].parent == train
    assert parents["load model"] == named["publish model.published"].span
    assert parents["first prediction"] == named["load model"].span

    # What is done within another is over before it; the scorer loads what is published.
    for step in ORDER[3:]:
        assert named["train"].start <= named[step].start
        assert named[step].end <= named["train"].end
    assert named["load model"].end <= named["first prediction"].end
    assert named["train"].attributes["driftloop.outcome"] == "published"
    assert named["first prediction"].attributes["driftloop.version"] == version.version
    assert {one.attributes["driftloop.stream"] for one in (root, named["train"])} == {stream}

    # The log follows one id through all parts, and every line about a stream names it.
    lines = [json.loads(line) for line in rig.log.read_text().splitlines() if line[:1] == "{"]
    followed = [one["event"] for one in lines if request.id in map(one.get, IDS)]
    assert followed == [
        "monitor.retrain_requested",
        "trainer.request_finished",
        "scorer.version_serves",
    ]
    for line in lines:
        about_one = line["event"].split(".")[1].startswith(ABOUT_A_STREAM)
        assert not about_one or line["stream"] == stream, line
        assert not about_one or line["event_id"], line
