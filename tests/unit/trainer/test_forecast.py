"""Forecasters from records to predictions: better than what they must beat, whatever is missing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from driftloop.models import ModelArtifact, predict
from driftloop.models.artifact import build, dump, parse_manifest
from driftloop.records import Columns
from driftloop.settings import Profile
from driftloop.trainer.dataset import job_of, spec_of, split
from driftloop.trainer.train import fit
from experiments.forecasters import CALENDAR, Series, Setting, names, series
from tests.streams import make_columns
from tests.unit.trainer.jobs import CPU

Array = npt.NDArray[np.float64]

FORECASTERS = ("forecaster_linear", "forecaster_mlp", "forecaster_tcn")
TRAIN, TEST = 1500, 800


def _profile(kind: str, lags: int = 24, **model: Any) -> Profile:
    features: dict[str, Any] = {"numeric": names(lags), "calendar": CALENDAR}
    if kind in FORECASTERS:
        features["sequence"] = names(lags)
    return Profile.model_validate(
        {"loss": "squared", "features": features, "model": {"kind": kind, **model}}
    )


def _columns(profile: Profile, own: Series) -> Columns:
    return make_columns(profile, own.ts, x=own.x, y=own.y)


def _trained(profile: Profile, *records: Columns) -> list[ModelArtifact]:
    """A model of each, all in one call."""
    made = [job_of(profile, one, seed) for seed, one in enumerate(records)]
    found = fit([job for _, job in made], CPU)
    return [
        ModelArtifact(
            kind=profile.model.kind,
            task="regression",
            stream="s",
            version="v1",
            request_id="r",
            encoding=encoding,
            weights=fitted.weights,
            target=fitted.target,
        )
        for (encoding, _), fitted in zip(made, found, strict=True)
    ]


def _errors(kind: str, all_: list[Series]) -> Array:
    """Mean squared error of each series' model on its records after the training."""
    profile = _profile(kind)
    records = [_columns(profile, one) for one in all_]
    models = _trained(profile, *(one.select(slice(0, TRAIN)) for one in records))
    out = []
    for artifact, one in zip(models, records, strict=True):
        test = one.select(slice(TRAIN, None))
        predicted = predict(artifact, test.x, ts=test.feature_times)
        out.append(np.mean((predicted - test.y) ** 2))
    return np.array(out)


@pytest.fixture(scope="module")
def seasonal() -> list[Series]:
    """Series of which no forecast has an error below 1."""
    return [series(Setting("", 0.7), seed, TRAIN + TEST, train=TRAIN) for seed in range(4)]


def test_forecasters_beat_a_day_before_and_the_networks_a_linear_model_on_features(
    seasonal: list[Series],
) -> None:
    held = [one.part(TRAIN, TRAIN + TEST) for one in seasonal]
    naive = np.array([np.mean((one.x[:, 0] - one.y) ** 2) for one in held])
    linear = _errors("linear", seasonal)
    found = {kind: _errors(kind, seasonal) for kind in FORECASTERS}
    assert (linear < 0.25 * naive).all()
    assert (found["forecaster_linear"] < 0.25 * naive).all()
    assert (found["forecaster_mlp"] < 0.92 * linear).all()
    assert (found["forecaster_tcn"] < 0.87 * linear).all()


def test_a_level_that_moved_is_followed_at_once_where_features_alone_mislead() -> None:
    moved = [
        series(Setting("", 0.7, shift=15.0), seed, TRAIN + TEST, train=TRAIN) for seed in (1, 2)
    ]
    settled = [
        Series(*(np.delete(value, slice(TRAIN, TRAIN + 24), axis=0) for value in
                 (one.x, one.y, one.ts)))
        for one in moved
    ]  # fmt: skip
    for kind in FORECASTERS:
        assert (_errors(kind, settled) < 2.0).all(), kind
    assert (_errors("mlp_regressor", settled) > 4.0).all()


@pytest.mark.parametrize("kind", FORECASTERS)
def test_a_series_moved_as_a_whole_gets_the_same_forecast_moved(kind: str) -> None:
    profile = _profile(kind, epochs=5)
    own = series(Setting("", 0.7), 5, 400)
    (artifact,) = _trained(profile, _columns(profile, own.part(0, 300)))
    test = own.part(300, 400)
    expected = predict(artifact, test.x, ts=test.ts) + 1024.0
    got = predict(artifact, test.x + 1024.0, ts=test.ts)
    assert got == pytest.approx(expected, abs=1e-9)


