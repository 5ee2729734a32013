"""Predictions are added to the user's own records, and nothing else changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from driftloop.models import Encoding, Inputs, ModelStore, TrainingJob, make_plugin
from driftloop.models.formats import FORMATS
from driftloop.models.payload import Payload
from driftloop.scorer.scoring import RecordScorer
from driftloop.settings import Features, Fields, Profile, StoreSettings
from tests.scoring import World, batch, linear_model, records

PROFILE = Profile(features=Features(numeric=["a"], categorical=["b"]))
MODEL = linear_model("streams.s", "v3", 2.0)


def test_the_record_stays_and_gets_prediction_and_version() -> None:
    value = b'{"id":"7","ts":5,"x":{"a":4,"b":"q"},"note":{"kept":[1,2.5,null]}}'
    scored, letters = RecordScorer(PROFILE).score(batch(0, value), MODEL)
    assert letters == []
    assert scored[0].key == b"k"
    assert orjson.loads(scored[0].value) == {
        **orjson.loads(value),
        "y_pred": 8.0,
        "model_version": "v3",
    }


def test_without_a_model_the_record_goes_on_unpredicted() -> None:
    value = records(1, 1)[0]
    scored, _ = RecordScorer(PROFILE).score(batch(0, value), None)
    assert scored[0].value == value


def test_a_missing_event_time_is_that_of_the_message() -> None:
    scored, _ = RecordScorer(PROFILE).score(batch(3, b'{"id":"1","x":{"a":1}}'), MODEL)
    assert orjson.loads(scored[0].value)["ts"] == 1003


def test_fields_are_written_where_the_profile_finds_them() -> None:
    fields = Fields(y_pred="out.value", model_version="out.by")
    profile = PROFILE.model_copy(update={"fields": fields})
    value = b'{"id":"1","ts":5,"x":{"a":1},"out":null}'
    scored, letters = RecordScorer(profile).score(batch(0, value), MODEL)
    assert letters == []
    assert orjson.loads(scored[0].value)["out"] == {"value": 2.0, "by": "v3"}


def test_bad_records_go_aside_and_good_ones_keep_their_order() -> None:
    values = [b'{"id":"0","x":{"a":1}}', b"{", None, b'{"id":"3","x":{"a":3}}', b"[1]"]
    scored, letters = RecordScorer(PROFILE).score(batch(10, *values), MODEL)
    assert [orjson.loads(one.value)["y_pred"] for one in scored] == [2.0, 6.0]
    assert [(one.offset, one.value) for one in letters] == [(11, b"{"), (12, None), (14, b"[1]")]


def test_not_a_number_is_missing_and_written_as_null() -> None:
    scored, letters = RecordScorer(PROFILE).score(batch(0, b'{"x":{"a":NaN},"n":Infinity}'), MODEL)
    assert letters == []
    record = orjson.loads(scored[0].value)
    assert (record["x"]["a"], record["n"], record["y_pred"]) == (None, None, 0.0)


def test_splits_of_a_batch_do_not_matter() -> None:
    values = records(0, 9)
    scorer = RecordScorer(PROFILE)
    whole, _ = scorer.score(batch(0, *values), MODEL)
    parts = [scorer.score(batch(i, values[i]), MODEL)[0][0] for i in range(9)]
    assert whole == parts


@given(values=st.lists(st.one_of(st.none(), st.binary(max_size=60), st.text().map(str.encode))))
def test_any_bytes_give_a_record_or_a_dead_letter(values: list[bytes | None]) -> None:
    scored, letters = RecordScorer(PROFILE).score(batch(0, *values), MODEL)
    assert len(scored) + len(letters) == len(values)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(extra=st.dictionaries(st.sampled_from(["m", "n", "y_pred", "model_version"]), _json))
@hypothesis(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_json_object_gives_a_record_or_a_dead_letter(extra: dict[str, object]) -> None:
    import json  # noqa: PLC0415  # writes NaN and big numbers, as many producers do

    scored, letters = RecordScorer(PROFILE).score(batch(0, json.dumps(extra).encode()), MODEL)
    assert len(scored) + len(letters) == 1
    for one in scored:
        assert json.loads(one.value)["model_version"] == "v3"


def test_world_fixture_publishes_what_the_store_loads(world: World) -> None:
    event = world.publish("streams.s", 1, 4.0)
    model = world.store.load(event.uri, event.sha256)
    scored, _ = RecordScorer(PROFILE).score(batch(0, *records(2, 1)), model)
    assert orjson.loads(scored[0].value)["y_pred"] == pytest.approx(8.0)


@pytest.mark.parametrize("kind", ["sklearn_ridge", "sklearn_hist_gradient_boosting", "xgboost"])
def test_a_plugins_model_predicts_as_any_other(kind: str, tmp_path: Path) -> None:
    """Loaded from the store as the scorer does it; bit for bit what the fit predicts."""
    a = np.linspace(-2.0, 2.0, 60)[:, None]
    job = TrainingJob(
        inputs=Inputs(a, (["p", "q"] * 30,)),
        labels=3.0 * a[:, 0],
        numeric=("a",),
        categorical=("b",),
    )
    plugin = make_plugin(kind)
    (fitted,) = plugin.fit([job], lambda _: None)
    content = FORMATS[plugin.format].dump(fitted.model)
    assert fitted.encoding is not None
    trained = dataclasses.replace(
        MODEL,
        kind=kind,
        encoding=fitted.encoding,
        weights={},
        payload=Payload(kind, plugin.format, content, fitted.facts),
    )
    store = ModelStore(StoreSettings(uri=str(tmp_path)))
    model = store.load(*store.save("streams.s", "v3", trained))
    value = b'{"id":"1","ts":5,"x":{"a":1.5,"b":"q"}}'
    scored, _ = RecordScorer(PROFILE).score(batch(0, value), model)
    expected = np.asarray(plugin.predict(fitted, Inputs(np.array([[1.5]]), (["q"],))))
    assert orjson.loads(scored[0].value)["y_pred"] == expected[0]
    assert expected[0] == pytest.approx(4.5, abs=1.0)


def test_a_calendar_is_that_of_the_records_own_time_else_of_the_messages() -> None:
    profile = Profile(features=Features(numeric=["a"], calendar=["hour-of-day"]))
    encoding = Encoding(("a",), (), np.zeros(1), np.ones(1), (), calendar=("hour-of-day",))
    weights = {"weight.0": np.array([[0.0], [1.0], [0.0]]), "bias.0": np.zeros(1)}
    model = dataclasses.replace(MODEL, encoding=encoding, weights=weights)
    values = [b'{"x":{"a":1},"ts":21600000}', b'{"x":{"a":1},"ts":64800000}', b'{"x":{"a":1}}']
    scored, letters = RecordScorer(profile).score(batch(0, *values), model)
    assert letters == []
    found = [orjson.loads(one.value)["y_pred"] for one in scored]
    assert found == pytest.approx([1.0, -1.0, 0.0], abs=1e-3)  # 6:00, 18:00, and at the epoch
