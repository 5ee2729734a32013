"""River's detectors behind our protocol: golden behaviour and the contract of all detectors."""

from __future__ import annotations

import pickle
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from driftloop.detection import detectors
from driftloop.detection.detectors import DETECTORS, from_settings, make_detector
from driftloop.errors import SettingsError
from driftloop.settings import Policy
from driftloop.settings.detectors import KINDS
from scripts.detector_rates import RUNS, false_alarms

RIVER: dict[str, Any] = {
    "adwin": drift.ADWIN,
    "page_hinkley": drift.PageHinkley,
    "kswin": lambda: drift.KSWIN(seed=0),
    "ddm": drift.binary.DDM,
    "eddm": drift.binary.EDDM,
    "fhddm": drift.binary.FHDDM,
    "hddm_a": drift.binary.HDDMA,
    "hddm_w": drift.binary.HDDMW,
}
NUMBERS = [name for name in DETECTORS if KINDS[name].reads == "numbers"]
ERRORS = [name for name in DETECTORS if KINDS[name].reads != "numbers"]
WITHIN = {
    "adwin": 100,
    "page_hinkley": 40,
    "kswin": 40,
    "ddm": 300,
    "eddm": 150,
    "fhddm": 100,
    "hddm_a": 100,
    "hddm_w": 60,
}
"""Records after which a shift of 3 deviations, or from 10 to 60 % errors, has been signalled."""

each = pytest.mark.parametrize("name", DETECTORS)


def stream(name: str, seed: int, lengths: list[int]) -> np.ndarray:
    """Stretches of turns low and high: normal numbers, or errors, as the detector reads."""
    rng = np.random.default_rng(seed)
    high = np.repeat(np.arange(len(lengths)) % 2, lengths)
    if name in NUMBERS:
        return rng.normal(3.0 * high)
    return (rng.random(len(high)) < np.where(high, 0.6, 0.1)).astype(np.float64)


def plain(name: str, values: np.ndarray) -> list[int]:
    """Signals of river's own class, record by record; its FHDDM reads 1 as right."""
    detector = RIVER[name]()
    signals = []
    for index, value in enumerate(values.tolist()):
        detector.update(1.0 - value if name == "fhddm" else value)
        if detector.drift_detected:
            signals.append(index)
    return signals


def levels(rng: random.Random, name: str) -> list[float]:
    """The stream of river's own documentation of a detector."""
    if name in NUMBERS:
        return [float(v) for v in rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)]
    return [
        float(v) for v in rng.choices([0, 1], k=1000) + rng.choices([0, 1], k=1000, weights=[3, 7])
    ]


@pytest.mark.parametrize(
    ("name", "seed", "params", "expected"),
    [
        ("adwin", 12345, {}, [1023]),
        ("page_hinkley", 12345, {}, [1006]),
        ("kswin", 12345, {"alpha": 0.0001, "seed": 42}, [1016]),
        ("ddm", 42, {}, [1334]),
        ("eddm", 42, {"alpha": 0.8, "beta": 0.75}, [1278]),
        ("hddm_a", 42, {}, [1206]),
        ("hddm_w", 42, {}, [1077]),
    ],
)
def test_signals_where_rivers_documentation_says(
    name: str, seed: int, params: dict[str, Any], expected: list[int]
) -> None:
    values = levels(random.Random(seed), name)
    assert make_detector(name, **params).update_many(values) == expected


def test_fhddm_signals_rises_of_the_error_where_rivers_reads_falls_of_right_answers() -> None:
    rng = random.Random(42)
    right = rng.choices([0, 1], k=250) + rng.choices([0, 1], k=250, weights=[0.9, 0.1])
    errors = 1.0 - np.array(right)
    assert make_detector("fhddm").update_many(errors) == [315]
    assert make_detector("fhddm", short_window_size=20).update_many(errors)[0] == 279
    assert make_detector("fhddm").update_many(1.0 - errors) == []


@each
def test_signals_as_a_plain_loop_over_river_does(name: str) -> None:
    values = stream(name, 0, [500, 400, 400, 400])
    expected = plain(name, values)
    assert len(expected) >= 2
    assert make_detector(name).update_many(values) == expected


@each
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=12), seed=st.integers(0, 9))
def test_batch_boundaries_do_not_matter(name: str, cuts: list[int], seed: int) -> None:
    values = stream(name, seed, [400, 300])
    values[::50] = np.nan
    whole = make_detector(name).update_many(values)
    split, found = make_detector(name), []
    edges = [0, *sorted(cuts), len(values)]
    for start, end in pairwise(edges):
        found += [start + i for i in split.update_many(values[start:end])]
    assert found == whole


@each
def test_a_shift_is_signalled_within_a_few_records(name: str) -> None:
    for seed in range(5):
        values = stream(name, seed, [500, 400])
        detector = make_detector(name)
        detector.update_many(values[:500])
        after = detector.update_many(values[500:])
        assert after
        assert after[0] < WITHIN[name]


@each
def test_false_alarms_are_those_that_the_modules_table_tells(name: str) -> None:
    row = next(line for line in (detectors.__doc__ or "").splitlines() if line.startswith(name))
    mean, worst = float(row.split()[1]), int(row.split()[2])
    runs = 2 if name == "kswin" else RUNS  # it takes its time
    alarms = false_alarms(name, runs=runs)
    assert max(alarms) <= worst
    if runs == RUNS:
        assert sum(alarms) / RUNS == pytest.approx(mean, abs=0.05)


