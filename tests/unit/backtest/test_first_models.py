"""What policies are compared by: their decisions, not the luck of their first weights."""

from __future__ import annotations

import numpy as np

from driftloop.backtest.outcome import Plan
from driftloop.backtest.policies import profiles_of
from driftloop.backtest.run import simulate
from driftloop.backtest.source import StreamData
from driftloop.records import Columns
from driftloop.settings import Profile


def _data(profile: Profile, n: int) -> StreamData:
    rng = np.random.default_rng(3)
    columns = Columns.empty(profile)
    whole, zeros = np.arange(n, dtype=np.int64), np.zeros(n, np.int64)
    columns.partitions = columns.origin_partitions = zeros
    columns.offsets = columns.origin_offsets = whole
    columns.ts = whole * 60_000.0
    columns.ids, columns.versions = [None] * n, [None] * n
    columns.x = rng.normal(size=(n, 2))
    columns.y = (rng.random(n) < 0.3).astype(np.float64)
    columns.y_pred, columns.loss = np.full(n, np.nan), np.full(n, np.nan)
    return StreamData("a", columns)


def test_an_mlps_weights_do_not_depend_on_the_policy() -> None:
    """A request's id holds the policy; its model's seed must not, or luck is compared too."""
    profile = Profile.model_validate(
        {
            "task": "binary",
            "loss": "log_loss",
            "features": {"numeric": ["a", "b"]},
            "window": {"kind": "count", "records": 40},
            "training": {"records": 100, "initial": 100},
            "model": {"kind": "mlp_classifier", "hidden": [8], "epochs": 5},
        }
    )
    plan = Plan(profiles_of(profile, ["never", "mlma", "periodic(80)"]))
    (outcome,) = simulate(plan, [_data(profile, 240)])
    never, mlma, periodic = (track.losses for track in outcome.tracks.values())
    assert np.isfinite(never[120:]).all()
    np.testing.assert_array_equal(never, mlma)
    np.testing.assert_array_equal(never[:180], periodic[:180])
