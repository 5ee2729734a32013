"""The broker is away for a minute, or partitions move in mid-training: each has one outcome."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from driftloop.kafka.broker import LocalBroker
from driftloop.messages import RetrainRequested
from driftloop.models import ModelStore
from driftloop.trainer import work
from driftloop.trainer.service import TrainerService
from tests.integration.trainer_rig import TrainerRig, end, wait_until

_AWAY_SECONDS = 60.0


def _exactly_one(rig: TrainerRig, requests: Sequence[RetrainRequested]) -> None:
    """Each request has one outcome, each published one a version of its own, which is whole."""
    outcomes = rig.trainings()
    counts = Counter(one.request_id for one in outcomes)
    assert counts == Counter({one.id: 1 for one in requests})
    models = rig.models()
    published = [one.request_id for one in outcomes if one.outcome == "published"]
    assert sorted(one.request_id for one in models) == sorted(published)
    assert set(Counter((one.stream, one.sequence) for one in models).values()) == {1}
    store = ModelStore(rig.settings.store)
    for one in models:
        assert store.load(one.uri, one.sha256).version == one.version


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_broker_that_is_away_for_a_minute_costs_no_request(
    tmp_path: Path, own_broker: Callable[..., LocalBroker], fault: str
) -> None:
    """Requests wait, one is in training, and the same process serves them all afterwards."""
    broker = own_broker()
    if fault == "frozen" and not broker.state.pid:
        pytest.skip("a broker under Docker has no process that can be stopped from here")
    rig = TrainerRig(tmp_path, broker.bootstrap_servers, trainer="max_requests = 1", epochs=200)
    streams = [rig.stream(f"curves.s{i}", 300, seed=i) for i in range(10)]
    requests = [rig.request(*one, profile="curves") for one in streams]
    process = rig.start()
    try:
        wait_until(lambda: bool(rig.trainings()), 120)
        before = len(rig.trainings())
        if fault == "killed":
            broker.kill()
        else:
            os.kill(broker.state.pid, signal.SIGSTOP)
        try:
            assert not threading.Event().wait(_AWAY_SECONDS)  # the fault's own length
            assert process.poll() is None, rig.log
        finally:
            if fault == "killed":
                broker.restart(grace=0.0)
            else:
                os.kill(broker.state.pid, signal.SIGCONT)
                broker.wait()
        requests += [rig.request(*one, profile="curves", tag="after") for one in streams]
        rig.wait_for(requests, 240)
        assert before < len(streams), "all was done before the broker went away"
        assert process.poll() is None, rig.log
    finally:
        ended = end(process)
    assert ended == 0, rig.log
    assert rig.log.count("trainer.started") == 1
    _exactly_one(rig, requests)
    assert not [one for one in rig.trainings() if one.outcome == "failed"]


def test_partitions_that_move_in_mid_training_are_served_by_their_new_owner_meanwhile(
    tmp_path: Path, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second trainer joins while the first one trains requests of both partitions."""
    rig = TrainerRig(tmp_path, kafka_bootstrap)
    training, moved = threading.Event(), threading.Event()
    fit_each = work.fit_each

    def held(jobs: Any, device: Any, check: Callable[[], None], **options: Any) -> Any:
        training.set()
        while not moved.wait(0.05):
            check()
        return fit_each(jobs, device, check, **options)

    monkeypatch.setattr(work, "fit_each", held)
    requests, partitions = [], set[int]()
    while partitions != {0, 1}:
        requests.append(rig.request(*rig.stream(f"streams.s{len(requests)}", 80)))
        found = rig.messages(rig.settings.topics.retrain)
        partitions = {one.partition() for one in found}
    owners = {one.key().decode(): one.partition() for one in found}
    settings = rig.settings
    named = settings.trainer.model_copy(update={"instance": f"{rig.prefix}-1"})
    service = TrainerService(settings.model_copy(update={"trainer": named}))
    thread = threading.Thread(target=service.run)
    thread.start()
    second = None
    try:
        assert training.wait(60)
        second = rig.start(DRIFTLOOP_TRAINER__INSTANCE=f"{rig.prefix}-2")
        wait_until(lambda: bool(rig.trainings()), 120)
        early = {owners[one.stream] for one in rig.trainings()}
        assert len(early) == 1, "only what moved is finished while the first still trains"
        moved.set()
        rig.wait_for(requests)
    finally:
        moved.set()
        service.stop()
        thread.join(60)
        if second is not None:
            assert end(second) == 0, rig.log
    assert not thread.is_alive()
    _exactly_one(rig, requests)
    assert all(one.outcome == "published" for one in rig.trainings())
    rig.clean()