@each
def test_values_that_cannot_be_read_are_skipped(name: str) -> None:
    clean = stream(name, 2, [500, 500])
    junk = [np.nan, np.inf, -np.inf, 1e300]
    if name in ERRORS:
        junk += [-0.1, 1.1]
    if KINDS[name].reads == "bits":
        junk += [0.5]
    places = np.linspace(0, 900, len(junk)).astype(int)
    holes = np.insert(clean, places, junk)
    kept = np.delete(np.arange(len(holes)), places + np.arange(len(junk)))
    expected = [int(kept[i]) for i in make_detector(name).update_many(clean)]
    assert make_detector(name).update_many(holes) == expected
    assert expected


@each
def test_empty_constant_and_all_missing_input_never_signals(name: str) -> None:
    detector = make_detector(name)
    level = 2.5 if name in NUMBERS else 1.0
    for values in ([], [np.nan] * 100, [level] * 1000, [1e300] * 10):
        assert detector.update_many(values) == []
    for value in (0.0, level):
        assert make_detector(name).update_many([value] * 1000) == []


@each
def test_pickled_in_mid_stream_it_goes_on_alike(name: str) -> None:
    values = stream(name, 3, [500, 400, 300])
    whole = make_detector(name).update_many(values)
    for cut in (0, 1, 250, 510, 700):
        detector = make_detector(name)
        first = detector.update_many(values[:cut])
        state = pickle.dumps(detector)
        assert len(state) < 6000
        resumed = pickle.loads(state)  # noqa: S301
        assert (resumed.name, resumed.on) == (name, KINDS[name].usual)
        rest = resumed.update_many(values[cut:])
        assert first + [cut + i for i in rest] == whole
        assert pickle.dumps(resumed) == pickle.dumps(_played(name, values))


def _played(name: str, values: np.ndarray) -> Any:
    detector = make_detector(name)
    detector.update_many(values)
    return pickle.loads(pickle.dumps(detector))  # noqa: S301  # interned texts apart


@each
def test_reset_forgets_all_but_the_parameters(name: str) -> None:
    values = stream(name, 4, [500, 500])
    changed = {"adwin": {"delta": 0.01}, "ddm": {"warm_start": 50}, "kswin": {"seed": 3}}
    params = changed.get(name, {})
    detector = make_detector(name, **params)
    expected = make_detector(name, **params).update_many(values)
    detector.update_many(values[::-1])
    detector.reset()
    assert detector.update_many(values) == expected


@each
def test_without_parameters_settings_make_rivers_usual_detector(name: str) -> None:
    (chosen,) = Policy(detectors=[name]).detectors
    values = stream(name, 5, [500, 400])
    assert from_settings(chosen).update_many(values) == make_detector(name).update_many(values)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "adwin", "delta": 1e-9, "clock": 1, "max_buckets": 1, "min_window_length": 1},
        {"kind": "adwin", "delta": 0.999, "grace_period": 1, "max_buckets": 100},
        {"kind": "page_hinkley", "min_instances": 1, "delta": 0, "threshold": 1e-9, "alpha": 1},
        {"kind": "kswin", "window_size": 2, "stat_size": 1, "alpha": 0.999, "seed": -1},
        {"kind": "kswin", "window_size": 80, "stat_size": 40},
        {"kind": "ddm", "warm_start": 1, "drift_threshold": 0.001},
        {"kind": "eddm", "warm_start": 1, "beta": 0.95},
        {"kind": "fhddm", "sliding_window_size": 1, "short_window_size": 1},
        {"kind": "fhddm", "sliding_window_size": 90, "short_window_size": 90},
        {"kind": "hddm_a", "drift_confidence": 0.999, "two_sided_test": True},
        {"kind": "hddm_w", "drift_confidence": 1e-9, "lambda_val": 0.999, "two_sided_test": True},
    ],
    ids=lambda table: table["kind"],
)
def test_river_takes_the_outermost_parameters_that_settings_allow(table: dict[str, Any]) -> None:
    (chosen,) = Policy(detectors=[table]).detectors
    detector = from_settings(chosen)
    for values in ([0.0] * 300, [1.0] * 300, stream(chosen.kind, 6, [200, 200])):
        detector.update_many(values)
    assert pickle.loads(pickle.dumps(detector)).name == chosen.name  # noqa: S301


def test_page_hinkley_can_be_told_to_signal_rises_only() -> None:
    fall = np.repeat([5.0, 0.0], 500)
    assert make_detector("page_hinkley", mode="up").update_many(fall) == []
    assert make_detector("page_hinkley", mode="down").update_many(fall)


@pytest.mark.parametrize("name", ["hddm_a", "hddm_w"])
def test_hddm_can_be_told_to_signal_falls_too_and_reads_fractions(name: str) -> None:
    fall = np.repeat([0.9, 0.2], 300)
    assert make_detector(name).update_many(fall) == []
    assert make_detector(name, two_sided_test=True).update_many(fall)
    assert make_detector(name).update_many(fall[::-1])


def test_faults_name_the_detector_and_what_is_known() -> None:
    with pytest.raises(SettingsError, match=r"one of adwin, .*, got 'adwim' .did you mean 'adwin'"):
        make_detector("adwim")
    with pytest.raises(SettingsError, match=r"detector\.adwin: .*detla"):
        make_detector("adwin", detla=0.1)
    with pytest.raises(SettingsError, match="mode"):
        make_detector("page_hinkley", mode="sideways")
    with pytest.raises(SettingsError, match="division by zero"):
        make_detector("fhddm", sliding_window_size=0)
