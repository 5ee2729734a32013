"""A vote of criteria: what decides, by which rule, and what its ground tells."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError
from scipy import stats

from driftloop.messages import Ground
from driftloop.policy.standing import Standing
from driftloop.policy.vote import Vote, vote
from driftloop.settings import Policy

FAMILY: dict[str, Any] = {"loss": "loss", "reducible": "loss", "score-ks": "score"}
THREE = ["ks", "score-ks", "loss"]


def stand(name: str, p: float, level: float = 0.05, *, counts: bool | None = None) -> Standing:
    hit = p <= level if counts is None else counts
    family = FAMILY.get(name, "features")
    grounds = [Ground(criterion=name, family=family, p_value=p, rejected=hit, n=100)]
    return Standing(p_value=p, counts=hit, grounds=grounds)


def held(
    kind: str, p: dict[str, float], *, labels: bool = True, level: float = 0.05, **more: Any
) -> Vote:
    """A vote of criteria with these p-values; an effect size counts where its number is 1."""
    policy = Policy(kind=kind, **{"criteria": list(p), **more})
    standing = {
        name: stand(name, math.nan, counts=value == 1)
        if name in {"psi", "cohens-d"}
        else stand(name, value, level)
        for name, value in p.items()
        if value >= 0 or math.isnan(value)
    }
    return vote(policy, standing, level, ["s:0:0:99"], labels=labels)


ABSENT = -1.0
"""A criterion that has judged no window yet."""


@pytest.mark.parametrize(
    ("kind", "p", "combined"),
    [
        ("any", (0.01, 0.5, 0.9), 0.03),  # 3 · smallest
        ("any", (0.02, 0.5, 0.9), 0.06),
        ("all", (0.01, 0.02, 0.04), 0.04),  # the largest
        ("all", (0.01, 0.02, 0.06), 0.06),
        ("vote", (0.01, 0.02, 0.9), 0.04),  # 2 · second
        ("vote", (0.01, 0.03, 0.9), 0.06),
    ],
)
def test_any_all_and_vote_are_partial_conjunctions(
    kind: str, p: tuple[float, ...], combined: float
) -> None:
    found = held(kind, dict(zip(THREE, p, strict=True)))
    assert found.p_value == pytest.approx(combined)
    assert found.passed == (combined <= 0.05)
    ground = found.ground
    assert (ground.criterion, ground.family, ground.n) == (kind, "policy", 3)
    assert (ground.p_value, ground.threshold, ground.rejected) == (
        found.p_value,
        0.05,
        found.passed,
    )
    assert ground.statistic == sum(one <= 0.05 for one in p)
    speaking = [name for name, one in zip(THREE, p, strict=True) if one <= 0.05]
    assert ground.detail.endswith("for drift: " + ", ".join(speaking))


def test_a_criterion_without_a_verdict_does_not_count() -> None:
    for nothing in (ABSENT, math.nan):
        found = held("any", {"ks": 0.02, "score-ks": 0.5, "loss": nothing})
        assert found.p_value == pytest.approx(0.04)
        few = held("all", {"ks": 0.001, "score-ks": 0.001, "loss": nothing})
        assert (few.p_value, few.passed) == (None, False)  # so few verdicts are not all
    none = held("any", dict.fromkeys(THREE, math.nan))
    assert (none.p_value, none.passed) == (None, False)
    assert none.ground.detail.endswith("for drift: none")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("fisher", stats.combine_pvalues([0.01, 0.3, 0.6], method="fisher").pvalue),
        ("stouffer", stats.combine_pvalues([0.01, 0.3, 0.6], method="stouffer").pvalue),
        ("twice-mean", 2 * (0.01 + 0.3 + 0.6) / 3),
        ("cauchy", stats.cauchy.sf(sum(1 / math.tan(math.pi * p) for p in (0.01, 0.3, 0.6)) / 3)),
    ],
)
def test_other_rules_are_those_of_the_literature(rule: Any, expected: float) -> None:
    found = held("vote", dict(zip(THREE, (0.01, 0.3, 0.6), strict=True)), combine=rule)
    assert found.p_value == pytest.approx(expected)
    assert found.ground.detail.startswith(rule)


def test_weights_go_into_stouffers_rule() -> None:
    chosen = [{"name": "ks", "weight": 3.0}, {"name": "loss", "weight": 1.0}]
    found = held("vote", {"ks": 0.01, "loss": 0.5}, criteria=chosen, combine="stouffer")
    expected = stats.combine_pvalues([0.01, 0.5], method="stouffer", weights=[3.0, 1.0]).pvalue
    assert found.p_value == pytest.approx(expected)
    assert held("vote", {"ks": 0.01, "loss": 0.5}, combine="stouffer").p_value != found.p_value


@pytest.mark.parametrize(
    ("weights", "p", "share", "passed"),
    [
        ((1, 1, 1), (0.01, 0.01, 0.9), 2 / 3, True),
        ((1, 1, 1), (0.01, 0.9, 0.9), 1 / 3, False),
        ((4, 1, 1), (0.01, 0.9, 0.9), 2 / 3, True),
        ((1, 1, 4), (0.01, 0.01, 0.9), 1 / 3, False),
        ((1, 1, 1), (0.01, 0.01, ABSENT), 2 / 3, True),  # what says nothing votes against
    ],
)
def test_weighted_votes_count_rejections_against_the_share_that_is_required(
    weights: tuple[float, ...], p: tuple[float, ...], share: float, *, passed: bool
) -> None:
    chosen = [{"name": n, "weight": w} for n, w in zip(THREE, weights, strict=True)]
    found = held("vote", dict(zip(THREE, p, strict=True)), criteria=chosen, combine="weighted")
    assert (found.passed, found.p_value) == (passed, None)
    assert found.ground.statistic == pytest.approx(share)
    assert found.ground.threshold == pytest.approx(2 / 3)
    assert found.ground.p_value is None


def test_with_weights_an_effect_votes_like_all_others() -> None:
    found = held("vote", {"ks": 0.9, "psi": 1, "cohens-d": 1}, combine="weighted", votes=2)
    assert found.passed


@pytest.mark.parametrize(
    ("kind", "psi", "other", "passed"),
    [
        ("any", 1, 0, True),
        ("any", 0, 0, False),
        ("any", ABSENT, ABSENT, False),  # not over its floor as long as nobody has looked
        ("any", ABSENT, 1, True),
        ("all", 1, 1, True),
        ("all", 1, 0, False),
        ("all", 1, ABSENT, False),
    ],
)
def test_effects_alone_are_conditions(kind: str, psi: float, other: float, *, passed: bool) -> None:
    found = held(kind, {"ks": 0.001, "psi": psi, "cohens-d": other})
    assert found.passed is passed
    assert found.p_value == pytest.approx(0.001)  # K = 1: an effect is no p-value
    told = f"{(psi == 1) + (other == 1)} of 2 effects over their floors" in found.ground.detail
    assert told is not passed
    assert not held(kind, {"ks": 0.9, "psi": 1, "cohens-d": 1}).passed


@pytest.mark.parametrize(
    ("p", "labels", "passed"),
    [
        ((0.001, 0.001, 0.9), True, False),  # the losses do not speak
        ((0.001, 0.9, 0.001), True, True),
        ((0.9, 0.9, 0.001), True, False),  # nor is one vote enough
        ((0.001, 0.001, ABSENT), False, True),  # without labels the scores must
        ((0.001, 0.9, ABSENT), False, False),
    ],
)
def test_multi_criteria_asks_for_the_losses_or_without_labels_the_scores(
    p: tuple[float, ...], *, labels: bool, passed: bool
) -> None:
    found = held("multi-criteria", dict(zip(THREE, p, strict=True)), labels=labels)
    assert found.passed is passed
    assert held("vote", dict(zip(THREE, p, strict=True))).passed is (
        sum(0 <= one <= 0.01 for one in p) >= 2
    )


def test_a_policy_that_could_never_decide_is_a_fault() -> None:
    for more, told in [
        ({"kind": "any", "criteria": ["psi > 0.2"]}, "at least one of the criteria has a p-value"),
        ({"kind": "vote", "criteria": ["ks", "psi"], "votes": 2}, "1 without a p-value do not"),
        ({"kind": "vote", "criteria": ["ks"], "votes": 2}, "at most the number of criteria, 1"),
        ({"kind": "any", "criteria": ["ks", "ks > 0.2"]}, "each criterion votes once; got ks"),
    ]:
        with pytest.raises(ValidationError, match=told):
            Policy(**more)  # type: ignore[arg-type]
    assert Policy(kind="all", criteria=["ks", "loss", "psi"]).required_votes == 2  # type: ignore[list-item]
    weighted = Policy(kind="all", criteria=["psi", "ks"], combine="weighted")  # type: ignore[list-item]
    assert weighted.required_votes == 2
