"""Adjusted p-values against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from driftloop.statistics.multiplicity import benjamini_hochberg, bonferroni, holm

ADJUSTMENTS = [(holm, "holm"), (bonferroni, "bonferroni"), (benjamini_hochberg, "fdr_bh")]


@pytest.mark.parametrize(("adjust", "method"), ADJUSTMENTS)
def test_adjusted_p_values_agree_with_statsmodels(adjust, method: str) -> None:  # noqa: ANN001
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 40):
        p = rng.uniform(size=size) ** 3
        p[: size // 3] = p[0]  # ties
        np.testing.assert_allclose(adjust(p), multipletests(p, method=method)[1], rtol=1e-12)


@pytest.mark.parametrize(("adjust", "method"), ADJUSTMENTS)
def test_nan_stays_and_is_no_test(adjust, method: str) -> None:  # noqa: ANN001
    p = np.array([0.01, np.nan, 0.04, np.nan, 0.03])
    adjusted = adjust(p)
    assert np.isnan(adjusted).tolist() == [False, True, False, True, False]
    rest = multipletests(p[~np.isnan(p)], method=method)[1]
    np.testing.assert_allclose(adjusted[~np.isnan(p)], rest, rtol=1e-12)
    assert np.isnan(adjust([np.nan])).all()
    assert adjust([]).shape == (0,)
