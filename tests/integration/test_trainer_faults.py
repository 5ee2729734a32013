"""The trainer dies, stops, or loses broker or partitions: nothing is lost or doubled."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from structlog.testing import capture_logs

from driftloop.models import ModelStore
from driftloop.trainer.service import TrainerService
from tests.integration.trainer_rig import TrainerRig, end, until

_KILLS = 5
_MARKS = ("trainer.started", "trainer.partitions_assigned", "trainer.batch_begun")


@pytest.fixture
def rig(tmp_path: Path, kafka_bootstrap: str) -> Iterator[TrainerRig]:
    """A trainer's surroundings, cleaned afterwards."""
    made = TrainerRig(tmp_path, kafka_bootstrap, trainer="max_requests = 3")
    yield made
    made.clean()


@pytest.mark.slow
@pytest.mark.timeout(900)  # twelve starts of a process that imports torch
def test_killed_at_any_moment_every_request_has_one_outcome_and_no_version_is_doubled(
    rig: TrainerRig,
) -> None:
    """`kill -9` at a seeded random moment after its start, its assignment, or a batch's begin."""
    chance = random.Random(20)
    streams = {i: rig.stream(f"streams.s{i}", 80, seed=i) for i in range(6)}
    requests = []
    for round_ in range(_KILLS):
        asked = chance.sample(sorted(streams), 3)
        requests += [rig.request(*streams[i], tag=round_) for i in asked]
        seen = rig.log.count(_MARKS[round_ % 3]) if round_ else 0
        process = rig.start()
        until(lambda seen=seen, mark=_MARKS[round_ % 3]: rig.log.count(mark) > seen, 120)  # type: ignore[misc]
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, 1.0))
        assert process.poll() is None, rig.log
        process.kill()
        process.wait(30)
        requests.append(rig.request(*streams[chance.choice(asked)], tag=f"again {round_}"))
    assert rig.start("--once").wait(240) == 0, rig.log

    outcomes = rig.trainings()
    assert Counter(one.request_id for one in outcomes) == Counter({one.id: 1 for one in requests})
    assert not [one for one in outcomes if one.outcome == "failed"]
    models = rig.models()
    versions = Counter((one.stream, one.sequence) for one in models)
    assert set(versions.values()) == {1}
    published = {one.request_id for one in outcomes if one.outcome == "published"}
    assert {one.request_id for one in models} == published
    for stream in {one.stream for one in models}:
        own = sorted(one.sequence for one in models if one.stream == stream)
        assert own == list(range(1, len(own) + 1))
    store = ModelStore(rig.settings.store)
    for one in models:
        assert store.load(one.uri, one.sha256).version == one.version


