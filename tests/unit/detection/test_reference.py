"""References: how they adapt, and that the anchored one and the full one never change."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from driftloop.detection.reference import LossReference
from driftloop.errors import SettingsError
from driftloop.statistics.loss_tests import loss_test


def draw(seed: int, n: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, n)


def started(n: int = 300, **options: float) -> LossReference:
    reference = LossReference(**options)
    reference.start(draw(0, n))
    return reference


def test_a_reference_without_losses_gives_no_verdict() -> None:
    results = LossReference().evaluate(draw(1, 50))
    assert set(results) == {"adaptive", "anchored"}
    for result in results.values():
        assert math.isnan(result.p_value)
        assert result.reason == "no reference yet"


def test_evaluate_is_the_loss_test_against_both_and_changes_nothing() -> None:
    reference = started(tolerance=0.1)
    reference.absorb(draw(1, 100, -0.5))
    batch = draw(2, 100, 0.3)
    before = reference.adaptive.copy(), reference.anchored.copy()
    results = reference.evaluate(batch)
    assert results["adaptive"] == loss_test(batch, reference.adaptive, tolerance=0.1)
    assert results["anchored"] == loss_test(batch, reference.anchored, tolerance=0.1)
    assert results["adaptive"] != results["anchored"]
    assert reference.evaluate(batch) == results
    assert (reference.adaptive == before[0]).all()
    assert (reference.anchored == before[1]).all()
    resumed = pickle.loads(pickle.dumps(reference))  # noqa: S301
    assert resumed.evaluate(batch) == results


def test_absorbing_is_bounded_oldest_first() -> None:
    reference = LossReference(max_records=500)
    reference.start(np.arange(300.0))
    reference.absorb(np.arange(300.0, 600.0))
    assert reference.adaptive.tolist() == np.arange(100.0, 600.0).tolist()
    assert reference.anchored.tolist() == np.arange(300.0).tolist()


def test_a_rejected_batch_changes_nothing() -> None:
    reference = started()
    before = reference.adaptive.copy()
    assert reference.settle(draw(1, 100, 5.0), rejected=True, level=0.05) == "kept"
    assert (reference.adaptive == before).all()


def test_an_accepted_batch_is_absorbed() -> None:
    reference = started()
    assert reference.settle(draw(1, 100), rejected=False, level=0.001) == "absorbed"
    assert len(reference.adaptive) == 400


def test_a_significantly_better_batch_replaces_the_adaptive_one_only() -> None:
    reference = started()
    anchored = reference.anchored.copy()
    better = draw(1, 100, -1.0)
    assert reference.settle(better, rejected=False, level=0.001) == "replaced"
    assert (reference.adaptive == better).all()
    assert (reference.anchored == anchored).all()


def test_slow_drift_hides_from_the_adaptive_reference_but_not_from_the_anchored() -> None:
    reference = started(400, max_records=400)
    adaptive, anchored = [], []
    for step in range(60):
        batch = draw(100 + step, 100, 0.02 * step)
        results = reference.evaluate(batch)
        adaptive.append(results["adaptive"].p_value)
        anchored.append(results["anchored"].p_value)
        reference.settle(batch, rejected=False, level=0.001)
    assert min(adaptive) > 1e-5
    assert anchored[-1] < 1e-9


def test_without_losses_of_its_own_both_begin_with_the_first_batches() -> None:
    reference = LossReference(anchor_records=150)
    for step in range(4):
        reference.settle(draw(step, 100), rejected=False, level=0.0)
    assert len(reference.adaptive) == 400
    assert len(reference.anchored) == 200
    assert (reference.anchored == reference.adaptive[:200]).all()


def test_start_begins_anew() -> None:
    reference = started()
    reference.start([1.0, math.nan, 2.0])
    assert reference.adaptive.tolist() == reference.anchored.tolist() == [1.0, 2.0]


def test_phases_are_kept_beside_the_losses_and_removed() -> None:
    hours = np.arange(40 * 24) % 24
    losses = 3 * np.sin(2 * np.pi * hours / 24) + draw(3, hours.size)
    reference = LossReference(max_records=720)
    reference.start(losses[:480], hours[:480])
    reference.absorb(losses[480:720], hours[480:720])
    night = np.flatnonzero(hours[720:] < 8) + 720
    results = reference.evaluate(losses[night], hours[night])
    assert results["adaptive"] == loss_test(
        losses[night], losses[:720], phases=(hours[night], hours[:720])
    )
    assert results["anchored"].p_value > 0.01
    with pytest.raises(SettingsError, match="for all batches"):
        reference.absorb(losses[720:])


def test_tiny_constant_and_missing_batches_are_survived() -> None:
    reference = started()
    for batch in ([], [1.0], [math.nan] * 30, [2.0] * 40):
        for result in reference.evaluate(batch).values():
            assert result.reason or 0.0 <= result.p_value <= 1.0
        reference.settle(batch, rejected=False, level=0.01)
    assert np.isfinite(reference.adaptive).all()
    reference.replace([])
    assert len(reference.adaptive)


def test_faults_name_the_argument() -> None:
    with pytest.raises(SettingsError, match="max_records"):
        LossReference(0)
    with pytest.raises(SettingsError, match=r"anchor_records: must be in \[1, max_records = 50\]"):
        LossReference(50)
    with pytest.raises(SettingsError, match="one phase for each of 2 losses"):
        started().evaluate([1.0, 2.0], [1])


def test_with_phases_the_anchor_grows_to_four_cycles() -> None:
    """One day's hours cannot tell how an hour varies from day to day."""
    reference = LossReference(2000, anchor_records=1)
    day = np.repeat(np.arange(24), 4)
    rng = np.random.default_rng(3)
    reference.start(rng.normal(size=96), day)
    for _ in range(6):
        reference.absorb(rng.normal(size=96), day)
    assert len(reference.anchored) == 4 * 96
    assert len(reference.adaptive) == 7 * 96


def test_the_anchor_with_phases_never_slides_where_four_cycles_do_not_fit() -> None:
    reference = LossReference(150, anchor_records=1)
    day = np.repeat(np.arange(24), 4)
    losses = [np.full(96, float(i)) for i in range(4)]
    reference.start(losses[0], day)
    reference.absorb(losses[1], day)
    anchored = reference.anchored.copy()
    reference.absorb(losses[2], day)
    reference.absorb(losses[3], day)
    np.testing.assert_array_equal(reference.anchored, anchored)
