"""Models: whatever the features hold, a prediction is a prediction."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import CPU, REGRESSOR, make_job

_numbers = st.floats(allow_nan=True, allow_infinity=True)
_texts = st.none() | st.text(max_size=3)


@given(data=st.data())
def test_encoded_features_are_finite_and_categories_take_one_column(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    x = data.draw(arrays.arrays(np.float64, (rows, 2), elements=_numbers))
    categories = [data.draw(st.lists(_texts, min_size=rows, max_size=rows))]
    with np.errstate(all="ignore"):
        encoding = Encoding.fit(
            x, categories, numeric=["a", "b"], categorical=["c"], max_categories=3
        )
    inputs = encoding.encode(x, categories)
    assert inputs.shape == (rows, encoding.width)
    assert np.isfinite(inputs).all()
    assert (inputs[:, 2:].sum(axis=1) == 1.0).all()


@given(
    x=arrays.arrays(np.float64, (5, 2), elements=_numbers),
    task=st.sampled_from(["regression", "binary", "multiclass"]),
)
def test_probabilities_stay_probabilities(x: np.ndarray, task: str) -> None:
    outputs = 3 if task == "multiclass" else 1
    artifact = ModelArtifact(
        kind="linear",
        task=task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=Encoding(("a", "b"), (), np.zeros(2), np.array([1.0, 1e-3]), ()),
        weights={
            "weight.0": np.arange(2.0 * outputs).reshape(2, outputs) - 1.0,
            "bias.0": np.zeros(outputs),
        },
    )
    with np.errstate(all="ignore"):
        got = predict(artifact, np.clip(x, -1e100, 1e100))
    assert got.shape == ((5, 3) if task == "multiclass" else (5,))
    if task != "regression":
        assert ((got >= 0.0) & (got <= 1.0)).all()


@settings(max_examples=15, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True),
    place=st.integers(0, 11),
)
def test_a_model_does_not_feel_its_company(numbers: list[int], place: int) -> None:
    number = numbers[place % len(numbers)]
    (alone,) = fit([make_job(number, REGRESSOR)], CPU)
    together = fit([make_job(one, REGRESSOR) for one in numbers], CPU)[place % len(numbers)]
    assert {k: v.tobytes() for k, v in alone.weights.items()} == {
        k: v.tobytes() for k, v in together.weights.items()
    }