def test_sigterm_ends_the_trainer_with_exit_code_0_and_an_unfinished_batch_is_served_later(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    rig = TrainerRig(tmp_path, kafka_bootstrap, epochs=100_000)
    try:
        topic, data = rig.stream("curves.a", 500)
        request = rig.request(topic, data, profile="curves")
        text = rig.config.read_text()
        rig.config.write_text(text.replace("epochs = 100000", "epochs = 100000, patience = 99999"))
        process = rig.start()
        until(lambda: "trainer.partitions_assigned" in rig.log)
        until(lambda: "trainer.batch_begun" in rig.log)
        began = time.monotonic()
        assert end(process) == 0, rig.log
        assert time.monotonic() - began < 10
        assert not rig.trainings()
        assert not list(rig.store.rglob("model.json"))
        rig.config.write_text(text.replace("epochs = 100000", "epochs = 5"))
        rig.serve()
        assert rig.outcome(request).outcome == "published"
    finally:
        rig.clean()


def test_idle_trainer_ends_on_ctrl_c_with_exit_code_0(rig: TrainerRig) -> None:
    process = rig.start()
    until(lambda: "trainer.partitions_assigned" in rig.log)
    assert end(process, signal.SIGINT) == 0
    assert "Traceback" not in rig.log


def test_partitions_taken_away_in_mid_work_are_served_once_by_their_new_owner(
    rig: TrainerRig,
) -> None:
    streams = [rig.stream(f"streams.s{i}", 60, seed=i) for i in range(8)]
    first = rig.start(DRIFTLOOP_TRAINER__INSTANCE=f"{rig.prefix}-1")
    requests = [rig.request(*one, tag=0) for one in streams]
    until(lambda: "trainer.partitions_assigned" in rig.log)
    second = rig.start(DRIFTLOOP_TRAINER__INSTANCE=f"{rig.prefix}-2")
    try:
        for i in range(1, 4):
            requests += [rig.request(*one, tag=i) for one in streams]
        until(lambda: rig.log.count("trainer.partitions_assigned") > 1)
        assert end(first) == 0
        requests += [rig.request(*one, tag="last") for one in streams]
        rig.wait_for(requests)
    finally:
        assert end(second) == 0
        end(first)
    counts = Counter(one.request_id for one in rig.trainings())
    assert counts == Counter({one.id: 1 for one in requests})
    assert set(Counter((one.stream, one.sequence) for one in rig.models()).values()) == {1}


def test_a_rival_of_the_same_instance_name_fences_the_older_which_says_so(rig: TrainerRig) -> None:
    topic, data = rig.stream("streams.a", 60)
    older = rig.start()
    until(lambda: "trainer.partitions_assigned" in rig.log)
    first = rig.request(topic, data)
    rig.wait_for([first])
    newer = rig.start(DRIFTLOOP_TRAINER__GROUP=f"{rig.prefix}.other")
    try:
        until(lambda: rig.log.count("trainer.partitions_assigned") > 1)
        second = rig.request(topic, data, tag=2)
        assert older.wait(30) == 1
        assert "trainer.instance" in rig.log
        rig.wait_for([second])
    finally:
        assert end(newer) == 0
        end(older)


def test_a_trainer_fenced_by_its_own_earlier_joining_joins_anew_and_goes_on(
    rig: TrainerRig,
) -> None:
    """As after an outage of the broker that is longer than the session's timeout."""
    topic, data = rig.stream("streams.a", 60)
    service = TrainerService(rig.settings)
    thread = threading.Thread(target=service.run)
    thread.start()
    trainer = rig.settings.trainer
    earlier: Consumer | None = None
    try:
        first = rig.request(topic, data)
        rig.wait_for([first])
        with capture_logs() as logs:
            earlier = Consumer(
                {
                    **rig.client,
                    "group.id": trainer.group,
                    "group.instance.id": trainer.instance,
                    "client.id": service.member,
                    "session.timeout.ms": 10_000,
                    "partition.assignment.strategy": "cooperative-sticky",
                }
            )
            earlier.subscribe([rig.settings.topics.retrain])
            until(lambda: (earlier.poll(0.1), _renewed(logs))[1])
        second = rig.request(topic, data, tag=2)
        rig.wait_for([second])
    finally:
        service.stop()
        thread.join(30)
        if earlier is not None:
            earlier.close()
    assert not thread.is_alive()
    counts = Counter(one.request_id for one in rig.trainings())
    assert counts == Counter({first.id: 1, second.id: 1})


def _renewed(logs: list[Any]) -> bool:
    return any(one["event"] == "trainer.member_renewed" for one in logs)


def test_a_full_disk_fails_the_request_and_the_trainer_goes_on(rig: TrainerRig) -> None:
    """A limit on the size of files stands for the disk: the write itself fails."""
    topic, data = rig.stream("streams.a", 60)
    request = rig.request(topic, data)
    limited = (
        "import resource, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from driftloop.logs import configure as configure_logging;"
        "from driftloop.settings import load_settings;"
        "from driftloop.trainer.service import TrainerService;"
        "service = TrainerService(load_settings(sys.argv[1]), once=True);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY));"
        "service.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, str(rig.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    finished = rig.outcome(request)
    assert (finished.outcome, finished.reason) == ("failed", "store-unwritable")
    assert "File too large; raise the limit" in finished.detail
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 64
    again = rig.request(topic, data, tag=2)
    rig.serve()
    assert rig.outcome(again).version == "v1"
    assert not list(rig.store.rglob(".aside*"))


def test_a_store_that_is_away_while_requests_wait_fails_none_of_them(rig: TrainerRig) -> None:
    """As a volume that is unmounted and mounted again; a stream without a version waits too."""
    streams = [rig.stream(f"streams.s{i}", 60, seed=i) for i in range(3)]
    new = rig.stream("streams.new", 60, seed=9)
    aside = rig.folder / "aside"
    service = TrainerService(rig.settings)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        rig.wait_for([rig.request(*one) for one in streams])
        rig.store.rename(aside)
        with capture_logs() as logs:
            later = [rig.stream(f"streams.s{i}", 60, seed=20 + i, slope=4.0) for i in range(3)]
            waiting = [rig.request(*one, tag=2) for one in [*later, new]]
            until(lambda: len(_of(logs, "batch_retried")) > 1)
        assert all("mount or restore it" in one["why"] for one in _of(logs, "batch_retried"))
        assert len(rig.trainings()) == 3, "nothing is decided while the store is away"
        assert not rig.store.exists(), "nothing is made in its place"
        aside.rename(rig.store)
        rig.wait_for(waiting)
    finally:
        service.stop()
        thread.join(30)
    assert not thread.is_alive()
    outcomes = rig.trainings()
    assert {one.outcome for one in outcomes} == {"published"}, outcomes
    assert len(outcomes) == 7
    store = ModelStore(rig.settings.store)
    assert all(store.load(one.uri, one.sha256).version == one.version for one in rig.models())


def test_a_trainer_is_not_started_over_an_empty_store_that_kafka_names_versions_in(
    rig: TrainerRig,
) -> None:
    request = rig.request(*rig.stream("streams.a", 60))
    assert rig.start("--once").wait(120) == 0, rig.log
    assert rig.outcome(request).outcome == "published"
    aside = rig.folder / "aside"
    rig.store.rename(aside)
    for mount_point in (False, True):
        if mount_point:  # what an unmounted volume leaves
            rig.store.mkdir()
        assert rig.start("--once").wait(120) == 2, rig.log
        assert "the place where versions of 1 stream lie, as v1 of" in rig.log
        assert rig.store.exists() is mount_point
    rig.store.rmdir()
    aside.rename(rig.store)
    assert rig.start("--once").wait(120) == 0, rig.log


def _of(logs: list[Any], event: str) -> list[Any]:
    return [one for one in logs if one["event"] == f"trainer.{event}"]


def test_broker_restarted_under_load_loses_and_doubles_nothing(
    tmp_path: Path, own_broker: Callable[..., Any]
) -> None:
    broker = own_broker()
    rig = TrainerRig(tmp_path, broker.bootstrap_servers, trainer="max_requests = 3")
    streams = [rig.stream(f"streams.s{i}", 60, seed=i) for i in range(6)]
    service = TrainerService(rig.settings)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        requests = [rig.request(*one, tag=0) for one in streams]
        rig.wait_for(requests[:1])
        requests += [rig.request(*one, tag=1) for one in streams]
        broker.restart()
        requests += [rig.request(*one, tag=2) for one in streams]
        rig.wait_for(requests, 120)
    finally:
        service.stop()
        thread.join(30)
    assert not thread.is_alive()
    counts = Counter(one.request_id for one in rig.trainings())
    assert counts == Counter({one.id: 1 for one in requests})
    assert set(Counter((one.stream, one.sequence) for one in rig.models()).values()) == {1}
