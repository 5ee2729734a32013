"""Criteria by name: Driftloop's own, and those of other packages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

from driftloop.criteria import categories, columns, drift, effects, multivariate, scores
from driftloop.criteria.contract import Criterion, Part
from driftloop.criteria.describe import Description
from driftloop.errors import Fault, SettingsError
from driftloop.settings import Policy
from driftloop.settings.policy import CRITERIA_GROUP

CRITERIA: dict[str, Description] = {
    name: description
    for module in (columns, categories, multivariate, scores, drift, effects)
    for name, description in module.DESCRIPTIONS.items()
}
"""Driftloop's own criteria."""


def describe(name: str) -> Description | None:
    """Description of one of Driftloop's own criteria; None for one of another package."""
    return CRITERIA.get(name)


def make_criterion(name: str, **params: Any) -> Criterion:
    """Make a criterion by name.

    Raises:
        SettingsError: Nobody registered the name, or its params do not fit.
    """
    make: Callable[..., Criterion]
    if name in CRITERIA:
        make = CRITERIA[name].make
    else:
        points = importlib.metadata.entry_points(group=CRITERIA_GROUP, name=name)
        if not points:
            rule = f"must be one of {', '.join(sorted(CRITERIA))}"
            raise SettingsError([Fault("criterion", repr(name), rule)])
        make = next(iter(points)).load()
    try:
        return make(**params)
    except (TypeError, ValueError) as error:
        rule = f"parameters that criterion {name} takes: {error}"
        raise SettingsError([Fault(f"criteria.{name}.params", repr(params), rule)]) from error


def chosen_criteria(policy: Policy) -> list[Criterion]:
    """The criteria of a policy, and ``ks`` where features are watched."""
    made = [make_criterion(one.name, **one.params) for one in policy.criteria]
    if policy.feature_tests and not any(one.name == "ks" for one in made):
        made.append(make_criterion("ks"))
    return made


def parts_read(policy: Policy) -> frozenset[Part]:
    """The parts of windows that a policy's criteria read."""
    return frozenset().union(*(one.needs for one in chosen_criteria(policy)))
