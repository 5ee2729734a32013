"""Orders to switch versions on a real Kafka: one outcome each, wherever the trainer is killed."""

from __future__ import annotations

import random
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import CandidateTrained, VersionOrdered, encode, event_id
from driftloop.trainer.service import TrainerService
from tests.integration.trainer_rig import TrainerRig, until

_MARKS = ("trainer.started", "trainer.partitions_assigned", "trainer.orders_begun")


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer whose candidates are tried before they serve, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap)
    text = made.config.read_text()
    made.config.write_text(
        text.replace("min_records = 40 }", "min_records = 40, canary = true }", 1)
    )
    yield made
    made.clean()


def _order(
    rig: TrainerRig, stream: str, action: Any, version: str, against: str | None, **more: Any
) -> None:
    given = {"request_id": "", "reason": "canary", "decided_at": 0}
    event = VersionOrdered(
        id=event_id(stream, "", "order", [action, version, against]),
        stream=stream,
        profile="numbers",
        action=action,
        version=version,
        against=against,
        **{**given, **more},
    )
    with CheckedProducer(rig.client) as producer:
        producer.produce(rig.settings.topics.retrain, encode(event))


def _told(rig: TrainerRig, process: subprocess.Popen[bytes], mark: str, seen: int) -> bool:
    return rig.log.count(mark) > seen or process.poll() is not None


def _killed(rig: TrainerRig, chance: random.Random) -> None:
    """Start trainers and kill each at a random moment, then let one serve what is left."""
    versions = len(rig.models())
    for mark in _MARKS:
        if len(rig.models()) > versions:
            break  # the order was carried out before the trainer was killed
        log = rig.folder / "trainer.log"
        seen = rig.log.count(mark) if log.exists() else 0
        process = rig.start()
        until(partial(_told, rig, process, mark, seen))
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, 0.2))
        process.kill()
        process.wait(30)
    assert rig.start("--once").wait(240) == 0, rig.log


@pytest.mark.slow
@pytest.mark.timeout(900)  # eight starts of a process that imports torch
def test_killed_between_order_and_commit_each_has_one_outcome(rig: TrainerRig) -> None:
    chance = random.Random(6)
    topic, first = rig.stream("streams.a", 120)
    rig.request(topic, first)
    rig.serve()
    _, second = rig.stream("streams.a", 200, seed=1, slope=3.0)
    asked = rig.request(topic, second, version="v1")
    rig.serve()
    (candidate,) = [
        one
        for one in rig.events(rig.settings.topics.trainings)
        if isinstance(one, CandidateTrained)
    ]
    assert (candidate.version, candidate.request_id) == ("v2", asked.id)
    assert [one.version for one in rig.models()] == ["v1"]
    assert asked.id not in {one.request_id for one in rig.trainings()}

    _order(rig, topic, "promote", "v2", "v1", request_id=asked.id)
    _killed(rig, chance)
    assert [(one.version, one.action) for one in rig.models()] == [
        ("v1", "trained"),
        ("v2", "promoted"),
    ]
    assert rig.outcome(asked).outcome == "published"

    _order(rig, topic, "rollback", "v1", "v2", reason="live-losses")
    _killed(rig, chance)
    models = rig.models()
    assert [(one.version, one.sequence, one.action) for one in models] == [
        ("v1", 1, "trained"),
        ("v2", 2, "promoted"),
        ("v1", 3, "rolled-back"),
    ]
    assert models[2].uri == models[0].uri
    assert set(Counter(one.id for one in models).values()) == {1}
    assert [one.reason for one in rig.trainings()] == ["", "", "rolled-back"]


def test_orders_wait_for_a_store_that_is_away_and_are_carried_out_once_it_is_back(
    rig: TrainerRig,
) -> None:
    topic, first = rig.stream("streams.a", 120)
    rig.request(topic, first)
    rig.serve()
    _, second = rig.stream("streams.a", 200, seed=1, slope=3.0)
    asked = rig.request(topic, second, version="v1")
    rig.serve()
    aside = rig.folder / "aside"
    rig.store.rename(aside)
    service = TrainerService(rig.settings)  # it has never seen the store
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        with capture_logs() as logs:
            _order(rig, topic, "promote", "v2", "v1", request_id=asked.id)
            _order(rig, topic, "rollback", "v1", "v2", reason="live-losses")
            until(lambda: [one["event"] for one in logs].count("trainer.batch_retried") > 1)
        assert [one.version for one in rig.models()] == ["v1"]
        assert not rig.store.exists(), "nothing is made in its place"
        aside.rename(rig.store)
        until(lambda: len(rig.models()) > 2)
    finally:
        service.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert [(one.version, one.action) for one in rig.models()] == [
        ("v1", "trained"),
        ("v2", "promoted"),
        ("v1", "rolled-back"),
    ]
    assert rig.outcome(asked).outcome == "published"
    assert [one.reason for one in rig.trainings()] == ["", "", "rolled-back"]


