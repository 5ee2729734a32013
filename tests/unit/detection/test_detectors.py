"""River's detectors behind our protocol: golden behaviour and the contract of all detectors."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
from river import drift

from driftloop.detection.detectors import DETECTORS, make_detector
from driftloop.errors import SettingsError


def golden_stream() -> list[float]:
    """Return the stream of river's own documentation, whose level rises at 1,000."""
    rng = random.Random(12345)
    return [float(v) for v in rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)]


@pytest.mark.parametrize(("name", "expected"), [("adwin", [1023]), ("page_hinkley", [1006])])
def test_signals_where_rivers_documentation_says(name: str, expected: list[int]) -> None:
    assert make_detector(name).update_many(golden_stream()) == expected


@pytest.mark.parametrize(
    ("name", "make"), [("adwin", drift.ADWIN), ("page_hinkley", drift.PageHinkley)]
)
def test_signals_as_a_plain_loop_over_river_does(name: str, make) -> None:  # noqa: ANN001
    rng = np.random.default_rng(0)
    values = rng.normal(np.repeat([0.0, 4.0, -2.0, 3.0], 700))
    plain, expected = make(), []
    for index, value in enumerate(values.tolist()):
        plain.update(value)
        if plain.drift_detected:
            expected.append(index)
    assert len(expected) >= 3
    assert make_detector(name).update_many(values) == expected


@pytest.mark.parametrize("name", DETECTORS)
def test_batch_boundaries_do_not_matter(name: str) -> None:
    values = np.random.default_rng(1).normal(np.repeat([0.0, 3.0], 800))
    values[::50] = np.nan
    whole = make_detector(name).update_many(values)
    split, found, at = make_detector(name), [], 0
    for size in (1, 0, 31, 700, 3, 865):
        found += [at + i for i in split.update_many(values[at : at + size])]
        at += size
    assert at == len(values)
    assert found == whole
    assert whole


@pytest.mark.parametrize("name", DETECTORS)
def test_non_finite_values_are_skipped(name: str) -> None:
    clean = np.random.default_rng(2).normal(np.repeat([0.0, 3.0], 500))
    places = [0, 100, 400, 700]
    holes = np.insert(clean, places, [np.nan, np.inf, -np.inf, 1e300])
    kept = np.delete(np.arange(len(holes)), np.flatnonzero(~(np.abs(holes) < 1e100)))
    expected = [int(kept[i]) for i in make_detector(name).update_many(clean)]
    assert make_detector(name).update_many(holes) == expected
    assert expected


@pytest.mark.parametrize("name", DETECTORS)
def test_empty_constant_and_all_missing_input_never_signals(name: str) -> None:
    detector = make_detector(name)
    for values in ([], [np.nan] * 100, [2.5] * 2000):
        assert detector.update_many(values) == []


@pytest.mark.parametrize("name", DETECTORS)
def test_pickled_in_mid_stream_it_goes_on_alike(name: str) -> None:
    values = np.random.default_rng(3).normal(np.repeat([0.0, 3.0, 0.0], 600))
    detector = make_detector(name)
    first = detector.update_many(values[:500])
    state = pickle.dumps(detector)
    assert len(state) < 6000
    resumed = pickle.loads(state)  # noqa: S301
    assert resumed.name == name
    rest = resumed.update_many(values[500:])
    assert first + [500 + i for i in rest] == make_detector(name).update_many(values)


@pytest.mark.parametrize("name", DETECTORS)
def test_reset_forgets_all_but_the_parameters(name: str) -> None:
    values = np.random.default_rng(4).normal(np.repeat([0.0, 3.0], 500))
    detector = make_detector(name, delta=0.01)
    expected = make_detector(name, delta=0.01).update_many(values)
    detector.update_many(values[::-1])
    detector.reset()
    assert detector.update_many(values) == expected


def test_page_hinkley_can_be_told_to_signal_rises_only() -> None:
    fall = np.repeat([5.0, 0.0], 500)
    assert make_detector("page_hinkley", mode="up").update_many(fall) == []
    assert make_detector("page_hinkley", mode="down").update_many(fall)


def test_faults_name_the_detector_and_what_is_known() -> None:
    with pytest.raises(SettingsError, match="one of adwin, page_hinkley, got 'adwim'"):
        make_detector("adwim")
    with pytest.raises(SettingsError, match=r"detector\.adwin: .*detla"):
        make_detector("adwin", detla=0.1)
    with pytest.raises(SettingsError, match="mode"):
        make_detector("page_hinkley", mode="sideways")
