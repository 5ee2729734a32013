"""The gate within a request: real training, records and versions in memory."""

from __future__ import annotations

from collections.abc import Mapping

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
        self._records: Columns | None = None
        self._trainer = Trainer(
            Settings(profiles={"p": profile}),
            torch.device("cpu"),
            now_ms=lambda: 0,
            load=self._load,
            store=MemoryStore(),
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
        (result,) = self._trainer.run([request], lambda _: Current(self.current, 0))
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
