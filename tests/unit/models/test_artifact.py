"""An artifact is its bytes: the same go out and come in, and others are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import pytest

from driftloop.errors import ArtifactCorruptedError
from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.models.artifact import build, dump, parse_manifest, sha256

PLACE = "memory://s/v3"


@pytest.fixture
def artifact() -> ModelArtifact:
    """A network of two layers with one categorical feature."""
    generator = np.random.default_rng(7)
    return ModelArtifact(
        kind="mlp_regressor",
        task="regression",
        stream="s",
        version="v3",
        request_id="r",
        encoding=Encoding(("a",), ("b",), np.array([1.5]), np.array([0.3]), (("p", "q"),)),
        weights={
            "weight.0": generator.normal(size=(4, 3)).astype(np.float32),
            "bias.0": generator.normal(size=3).astype(np.float32),
            "weight.1": generator.normal(size=(3, 1)).astype(np.float32),
            "bias.1": generator.normal(size=1).astype(np.float32),
        },
        target=(12.0, 3.5),
        data=("s:0:0:99",),
        champion={"loss": 2.0},
        challenger={"loss": None},
        seed=5,
        records=100,
    )


def read(manifest: bytes, weights: bytes) -> ModelArtifact:
    return build(parse_manifest(manifest, PLACE), weights, PLACE)


def changed(manifest: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(manifest), **fields}).encode()


def test_what_is_read_is_what_was_written(artifact: ModelArtifact) -> None:
    again = read(*dump(artifact))
    for field in dataclasses.fields(artifact):
        if field.name not in {"encoding", "weights"}:
            assert getattr(again, field.name) == getattr(artifact, field.name), field.name
    for name, value in artifact.weights.items():
        assert np.array_equal(again.weights[name], value)
        assert again.weights[name].dtype == np.float64
    x, categories = [[0.1], [np.nan]], [["p", "other"]]
    assert predict(again, x, categories).tolist() == predict(artifact, x, categories).tolist()


def test_the_bytes_do_not_depend_on_the_order_of_the_weights(artifact: ModelArtifact) -> None:
    turned = dataclasses.replace(artifact, weights=dict(reversed(artifact.weights.items())))
    assert dump(turned) == dump(artifact)


def test_the_manifest_names_the_hash_of_the_weights(artifact: ModelArtifact) -> None:
    manifest, weights = dump(artifact)
    named = json.loads(manifest)["weights"]
    assert named["sha256"] == sha256(weights) == hashlib.sha256(weights).hexdigest()
    assert named["size"] == len(weights)


def test_a_bit_that_changed_and_a_cut_are_refused(artifact: ModelArtifact) -> None:
    manifest, weights = dump(artifact)
    flipped = weights[:-1] + bytes([weights[-1] ^ 1])
    for damaged in (flipped, weights[:-1], b""):
        with pytest.raises(ArtifactCorruptedError, match="must have the sha256"):
            read(manifest, damaged)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "does not parse"),
        (b"\xff\xfe", "does not parse"),
        (b'{"format": "safetensors"}', "does not parse"),
    ],
)
def test_a_manifest_that_is_none_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(ArtifactCorruptedError, match=told):
        parse_manifest(content, PLACE)


def test_a_format_of_the_future_says_what_to_do(artifact: ModelArtifact) -> None:
    manifest, _ = dump(artifact)
    with pytest.raises(ArtifactCorruptedError, match="upgrade Driftloop or retrain"):
        parse_manifest(changed(manifest, format_version=3), PLACE)


def test_shapes_that_do_not_fit_features_or_manifest_are_refused(artifact: ModelArtifact) -> None:
    manifest, weights = dump(artifact)
    features = {**json.loads(manifest)["features"], "vocabulary": [["p"]]}
    for fields in ({"features": features}, {"shapes": {"weight.0": [4, 3]}}):
        with pytest.raises(ArtifactCorruptedError, match="must have the shapes"):
            read(changed(manifest, **fields), weights)


@pytest.fixture
def forecaster(artifact: ModelArtifact) -> ModelArtifact:
    """A TCN of two lags, one channel, one number more, and the time of day."""
    encoding = Encoding(
        ("a", "old", "new"),
        (),
        np.array([1.5, 0.1, 0.1]),
        np.array([0.3, 2.0, 2.0]),
        (),
        sequence=("old", "new"),
        calendar=("hour-of-day",),
        anchored=True,
        level=7.0,
    )
    weights = {
        "conv.weight.0": np.array([[0.5], [-1.0], [2.0]], np.float32),
        "conv.bias.0": np.ones(1, np.float32),
        "weight.0": np.array([[1.0], [2.0], [3.0], [4.0]], np.float32),
        "bias.0": np.zeros(1, np.float32),
    }
    kind = "forecaster_tcn"
    return dataclasses.replace(artifact, kind=kind, encoding=encoding, weights=weights)


def test_lags_and_calendar_are_read_as_they_were_written(forecaster: ModelArtifact) -> None:
    again = read(*dump(forecaster))
    for field in ("numeric", "sequence", "calendar", "anchored", "level"):
        assert getattr(again.encoding, field) == getattr(forecaster.encoding, field), field
    x, ts = [[0.1, 3.0, 4.0], [np.nan, 3.0, np.nan]], [3_600_000.0, 0.0]
    assert predict(again, x, ts=ts).tolist() == predict(forecaster, x, ts=ts).tolist()


def test_an_older_release_refuses_what_it_would_misread(
    artifact: ModelArtifact, forecaster: ModelArtifact
) -> None:
    """It reads format 1 alone, and takes no notice of lags."""
    assert json.loads(dump(artifact)[0])["format_version"] == 1
    assert json.loads(dump(forecaster)[0])["format_version"] == 2


def test_a_manifest_of_the_release_before_lags_is_read(artifact: ModelArtifact) -> None:
    manifest, weights = dump(artifact)
    features = json.loads(manifest)["features"]
    for name in ("sequence", "calendar", "anchored", "level"):
        del features[name]
    again = read(changed(manifest, features=features), weights)
    x, categories = [[0.1], [np.nan]], [["p", "other"]]
    assert predict(again, x, categories).tolist() == predict(artifact, x, categories).tolist()


def test_a_tcn_whose_layers_do_not_fit_its_lags_is_refused(forecaster: ModelArtifact) -> None:
    manifest, weights = dump(forecaster)
    features = {**json.loads(manifest)["features"], "sequence": ["new"]}
    with pytest.raises(ArtifactCorruptedError, match="must have the shapes"):
        read(changed(manifest, features=features), weights)


def test_weights_with_the_right_hash_that_are_none_are_refused(artifact: ModelArtifact) -> None:
    manifest, _ = dump(artifact)
    weights = {"name": "weights.safetensors", "size": 3, "sha256": sha256(b"abc")}
    with pytest.raises(ArtifactCorruptedError, match="does not parse"):
        read(changed(manifest, weights=weights), b"abc")
