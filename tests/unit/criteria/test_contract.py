"""What every criterion keeps to: seeds, pickling, any input, parts that are not there."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from driftloop.criteria import CRITERIA, Finding, Sample, make_criterion
from driftloop.errors import SettingsError
from scripts.criteria_figures import null_pair

NAMES = sorted(CRITERIA)
WINDOW, REFERENCE = null_pair(0.3, 7)


def values(found: list[Finding]) -> list[tuple[float, float, float, str]]:
    return [(f.result.statistic, f.result.p_value, f.result.effect, f.what) for f in found]


def sample(n: int, fill: float, classes: int = 2) -> Sample:
    """All parts, each record alike."""
    column = np.full(n, fill)
    return Sample(
        size=n,
        x=np.full((n, 2), fill),
        names=["a", "b"],
        codes=np.full((n, 1), -1 if np.isnan(fill) else 0),
        code_names=["c"],
        scores=column,
        labels=column.copy(),
        losses=column.copy(),
        corrected=column.copy(),
        classes=classes,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_and_seed_give_the_same_bits(name: str) -> None:
    first, again = (values(make_criterion(name).evaluate(WINDOW, REFERENCE, 3)) for _ in range(2))
    np.testing.assert_equal(again, first)
    assert first


@pytest.mark.parametrize("name", NAMES)
def test_a_criterion_and_its_samples_pickle_with_what_was_seen(name: str) -> None:
    criterion = make_criterion(name)
    criterion.evaluate(WINDOW, REFERENCE, 1)
    again, window, reference = pickle.loads(pickle.dumps((criterion, WINDOW, REFERENCE)))  # noqa: S301
    np.testing.assert_equal(
        values(again.evaluate(window, reference, 2)),
        values(criterion.evaluate(WINDOW, REFERENCE, 2)),
    )


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0, np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("name", NAMES)
def test_any_input_gives_a_p_value_or_a_reason(name: str, fill: float, classes: int) -> None:
    """Warnings are errors here: none is given either."""
    for n in (0, 1, 3, 60):
        for m in (0, 1, 60):
            for other in (fill, 0.5):
                found = make_criterion(name).evaluate(
                    sample(n, fill, classes), sample(m, other, classes), 0
                )
                for one in found:
                    p = one.result.p_value
                    assert 0.0 <= p <= 1.0 or np.isnan(p)
                    if np.isnan(p) and CRITERIA[name].calibrated:
                        assert one.result.reason


@pytest.mark.parametrize("name", NAMES)
def test_parts_that_are_not_there_give_nothing(name: str) -> None:
    assert make_criterion(name).evaluate(Sample(size=50), Sample(size=50), 0) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_it_is_registered_as(name: str) -> None:
    criterion = make_criterion(name)
    assert (criterion.name, criterion.family) == (name, CRITERIA[name].family)
    assert criterion.needs


@pytest.mark.parametrize("name", NAMES)
def test_every_single_criterion_sees_a_large_drift_of_what_it_needs(name: str) -> None:
    window = _drifted()
    found = [make_criterion(name).evaluate(window, REFERENCE, 1)]
    if name == "e-process":  # it bets on a row of windows
        criterion = make_criterion(name)
        found = [criterion.evaluate(window, REFERENCE, 1) for _ in range(6)]
    if CRITERIA[name].calibrated:
        assert min(one.result.p_value for one in found[-1]) < 0.01
    else:
        assert max(abs(one.result.effect) for one in found[-1]) > CRITERIA[name].floor


def _drifted() -> Sample:
    """The window with larger, wider and more missing values, new categories, worse losses."""
    assert WINDOW.x is not None
    assert WINDOW.codes is not None
    assert WINDOW.losses is not None
    assert WINDOW.corrected is not None
    assert WINDOW.scores is not None
    x = 2.0 * WINDOW.x + 1.0
    x[::3, 0] = np.nan
    codes = WINDOW.codes.copy()
    codes[:150] = 99
    return Sample(
        size=WINDOW.size,
        x=x,
        names=WINDOW.names,
        codes=codes,
        code_names=WINDOW.code_names,
        scores=WINDOW.scores**3,
        labels=WINDOW.labels,
        losses=WINDOW.losses + 2.0,
        corrected=WINDOW.losses,
        classes=2,
    )


def test_wrong_names_and_params_are_told() -> None:
    with pytest.raises(SettingsError, match="must be one of"):
        make_criterion("kolmogorov")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("ks", {"dependence": "maybe"}),
        ("chi-square", {"dependence": "maybe"}),
        ("mmd", {"n_permutation": 9}),
        ("psi", {"bins": 3}),
        ("calibration", {"task": "ranking"}),
    ]
    for name, params in wrong:
        with pytest.raises(SettingsError, match=f"criteria.{name}.params"):
            make_criterion(name, **params)
