"""Criteria and presets: all are on their page, measured, and written as the settings read them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from driftloop.criteria import CRITERIA, make_criterion
from driftloop.settings import Policy, Profile, parse_policy
from driftloop.settings.detectors import KINDS
from driftloop.settings.policy import BUILT_IN_CRITERIA, Combine, Kind
from driftloop.settings.presets import FIRST, MEANINGS
from scripts.criteria_figures import FIGURES, LEVEL, PHIS, SLOW, SLOW_WINDOWS, judge, null_pair

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "criteria.md").read_text(encoding="utf-8")
MEASURED = json.loads(FIGURES.read_text(encoding="utf-8"))
_TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)


def test_registry_and_settings_name_the_same_criteria() -> None:
    assert set(CRITERIA) == set(BUILT_IN_CRITERIA)


def test_every_criterion_was_measured_and_none_that_is_no_more() -> None:
    """Stale? ``python scripts/criteria_figures.py`` measures them."""
    assert set(MEASURED["criteria"]) == set(CRITERIA)
    assert set(MEASURED["detectors"]["kinds"]) == set(KINDS)
    for one in MEASURED["criteria"].values():
        assert set(one["phi"]) == {str(phi) for phi in PHIS}
        assert one["runs"] >= SLOW_WINDOWS


def test_the_page_tells_every_criterion_detector_preset_and_rule() -> None:
    for name in (*CRITERIA, *KINDS, *FIRST, *get_args(Combine)):
        assert f"`{name}`" in PAGE, name


def test_every_kind_of_policy_is_a_preset_with_a_meaning_and_an_example() -> None:
    assert set(FIRST) == set(MEANINGS) == set(get_args(Kind))
    for name, (example, _) in MEANINGS.items():
        assert Policy.model_validate(parse_policy(example)).kind == name


def test_measured_sizes_hold_the_level_where_records_are_independent() -> None:
    """Three standard errors of a share of .05 among 200 windows are .046."""
    for name, one in MEASURED["criteria"].items():
        assert one["phi"]["0.0"]["windows"] <= LEVEL + 0.046, name


@pytest.mark.parametrize("name", sorted(set(CRITERIA) - SLOW))
def test_the_figures_are_those_of_the_code(name: str) -> None:
    """A few windows, measured anew: the same share as the same windows once gave, or near it."""
    again = judge(name, 0.0, 40)
    once = MEASURED["criteria"][name]["phi"]["0.0"]
    allowed = 3.5 * np.sqrt(max(once["windows"], 0.02) / 40)
    assert abs(again["windows"] - once["windows"]) <= allowed
    assert again["effect"] == pytest.approx(once["effect"], rel=0.35, abs=0.002)


def test_windows_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    first, again, other = (null_pair(0.6, seed)[0] for seed in (1, 1, 2))
    assert first.x is not None
    assert again.x is not None
    assert other.x is not None
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x, equal_nan=True)


def test_policies_on_the_page_are_read_by_the_settings() -> None:
    found = 0
    for page in (PAGE, (ROOT / "README.md").read_text(encoding="utf-8")):
        for block in _TOML.findall(page):
            document = tomllib.loads(block)
            own = document.get("policies", {})
            for table in own.values():
                Policy.model_validate(table)
                found += 1
            for profile in document.get("profiles", {}).values():
                policy = profile["policy"]
                if isinstance(policy, str):
                    profile["policy"] = parse_policy(policy, own)
                for one in Profile.model_validate(profile).policy.criteria:
                    make_criterion(one.name, **one.params)
                found += 1
    assert found >= 6
