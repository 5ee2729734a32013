"""Drift of known place and kind in streams of demand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from experiments import _streams, platform_streams


def test_quick_run_measures_power_and_needless_retrains(tmp_path: Path) -> None:
    platform_streams.main(["--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "platform-streams.json").read_text())
    calendar, naive = result["runs"]
    assert (calendar["streams"], calendar["drifted"]) == (9, 3)
    policies = {one["name"]: one for one in calendar["policies"]}
    assert policies["mlma(1)"]["kinds"]["level"]["power_day"] == 1.0
    assert policies["mlma(1)"]["promised_a_year"] == 1.0
    assert policies["never"]["retrains"] == 0
    assert policies["periodic(7d)"]["false"] == 12  # two retrains of each of 6 streams
    assert not calendar["failures"]
    assert not naive["failures"]


def test_drift_is_injected_in_a_third_of_the_streams_from_its_day_on() -> None:
    demand = _streams.generated(streams=12)
    drifted, drifts = _streams.inject(demand, seed=0)
    assert sorted(drift.kind for drift in drifts.values()) == sorted(
        ["level", "level", "profile", "variance"]
    )
    for index in range(12):
        before, after = demand.values[index], drifted.values[index]
        drift = drifts.get(index)
        if drift is None:
            np.testing.assert_array_equal(before, after)
            continue
        np.testing.assert_array_equal(before[: drift.day], after[: drift.day])
        if drift.kind == "level":
            np.testing.assert_allclose(after[drift.day :], before[drift.day :] * 1.2)
        if drift.kind == "profile":
            np.testing.assert_array_equal(after[drift.day :, 2:], before[drift.day :, :-2])


def test_lags_are_the_values_of_before() -> None:
    demand = _streams.generated(streams=1)
    table = _streams.tables(demand, "naive")["generated-000"]
    whole = demand.values[0].ravel()
    begin = 2 * 24
    np.testing.assert_array_equal(table.y, whole[begin:])
    np.testing.assert_array_equal(table.x[:, 0], whole[begin - 1 : -1])
    np.testing.assert_array_equal(table.x[:, 3], whole[begin - 24 : -24])
    np.testing.assert_array_equal(table.x[:, 4], whole[:-begin])
    np.testing.assert_array_equal(table.y_pred, whole[begin - 24 : -24])
