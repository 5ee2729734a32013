"""The gate within a request: real training, records and versions in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from driftloop.backtest.training import MemoryStore
from driftloop.messages import ModelPublished, OffsetRange, RetrainRequested
from driftloop.records import Columns
from driftloop.settings import Profile, Settings
from driftloop.trainer.history import Current
from driftloop.trainer.work import Result, Trainer

CARRIERS = ["AA", "UA"]


def _records(first: int, slopes: np.ndarray) -> Columns:
    """Records from an offset on, y = slope · a + noise; every third is of the carrier UA."""
    n = len(slopes)
    generator = np.random.default_rng(first)
    x = generator.normal(size=(n, 1))
    offsets, zeros = np.arange(first, first + n), np.zeros(n, np.int64)
    return Columns(
        partitions=zeros,
        offsets=offsets,
        origin_partitions=zeros,
        origin_offsets=offsets,
        ts=offsets.astype(float),
        ids=[None] * n,
        x=x,
        categories=[[CARRIERS[int(i % 3 == 0)] for i in range(n)]],
        y_pred=np.full(n, np.nan),
        y=slopes * x[:, 0] + 0.3 * generator.standard_normal(n),
        loss=np.full(n, np.nan),
        versions=[None] * n,
    )


class _Rig:
    """A trainer of one stream that keeps its versions and knows its records."""

    def __init__(self, **training: object) -> None:
        profile = Profile.model_validate(
            {
                "features": {"numeric": ["a"], "categorical": ["carrier"]},
                "training": {"records": 400, **training},
            }
        )
        self.current: ModelPublished | None = None
        self.judged = True
        self.store = MemoryStore()
        self._records: Columns | None = None
        self._trainer = Trainer(
            Settings(profiles={"p": profile}),
            torch.device("cpu"),
            now_ms=lambda: 0,
            load=self._load,
            store=self.store,
        )

    def _load(self, wanted: Mapping[str, object], _: object) -> dict[str, Columns]:
        assert self._records is not None
        return dict.fromkeys(wanted, self._records)

    def train(self, records: Columns) -> Result:
        self._records = records
        place = OffsetRange("t", 0, int(records.offsets[0]), int(records.offsets[-1]))
        request = RetrainRequested(
            id=f"request {place}",
            stream="t",
            profile="p",
            profile_hash="h",
            reason="command",
            policy="never",
            grounds=[],
            data=[str(place)],
            current_version=None,
            decided_at=0,
        )
        (result,) = self._trainer.run([request], lambda _: Current(self.current, 0, self.judged))
        self.current = result.published or self.current
        return result


def test_the_two_meet_on_what_the_champion_does_not_know() -> None:
    rig = _Rig()
    rig.train(_records(0, np.ones(400)))
    finished = rig.train(_records(30, np.ones(400))).finished  # 370 of 400 are known
    assert finished.champion is not None
    assert finished.challenger is not None
    assert finished.champion["records"] == finished.challenger["records"] == 30.0
    assert finished.champion["trained_on"] == 0.0
    other = _Rig()
    other.train(_records(0, np.ones(400)))
    finished = other.train(_records(5, np.ones(400))).finished
    assert finished.champion is not None
    assert finished.champion["records"] == 80.0
    assert finished.champion["trained_on"] == 75.0


def test_a_better_model_for_all_is_not_published_if_it_is_worse_for_one_carrier() -> None:
    """The slope has turned for two thirds; a model without interactions must choose."""
    mixed = np.where(np.arange(400) % 3 == 0, 1.0, -1.0)
    for slices, outcome in (([], "published"), (["carrier"], "rejected")):
        rig = _Rig(slices=slices, slice_records=20)
        assert rig.train(_records(0, np.ones(400))).finished.outcome == "published"
        finished = rig.train(_records(400, mixed)).finished
        assert finished.outcome == outcome
    assert finished.reason == "slice-worse"
    assert "carrier 'UA'" in finished.detail
    assert "'AA'" not in finished.detail


@pytest.mark.parametrize("margin", [0.0, 5.0])
def test_what_was_known_before_may_not_be_forgotten_beyond_the_margin(margin: float) -> None:
    turned = np.where(np.arange(400) < 60, 1.0, -1.0)
    rig = _Rig(forgetting_holdout=0.15, forgetting_margin=margin)
    rig.train(_records(0, np.ones(400)))
    result = rig.train(_records(400, turned))
    champion, challenger = result.finished.champion, result.finished.challenger
    assert champion is not None
    assert challenger is not None
    assert challenger["loss"] < champion["loss"]
    assert challenger["older_loss"] > champion["older_loss"]
    if margin:
        assert result.published is not None
        assert result.published.cost.records == 400  # with what was held out
        assert result.published.challenger["older_loss"] == challenger["older_loss"]
    else:
        assert (result.finished.outcome, result.finished.reason) == ("rejected", "older-worse")


@pytest.mark.parametrize("judged", [False, True])
def test_a_version_that_is_not_judged_yet_shields_no_successor(*, judged: bool) -> None:
    """The challenger beats a spoilt champion, but not the champion's parent."""
    rig = _Rig(refit=False)
    good = rig.train(_records(0, np.full(400, 2.0))).published
    assert good is not None
    artifact = rig.store.load(good.uri, good.sha256)
    spoilt = replace(artifact, weights={k: -v for k, v in artifact.weights.items()})
    uri, digest = rig.store.save("t", "v2", spoilt)
    rig.current = msgspec.structs.replace(
        good,
        version="v2",
        sequence=2,
        parent_version="v1",
        uri=uri,
        sha256=digest,
        parent_uri=good.uri,
        parent_sha256=good.sha256,
    )
    rig.judged = judged
    poor = np.where(np.arange(400) < 320, 0.0, 2.0)  # what it learns does not hold on the newest
    finished = rig.train(_records(1000, poor)).finished
    assert finished.champion is not None
    assert finished.challenger is not None
    if judged:
        assert finished.outcome == "published"
        assert finished.challenger["loss"] < finished.champion["loss"]
    else:
        assert (finished.outcome, finished.reason) == ("rejected", "worse")
        assert finished.champion["loss"] < 0.5
        assert "compared with v1, its parent" in finished.detail


@pytest.mark.parametrize("wrote", ["v1", "v0", None])
def test_a_champion_of_other_features_is_compared_by_what_it_predicted(wrote: str | None) -> None:
    """Its predictions stand in the records; those of other versions do not count."""
    rig = _Rig(refit=False)
    first = rig.train(_records(0, np.full(400, 2.0))).published
    assert first is not None
    artifact = rig.store.load(first.uri, first.sha256)
    other = replace(artifact, encoding=replace(artifact.encoding, numeric=("z",)))
    uri, digest = rig.store.save("t", "v1", other)
    rig.current = msgspec.structs.replace(first, version="v1", uri=uri, sha256=digest)
    rows = _records(1000, np.where(np.arange(400) < 320, 0.0, 2.0))
    rows = replace(rows, y_pred=2.0 * rows.x[:, 0], versions=[wrote] * 400)
    finished = rig.train(rows).finished
    assert "has other features" in finished.detail
    if wrote == "v0":
        assert (finished.outcome, finished.champion) == ("published", None)
        assert "no prediction of it" in finished.detail
    else:
        assert (finished.outcome, finished.reason) == ("rejected", "worse")
        assert finished.champion is not None
        assert finished.champion["loss"] < 0.5
