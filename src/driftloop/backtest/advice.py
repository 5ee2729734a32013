"""Which policy to take, in words."""

from __future__ import annotations

from driftloop.backtest.choice import choose
from driftloop.backtest.reasons import headline, reasons, warnings
from driftloop.backtest.result import Advice, Result


def advise(result: Result) -> Advice | None:
    """Choose a policy and say why, by the rules of `driftloop.backtest.choice.choose`.

    Args:
        result: With its policies; advice and curves are not read.

    Returns:
        None where nothing can be said.
    """
    choice = choose(result)
    if choice is None:
        return None
    return Advice(
        policy=choice.policy.name,
        headline=headline(result, choice),
        reasons=reasons(result, choice),
        warnings=warnings(result, choice.policy),
    )