def test_a_linear_forecaster_is_ridge_regression_of_differences_in_closed_form() -> None:
    profile = _profile("forecaster_linear", 6)
    own = series(Setting("", 0.7), 6, 300, lags=6)
    records = _columns(profile, own)
    (artifact,) = _trained(profile, records)
    lags = own.x - own.x[:, -1:]
    inputs = artifact.encoding.encode(own.x, [], own.ts)
    assert inputs[:, :6] == pytest.approx((lags - lags.mean()) / lags.std())
    target = own.y - own.x[:, -1]
    centred = inputs - inputs.mean(axis=0)
    gram = centred.T @ centred + np.eye(centred.shape[1])
    slopes = np.linalg.solve(gram, centred.T @ (target - target.mean()))
    expected = centred @ slopes + target.mean() + own.x[:, -1]
    assert predict(artifact, own.x, ts=own.ts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", FORECASTERS)
def test_missing_lags_cost_little_and_none_at_all_is_no_fault(kind: str) -> None:
    profile = _profile(kind)
    own = series(Setting("", 0.7), 7, TRAIN + TEST)
    rng = np.random.default_rng(7)
    holes = dataclasses.replace(own, x=np.where(rng.random(own.x.shape) < 0.03, np.nan, own.x))
    records = [_columns(profile, one) for one in (own, holes)]
    models = _trained(profile, *(one.select(slice(0, TRAIN)) for one in records))
    test = own.part(TRAIN, TRAIN + TEST), holes.part(TRAIN, TRAIN + TEST)
    whole, holed = (
        np.mean((predict(model, one.x, ts=one.ts) - one.y) ** 2)
        for model, one in zip(models, test, strict=True)
    )
    assert holed < 1.6 * whole
    nothing = predict(models[1], np.full((3, 24), np.nan), ts=own.ts[:3])
    assert np.isfinite(nothing).all()
    assert np.abs(nothing - own.y.mean()).max() < 30.0


@pytest.mark.parametrize("kind", FORECASTERS)
def test_a_constant_series_is_forecast_as_it_is(kind: str) -> None:
    profile = _profile(kind)
    own = series(Setting("", 0.7), 8, 200)
    flat = dataclasses.replace(own, x=np.full_like(own.x, 7.5), y=np.full_like(own.y, 7.5))
    (artifact,) = _trained(profile, _columns(profile, flat))
    assert predict(artifact, flat.x, ts=flat.ts) == pytest.approx(flat.y, abs=0.05)


@pytest.mark.parametrize("kind", FORECASTERS)
def test_ten_records_train_a_model(kind: str) -> None:
    profile = _profile(kind).model_copy(
        update={"training": Profile().training.model_copy(update={"min_records": 10})}
    )
    own = series(Setting("", 0.7), 9, 10)
    data = split(profile, _columns(profile, own))
    assert (len(data.fitted), len(data.held)) == (8, 2)
    (artifact,) = _trained(profile, data.fitted)
    assert np.isfinite(predict(artifact, data.held.x, ts=data.held.ts)).all()


@pytest.mark.parametrize("kind", FORECASTERS)
def test_a_stored_forecaster_predicts_the_same(kind: str) -> None:
    profile = _profile(kind, epochs=2)
    own = series(Setting("", 0.7), 10, 100)
    (artifact,) = _trained(profile, _columns(profile, own))
    manifest, weights = dump(artifact)
    again = build(parse_manifest(manifest, "here"), weights, "here")
    assert predict(again, own.x, ts=own.ts).tolist() == predict(artifact, own.x, ts=own.ts).tolist()


def test_forecasters_share_stacks_with_the_kinds_that_they_are() -> None:
    for kind, same in (("forecaster_linear", "linear"), ("forecaster_mlp", "mlp_regressor")):
        assert spec_of(_profile(kind)) == spec_of(_profile(same))


def test_the_lags_may_stand_anywhere_among_the_features() -> None:
    """The same names in another order give the same forecasts, but for rounding."""
    own = series(Setting("", 0.7), 11, 300, lags=4)
    extra = np.random.default_rng(11).standard_normal((300, 1))
    order = [2, 0, 4, 1, 3]
    columns = np.concatenate([own.x, extra], axis=1)
    labels = [*names(4), "wind"]
    found = []
    for places in (range(5), order):
        features = {"numeric": [labels[i] for i in places], "sequence": names(4)}
        profile = Profile.model_validate(
            {"features": features, "model": {"kind": "forecaster_tcn", "epochs": 3}}
        )
        x = columns[:, list(places)]
        (artifact,) = _trained(profile, make_columns(profile, own.ts, x=x, y=own.y))
        found.append(predict(artifact, x))
    assert found[0] == pytest.approx(found[1], abs=1e-6)
