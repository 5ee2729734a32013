"""The frontier's experiment, small and on generated data."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from driftloop.backtest.result import PolicyScore
from experiments import _data, frontier


def test_quick_run_writes_every_variant_of_the_generated_set(tmp_path: Path) -> None:
    frontier.main(["--quick", "--jobs", "1", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "frontier.json").read_text())
    assert [run["variant"] for run in result["runs"]] == list(frontier.VARIANTS)
    real, shuffled, *_ = result["runs"]
    policies = {one["name"]: one for one in real["policies"]}
    assert policies["always"]["loss"] < policies["reducible(20)"]["loss"]
    assert policies["reducible(20)"]["loss"] < policies["never"]["loss"]
    quiet = {one["name"]: one["retrains"] for one in shuffled["policies"]}
    assert quiet["reducible(20)"] == 0
    assert {"date", "hardware", "versions", "seed"} <= result.keys()
    assert "## Shuffled" in (tmp_path / "frontier.md").read_text()


def test_a_set_that_is_absent_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DRIFTLOOP_DATA", raising=False)
    frontier.main(["--sets", "sea", "--jobs", "1", "--out", str(tmp_path)])
    page = (tmp_path / "frontier.md").read_text()
    assert "Not run: sea: no folder of data sets: give --data DIR or set DRIFTLOOP_DATA." in page


def _score(name: str, loss: float, retrains: float) -> PolicyScore:
    return PolicyScore(
        name=name,
        family=name.partition("(")[0],
        loss=loss,
        saved=2.0 - loss,
        saved_low=1.9 - loss,
        retrains=0,
        retrains_per_stream=retrains,
    )


ALL = [
    _score("never", 2.0, 0),
    _score("always", 1.0, 100),
    _score("periodic(2)", 1.02, 50),
    _score("periodic(4)", 1.2, 25),
    _score("reducible(1)", 1.01, 15),
    _score("reducible(5)", 1.04, 10),
    _score("reducible(9)", 1.3, 2),
]


def test_the_goal_takes_the_fewest_retrains_that_reach_the_share() -> None:
    found = frontier.verdict(ALL)
    assert found["policy"] == "reducible(5)"
    assert found["reached"]
    assert 25 < found["equal_period"] < 50


def test_the_goal_is_missed_where_a_fixed_period_does_almost_as_well() -> None:
    scores = [one for one in ALL if one.name != "reducible(1)"]
    found = frontier.verdict([*scores, _score("periodic(3)", 1.03, 16)])
    assert found["policy"] == "reducible(5)"
    assert found["fifth_of_always"]
    assert not found["half_of_period"]
    assert not found["reached"]


def test_a_policy_that_reaches_the_goal_counts_before_one_with_fewer_retrains() -> None:
    found = frontier.verdict([*ALL, _score("periodic(3)", 1.03, 16)])
    assert (found["policy"], found["reached"]) == ("reducible(1)", True)


def test_there_is_no_goal_where_always_gains_nothing() -> None:
    scores = [msgspec.structs.replace(one, loss=2.0, saved=0.001) for one in ALL]
    assert frontier.verdict(scores) == {"pays": False}


def test_shuffling_keeps_each_label_beside_its_features() -> None:
    one = frontier.generated(None, records=300)
    other = _data.shuffled(one, 0)
    before, after = one.tables["generated"], other.tables["generated"]
    np.testing.assert_array_equal(before.ts, after.ts)
    assert not np.array_equal(before.y, after.y)
    pairs = [np.column_stack([table.x, table.y]) for table in (before, after)]
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in pairs))
