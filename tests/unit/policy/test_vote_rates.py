"""Size of the voting policies: streams without drift are retrained as rarely as is promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from driftloop.policy import StreamTester, Tested, standing
from driftloop.policy.promise import needless_per_year
from driftloop.settings import Features, Policy, Profile
from driftloop.statistics.levels import SECONDS_PER_YEAR
from tests.unit.policy.windows import features, losses

WINDOWS = 12
SPAN_MS = 1000.0 * SECONDS_PER_YEAR / WINDOWS
"""A stream sees one year."""


def records_of(phi: float) -> int:
    """Records of a window; dependent losses need more of them (see `statistics.loss_tests`)."""
    return 200 if phi else 100


def series(rng: np.random.Generator, phi: float, n: int) -> np.ndarray:
    """Numbers, a prediction and a loss, each AR(1), (records, 4)."""
    noise = rng.normal(size=(WINDOWS * n, 4)) * np.sqrt(1 - phi**2)
    out = noise / np.sqrt(1 - phi**2)
    for t in range(1, len(out)):
        out[t] = phi * out[t - 1] + noise[t]
    out[:, 3] = np.exp(0.3 * out[:, 3])
    return out


def needless(policy: Policy, streams: int, phi: float) -> np.ndarray:
    """Retrains that each stream without drift asks for in its year, (streams,)."""
    n = records_of(phi)
    profile = Profile(
        policy=policy,
        features=Features(numeric=["a", "b"]),
        window={"kind": "count", "records": n},
    )
    asked = np.zeros(streams)
    for stream in range(streams):
        values = series(np.random.default_rng([stream, 7]), phi, n).reshape(WINDOWS, n, 4)
        tester = StreamTester(profile)
        for day, rows in enumerate(values):
            window = features(rows[:, :2], day)
            window.scores, window.span_ms = rows[:, 2], SPAN_MS
            for closed in (window, losses(rows[:, 3], index=day, span_ms=SPAN_MS)):
                found = tester.test(closed)
                assert isinstance(found, Tested)
                asked[stream] += found.retrain
    return asked


@pytest.fixture(autouse=True)
def _reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "REFERENCE_ROWS", 600)


@pytest.mark.parametrize("phi", [0.0, 0.6])
@pytest.mark.parametrize(
    "policy",
    [
        {"kind": "any"},
        {"kind": "any", "combine": "cauchy"},
        {"kind": "multi-criteria", "votes": 1},
        {"kind": "vote"},
        {"kind": "all"},
        {"kind": "mlma"},
    ],
    ids=["any", "cauchy", "multi-criteria", "vote", "all", "mlma"],
)
def test_a_year_without_drift_brings_at_most_as_many_retrains_as_promised(
    policy: dict[str, Any], phi: float
) -> None:
    chosen = Policy(alpha_per_year=0.03 * WINDOWS, **policy)
    promised = needless_per_year(chosen)
    assert promised == 0.36
    asked = needless(chosen, 60, phi)
    assert asked.mean() <= promised + 2 * np.sqrt(promised / 60)
    if policy["kind"] == "any":
        assert asked.mean() > 0  # it is a test, not a stone


def test_no_number_is_promised_where_the_rule_keeps_no_level() -> None:
    """Criteria of one window depend on each other, which Fisher's rule does not allow for."""
    for rule in ("fisher", "stouffer", "weighted"):
        assert needless_per_year(Policy(kind="vote", combine=rule)) is None  # type: ignore[arg-type]
    for rule in ("partial-conjunction", "cauchy", "harmonic-mean", "twice-mean"):
        assert needless_per_year(Policy(kind="vote", combine=rule)) == 0.1  # type: ignore[arg-type]
