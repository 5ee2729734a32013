"""Names of the model kinds: Driftloop's own, those that extras bring, and those of entry points."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Mapping
from functools import lru_cache

from driftloop.errors import Fault

MODELS_GROUP = "driftloop.models"
"""Entry points under which packages register model kinds of their own."""

_ALL = frozenset({"regression", "binary", "multiclass"})
_CLASSES = frozenset({"binary", "multiclass"})

FORECASTERS = ("forecaster_linear", "forecaster_mlp", "forecaster_tcn")
"""Kinds that predict a label from the values before it, which `features.sequence` names."""

BUILT_IN_KINDS: dict[str, frozenset[str]] = {
    "linear": _ALL,
    "mlp_regressor": frozenset({"regression"}),
    "mlp_classifier": _CLASSES,
    **dict.fromkeys(FORECASTERS, frozenset({"regression"})),
}
"""Kinds that are trained as stacks in torch, with the tasks that each fits."""

SHIPPED_KINDS: dict[str, str] = {
    "sklearn_ridge": "sklearn",
    "sklearn_lasso": "sklearn",
    "sklearn_logistic": "sklearn",
    "sklearn_random_forest": "sklearn",
    "sklearn_hist_gradient_boosting": "sklearn",
    "xgboost": "xgboost",
}
"""Plug-ins that Driftloop brings, with the extra that each needs."""


@lru_cache(maxsize=1)
def known_kinds() -> tuple[str, ...]:
    """Names of all kinds that are installed or shipped, sorted; nothing is imported."""
    others = importlib.metadata.entry_points(group=MODELS_GROUP)
    names = {*BUILT_IN_KINDS, *SHIPPED_KINDS, *(point.name for point in others)}
    return tuple(sorted(names))


def unknown_kind(place: str, name: str) -> Fault:
    """What is said of a kind that nobody registered here."""
    close = difflib.get_close_matches(name, known_kinds(), n=3, cutoff=0.6)
    near = " or ".join(map(repr, close))
    hint = f"did you mean {near}?" if close else "known: " + ", ".join(known_kinds())
    rule = "a model kind that is known here; one of your own needs its package installed"
    return Fault(place, repr(name), rule, hint)


def unknown_kinds(kinds: Mapping[str, str]) -> list[Fault]:
    """Kinds that nobody registered here; imports nothing.

    Args:
        kinds: By the name of their profile.
    """
    return [
        unknown_kind(f"profiles.{profile}.model.kind", kind)
        for profile, kind in kinds.items()
        if kind not in known_kinds()
    ]
