"""docs/own-criterion.md: what it shows works as it is written, found by its entry point."""

from __future__ import annotations

import pickle
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftloop.criteria import Criterion, Sample, make_criterion
from driftloop.errors import SettingsError
from driftloop.policy import StreamTester
from driftloop.settings import Profile, parse_policy
from driftloop.settings.policy import known_criteria
from tests.unit.policy.windows import losses

PAGE = (Path(__file__).parents[2] / "docs" / "own-criterion.md").read_text(encoding="utf-8")


def block(language: str, index: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[index]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page's criterion as an installed package; gives its name."""
    points = tomllib.loads(block("toml"))["project"]["entry-points"]["driftloop.criteria"]
    ((name, place),) = points.items()
    module = place.partition(":")[0]
    (tmp_path / f"{module}.py").write_text(block("python"), encoding="utf-8")
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[driftloop.criteria]\n{name} = {place}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    known_criteria.cache_clear()
    yield name
    known_criteria.cache_clear()


def p_value(criterion: Criterion, window: Any, reference: Any) -> float:
    samples = [
        Sample(size=len(one), losses=np.asarray(one, np.float64)) for one in (window, reference)
    ]
    (found,) = criterion.evaluate(samples[0], samples[1], 0)
    return found.result.p_value


def test_it_takes_about_thirty_lines() -> None:
    written = [one for one in block("python").splitlines() if one.strip()]
    assert len(written) <= 33


def test_it_is_found_by_name_and_a_wrong_param_is_told(installed: str) -> None:
    assert installed in known_criteria()
    assert make_criterion(installed).name == installed
    with pytest.raises(SettingsError, match=r"quantile must be in \(0, 1\)"):
        make_criterion(installed, quantile=2)


def test_the_pages_policies_take_it(installed: str) -> None:
    profile = tomllib.loads(block("toml", 1))["profiles"]["orders"]
    policy = Profile.model_validate({"topics": "orders", **profile}).policy
    assert installed in [one.name for one in policy.criteria]
    words = shlex.split(block("sh"))
    tried = parse_policy(words[words.index("--policy") + 1])
    assert tried["criteria"] == [installed]


def test_it_keeps_its_level_and_sees_larger_losses(installed: str) -> None:
    rng = np.random.default_rng(0)
    criterion = make_criterion(installed)
    null = [
        p_value(criterion, rng.exponential(size=300), rng.exponential(size=300)) for _ in "x" * 400
    ]
    assert np.mean(np.array(null) <= 0.05) < 0.08
    shifted = [
        p_value(criterion, rng.exponential(1.5, size=300), rng.exponential(size=300))
        for _ in range(100)
    ]
    assert np.mean(np.array(shifted) <= 0.05) > 0.8


@pytest.mark.parametrize("reference", [[], [1.0], [1.0] * 300, [np.nan] * 300, [np.inf] * 300])
@pytest.mark.parametrize("window", [[], [1.0], [1.0] * 300, [np.nan] * 300, [np.inf] * 300])
def test_any_input_gives_a_p_value_or_none(installed: str, window: Any, reference: Any) -> None:
    p = p_value(make_criterion(installed), window, reference)
    assert np.isnan(p) or 0.0 <= p <= 1.0


def test_it_pickles(installed: str) -> None:
    again = pickle.loads(pickle.dumps(make_criterion(installed)))  # noqa: S301
    values = np.arange(100.0)
    assert p_value(again, values + 50, values) == p_value(
        make_criterion(installed), values + 50, values
    )


def test_a_policy_of_it_retrains_on_drift_and_not_before(installed: str) -> None:
    profile = Profile(
        topics="s",
        policy=parse_policy(f"any(criteria=['{installed}'], alpha_per_year=1)"),
    )
    tester = StreamTester(profile)
    rng = np.random.default_rng(1)
    decided = []
    for index, scale in enumerate((1.0, 1.0, 1.0, 2.0)):
        tested = tester.test(losses(rng.exponential(scale, 300), index=index))
        decided.append(tested.retrain)
    assert decided == [False, False, False, True]
    assert any(one.criterion == installed for one in tested.results)
