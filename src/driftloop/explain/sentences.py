"""An explanation in plain sentences."""

from __future__ import annotations

from driftloop.explain.model import Explanation
from driftloop.policy.incidents import moment

CRITERIA = 5
"""Criteria that are told, at most."""


def words(told: Explanation) -> list[str]:
    """Sentences, in the order of the story: what, whether it is so, why, what came of it."""
    lines = [f"{told.headline}.", f"{told.about} Decided at {moment(told.at)}."]
    lines += check_words(told)
    lines += told.shift.told
    lines += [one.told for one in told.criteria[:CRITERIA]]
    lines += told.policy
    if told.fleet is not None:
        lines += told.fleet.told
    if told.training is not None:
        lines += told.training.told
    if told.worth is not None:
        lines += told.worth.told
    return lines


def check_words(told: Explanation) -> list[str]:
    """Whether the decision comes out the same, and what is missing."""
    check = told.check
    lines = [check.summary]
    if check.records:
        compared = f"; {check.compared}" if check.compared else ""
        lines.append(
            f"{check.records:,} records were read again from {check.began}: {check.windows:,} "
            f"windows closed{compared}."
        )
    lines += [
        f"{one.place}: recorded {one.recorded}, recomputed {one.recomputed}."
        for one in check.differences
    ]
    lines += [f"Fleet: {one.told}." for one in check.fleet]
    lines += [f"Missing: {one}" for one in check.missing]
    lines += [f"Note: {one}." for one in check.notes]
    return lines
