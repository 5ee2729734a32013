"""Which policy to take: the rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import special

from driftloop.backtest.names import complexity
from driftloop.backtest.result import PolicyScore, Result

ENOUGH_GAIN = 0.95
LEAST_SAVING = 0.01
SAME_RETRAINS = 1.05
SAME_COST = 1.005

_Figure = Callable[[PolicyScore], float]
Rule = Literal["only", "nothing", "cost", "gain", "knee", "drifts"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and by which rule of `choose`.

    Attributes:
        policy: What was chosen.
        rule: Why.
        base: What gains are counted from: ``never``, else the policy with the fewest retrains.
        top: What the whole gain is: ``always``, else the policy with the lowest loss.
        trade_off: The knee of the frontier, which may be another than `policy`.
    """

    policy: PolicyScore
    rule: Rule
    base: PolicyScore
    top: PolicyScore
    trade_off: PolicyScore | None = None


def pays(score: PolicyScore, never: PolicyScore, *, tries: int = 1) -> bool:
    """Whether a policy saves something to speak of against ``never``.

    The saving is at least 1 % of the loss of ``never``, and its 95 % interval lies above 0; where
    the best of several policies is meant, the interval is widened for so many `tries`
    (Bonferroni, by the ratio of the normal quantiles).
    """
    if score.saved is None or score.saved_low is None or never.loss is None:
        return False
    if score.saved <= 0 or score.saved < LEAST_SAVING * abs(never.loss):
        return False
    wider = float(special.ndtri(1 - 0.025 / tries) / special.ndtri(0.975))
    return score.saved - wider * (score.saved - score.saved_low) > 0


def choose(result: Result) -> Choice | None:
    """Choose a policy.

    1. Nothing has a loss: none. Recorded predictions, which no retrain changes: the policy with
       the fewest missed drifts and false retrains, then the shortest delay; none where no drifts
       are known.
    2. One policy alone: that one.
    3. `pays` is false for ``always``, and, widened for their number, for all other policies:
       ``never``. Where others pay and ``always`` does not (frequent models on few records can be
       worse than old ones), the lowest loss among those that pay takes the place of ``always``
       below. Where ``never`` was not run, the policy with the fewest retrains takes its place, and
       less than 1 % of its loss is nothing.
    4. Prices known: the least cost in money; within 0.5 % of it, the simplest.
    5. Else the fewest retrains among those that reach at least 95 % of the gain of ``always``, or
       of the largest gain that a policy has with no more retrains, if that is larger; ``always``
       itself apart. Within 5 % of these retrains, the simplest.
    6. None reaches it: the knee of the frontier, where share of the gain less share of the
       retrains of ``always`` is largest (Satopää et al., *Finding a "Kneedle" in a Haystack*,
       2011). ``always`` where no policy is above 0.

    'Simplest' is the order of `driftloop.backtest.names.SIMPLE_FIRST`; of equally simple ones less
    loss decides in 5, the cost in 4.
    """
    scored = [score for score in result.policies if score.loss is not None]
    if not scored:
        return None
    if result.mode == "recorded":
        return _by_drifts(scored)
    if len(scored) == 1:
        return Choice(scored[0], "only", scored[0], scored[0])
    base, top = _ends(scored)
    if top is None:
        always = _named(scored, "always")
        best = min((score for score in scored if score is not base), key=_loss)
        return Choice(base, "nothing", base, always or best)
    knee = _knee(scored, base, top)
    if all(score.cost is not None for score in scored):
        cheapest = _simplest(scored, _cost, SAME_COST, _cost)
        return Choice(cheapest, "cost", base, top, knee)
    candidates = [score for score in scored if score.name != "always"]
    most = max(
        gain(score, base, top)
        for score in (top, *candidates)
        if score.retrains_per_stream <= top.retrains_per_stream
    )
    enough = [one for one in candidates if gain(one, base, top) >= ENOUGH_GAIN * most]
    if enough:
        fewest = _simplest(enough, lambda score: score.retrains_per_stream, SAME_RETRAINS, _loss)
        return Choice(fewest, "gain", base, top, knee)
    return Choice(knee, "knee", base, top, knee)


def gain(score: PolicyScore, base: PolicyScore, top: PolicyScore) -> float:
    """Share of the loss between `base` and `top` that a policy saves; may be outside 0 to 1."""
    return (_loss(base) - _loss(score)) / (_loss(base) - _loss(top))


def _ends(scored: Sequence[PolicyScore]) -> tuple[PolicyScore, PolicyScore | None]:
    """What gains are counted from, and what the whole gain is; None for nothing to speak of."""
    never, always = _named(scored, "never"), _named(scored, "always")
    if never is not None:
        if always is not None and pays(always, never):
            return never, always
        others = [score for score in scored if score is not never]
        paying = [score for score in others if pays(score, never, tries=len(others))]
        return never, min(paying, key=_loss, default=None)
    base = min(scored, key=lambda score: (score.retrains_per_stream, _loss(score)))
    top = always or min(scored, key=_loss)
    worth = _loss(base) - _loss(top) > LEAST_SAVING * abs(_loss(base))
    return base, top if worth else None


def _knee(scored: Sequence[PolicyScore], base: PolicyScore, top: PolicyScore) -> PolicyScore:
    whole = top.retrains_per_stream or 1.0

    def height(score: PolicyScore) -> float:
        return gain(score, base, top) - score.retrains_per_stream / whole

    best = max(scored, key=lambda score: (height(score), -complexity(score.family)))
    return best if height(best) > 0 else top


def _by_drifts(scored: Sequence[PolicyScore]) -> Choice | None:
    known = [score for score in scored if score.missed is not None and score.false is not None]
    if not known:
        return None

    def rank(score: PolicyScore) -> tuple[int, float, int, float]:
        wrong = (score.missed or 0) + (score.false or 0)
        delay = float("inf") if score.delay is None else score.delay  # it has answered none
        return wrong, delay, complexity(score.family), score.retrains_per_stream

    best = min(known, key=rank)
    return Choice(best, "drifts", best, best)


def _simplest(
    scored: Sequence[PolicyScore], figure: _Figure, same: float, then: _Figure
) -> PolicyScore:
    """The least by a figure; within a factor of it the simplest; of these the least by another."""
    least = min(figure(score) for score in scored)
    near = [score for score in scored if figure(score) <= max(least, least * same)]
    return min(
        near,
        key=lambda score: (
            complexity(score.family),
            then(score),
            score.retrains_per_stream,
            _loss(score),
        ),
    )


def _named(scored: Sequence[PolicyScore], name: str) -> PolicyScore | None:
    return next((score for score in scored if score.name == name), None)


def _cost(score: PolicyScore) -> float:
    return score.cost or 0.0


def _loss(score: PolicyScore) -> float:
    return float("inf") if score.loss is None else score.loss
