"""A trainer that starts again reads what is new, and serves nothing twice, whatever comes again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import Producer, TopicPartition

from driftloop.kafka.producer import CheckedProducer
from driftloop.kafka.topics import TopicSpec, ensure_topics
from driftloop.messages import Event, RetrainRequested, encode
from driftloop.trainer.history import History
from driftloop.trainer.notes import FILE, Notes
from driftloop.trainer.worth import Worth
from tests.integration.trainer_rig import TrainerRig, wait_until
from tests.unit.trainer.outcomes import candidate, events
from tests.unit.trainer.requests import finished, judged, request

NOW = round(time.time() * 1000)
"""Budgets keep what was spent today, by the wall clock."""


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer's surroundings, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap)
    yield made
    made.clean()


def _ask(rig: TrainerRig, names: str) -> list[RetrainRequested]:
    found = []
    for name in names:
        topic, data = rig.stream(f"streams.{name}", 80, seed=ord(name))
        found.append(rig.request(topic, data))
    return found


def _again(rig: TrainerRig, requests: Sequence[RetrainRequested]) -> None:
    """The same requests under their ids, as a monitor sends them that lost its state."""
    with CheckedProducer(rig.client) as producer:
        for one in requests:
            producer.produce(rig.settings.topics.retrain, encode(one))


def _serve(rig: TrainerRig) -> int:
    """Serve what waits; how many outcomes the trainer read when it began."""
    with structlog.testing.capture_logs() as logs:
        rig.serve()
    (line,) = [one for one in logs if one["event"] == "trainer.history_read"]
    return int(line["outcomes"])


def _once(rig: TrainerRig, requests: Sequence[RetrainRequested]) -> None:
    """Each request has one outcome, and each stream one version."""
    assert Counter(one.request_id for one in rig.trainings()) == Counter(
        {one.id: 1 for one in requests}
    )
    assert Counter(one.stream for one in rig.models()) == Counter(one.stream for one in requests)


def test_a_start_reads_what_came_since_and_serves_nothing_twice(rig: TrainerRig) -> None:
    """All requests come again each time; outcomes that were read before are read no more."""
    file = rig.settings.home / FILE
    asked = _ask(rig, "abc")
    assert _serve(rig) == 0
    for names, read in (("de", 3), ("f", 2)):
        early = file.read_bytes() if file.exists() else b""
        _again(rig, asked)
        asked += _ask(rig, names)
        assert _serve(rig) == read
        _once(rig, asked)

    file.write_bytes(early)  # as after `kill -9`: what came since then was not noted
    _again(rig, asked)
    asked += _ask(rig, "g")
    assert _serve(rig) == 3  # d, e and f
    _once(rig, asked)

    file.write_bytes(early[:-1])
    _again(rig, asked)
    assert _serve(rig) == len(asked)
    _once(rig, asked)


def _write(rig: TrainerRig, many: Sequence[Event]) -> None:
    """Events to the topic of outcomes, each stream's in its partition."""
    with CheckedProducer(rig.client) as producer:
        for event in many:
            producer.produce(rig.settings.topics.trainings, encode(event))


def _read(rig: TrainerRig, home: Path | None) -> tuple[History, Worth]:
    topics, worth = rig.settings.topics, Worth(rig.settings)
    more: dict[str, Any] = {"listeners": [worth.take]}
    if home is not None:
        more = {"notes": Notes(home, worth)}
    history = History(rig.client, topics.models, topics.trainings, partitions=2, **more)
    history.catch_up([0], lambda: None)
    history.close()
    return history, worth


def _known(history: History, worth: Worth) -> Any:
    """All that a trainer knows of outcomes."""
    notes = worth.dump(NOW)
    return (
        {name: one.sequence for name, one in history.current.items()},
        history.candidates,
        history.places,
        history.judged,
        history.finished.dump()[0],
        {name: place[0] for name, place in history.finished.dump()[1].items()},
        (notes.candidates, notes.ledger.promised, notes.ledger.saved),
    )


def _sums(worth: Worth) -> list[float]:
    """Sums over partitions, which are read beside each other: equal but for rounding."""
    found = [worth.ledger.seconds(profile, 100) for profile in ("numbers", "curves")]
    notes = worth.dump(NOW)
    streams = sorted({name for own in notes.ledger.streams.values() for name in own})
    found += [worth.ledger.ratio(name, "numbers") for name in streams]
    return [*found, worth.budget.spent("numbers", NOW)]


