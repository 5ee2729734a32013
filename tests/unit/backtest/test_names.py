"""A policy's name tells its curve and its place on it."""

from __future__ import annotations

import pytest

from driftloop.backtest.names import complexity, family_and_threshold


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("never", ("never", None)),
        ("always", ("always", None)),
        ("periodic(500)", ("periodic", 500.0)),
        ("periodic(1h)", ("periodic", 3600.0)),
        ("vote(3)", ("vote", 3.0)),
        ("any", ("any", None)),
        ("multi-criteria", ("multi-criteria", 2.0)),
        ("mlma(1)", ("mlma", 1.0)),
        ("detector(adwin)", ("detector", None)),
        ("reducible", ("reducible", 20.0)),
        ("reducible(5, cooldown=1d)", ("reducible", 5.0)),
        ("reducible(cost_loss=3.5)", ("reducible", 3.5)),
        ("reducible(test, alpha_per_year=2)", ("reducible test", 2.0)),
        ("reducible(both, cost=40)", ("reducible both", 40.0)),
        ("periodic(soon)", ("periodic(soon)", None)),
        ("???", ("???", None)),
    ],
)
def test_family_and_threshold(name: str, expected: tuple[str, float | None]) -> None:
    assert family_and_threshold(name) == expected


def test_a_policy_of_ones_own_is_a_family_of_its_own() -> None:
    own = {"mine": {"kind": "reducible", "cost": 7.0}}
    assert family_and_threshold("mine", own) == ("mine", 7.0)
    assert family_and_threshold("mine(cost=9)", own) == ("mine", 9.0)


def test_never_is_the_simplest_and_what_is_unknown_comes_last() -> None:
    names = ["mine", "vote", "reducible test", "periodic", "never"]
    assert sorted(names, key=complexity) == ["never", "periodic", "reducible test", "vote", "mine"]
