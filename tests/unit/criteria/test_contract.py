"""One contract for every registered criterion: what `driftloop.criteria.contract` promises."""

from __future__ import annotations

import math
import pickle
from typing import Any, get_args

import numpy as np
import pytest

from driftloop.criteria import CRITERIA, Finding, Sample, make_criterion
from driftloop.criteria.contract import MISSING, Family, Part
from driftloop.errors import SettingsError
from driftloop.settings.policy import BUILT_IN_CRITERIA, EFFECT_SIZES
from tests.unit.criteria.samples import filled, sample, without

NAMES = sorted(CRITERIA)
CALIBRATED = [name for name in NAMES if CRITERIA[name].calibrated]
REFERENCE = sample(400, 1)

# Those that look at what is missing, or at which categories there are, find it there; where
# nothing differs they say so with p = 1.
READS_GAPS = {"missing-rate", "mmd", "energy", "classifier"}
SAYS_ONE = {"missing-rate", "unseen-categories"}
# Those that judge the window by itself.
ALONE = {"calibration", "reducible"}


def bits(findings: list[Finding]) -> list[Any]:
    return [(repr(one.result), one.what) for one in findings]


def judged(
    name: str, window: Sample, reference: Sample = REFERENCE, seed: int = 5
) -> list[Finding]:
    return make_criterion(name).evaluate(window, reference, seed)


def test_the_names_that_settings_know_are_those_of_the_registry() -> None:
    assert set(BUILT_IN_CRITERIA) == set(CRITERIA)
    assert list(BUILT_IN_CRITERIA) == sorted(BUILT_IN_CRITERIA)
    assert {name for name in NAMES if not CRITERIA[name].calibrated} == EFFECT_SIZES


@pytest.mark.parametrize("name", NAMES)
def test_a_criterion_is_what_its_description_says(name: str) -> None:
    made, known = make_criterion(name), CRITERIA[name]
    assert made.name == name
    assert made.family == known.family
    assert made.family in get_args(Family)
    assert made.needs
    assert made.needs <= set(get_args(Part))
    assert known.finds
    assert known.formula
    assert known.source
    assert (known.floor > 0) == (not known.calibrated)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_records_and_seed_give_the_same_bits_also_after_a_restart(name: str) -> None:
    """What a criterion remembers pickles half-way; what it prepares may be lost."""
    windows = [sample(120, 10 + i, shifted=i > 2) for i in range(5)]
    through, resumed = make_criterion(name), make_criterion(name)
    reference = sample(400, 1)
    for i, window in enumerate(windows):
        first = bits(through.evaluate(window, REFERENCE, i))
        resumed, reference = pickle.loads(pickle.dumps((resumed, reference)))  # noqa: S301
        assert bits(resumed.evaluate(window, reference, i)) == first
        assert first


@pytest.mark.parametrize("name", NAMES)
def test_neither_window_nor_reference_is_changed(name: str) -> None:
    window, reference = sample(120, 2, shifted=True), sample(400, 1)
    before = pickle.dumps((window, reference))
    make_criterion(name).evaluate(window, reference, 5)
    assert pickle.dumps((window, reference)) == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf, [math.inf, -math.inf, math.nan]])
def test_what_is_not_finite_gives_no_verdict(name: str, value: float) -> None:
    nothing = filled(100, value, MISSING)
    for window, reference in [(nothing, REFERENCE), (sample(100, 2), nothing), (nothing, nothing)]:
        for found, _ in judged(name, window, reference):
            if name in ALONE and window is not nothing:
                continue
            one_sided = window is not reference
            if name in READS_GAPS and one_sided:
                assert found.p_value < 0.05
            elif name in SAYS_ONE and not one_sided and found.has_verdict:
                assert found.p_value == 1.0
            else:
                assert not found.has_verdict
                assert math.isnan(found.effect)
                assert found.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_value_here_and_there_that_is_not_finite_is_left_out(name: str) -> None:
    window = sample(200, 2)
    for part in (window.x, window.scores, window.labels, window.losses, window.corrected):
        assert part is not None
        part[3::40] = np.inf
        part[4::40] = -np.inf
        part[5::40] = np.nan
    for found, _ in judged(name, window):
        assert not math.isnan(found.effect)
        if name in CALIBRATED:
            assert 0.0 <= found.p_value <= 1.0


@pytest.mark.parametrize("name", NAMES)
def test_what_never_varies_gives_no_verdict(name: str) -> None:
    for found, _ in judged(name, filled(100, 2.0, 1), filled(300, 2.0, 1)):
        assert not found.has_verdict or (name in SAYS_ONE and found.p_value == 1.0)
        assert math.isnan(found.effect) or found.effect == 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n", "m"), [(0, 400), (100, 0), (0, 0), (1, 400), (2, 3), (1, 1)])
def test_empty_and_tiny_input_gives_no_verdict(name: str, n: int, m: int) -> None:
    for found, _ in judged(name, sample(n, 2), sample(m, 1)):
        if name in ALONE and n >= 100:
            continue
        assert not found.has_verdict
        assert found.reason
        if name not in CALIBRATED:
            assert math.isnan(found.effect), "an effect alone would speak for drift"


