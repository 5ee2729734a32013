"""The champion's losses against a direct computation, and its corrected ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.detection.champion import BLOCK, ChampionLosses, predicts
from driftloop.detection.detectors import make_detector
from driftloop.detection.signals import LargeLoss
from driftloop.records import Columns
from driftloop.settings import Policy, Profile
from driftloop.statistics.correction import make_correction
from driftloop.statistics.losses import compute
from tests.streams import COLOURS, make_profile, make_stream

TASKS: list[dict[str, Any]] = [
    {"task": "regression", "loss": "absolute"},
    {"task": "regression", "loss": "squared"},
    {"task": "binary", "loss": "log_loss"},
    {"task": "binary", "loss": "zero_one"},
    {"task": "multiclass", "loss": "log_loss", "classes": ["a", "b", "c"]},
    {"task": "multiclass", "loss": "zero_one", "classes": ["a", "b", "c"]},
]


def champion(profile: Profile) -> ChampionLosses:
    return ChampionLosses(profile, [COLOURS])


def direct(profile: Profile, rows: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Losses and corrected losses, computed block by block by hand."""
    kind = (rows.x, *(np.array(column)[:, None] == COLOURS for column in rows.categories))
    design = np.concatenate(kind, axis=1).astype(np.float64)
    correction = make_correction(
        profile.task,
        design.shape[1],
        classes=len(profile.classes),
        codes=profile.loss == "zero_one" and profile.task == "binary",
    )
    corrected = [
        correction.block(design[i : i + BLOCK], rows.y[i : i + BLOCK], rows.y_pred[i : i + BLOCK])
        for i in range(0, len(rows), BLOCK)
    ]
    return (
        compute(profile.loss, rows.y, rows.y_pred),
        compute(profile.loss, rows.y, np.concatenate(corrected)),
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task['task']}-{task['loss']}")
def test_losses_are_those_of_a_direct_computation(task: dict[str, Any]) -> None:
    profile = make_profile(**task)
    rows = make_stream(profile, 5, 300, drift_at=150, missing=0.05)
    losses, corrected, _ = champion(profile).advance(rows)
    expected, better = direct(profile, rows)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    np.testing.assert_allclose(corrected, better, rtol=1e-9)
    assert np.nanmean(corrected[200:]) < np.nanmean(losses[200:])


def test_a_records_own_loss_goes_before_the_computed_one_and_its_saving_is_the_predictions() -> (
    None
):
    profile = make_profile()
    rows = make_stream(profile, 6, 96, drift_at=32)
    plain, better, _ = champion(profile).advance(rows)
    rows.loss = np.where(np.arange(96) % 2, 1000.0 + plain, np.nan)
    losses, corrected, _ = champion(profile).advance(rows)
    np.testing.assert_allclose(losses, plain + np.where(np.arange(96) % 2, 1000.0, 0.0))
    np.testing.assert_allclose(losses - corrected, plain - better, atol=1e-9)


def test_a_loss_without_label_or_prediction_has_no_corrected_one() -> None:
    profile = make_profile()
    rows = make_stream(profile, 7, 40)
    rows.loss = np.full(40, 2.0)
    rows.y = np.full(40, np.nan)
    losses, corrected, _ = champion(profile).advance(rows)
    assert losses.tolist() == [2.0] * 40
    assert np.isnan(corrected).all()


def test_missing_labels_and_predictions_have_no_loss_and_teach_nothing() -> None:
    profile = make_profile()
    rows = make_stream(profile, 8, 64)
    rows.y[3] = np.nan
    rows.y_pred[40] = np.nan
    losses, corrected, _ = champion(profile).advance(rows)
    assert np.flatnonzero(np.isnan(losses)).tolist() == [3, 40]
    assert np.flatnonzero(np.isnan(corrected)).tolist() == [3, 40]


@pytest.mark.parametrize("kind", ["mlma", "periodic", "never"])
def test_only_the_policy_that_needs_a_correction_pays_for_one(kind: str) -> None:
    profile = make_profile(policy=Policy(kind=kind, every="1d"))
    _, corrected, _ = champion(profile).advance(make_stream(profile, 9, 64))
    assert np.isnan(corrected).all()


def test_detectors_signal_at_the_records_at_which_they_do_alone() -> None:
    profile = make_profile(policy=Policy(detectors=["adwin", "page_hinkley"]))
    rows = make_stream(profile, 10, 900, drift_at=500)
    losses, _, signals = champion(profile).advance(rows)
    for name in ("adwin", "page_hinkley"):
        expected = make_detector(name).update_many(losses)
        assert [signal for signal in signals if signal.detector == name] == [
            (name, "loss", i, losses[i]) for i in expected
        ]
        assert min(expected) >= 500
    places = [signal.row for signal in signals]
    assert places == sorted(places)


def test_categories_that_are_unknown_or_missing_share_the_level() -> None:
    profile = make_profile()
    rows = make_stream(profile, 11, 32)
    rows.categories = [["red", None, "mauve", *["blue"] * 29]]
    design = champion(profile)._design(rows)
    assert design.shape == (32, 2 + len(COLOURS))
    assert design[:3, 2:].tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_records_predict_when_any_has_a_prediction_or_a_loss_of_its_own() -> None:
    for profile in (make_profile(), make_profile(**TASKS[4])):
        rows = make_stream(profile, 12, 5)
        assert predicts(rows)
        rows.y_pred = np.full_like(rows.y_pred, np.nan)
        assert not predicts(rows)
        rows.loss = np.array([np.nan, 1.0, np.nan, np.nan, np.nan])
        assert predicts(rows)


@pytest.mark.parametrize("task", TASKS[2:], ids=lambda task: f"{task['task']}-{task['loss']}")
def test_the_error_of_a_classification_is_a_wrong_class_whatever_the_loss(
    task: dict[str, Any],
) -> None:
    profile = make_profile(policy=Policy(detectors=["hddm_w", "adwin:error"]), **task)
    rows = make_stream(profile, 13, 1200, drift_at=600, missing=0.05)
    *_, signals = champion(profile).advance(rows)
    errors = compute("zero_one", rows.y, rows.y_pred)
    for name, kind in (("hddm_w", "hddm_w"), ("adwin:error", "adwin")):
        expected = make_detector(kind).update_many(errors)
        assert [signal for signal in signals if signal.detector == name] == [
            (name, "error", i, errors[i]) for i in expected
        ]
        assert expected


def test_the_error_of_a_regression_is_a_loss_larger_than_most_of_the_first() -> None:
    profile = make_profile(policy=Policy(detectors=["adwin", "ddm"]))
    rows = make_stream(profile, 14, 1200, drift_at=600)
    losses, _, signals = champion(profile).advance(rows)
    expected = make_detector("ddm").update_many(LargeLoss().of(losses))
    assert [signal.row for signal in signals if signal.detector == "ddm"] == expected
    assert any(600 <= row < 800 for row in expected)
