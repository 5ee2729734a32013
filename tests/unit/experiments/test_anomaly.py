"""Shifts in shuffled sets, and the figures of a classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import anomaly
from experiments._shifts import SHIFTS, Shift, inject


def test_quick_run_scores_every_policy_on_every_stream(tmp_path: Path) -> None:
    anomaly.main(["--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "anomaly.json").read_text())
    (one,) = result["runs"]
    assert not one["failures"]
    assert len(one["rows"]) == 2 * 4
    listed = [dict(zip(one["columns"], row, strict=True)) for row in one["rows"]]
    rows = {(row["policy"], row["shift"]): row for row in listed}
    assert rows["always", "concept, sudden"]["auc"] > rows["never", "concept, sudden"]["auc"]
    assert rows["loss", "none"]["retrains"] == 0
    assert "| always |" in (tmp_path / "anomaly.md").read_text()


def test_measures_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.3).astype(np.float64)
    p = np.clip(0.3 + 0.3 * y + 0.2 * rng.normal(size=500), 0.01, 0.99)
    found = anomaly.measures(y, -np.log(np.where(y == 1, p, 1 - p)))
    told = p >= 0.5
    hits, recall = (told & (y == 1)).sum(), told[y == 1].mean()
    assert found["accuracy"] == pytest.approx((told == y).mean())
    assert found["balanced"] == pytest.approx((recall + (~told[y == 0]).mean()) / 2)
    assert found["f1"] == pytest.approx(2 / (1 / recall + told.sum() / hits))
    u = stats.mannwhitneyu(p[y == 1], p[y == 0]).statistic
    assert found["auc"] == pytest.approx(u / ((y == 1).sum() * (y == 0).sum()))


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
def test_nothing_changes_before_the_shift(shift: Shift) -> None:
    x, y = anomaly.generated()
    plain = inject(x, y, Shift("none"), records=900, start=500, turn=200, seed=4)
    made = inject(x, y, shift, records=900, start=500, turn=200, seed=4)
    same = [(made[k] == plain[k]).reshape(900, -1).all(axis=1) for k in (0, 1)]
    if shift.pace == "sudden":  # other paces draw more, and so other rows
        assert np.array_equal(made[0][:500], plain[0][:500])
        assert np.array_equal(made[1][:500], plain[1][:500])
        changed = ~(same[0] & same[1])[500:]
        assert changed.mean() > 0.2 if shift.kind != "none" else not changed.any()
    assert made[2] == {"none": [], "recurring": [500, 700]}.get(
        shift.kind if shift.kind == "none" else shift.pace, [500]
    )
