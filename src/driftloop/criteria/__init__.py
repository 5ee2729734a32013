"""Criteria: what a window is judged by. One contract, a registry by name, and entry points.

A package adds its own under the entry point group ``driftloop.criteria``: a name, and a function
that takes the criterion's ``params`` as keywords and returns a `Criterion`.
"""

from driftloop.criteria.contract import Criterion, Family, Finding, Sample
from driftloop.criteria.describe import Description
from driftloop.criteria.registry import (
    CRITERIA,
    chosen_criteria,
    criteria_faults,
    describe,
    make_criterion,
    parts_read,
)

__all__ = [
    "CRITERIA",
    "Criterion",
    "Description",
    "Family",
    "Finding",
    "Sample",
    "chosen_criteria",
    "criteria_faults",
    "describe",
    "make_criterion",
    "parts_read",
]
