"""A criterion's result in a sentence."""

from __future__ import annotations

from driftloop.criteria import describe
from driftloop.explain.model import CriterionFound
from driftloop.messages import Ground
from driftloop.plots.figures import loss_name
from driftloop.policy.cost import TAKES


def criteria_found(grounds: list[Ground], loss: str) -> list[CriterionFound]:
    """Results for people: those for drift first, then by the size of their effect."""
    found = [_found(one, loss) for one in grounds if one.family not in {"fleet", "command"}]
    return sorted(
        found,
        key=lambda one: (
            not one.rejected,
            one.family not in {"policy", "schedule"},
            -abs(one.effect or 0.0),
            one.criterion,
        ),
    )


def _found(ground: Ground, loss: str) -> CriterionFound:
    about = ""
    if ground.family == "features" or ground.criterion == "score-ks":
        about = ground.detail.partition(":")[0]
    if ground.criterion.startswith("mlma-"):
        about = ground.criterion.removeprefix("mlma-")
    return CriterionFound(
        criterion=ground.criterion,
        family=ground.family,
        about=about,
        statistic=ground.statistic,
        p_value=ground.p_value,
        effect=ground.effect,
        threshold=ground.threshold,
        rejected=ground.rejected,
        n=ground.n,
        told=_told(ground, about, loss),
    )


def p_text(p: float | None) -> str:
    """A p-value as it is read.

    >>> p_text(0.0312), p_text(1e-20), p_text(None)
    ('p = 0.031', 'p = 1e-20', 'no p-value')
    """
    return "no p-value" if p is None else f"p = {p:.2g}"


def _told(ground: Ground, about: str, loss: str) -> str:
    if ground.criterion == "reducible":
        return _reducible(ground, loss)
    if ground.criterion.startswith("mlma-"):
        return _mlma(ground, about, loss)
    if ground.family == "schedule":
        due = f"{_number(ground.statistic)} of {_number(ground.threshold)}"
        return f"The schedule: {due} ({ground.detail})."
    if ground.family == "policy":
        verdict = "drift is decided" if ground.rejected else "no drift is decided"
        level = "" if ground.threshold is None else f" against {ground.threshold:.2g}"
        return (
            f"All criteria together: {p_text(ground.p_value)}{level}, {verdict} ({ground.detail})."
        )
    if ground.detail.startswith(("signalled at", "the ")) and ground.n == 1:
        return (
            f"The detector signalled at {ground.window[0]}; what it reads was "
            f"{_number(ground.statistic)} there."
        )
    return _tested(ground, about)


def _reducible(ground: Ground, loss: str) -> str:
    name = loss_name(loss)
    if ground.effect is None:
        return f"No verdict: {ground.detail}."
    mode = ground.detail.partition(":")[0]
    saved = f"A newer model would have saved {_number(ground.effect)} of {name} a record"
    if mode == "test":
        return (
            f"{saved} in this window; {p_text(ground.p_value)} against {_number(ground.threshold)}."
        )
    over = (
        "more" if ground.rejected or (ground.statistic or 0) > (ground.threshold or 0) else "less"
    )
    text = (
        f"{saved}, {_number(ground.statistic)} since the version began or the last retrain that "
        f"saved nothing: {over} than a retrain costs, {_number(ground.threshold)}"
    )
    seconds = ground.detail.partition(f"; {TAKES}")[2]
    if seconds:
        text += f", as one takes {seconds}"
    return f"{text}; {p_text(ground.p_value)}." if mode == "both" else f"{text}."


def _mlma(ground: Ground, about: str, loss: str) -> str:
    if ground.p_value is None:
        return f"No verdict against the {about} reference: {ground.detail}."
    side = "above" if (ground.effect or 0) > 0 else "not above"
    verdict = "significant" if ground.rejected else "not significant"
    return (
        f"The window's {loss_name(loss)} is {side} that of the {about} reference, by "
        f"{_number(abs(ground.effect or 0.0))} standard deviations; {p_text(ground.p_value)} "
        f"against {_number(ground.threshold)}: {verdict}."
    )


def _tested(ground: Ground, about: str) -> str:
    known = describe(ground.criterion)
    finds = known.finds if known is not None else ground.criterion
    of = f"{about}: " if about else ""
    if ground.effect is None and ground.p_value is None:
        return f"{of}{finds}: no verdict ({ground.detail})."
    effect = "" if ground.effect is None else f"effect {_number(ground.effect)}, "
    level = "" if ground.threshold is None else f" against {_number(ground.threshold)}"
    verdict = "found" if ground.rejected else "not found"
    return f"{of}{finds}: {effect}{p_text(ground.p_value)}{level}: {verdict}."


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.4g}"
