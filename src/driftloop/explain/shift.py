"""What changed in the records: window against reference, column by column.

Two samples of n and m independent records from one law have a Jensen-Shannon divergence (see
`driftloop.statistics.effects`) of about χ²(bins - 1) (1/n + 1/m) / (8 ln 2) bits. A feature's part
in the shift is its divergence less the mean of that, where it is beyond the quantile 1 - `CHANCE`,
else nothing; its share is that over the sum of all features. Divergences of independent features
add up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import special

from driftloop.explain.model import FeatureShift, Side
from driftloop.plots.figures import percent
from driftloop.records import Columns
from driftloop.records.columns import Floats
from driftloop.settings import Profile
from driftloop.statistics.categorical import category_counts
from driftloop.statistics.effects import (
    BINS,
    bin_counts,
    jensen_shannon_of_counts,
    wasserstein,
)
from driftloop.statistics.losses import compute

DRAWN = 12
"""Bars of a number's picture."""

NAMED = 8
"""Categories of a picture; the others are one."""

CHANCE = 0.01
"""Share of features without any shift that get a part in it."""

FEWEST = 20
"""Records with a value below which a column is not compared."""


def side(rows: Columns, ranges: Sequence[str], profile: Profile) -> Side:
    """Losses of some complete records.

    Args:
        rows: Them, in the order of their completion.
        ranges: Where they stand.
        profile: Task and loss.
    """
    loss = rows.loss.copy()
    own = np.isnan(loss)
    if own.any():
        loss[own] = compute(profile.loss, rows.y[own], rows.y_pred[own])
    bias = None
    if profile.task == "regression":
        bias = _mean(rows.y - rows.y_pred)
    return Side(len(rows), tuple(ranges), _mean(loss), _baseline(rows.y, profile), bias)


def _baseline(y: Floats, profile: Profile) -> float | None:
    """Mean loss of predicting the last label; None for losses of probabilities."""
    if profile.loss == "log_loss" or len(y) < 2:
        return None
    last = np.concatenate([[np.nan], y[:-1]])
    if profile.loss == "zero_one":
        both = np.isfinite(y) & np.isfinite(last)
        return _mean((y != last)[both].astype(np.float64))
    return _mean(compute(profile.loss, y, last))


def column_shifts(window: Columns, reference: Columns, profile: Profile) -> list[FeatureShift]:
    """Each feature by its share in the shift, the largest first; then label and prediction."""
    features, parts = [], []
    names = profile.features.numeric
    for index, name in enumerate(names):
        found, part = _number(name, "feature", window.x[:, index], reference.x[:, index])
        features.append(found)
        parts.append(part)
    for index, name in enumerate(profile.features.categorical):
        found, part = _category(
            name, "feature", window.categories[index], reference.categories[index]
        )
        features.append(found)
        parts.append(part)
    total = sum(parts)
    shared = [
        _with_share(one, part / total if total > 0 else 0.0)
        for one, part in zip(features, parts, strict=True)
    ]
    shared.sort(key=lambda one: (-(one.share or 0.0), -(one.distance or 0.0), one.name))
    return [*shared, *_answers(window, reference, profile)]


def _answers(window: Columns, reference: Columns, profile: Profile) -> list[FeatureShift]:
    """Label and prediction."""
    out = []
    for role, name in (("label", "y"), ("prediction", "y_pred")):
        new, old = getattr(window, name), getattr(reference, name)
        if new.ndim > 1:
            known = ~np.isnan(new[:, 0]), ~np.isnan(old[:, 0])
            new, old = new[known[0]].argmax(axis=1), old[known[1]].argmax(axis=1)
            new, old = new.astype(np.float64), old.astype(np.float64)
        classes = profile.classes if profile.task != "regression" else []
        if min(np.isfinite(new).sum(), np.isfinite(old).sum()) < FEWEST:
            continue
        kind = "label" if role == "label" else "prediction"
        if profile.task == "regression" or (profile.task == "binary" and role == "prediction"):
            found, _ = _number(role, kind, new, old)
        else:
            found, _ = _category(role, kind, _texts(new, classes), _texts(old, classes))
        out.append(found)
    return out


def _texts(codes: Floats, classes: Sequence[str]) -> list[str | None]:
    names = list(classes) or ["0", "1"]
    return [
        names[int(code)] if math.isfinite(code) and 0 <= code < len(names) else None
        for code in codes.tolist()
    ]


