"""The trainer's steps over records in memory: groups, warm starts, memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from driftloop.backtest.training import MemoryStore
from driftloop.errors import TrainingError
from driftloop.messages import ModelPublished, RetrainRequested, event_id
from driftloop.models import ModelArtifact
from driftloop.records import Columns
from driftloop.settings import Features, Profile, Settings
from driftloop.settings.models import TrainerSettings
from driftloop.settings.profile import ModelSettings, Training
from driftloop.trainer import work
from driftloop.trainer.history import Current
from driftloop.trainer.job import Check
from driftloop.trainer.load import Wanted
from driftloop.trainer.work import Load, Result, Trainer
from tests.unit.trainer.jobs import CPU

_MLP = ModelSettings(kind="mlp_regressor", hidden=[8], epochs=10)


def _profile(model: ModelSettings = _MLP, *, warm_start: bool = False) -> Profile:
    return Profile(
        loss="squared",
        features=Features(numeric=["a", "b"]),
        model=model,
        training=Training(records=300, min_records=40, warm_start=warm_start, refit=False),
    )


def _columns(seed: int, records: int = 300) -> Columns:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((records, 2))
    offsets = np.arange(records)
    partitions = np.zeros(records, np.int64)
    return Columns(
        partitions=partitions,
        offsets=offsets,
        origin_partitions=partitions,
        origin_offsets=offsets,
        ts=offsets * 1000.0,
        ids=[None] * records,
        x=x,
        categories=[],
        y_pred=np.full(records, np.nan),
        y=np.sin(2.0 * x[:, 0]) + x[:, 1] + 0.1 * generator.standard_normal(records),
        loss=np.full(records, np.nan),
        versions=[None] * records,
    )


def _request(number: int, data: str = "t:0:0:299", profile: str = "p") -> RetrainRequested:
    return RetrainRequested(
        id=event_id(f"s{number}", "p", "retrain", [data]),
        stream=f"s{number}",
        profile=profile,
        profile_hash="p",
        reason="policy",
        policy="reducible",
        grounds=[],
        data=[data],
        current_version=None,
        decided_at=0,
    )


def _load(wanted: Mapping[str, Wanted], check: Check) -> Mapping[str, Columns | TrainingError]:
    check()
    return {name: _columns(7) for name in wanted}


def _trainer(
    profile: Profile,
    load: Load = _load,
    store: MemoryStore | None = None,
    **trainer: str,
) -> Trainer:
    settings = Settings(profiles={"p": profile}, trainer=TrainerSettings(**trainer))  # type: ignore[arg-type]
    return Trainer(settings, CPU, now_ms=lambda: 0, load=load, store=store or MemoryStore())


def _run(
    trainer: Trainer, requests: Sequence[RetrainRequested], before: ModelPublished | None = None
) -> list[Result]:
    return trainer.run(requests, lambda _: Current(before, before.sequence if before else 0))


def test_the_next_group_is_loaded_while_one_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_GROUP", 2)
    requests = [_request(number) for number in range(5)]
    second, saved = threading.Event(), threading.Event()
    calls: list[set[str]] = []

    def load(wanted: Mapping[str, Wanted], check: Check) -> Mapping[str, Columns | TrainingError]:
        calls.append(set(wanted))
        if len(calls) == 2:
            second.set()
            assert saved.wait(60), "the first group is not trained before the second is loaded"
        return _load(wanted, check)

    class Store(MemoryStore):
        def save(self, stream: str, version: str, artifact: ModelArtifact) -> tuple[str, str]:
            if stream == "s0":
                assert second.wait(60), "the second group is not loaded while the first trains"
                saved.set()
            return super().save(stream, version, artifact)

    results = _run(_trainer(_profile(), load, Store()), requests)
    assert [one.request.id for one in results] == [one.id for one in requests]
    assert all(one.finished.outcome == "published" for one in results)
    assert calls == [{one.id for one in requests[i : i + 2]} for i in (0, 2, 4)]


def test_groups_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [_request(number) for number in range(5)]
    found = []
    for size in (256, 2):
        monkeypatch.setattr(work, "_GROUP", size)
        store = MemoryStore()
        results = _run(_trainer(_profile(), store=store), requests)
        artifacts = [store.load(one.published.uri, "") for one in results if one.published]
        assert len(artifacts) == 5
        found.append([{name: v.tobytes() for name, v in one.weights.items()} for one in artifacts])
    assert found[0] == found[1]


def test_what_fails_in_loading_the_next_group_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_GROUP", 1)
    broken = work.KafkaUnavailableError("nobody answers")
    calls = []

    def load(wanted: Mapping[str, Wanted], check: Check) -> Mapping[str, Columns | TrainingError]:
        calls.append(1)
        if len(calls) == 2:
            raise broken
        return _load(wanted, check)

    with pytest.raises(work.KafkaUnavailableError, match="nobody answers"):
        _run(_trainer(_profile(), load), [_request(1), _request(2)])


def test_warm_start_begins_from_the_champion_and_only_where_it_is_asked_for() -> None:
    store = MemoryStore()
    long = _MLP.model_copy(update={"epochs": 100})
    first = _run(_trainer(_profile(long), store=store), [_request(1)])[0].published
    assert first is not None
    still = _MLP.model_copy(update={"epochs": 1, "learning_rate": 1e-12})
    losses = {}
    for warm_start in (True, False):
        trainer = _trainer(_profile(still, warm_start=warm_start), store=store)
        result = _run(trainer, [_request(1, "t:0:0:298")], first)[0]
        challenger, champion = result.finished.challenger, result.finished.champion
        assert challenger is not None
        assert champion is not None
        losses[warm_start] = (challenger["loss"], champion["loss"])
    assert losses[True][0] == pytest.approx(losses[True][1], rel=1e-5)
    assert losses[False][0] > 1.5 * losses[False][1]  # type: ignore[operator]


def test_a_request_beyond_the_memory_fails_by_name_and_alone() -> None:
    def load(wanted: Mapping[str, Wanted], check: Check) -> Mapping[str, Columns | TrainingError]:
        check()
        large = _request(1).id
        return {name: _columns(7, 60_000 if name == large else 300) for name in wanted}

    results = _run(_trainer(_profile(), load, memory="4MiB"), [_request(1), _request(2)])
    assert [one.finished.outcome for one in results] == ["failed", "published"]
    assert results[0].finished.reason == "out-of-memory"
    assert "trainer.memory" in results[0].finished.detail
