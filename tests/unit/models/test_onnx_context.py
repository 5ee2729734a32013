"""ONNX files of models that read lags or the calendar: ONNX Runtime predicts as NumPy does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from driftloop.models import Encoding, ModelArtifact, predict
from driftloop.models.context import calendar_columns
from driftloop.models.onnx import export
from driftloop.settings.kinds import BUILT_IN_KINDS, FORECASTERS
from driftloop.trainer.dataset import FITTED_AS
from driftloop.trainer.job import Job, Spec
from driftloop.trainer.train import fit
from tests.unit.trainer.jobs import CPU

CALENDAR = ("hour-of-day", "day-of-week", "day-of-year")
START = 1_767_225_600_000  # 1 January 2026
LAGS = (1, 2, 3, 4, 7, 24)
COLOURS: Sequence[str | None] = ("red", "blue", "new", None)


def numbers(records: int, lags: int, seed: int = 0) -> np.ndarray:
    """A walk at 400 seen from each of its places, between two other numbers."""
    generator = np.random.default_rng(seed)
    series = 400.0 + 30.0 * generator.standard_normal(records + lags).cumsum()
    seen = [series[lag : lag + records] for lag in range(lags)]  # oldest first
    others = list(generator.standard_normal((2, records)) * [[3.0], [1e4]])
    return np.stack([others[0], *seen, others[1]], axis=1)


def model(
    kind: str,
    lags: int,
    calendar: tuple[str, ...] = CALENDAR,
    texts: tuple[str, ...] = ("colour",),
    task: str = "regression",
) -> ModelArtifact:
    """A model that the trainer made of a series with its lags."""
    records = 120
    x = numbers(records + 1, lags)
    y, x = x[1:, lags], x[:-1]
    y = y if task == "regression" else (y > np.median(y)).astype(float)
    colours = [[("red", "blue", "green")[i % 3] for i in range(records)] for _ in texts]
    ts = START + 3_600_000.0 * np.arange(records)
    names = [f"lag_{lags - i}" for i in range(lags)]
    anchored = kind in FORECASTERS
    encoding = Encoding.fit(
        x,
        colours,
        numeric=["first", *names, "last"],
        categorical=texts,
        max_categories=2,
        sequence=names,
        calendar=calendar,
        anchored=anchored,
    )
    spec = Spec(
        kind=FITTED_AS.get(kind, kind),
        task=task,
        hidden=() if kind.endswith("linear") else (8, 5),
        epochs=10,
        lags=lags if kind == "forecaster_tcn" else 0,
        channels=6 if kind == "forecaster_tcn" else 0,
    )
    labels = y - encoding.levels(x)
    job = Job(spec=spec, inputs=encoding.encode(x, colours, ts), labels=labels, seed=3)
    (fitted,) = fit([job], CPU)
    return ModelArtifact(
        kind=kind,
        task=task,
        stream="s",
        version="v1",
        request_id="r",
        encoding=encoding,
        weights=fitted.weights,
        target=fitted.target,
        classes=("0", "1") if task == "binary" else (),
    )


def run(
    content: bytes, x: np.ndarray, texts: Sequence[Sequence[str | None]], ts: Sequence[int] | None
) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given: dict[str, np.ndarray] = {"numeric": x}
    if texts:
        rows = [[value or "" for value in row] for row in zip(*texts, strict=True)]
        given["categorical"] = np.array(rows, dtype=object).reshape(len(x), len(texts))
    if ts is not None:
        given["time"] = np.array(ts, np.int64)
    (found,) = session.run(["prediction"], given)
    return np.asarray(found)


def odd(lags: int) -> np.ndarray:
    """Records that lack the newest lag, the oldest, every second, all of them, and the rest."""
    x = numbers(12, lags, seed=1)
    x[1, lags], x[2, 1], x[3, 1 : lags + 1 : 2] = np.nan, np.nan, np.nan
    x[4, 1 : lags + 1], x[5, [0, -1]] = np.nan, np.nan
    x[6, lags], x[7, 1 : lags + 1], x[8, 0] = np.inf, -np.inf, np.inf
    x[9, 1:lags] = np.nan  # the newest alone is known
    x[10] = 1e300
    return x


def same(artifact: ModelArtifact, x: np.ndarray) -> None:
    texts = [[COLOURS[i % 4] for i in range(len(x))] for _ in artifact.encoding.categorical]
    ts = [START + 7_654_321 * i for i in range(len(x))]
    expected = predict(artifact, x, texts, ts)
    found = run(export(artifact), x, texts, ts if artifact.encoding.calendar else None)
    assert np.isfinite(expected).all()
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", [*FORECASTERS, "linear", "mlp_regressor"])
@pytest.mark.parametrize("lags", LAGS)
def test_models_of_lags_and_calendar_predict_the_same(kind: str, lags: int) -> None:
    """Whatever is missing; lags stand between other numbers; one record, and none."""
    artifact = model(kind, lags)
    assert artifact.encoding.anchored == (kind in FORECASTERS)
    x = odd(lags)
    same(artifact, x)
    same(artifact, x[:1])
    same(artifact, x[:0])


@pytest.mark.parametrize("kind", FORECASTERS)
def test_forecasters_need_neither_calendar_nor_texts(kind: str) -> None:
    artifact = model(kind, 5, (), ())
    same(artifact, odd(5))
    session = onnxruntime.InferenceSession(export(artifact), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["numeric"]


@pytest.mark.parametrize("kind", ["linear", "mlp_classifier"])
def test_classifiers_read_the_calendar(kind: str) -> None:
    same(model(kind, 3, CALENDAR[::-1], task="binary"), odd(3))


def test_a_convolution_of_lags_alone_is_written() -> None:
    artifact = model("forecaster_tcn", 4, (), ())
    few = Encoding.fit(
        numbers(50, 4)[:, 1:5],
        [],
        numeric=["d", "c", "b", "a"],
        categorical=[],
        max_categories=2,
        sequence=["d", "c", "b", "a"],
        anchored=True,
    )
    job = Job(
        spec=Spec("forecaster_tcn", "regression", hidden=(4,), epochs=3, lags=4, channels=5),
        inputs=few.encode(numbers(50, 4)[:, 1:5], []),
        labels=np.arange(50.0),
        seed=1,
    )
    (fitted,) = fit([job], CPU)
    alone = ModelArtifact(
        kind=artifact.kind,
        task="regression",
        stream="s",
        version="v1",
        request_id="r",
        encoding=few,
        weights=fitted.weights,
        target=fitted.target,
    )
    same(alone, odd(4)[:, 1:5])


def test_every_built_in_kind_is_tested() -> None:
    """Here or in `test_onnx`."""
    assert set(BUILT_IN_KINDS) == {*FORECASTERS, "linear", "mlp_regressor", "mlp_classifier"}


_FORECASTER = model("forecaster_tcn", 5, ("day-of-year", "hour-of-day"))
_CONTENT = export(_FORECASTER)


@settings(max_examples=60, deadline=None)
@given(
    x=arrays.arrays(
        np.float64,
        (3, 7),
        elements=st.floats(-1e9, 1e9) | st.sampled_from([np.nan, np.inf, -np.inf]),
    ),
    texts=st.lists(st.none() | st.text(max_size=3), min_size=3, max_size=3),
    ts=st.lists(st.integers(-(2**52), 2**52), min_size=3, max_size=3),
)
def test_whatever_the_record_the_graph_says_the_same(
    x: np.ndarray, texts: list[str | None], ts: list[int]
) -> None:
    texts = [text.replace("\0", "") if text else text for text in texts]
    expected = predict(_FORECASTER, x, [texts], ts)
    assert np.allclose(run(_CONTENT, x, [texts], ts), expected, rtol=1e-8, atol=1e-8)


def test_the_calendar_is_right_where_years_begin_and_end() -> None:
    """A linear model that sees a part of the calendar alone, once the sine and once the cosine."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    days = [datetime(year, 1, 1, tzinfo=UTC) for year in range(1970, 10000)]
    days += [one - timedelta(milliseconds=1) for one in days[1:]]
    days += [datetime(year, 1, 2, tzinfo=UTC) for year in range(1970, 10000)]
    days += [datetime(year, 2, 28, 23, 59, 59, tzinfo=UTC) for year in range(1970, 10000)]
    ts = [(one - epoch) // timedelta(milliseconds=1) for one in days]
    ts += [-1, -(2**50), 2**55, 253_402_300_799_999]  # before 1970 and after 9999
    for place, part in enumerate(CALENDAR):
        for weights in ([1.0, 0.0], [0.0, 1.0]):
            artifact = ModelArtifact(
                kind="linear",
                task="regression",
                stream="s",
                version="v1",
                request_id="r",
                encoding=Encoding((), (), np.zeros(0), np.ones(0), (), calendar=(part,)),
                weights={"weight.0": np.array(weights)[:, None], "bias.0": np.zeros(1)},
            )
            found = run(export(artifact), np.zeros((len(ts), 0)), [], ts)
            expected = calendar_columns(CALENDAR, np.array(ts, float))
            column = expected[:, 2 * place] if weights[0] else expected[:, 2 * place + 1]
            assert np.abs(found - column).max() < 1e-9, (part, weights)


def test_the_file_tells_which_inputs_are_lags_and_what_time_is_for() -> None:
    found = onnx.load_from_string(_CONTENT)
    facts = {one.key: one.value for one in found.metadata_props}
    assert json.loads(facts["sequence"]) == ["lag_5", "lag_4", "lag_3", "lag_2", "lag_1"]
    assert json.loads(facts["calendar"]) == ["day-of-year", "hour-of-day"]
    assert json.loads(facts["numeric"])[0] == "first"
    told = {one.name: one.doc_string for one in found.graph.input}
    assert set(told) == {"numeric", "categorical", "time"}
    assert "UTC" in told["time"]
