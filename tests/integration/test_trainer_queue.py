"""Requests are served best first, out of the order of their offsets, and each of them once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from driftloop.errors import KafkaUnavailableError
from driftloop.kafka.producer import CheckedProducer
from driftloop.messages import Event, RetrainRequested, TrainingFinished, encode
from driftloop.trainer.history import History
from driftloop.trainer.service import TrainerService
from tests.integration.trainer_rig import TrainerRig, end
from tests.unit.trainer.requests import finished, request


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer that trains one request at a time, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap, trainer="max_requests = 1", epochs=60)
    yield made
    made.clean()


def _wait(happened: Callable[[], Any], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)


def _settle(rig: TrainerRig, line: str) -> None:
    """Add a line to the trainer's table."""
    text = rig.config.read_text()
    rig.config.write_text(text.replace("[trainer]\n", f"[trainer]\n{line}\n"))


def _serve(rig: TrainerRig) -> list[str]:
    """Serve what waits; tags of streams in the order of their outcomes."""
    order: list[str] = []
    TrainerService(
        rig.settings,
        once=True,
        report=lambda results, _: order.extend(one.request.stream[-1] for one in results),
    ).run()
    return order


def _committed(rig: TrainerRig) -> dict[int, int]:
    consumer = Consumer({**rig.client, "group.id": f"{rig.prefix}.trainer"})
    try:
        places = [TopicPartition(rig.settings.topics.retrain, one) for one in (0, 1)]
        return {one.partition: one.offset for one in consumer.committed(places, timeout=10)}
    finally:
        consumer.close()


def _places(rig: TrainerRig) -> dict[str, tuple[int, int]]:
    """Partition and offset of each stream's request."""
    found = rig.messages(rig.settings.topics.retrain)
    return {one.key().decode(): (one.partition(), one.offset()) for one in found}


def _ask(rig: TrainerRig, names: str, **more: Any) -> list[RetrainRequested]:
    """A request a letter, each worth more than the one before."""
    found = []
    for i, name in enumerate(names):
        topic, data = rig.stream(f"streams.{name}", 80, seed=i)
        found.append(rig.request(topic, data, priority=float(i + 1), **more))
    return found


def test_the_most_valuable_go_first_but_for_every_fourth_place(rig: TrainerRig) -> None:
    """Ages follow the letters, values go against them: e d c, then the oldest, then b."""
    _ask(rig, "abcde")
    assert "".join(_serve(rig)) == "edcab"


def test_commands_and_first_models_go_ahead(rig: TrainerRig) -> None:
    for name, reason, priority in (("p", "policy", 9.0), ("i", "initial", 0), ("c", "command", 0)):
        topic, data = rig.stream(f"streams.{name}", 80)
        rig.request(topic, data, reason=reason, priority=priority)
    assert "".join(_serve(rig)) == "cip"


@pytest.mark.slow
def test_killed_between_requests_served_out_of_order_each_has_one_outcome(rig: TrainerRig) -> None:
    """`kill -9` once later offsets are finished: what is committed passed none that waits."""
    _settle(rig, "oldest_every = 1000")
    requests = _ask(rig, "abcdefgh")
    process = rig.start()
    _wait(lambda: len(rig.trainings()) >= 3)
    process.kill()
    process.wait(30)
    done = {one.stream for one in rig.trainings()}
    places = _places(rig)
    open_ = {stream: place for stream, place in places.items() if stream not in done}
    assert 3 <= len(done) < len(requests)
    committed = _committed(rig)
    for partition, offset in open_.values():
        assert committed[partition] <= offset
    ahead = [places[one] for one in done if places[one][1] >= committed[places[one][0]]]
    assert ahead, "nothing was served out of order"
    order = _serve(rig)
    assert order == sorted((stream[-1] for stream in open_), reverse=True)
    counts = Counter(one.request_id for one in rig.trainings())
    assert counts == Counter({one.id: 1 for one in requests})
    assert Counter(one.stream for one in rig.models()) == Counter(one.stream for one in requests)
    assert all(rig.outcome(one).outcome == "published" for one in requests)
    assert set(_committed(rig).items()) == {
        (partition, 1 + max(offset for p, offset in places.values() if p == partition))
        for partition, _ in places.values()
    }


@pytest.mark.slow
def test_work_of_a_trainer_that_dies_is_taken_over_in_the_order_of_its_worth(
    rig: TrainerRig,
) -> None:
    """In each partition outcomes go from the most to the least valuable, whoever served them."""
    _settle(rig, "oldest_every = 1000")
    requests = []
    for i in range(14):
        topic, data = rig.stream(f"curves.s{i}", 200, seed=i)
        requests.append(rig.request(topic, data, profile="curves", priority=float(i + 1)))
    worth = {one.id: one.priority for one in requests}
    first = rig.start(DRIFTLOOP_TRAINER__INSTANCE=f"{rig.prefix}-1")
    second = rig.start(DRIFTLOOP_TRAINER__INSTANCE=f"{rig.prefix}-2")
    try:
        _wait(lambda: len(rig.trainings()) >= 2)
        first.kill()
        first.wait(30)
        before = len(rig.trainings())
        rig.wait_for(requests, 120)
        assert before < len(requests)
    finally:
        assert end(second) == 0, rig.log
    counts = Counter(one.request_id for one in rig.trainings())
    assert counts == Counter({one.id: 1 for one in requests})
    orders: dict[int, list[float]] = {}
    for message in rig.messages(rig.settings.topics.trainings):
        found = [one for one in requests if one.id.encode() in message.value()]
        orders.setdefault(message.partition(), []).append(worth[found[0].id])
    assert len(orders) == 2
    for order in orders.values():
        assert order == sorted(order, reverse=True)


