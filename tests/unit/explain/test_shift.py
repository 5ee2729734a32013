"""What changed: shares of features are of the shift beyond what samples differ by anyway."""

from __future__ import annotations

import numpy as np
import pytest

from driftloop.explain.shift import column_shifts, side
from driftloop.records import Columns
from tests.streams import COLOURS, START, make_columns, make_profile

_PROFILE = make_profile()


def _rows(
    n: int, seed: int, *, mean: float = 0.0, reds: float = 0.25, label: float = 0.0
) -> Columns:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, 2)) + np.array([mean, 0.0])
    rest = (1 - reds) / 3
    colours = generator.choice(COLOURS, n, p=[reds, rest, rest, rest])
    y = x.sum(axis=1) + label
    return make_columns(
        _PROFILE,
        START + np.arange(n),
        x=x,
        categories=[colours.tolist()],
        y=y,
        y_pred=x.sum(axis=1),
    )


def test_the_feature_that_moved_has_the_shift() -> None:
    found = column_shifts(_rows(300, 1, mean=1.5), _rows(300, 2), _PROFILE)
    first, *others = [one for one in found if one.role == "feature"]
    assert first.name == "a"
    assert first.share is not None
    assert first.share > 0.95
    assert first.moved == pytest.approx(1.5, abs=0.2)
    assert sum(one.share or 0.0 for one in [first, *others]) == pytest.approx(1.0)
    assert "→" in first.told
    assert sum(first.before) == pytest.approx(1.0)
    assert sum(first.after) == pytest.approx(1.0)


def test_a_category_that_moved_is_named() -> None:
    found = column_shifts(_rows(400, 1, reds=0.7), _rows(400, 2), _PROFILE)
    assert found[0].name == "colour"
    assert found[0].told.startswith("red ")
    assert found[0].bins[np.argmax(found[0].after)] == "red"


def test_samples_of_one_law_have_nothing_to_share() -> None:
    """Of 60 pairs with three features each: one in a hundred is taken for a shift."""
    some = 0
    for seed in range(60):
        found = column_shifts(_rows(150, 2 * seed), _rows(150, 2 * seed + 1), _PROFILE)
        features = [one for one in found if one.role == "feature"]
        some += sum(bool(one.share) for one in features)
        assert all((one.distance or 0.0) < 0.35 for one in features)
    assert some <= 6  # of 180


def test_labels_that_moved_alone_are_concept_drift() -> None:
    found = column_shifts(_rows(400, 1, label=3.0), _rows(400, 2), _PROFILE)
    by_name = {one.name: one for one in found}
    assert by_name["label"].distance is not None
    assert by_name["prediction"].distance is not None
    assert by_name["label"].distance > 3 * by_name["prediction"].distance
    assert by_name["label"].share is None


def test_few_and_missing_values_are_told_not_compared() -> None:
    rows = _rows(300, 1)
    rows.x[:290, 0] = np.nan
    found = {one.name: one for one in column_shifts(rows, _rows(300, 2), _PROFILE)}
    assert found["a"].distance is None
    assert "missing" in found["a"].told
    constant = _rows(300, 1)
    constant.x[:, 0] = 1.0
    found = {one.name: one for one in column_shifts(constant, constant, _PROFILE)}
    assert not found["a"].share


def test_a_side_has_loss_bias_and_trivial_loss() -> None:
    rows = _rows(200, 1, label=2.0)
    found = side(rows, ["streams.a:0:0:199"], _PROFILE)
    assert found.loss == pytest.approx(2.0)
    assert found.bias == pytest.approx(2.0)
    assert found.baseline == pytest.approx(float(np.abs(np.diff(rows.y)).mean()))


def test_classes_are_compared_by_their_names() -> None:
    profile = make_profile(task="multiclass", loss="zero_one", classes=["cat", "dog"])
    generator = np.random.default_rng(0)

    def rows(share: float) -> Columns:
        y = (generator.random(200) < share).astype(float)
        p = np.stack([1 - y, y], axis=1)
        return make_columns(profile, START + np.arange(200), y=y, y_pred=p)

    found = {one.name: one for one in column_shifts(rows(0.9), rows(0.1), profile)}
    assert set(found["label"].bins) == {"cat", "dog"}
    assert found["label"].told == found["prediction"].told