def _with_share(one: FeatureShift, share: float) -> FeatureShift:
    values = {name: getattr(one, name) for name in FeatureShift.__slots__}
    return FeatureShift(**{**values, "share": share})


def _number(name: str, role: str, new: Floats, old: Floats) -> tuple[FeatureShift, float]:
    known, before = new[np.isfinite(new)], old[np.isfinite(old)]
    few = min(len(known), len(before)) < FEWEST
    if few:
        told = _missing(new, old) or "too few values to compare"
        return FeatureShift(name, "number", role, None, None, None, told), 0.0  # type: ignore[arg-type]
    counts = bin_counts(known[:, None], before[:, None])
    distance = float(jensen_shannon_of_counts(*counts)[0])
    moved = float(wasserstein(known[:, None], before[:, None])[0])
    used = int(((counts[0] + counts[1]) > 0).sum())
    edges = _edges(known, before)
    told = f"mean {_figure(before.mean())} → {_figure(known.mean())}"
    gaps = _missing(new, old)
    found = FeatureShift(
        name,
        "number",
        role,  # type: ignore[arg-type]
        None,
        _finite(distance),
        _finite(moved),
        f"{told}; {gaps}" if gaps else told,
        tuple(_shares(before, edges)),
        tuple(_shares(known, edges)),
        tuple(f"from {_figure(edge)}" for edge in edges[:-1]),
    )
    return found, _above(distance, min(used, BINS), len(known), len(before))


def _category(
    name: str, role: str, new: Sequence[str | None], old: Sequence[str | None]
) -> tuple[FeatureShift, float]:
    now, then = Counter(new), Counter(old)
    gone = now.pop(None, 0), then.pop(None, 0)
    n, m = now.total(), then.total()
    if min(n, m) < FEWEST:
        return FeatureShift(name, "category", role, None, None, None, "too few to compare"), 0.0  # type: ignore[arg-type]
    counts = category_counts(list(now.elements()), list(then.elements()))
    distance = float(jensen_shannon_of_counts(*counts))
    change = {one: now[one] / n - then[one] / m for one in now | then}
    ranked = sorted(change, key=lambda one: (-abs(change[one]), str(one)))
    told = ", ".join(
        f"{one} {percent(then[one] / m)} → {percent(now[one] / n)}" for one in ranked[:2]
    )
    shown = [one for one, _ in (now + then).most_common(NAMED)]
    rest = len(change) > len(shown)
    before = [then[one] / m for one in shown]
    after = [now[one] / n for one in shown]
    found = FeatureShift(
        name,
        "category",
        role,  # type: ignore[arg-type]
        None,
        _finite(distance),
        None,
        told + (f"; missing {gone[1]} → {gone[0]}" if any(gone) else ""),
        (*before, 1 - sum(before)) if rest else tuple(before),
        (*after, 1 - sum(after)) if rest else tuple(after),
        (*map(str, shown), "others") if rest else tuple(map(str, shown)),
    )
    return found, _above(distance, len(change), n, m)


def _above(distance: float, bins: int, n: int, m: int) -> float:
    """Divergence in bits above what samples of these sizes have by chance, ≥ 0."""
    if not math.isfinite(distance) or bins < 2:
        return 0.0
    unit = (1 / n + 1 / m) / (8 * math.log(2))
    if distance**2 <= special.chdtri(bins - 1, CHANCE) * unit:
        return 0.0
    return max(0.0, distance**2 - (bins - 1) * unit)


def _edges(new: Floats, old: Floats) -> list[float]:
    both = np.concatenate([new, old])
    low, high = np.quantile(both, [0.01, 0.99])
    if not high > low:
        low, high = float(both.min()), float(both.max()) + 1.0
    return [float(edge) for edge in np.linspace(low, high, DRAWN + 1)]


def _shares(values: Floats, edges: Sequence[float]) -> list[float]:
    inner = np.asarray(edges[1:-1])
    counts = np.bincount(np.searchsorted(inner, values, side="right"), minlength=DRAWN)
    return [float(share) for share in counts / len(values)]


def _missing(new: Floats, old: Floats) -> str:
    rates = [float(np.mean(~np.isfinite(values))) if len(values) else 0.0 for values in (old, new)]
    if abs(rates[1] - rates[0]) < 0.005:
        return ""
    return f"missing {100 * rates[0]:.1f} % → {100 * rates[1]:.1f} %"


def _figure(value: float) -> str:
    return f"{value:,.4g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