@pytest.mark.parametrize("name", NAMES)
def test_where_a_part_is_missing_there_is_no_finding(name: str) -> None:
    needs = make_criterion(name).needs
    window = sample(100, 2)
    for part in needs:
        both = judged(name, without(window, part), without(REFERENCE, part))
        if needs == {"x", "codes"}:  # each of the two is enough
            assert {one.what for one in both} < {*window.names, *window.code_names}
        else:
            assert both == []
    bare, old = window, REFERENCE
    for part in needs:
        bare, old = without(bare, part), without(old, part)
    assert judged(name, bare, old) == []
    assert judged(name, bare) == []
    if name not in ALONE:
        assert judged(name, window, old) == []


@pytest.mark.parametrize("name", NAMES)
def test_parts_that_it_does_not_need_do_not_matter(name: str) -> None:
    needs = make_criterion(name).needs
    window = sample(100, 2)
    found = bits(judged(name, window))
    for part in set(get_args(Part)) - needs:
        assert bits(judged(name, without(window, part), without(REFERENCE, part))) == found


@pytest.mark.parametrize("name", [n for n in NAMES if CRITERIA[n].family == "features"])
def test_without_any_column_there_is_no_finding(name: str) -> None:
    empty = np.empty((100, 0))
    window, old = sample(100, 2), sample(400, 1)
    window.x, window.names, window.codes, window.code_names = empty, (), empty.astype(np.int64), ()
    old.x, old.names, old.codes, old.code_names = empty, (), empty.astype(np.int64), ()
    assert judged(name, window, old) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_shift_is_found(name: str) -> None:
    made = make_criterion(name)
    for i in range(6):  # an e-process needs some windows
        found = made.evaluate(sample(200, 20 + i, shifted=True), REFERENCE, i)
    largest = max(abs(one.result.effect) for one in found)
    if name in CALIBRATED:
        assert min(one.result.p_value for one in found) <= 0.005
        assert largest > 0.1
    else:
        assert largest >= CRITERIA[name].floor


def first_p(name: str, runs: int, n: int, phi: float = 0.0) -> np.ndarray:
    """p-values of the first finding on windows that follow the reference's law, (runs,)."""
    return np.array(
        [
            judged(name, sample(n, 2 * i, phi=phi), sample(2 * n, 2 * i + 1, phi=phi), i)[
                0
            ].result.p_value
            for i in range(runs)
        ]
    )


SLOW = {"mmd", "energy", "classifier"}


@pytest.mark.parametrize("name", CALIBRATED)
def test_its_level_holds_on_records_without_drift(name: str) -> None:
    runs, n = (80, 60) if name in SLOW else (200, 100)
    p = first_p(name, runs, n)
    assert not np.isnan(p).any()
    assert (p <= 0.05).mean() <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("name", ["ks", "welch", "score-ks", "calibration", "loss", "reducible"])
def test_its_level_holds_on_dependent_records(name: str) -> None:
    """AR(1) with .6 in numbers, predictions and losses; uncorrected, the size is beyond .2."""
    p = first_p(name, 200, 150, phi=0.6)
    assert (p <= 0.05).mean() <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 200)
    if name in {"ks", "welch", "score-ks"}:
        made = make_criterion(name, dependence="none")
        raw = [
            made.evaluate(sample(150, 2 * i, phi=0.6), sample(300, 2 * i + 1, phi=0.6), 0)[0]
            for i in range(100)
        ]
        assert np.mean([one.result.p_value <= 0.05 for one in raw]) > 0.12


def test_an_e_process_keeps_its_level_over_many_looks() -> None:
    rejected = 0
    for stream in range(40):
        made = make_criterion("e-process")
        reference = sample(200, 10_000 + stream)
        rejected += any(
            made.evaluate(sample(50, 100 * stream + i), reference, 0)[0].result.p_value <= 0.01
            for i in range(20)
        )
    # At the level a the run length is at least 1 / a windows: 20 looks at .01 give .2 at most.
    assert rejected / 40 <= 0.2


def classes(n: int, seed: int, *, shifted: bool = False) -> Sample:
    """Probabilities of three classes, and labels that follow them unless shifted."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([2.0, 2.0, 2.0], n)
    drawn = p[:, ::-1] if shifted else p
    y = (drawn.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).astype(np.float64)
    return Sample(size=n, scores=p**2 / (p**2).sum(1, keepdims=True) if shifted else p, labels=y,
                  classes=3)  # fmt: skip


@pytest.mark.parametrize("name", ["calibration", "score-ks"])
def test_probabilities_of_several_classes_are_judged(name: str) -> None:
    same = [judged(name, classes(150, i), classes(300, 1000 + i))[0].result for i in range(80)]
    assert np.mean([one.p_value <= 0.05 for one in same]) <= 0.05 + 2.6 * 0.0244
    (found,) = judged(name, classes(300, 3, shifted=True), classes(300, 4))
    assert found.result.p_value < 0.005


@pytest.mark.parametrize("name", NAMES)
def test_wrong_params_are_told_when_it_is_made(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"criteria\.{name}\.params.*parameters that"):
        make_criterion(name, no_such_parameter=1)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ks", {"dependence": "some"}),
        ("loss", {"test": "some"}),
        ("score-ks", {"test": "some"}),
        ("score-ks", {"dependence": "some"}),
        ("calibration", {"dependence": "some"}),
        ("calibration", {"task": "some"}),
        ("classifier", {"dependence": "some"}),
    ],
)
def test_params_without_a_meaning_are_told_when_it_is_made(name: str, params: Any) -> None:
    with pytest.raises(SettingsError, match=r"\.params"):
        make_criterion(name, **params)