def test_a_discarded_candidate_never_serves_and_the_next_has_another_name(rig: TrainerRig) -> None:
    topic, first = rig.stream("streams.a", 120)
    rig.request(topic, first)
    rig.serve()
    _, second = rig.stream("streams.a", 200, seed=1, slope=3.0)
    asked = rig.request(topic, second, version="v1")
    rig.serve()
    _order(rig, topic, "discard", "v2", "v1", request_id=asked.id, detail="worse")
    rig.serve()
    outcome = rig.outcome(asked)
    assert (outcome.outcome, outcome.reason, outcome.detail) == (
        "rejected",
        "canary-worse",
        "worse",
    )
    again = rig.request(topic, second, version="v1", tag="again")
    rig.serve()
    candidates = [
        one
        for one in rig.events(rig.settings.topics.trainings)
        if isinstance(one, CandidateTrained)
    ]
    assert [one.version for one in candidates] == ["v2", "v3"]
    assert candidates[1].request_id == again.id
    assert [one.version for one in rig.models()] == ["v1"]


def test_a_pin_gives_up_a_request_that_waits(rig: TrainerRig) -> None:
    """Request and order are read together: nothing is trained."""
    topic, first = rig.stream("streams.a", 120)
    asked = rig.request(topic, first)
    _order(rig, topic, "discard", "", "", request_id=asked.id, reason="command", detail="a fair")
    rig.serve()
    outcome = rig.outcome(asked)
    assert (outcome.outcome, outcome.reason, outcome.detail) == ("rejected", "pinned", "a fair")
    assert not rig.models()


def test_an_order_is_carried_out_while_others_are_trained_and_what_it_overtakes_is_done_anew(
    rig: TrainerRig,
) -> None:
    """The long training goes on; a pin ends the one of its own stream in the same moment."""
    text = rig.config.read_text().replace(", canary = true", "")
    rig.config.write_text(text.replace("epochs = 20", "epochs = 100000, patience = 100000"))
    for seed, slope in ((0, 1.0), (1, 3.0)):
        topic, data = rig.stream("streams.a", 200, seed=seed, slope=slope)
        rig.request(topic, data, tag=seed, reason="command")
        rig.serve()
    assert [one.version for one in rig.models()] == ["v1", "v2"]
    long, data = rig.stream("curves.b", 400)
    other, rest = rig.stream("curves.c", 400)
    asked = rig.request(long, data, profile="curves")
    given_up = rig.request(other, rest, profile="curves")
    service = TrainerService(rig.settings)
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    try:
        until(lambda: service.training == {long, other})
        _order(rig, other, "discard", "", "", request_id=given_up.id, reason="command")
        until(lambda: given_up.id in {one.request_id for one in rig.trainings()})
        _order(rig, topic, "rollback", "v1", None, reason="command")
        until(lambda: any(one.action == "rolled-back" for one in rig.models()))
        assert service.training == {long, other}
        _order(rig, long, "discard", "", "", request_id=asked.id, reason="command")
        until(lambda: not service.training)
    finally:
        service.stop()
        thread.join(60)
    assert not thread.is_alive()
    assert [rig.outcome(one).reason for one in (asked, given_up)] == ["pinned", "pinned"]
    assert {one.stream for one in rig.models()} == {topic}
    assert Counter(one.action for one in rig.models())["rolled-back"] == 1


def test_what_was_trained_for_a_stream_that_is_rolled_back_meanwhile_is_trained_anew(
    rig: TrainerRig,
) -> None:
    """Another of the same batch is not; sequences have no gap, and each version its true parent."""
    text = rig.config.read_text()
    for seed, slope in ((0, 1.0), (1, 3.0)):
        topic, data = rig.stream("curves.a", 200, seed=seed, slope=slope)
        rig.request(topic, data, tag=seed, profile="curves", reason="command")
        rig.serve()
    rig.config.write_text(text.replace("epochs = 20", "epochs = 3000, patience = 3000"))
    _, third = rig.stream("curves.a", 400, seed=2, slope=-3.0)
    other, data = rig.stream("curves.b", 400)
    asked = rig.request(topic, third, profile="curves", reason="command")
    beside = rig.request(other, data, profile="curves", reason="command")
    service = TrainerService(rig.settings)
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    try:
        until(lambda: service.training == {topic, other})
        _order(rig, topic, "rollback", "v1", None, reason="command")
        rig.wait_for([asked, beside], 120)
    finally:
        service.stop()
        thread.join(60)
    assert [rig.outcome(one).outcome for one in (asked, beside)] == ["published", "published"]
    models = [one for one in rig.models() if one.stream == topic]
    assert [one.sequence for one in models] == [1, 2, 3, 4]
    assert [one.action for one in models] == ["trained", "trained", "rolled-back", "trained"]
    assert models[3].parent_version == models[2].version == "v1"
    assert [one.parent_version for one in rig.models() if one.stream == other] == [None]