def test_beyond_the_budget_requests_wait_over_restarts_and_dead_letters_keep_their_place(
    rig: TrainerRig,
) -> None:
    """The first training spends it; only what a person orders goes ahead until it is raised."""
    text = rig.config.read_text()
    _settle(rig, "budget = { seconds_per_day = 1e-9 }")
    first, second = _ask(rig, "ab")
    with CheckedProducer(rig.client) as producer:
        for one in (first, second):
            producer.produce(rig.settings.topics.retrain, key=one.stream.encode(), value=b"bad")
    assert _serve(rig) == ["b"]
    topic, data = rig.stream("streams.c", 80)
    ordered = rig.request(topic, data, reason="command")
    assert _serve(rig) == ["c"]
    assert rig.outcome(ordered).outcome == "published"
    assert {one.request_id for one in rig.trainings()} == {second.id, ordered.id}
    letters = len(rig.messages(rig.settings.topics.dlq))
    places = _places(rig)
    assert letters == (1 if places[first.stream][0] != places[second.stream][0] else 0)
    rig.config.write_text(text)
    assert _serve(rig) == ["a"]
    assert rig.outcome(first).outcome == "published"
    assert len(rig.messages(rig.settings.topics.dlq)) == 2
    assert _serve(rig) == []


def test_a_stream_that_asks_again_while_it_waits_is_trained_once(rig: TrainerRig) -> None:
    """Its newest request is, by the worth of that one; the older ones end with the first round."""
    older = _ask(rig, "ab")
    topic, data = rig.stream("streams.a", 80, seed=9)
    newer = rig.request(topic, data, tag="again", priority=9.0)
    assert "".join(_serve(rig)) == "aab"
    assert [rig.outcome(one).outcome for one in older] == ["superseded", "published"]
    assert rig.outcome(newer).outcome == "published"


def test_evidence_about_a_version_that_is_gone_trains_nothing_unless_it_names_newer_records(
    rig: TrainerRig,
) -> None:
    topic, data = rig.stream("streams.a", 80)
    rig.request(topic, data)
    _serve(rig)
    stale = rig.request(topic, data, tag=1, version="v0")
    _serve(rig)
    _, newer = rig.stream("streams.a", 80, seed=1)
    fresh = rig.request(topic, newer, tag=2, version="v0")
    _serve(rig)
    assert (rig.outcome(stale).outcome, rig.outcome(stale).reason) == (
        "superseded",
        "newer-version",
    )
    assert "v1" in rig.outcome(stale).detail
    assert rig.outcome(fresh).outcome in {"published", "rejected"}


def test_a_trainer_knows_what_others_spent_and_waits_for_no_transaction_of_theirs(
    rig: TrainerRig,
) -> None:
    """Outcomes of partitions that it does not own; its own ones it waits for."""
    settings = rig.settings
    topic = settings.topics.trainings
    done = request("r1")
    for i, name in enumerate(("one", "two")):
        own = {"transactional.id": f"{rig.prefix}-{name}", "transaction.timeout.ms": 600_000}
        producer = Producer({**rig.client, **own})
        producer.init_transactions(10)
        producer.begin_transaction()
        value = encode(finished(done, seconds=2.0 + i))
        producer.produce(topic, partition=1, value=value.value, headers=list(value.headers))
        assert producer.flush(10) == 0
        if name == "one":
            producer.commit_transaction(10)
    seen: list[Event] = []
    history = History(
        rig.client, settings.topics.models, topic, partitions=2, listeners=[seen.append]
    )
    try:
        history.catch_up([0], lambda: None, timeout=20.0)
        assert [one.cost.seconds for one in seen if isinstance(one, TrainingFinished)] == [2.0]
        with pytest.raises(KafkaUnavailableError, match="a transaction stays open"):
            history.catch_up([1], lambda: None, timeout=4.0)
        producer.commit_transaction(10)
        history.catch_up([1], lambda: None, timeout=20.0)
        assert len(seen) == 2
    finally:
        history.close()


def test_more_requests_than_the_queue_holds_are_all_served(rig: TrainerRig) -> None:
    """It reads on as it makes room; the best of those that it holds go first."""
    _settle(rig, "queue = 2")
    requests = _ask(rig, "abcdef")
    assert sorted(_serve(rig)) == list("abcdef")
    assert all(rig.outcome(one).outcome == "published" for one in requests)


def test_what_is_quick_is_published_before_what_is_slow_and_came_in_the_same_moment(
    rig: TrainerRig,
) -> None:
    """One batch would hold both; kinds are trained apart."""
    _settle(rig, "max_requests = 100")
    rig.config.write_text(rig.config.read_text().replace("max_requests = 1\n", "", 1))
    slow, data = rig.stream("curves.slow", 400)
    rig.request(slow, data, profile="curves", priority=1.0)
    _ask(rig, "abc")
    batches: list[list[str]] = []
    TrainerService(
        rig.settings,
        once=True,
        report=lambda results, _: batches.append([one.request.stream[-1] for one in results]),
    ).run()
    assert batches == [["c", "b", "a"], ["w"]]
