"""Results of tests as an event carries them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from driftloop.messages import Ground
from driftloop.messages.grounds import Family
from driftloop.statistics.results import TestResult


def number(value: float | np.floating | None) -> float | None:
    """A finite number, or None."""
    if value is None:
        return None
    converted = float(value)
    return converted if np.isfinite(converted) else None


def ground(
    name: str,
    family: Family,
    result: TestResult,
    *,
    threshold: float | None,
    rejected: bool,
    window: Sequence[str],
    reference: Sequence[str] = (),
    detail: str = "",
) -> Ground:
    """A test's result as a ground; `detail` in words, with the reason where it has no verdict."""
    return Ground(
        criterion=name,
        family=family,
        statistic=number(result.statistic),
        p_value=number(result.p_value),
        effect=number(result.effect),
        threshold=threshold,
        rejected=rejected,
        n=result.n,
        n_effective=number(result.n_effective),
        window=list(window),
        reference=list(reference),
        detail=": ".join(part for part in (detail, result.reason) if part),
    )


def seed_of(ranges: Sequence[str], name: str) -> int:
    """A seed that depends on a window's place and the criterion alone."""
    digest = hashlib.blake2b("|".join([name, *ranges]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def family_of_signal(on: str) -> Literal["loss", "score", "features"]:
    """What kind of evidence a detector's alarm is, by what it reads."""
    if on in {"loss", "error"}:
        return "loss"
    return "score" if on == "score" else "features"