def test_candidates_numbers_promises_and_sums_outlive_a_start(
    rig: TrainerRig, tmp_path: Path
) -> None:
    """As if all had been read: also a discarded candidate's number, and a trial that still runs."""
    streams = [f"{rig.prefix}.streams.{i}" for i in range(4)]
    discarded = request("0" * 31 + "d", streams[0])
    old = [
        candidate(discarded.id, streams[0], version="v7", sequence=7),
        finished(discarded, "rejected", reason="canary-worse", promised=0.5),
        candidate("0" * 31 + "e", streams[1], version="v3", sequence=3),
        judged(request("r1", streams[2]), 0.4),
        finished(request("r2", streams[3]), seconds=2.5, at=NOW),
        *events(5, 60),
    ]
    new = [finished(request("0" * 31 + "e", streams[1]), promised=0.5), *events(6, 20)]
    home = tmp_path / "other"
    _write(rig, old)
    history, _ = _read(rig, home)
    assert history.read == len(old)
    assert streams[1] in history.candidates
    resumed = _read(rig, home)
    assert resumed[0].read == 0
    whole = _read(rig, None)
    assert _known(*resumed) == _known(*whole)
    assert _sums(resumed[1]) == pytest.approx(_sums(whole[1]), rel=1e-12)
    assert resumed[0].current[streams[0]].sequence == 7
    assert resumed[1].budget.spent("numbers", NOW) == 2.5
    assert "0" * 31 + "e" in resumed[0].finished
    _write(rig, new)
    resumed, whole = _read(rig, home), _read(rig, None)
    assert (resumed[0].read, whole[0].read) == (len(new), len(old) + len(new))
    assert _known(*resumed) == _known(*whole)
    assert _sums(resumed[1]) == pytest.approx(_sums(whole[1]), rel=1e-12)
    assert streams[1] not in resumed[0].candidates


def test_outcomes_that_expired_are_forgotten(rig: TrainerRig, tmp_path: Path) -> None:
    """What is known is what the topic still says, so no start knows less than the one before."""
    requests = [request(f"{i:032x}", f"{rig.prefix}.streams.{i % 5}") for i in range(40)]
    _write(rig, [finished(one) for one in requests])
    home = tmp_path / "other"
    assert len(_read(rig, home)[0].finished) == 40
    topic = rig.settings.topics.trainings
    ends = Counter(one.partition() for one in rig.messages(topic))
    cut = [TopicPartition(topic, partition, many // 2) for partition, many in ends.items()]
    for future in rig.admin.delete_records(cut).values():
        future.result(30)
    left = {one.request_id for one in rig.trainings()}
    assert 0 < len(left) < 40
    history, _ = _read(rig, home)
    assert {one.id for one in requests if one.id in history.finished} == left


def test_notes_of_a_topic_that_was_made_anew_count_for_nothing(
    rig: TrainerRig, tmp_path: Path
) -> None:
    requests = [request(f"{i:032x}", f"{rig.prefix}.streams.{i}") for i in range(6)]
    _write(rig, [finished(one) for one in requests])
    home = tmp_path / "other"
    _read(rig, home)
    topic = rig.settings.topics.trainings
    for future in rig.admin.delete_topics([topic]).values():
        future.result(30)
    wait_until(lambda: topic not in rig.admin.list_topics(timeout=10).topics)
    ensure_topics(rig.client, [TopicSpec(topic, 2)])
    _write(rig, [finished(one) for one in requests[:2]])
    history, _ = _read(rig, home)
    assert history.read == 2
    assert [one.id in history.finished for one in requests] == [True, True, *[False] * 4]


def test_what_an_open_transaction_holds_back_is_read_by_the_next_start(
    rig: TrainerRig, tmp_path: Path
) -> None:
    """Another trainer writes while this one ends: its outcome is behind what was noted."""
    topic, home = rig.settings.topics.trainings, tmp_path / "other"
    one, two = request("0" * 31 + "1", "streams.a"), request("0" * 31 + "2", "streams.a")

    def put(producer: Producer, of: RetrainRequested) -> None:
        value = encode(finished(of))
        producer.produce(topic, partition=1, value=value.value, headers=list(value.headers))
        assert producer.flush(10) == 0

    settings = {"transactional.id": f"{rig.prefix}-other", "transaction.timeout.ms": 600_000}
    producer = Producer({**rig.client, **settings})
    producer.init_transactions(10)
    producer.begin_transaction()
    put(producer, one)
    producer.commit_transaction(10)
    producer.begin_transaction()
    put(producer, two)
    history, _ = _read(rig, home)
    assert (one.id in history.finished, two.id in history.finished) == (True, False)
    producer.commit_transaction(10)
    history, _ = _read(rig, home)
    assert (history.read, two.id in history.finished) == (1, True)


def test_an_event_that_could_not_be_taken_up_is_not_noted_as_read(
    rig: TrainerRig, tmp_path: Path
) -> None:
    requests = [request(f"{i:032x}", "streams.a") for i in range(3)]
    _write(rig, [finished(one) for one in requests])
    topics, worth = rig.settings.topics, Worth(rig.settings)

    def stumble(event: Event) -> None:
        if event.id == f"finished-{requests[1].id}":
            raise ZeroDivisionError("unforeseen")

    notes = Notes(tmp_path / "other", worth)
    history = History(
        rig.client,
        topics.models,
        topics.trainings,
        partitions=2,
        listeners=[stumble],
        notes=notes,
    )
    with pytest.raises(ZeroDivisionError):
        history.catch_up([0, 1], lambda: None)
    history.close()
    assert not notes.file.exists()
    assert _read(rig, tmp_path / "other")[0].read == 3
