"""Criteria by name: Driftloop's own, and those of other packages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import replace
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
        try:
            make = next(iter(points)).load()
        except (ImportError, AttributeError) as error:
            rule = f"a criterion whose package can be loaded ({error})"
            raise SettingsError([Fault("criterion", repr(name), rule)]) from error
    try:
        return make(**params)
    except (TypeError, ValueError, SettingsError) as error:
        faults = error.faults if isinstance(error, SettingsError) else [error]
        rule = f"parameters that criterion {name} takes: {'; '.join(map(str, faults))}"
        raise SettingsError([Fault(f"criteria.{name}.params", repr(params), rule)]) from error


def chosen_criteria(policy: Policy) -> list[Criterion]:
    """The criteria of a policy, and ``ks`` where features are watched."""
    made = [make_criterion(one.name, **one.params) for one in policy.criteria]
    if policy.feature_tests and not any(one.name == "ks" for one in made):
        # Nothing is retrained by it, and the correction for dependence would cost as much again.
        made.append(make_criterion("ks", dependence="none"))
    return made


def criteria_faults(policies: Mapping[str, Policy]) -> list[Fault]:
    """Make the criteria of policies once, so that wrong params are told before anything runs.

    Args:
        policies: By the place in the configuration, as ``profiles.flights.policy``.
    """
    faults: list[Fault] = []
    for place, policy in policies.items():
        for one in policy.criteria:
            try:
                make_criterion(one.name, **one.params)
            except SettingsError as error:
                faults += [replace(fault, place=f"{place}.{fault.place}") for fault in error.faults]
    return faults


def parts_read(policy: Policy) -> frozenset[Part]:
    """The parts of windows that a policy's criteria read."""
    return frozenset().union(*(one.needs for one in chosen_criteria(policy)))
