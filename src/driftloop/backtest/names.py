"""What a policy's name says: the family of its frontier, and what is varied within it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftloop.settings import Policy, parse_policy

SIMPLE_FIRST = (
    "never",
    "always",
    "periodic",
    "reducible",
    "mlma",
    "detector",
    "any",
    "all",
    "vote",
    "multi-criteria",
)
"""Families by what there is to understand and to set, the simplest first."""

_VARIED = {
    "mlma": "alpha_per_year",
    "vote": "votes",
    "multi-criteria": "votes",
    "reducible": "cost",
}


def family_and_threshold(
    name: str, own: Mapping[str, Any] | None = None
) -> tuple[str, float | None]:
    """Read a policy's name as the curve it belongs to, and where on the curve it stands.

    Args:
        name: As `driftloop.settings.parse_policy` reads it.
        own: The tables of ``[policies]``; each is a family of its own.

    Returns:
        The family, and its threshold: ``reducible`` the cost (in units of loss where that is
        given), in mode ``test`` the false retrains a year, as ``mlma``; ``periodic`` seconds or
        records; ``vote`` and ``multi-criteria`` the votes; None for the others and for a name that
        is not understood, which is its own family. ``reducible`` is a family of its own in each
        mode, and with ``min_window``.

    >>> family_and_threshold("periodic(7d)"), family_and_threshold("reducible(test)")
    (('periodic', 604800.0), ('reducible test', 0.1))
    >>> family_and_threshold("reducible(20, min_window=0.5)")
    ('reducible changed', 20.0)
    """
    try:
        policy = Policy(**parse_policy(name, own))
    except (ValueError, TypeError):  # pydantic's error is a ValueError
        return name, None
    base = name.partition("(")[0].strip()
    family: str = base if own and base in own else policy.kind
    if policy.kind == "periodic":
        period = policy.every.total_seconds() if policy.every is not None else policy.every_records
        return family, float(period or 0)
    if policy.kind == "reducible" and not (own and base in own):
        changed = "reducible changed" if policy.min_window < 1 else "reducible"
        family = {"test": "reducible test", "both": "reducible both"}.get(policy.mode, changed)
    if policy.kind == "reducible" and policy.mode == "test":
        return family, policy.alpha_per_year
    if policy.kind == "reducible" and policy.fixed_cost is not None:
        return family, policy.fixed_cost
    varied = _VARIED.get(policy.kind)
    return family, float(getattr(policy, varied)) if varied else None


def complexity(family: str) -> int:
    """Rank of a family, 0 for the simplest: a tie goes to the simpler policy."""
    base = family.partition(" ")[0]
    return SIMPLE_FIRST.index(base) if base in SIMPLE_FIRST else len(SIMPLE_FIRST)
