"""The sentences of an advice, with the figures behind it."""

from __future__ import annotations

from driftloop.backtest.choice import Choice, gain
from driftloop.backtest.frontier import equal_period, points
from driftloop.backtest.result import PolicyScore, Result
from driftloop.backtest.words import losses_decimals
from driftloop.plots.figures import (
    YEAR_MS,
    change,
    count,
    decimals,
    duration,
    listed,
    loss_name,
    number,
    percent,
    seconds,
    times,
)

FEW_RECORDS = 1000
FEW_STREAMS = 10
SHORT_WARMUP = 200
RATE_SPAN_MS = 60 * 86_400_000
"""A shorter span tells no rate a year."""


def headline(result: Result, choice: Choice) -> str:
    """One sentence that answers 'which policy, and what will it cost me?'."""
    policy, base, top = choice.policy, choice.base, choice.top
    retrains = f"{times(policy.retrains_per_stream)} a stream"
    if choice.rule == "drifts":
        return f"Take {policy.name}: it fits the known drifts best, with {retrains}."
    if choice.rule == "only":
        return f"Only {policy.name} was tried, so there is nothing to choose between."
    if choice.rule == "nothing":
        if policy.name == "never":
            return "Do not retrain: on this data it does not pay."
        return f"Take {policy.name}: more retrains save nothing to speak of on this data."
    if choice.rule == "cost":
        costs = decimals([policy.cost, base.cost], 3)
        against = "" if base is policy else f" instead of {number(base.cost, costs)} ({base.name})"
        return (
            f"Take {policy.name}: it costs least, {number(policy.cost, costs)} in all{against}, "
            f"with {retrains}."
        )
    if policy.name == top.name:
        return (
            f"Take {policy.name}: {loss_name(result.loss)} {change(policy.loss, base.loss)}, "
            f"for {retrains}."
        )
    share = gain(policy, base, top)
    part = "all" if 0.995 <= share < 1.005 else percent(share)
    whole = "retraining at every window" if top.name == "always" else top.name
    instead = f"{retrains} instead of {count(top.retrains_per_stream)}"
    if count(policy.retrains_per_stream) == count(top.retrains_per_stream):
        instead = f"{retrains}, as many"
    trade_off = ", the best trade-off" if choice.rule == "knee" else ""
    return f"Take {policy.name}{trade_off}: {part} of what {whole} saves, with {instead}."


def reasons(result: Result, choice: Choice) -> list[str]:
    """Sentences with the figures behind the advice, the weightiest first."""
    found = [] if choice.rule == "drifts" else _losses(result, choice)
    found.append(_retrains(result, choice.policy, choice.top))
    if choice.rule not in {"nothing", "drifts"} and choice.policy.family not in {
        "periodic",
        "always",
        "never",
    }:
        found.append(_period(result, choice.policy))
    found += _alternative(result, choice)
    found += _drifts(choice.policy)
    if choice.rule != "drifts":
        found += _streams(result, choice) + _baseline(result, choice.policy)
    return found


def warnings(result: Result, policy: PolicyScore) -> list[str]:
    """Sentences that say why the advice may be wrong."""
    found = []
    places = losses_decimals(result)
    baseline = result.baseline
    if baseline is not None and policy.loss is not None and baseline.loss <= policy.loss:
        found.append(
            f"The model is worse than the trivial baseline: {baseline.name} has a "
            f"{loss_name(result.loss)} of {number(baseline.loss, places)}, the model under "
            f"{policy.name} {number(policy.loss, places)}. A better model matters more here than "
            "when it is retrained."
        )
    if result.mode == "recorded":
        found.append(
            "The predictions are those in the data, which no retrain here could change: this says "
            "nothing of the loss that a policy saves."
        )
    if result.failures:
        of = len(result.failures) + len(policy.streams)
        verb = "is" if len(result.failures) == 1 else "are"
        names = listed([failure.stream for failure in result.failures])
        found.append(f"{len(result.failures)} of {of} streams {verb} not part of this: {names}.")
    found += _failed(result)
    if 0 < result.warmup < SHORT_WARMUP:
        found.append(
            f"First models had only {result.warmup} records: never looks worse than it would with "
            "more."
        )
    scored = sum(1 for stream in policy.streams if stream.records)
    if scored < FEW_STREAMS:
        found.append(
            f"{times(scored, 'stream')} alone: another stream, or another season, may ask for "
            "another policy."
        )
    if result.records < FEW_RECORDS:
        found.append(f"Only {result.records:,} records were scored.")
    if policy.saved is not None and policy.name != "never" and policy.saved_low is None:
        found.append("Too few records for an interval of what is saved.")
    elif policy.saved_low is not None and policy.saved_low <= 0 < (policy.saved or 0.0):
        found.append("What it saves against never may be chance: its 95 % interval contains 0.")
    return found


def _failed(result: Result) -> list[str]:
    """Which policies' trainings failed: they count as retrains, and their losses are the worse."""
    failing = [score for score in result.policies if score.failed]
    if not failing:
        return []
    told = listed([f"{score.failed} of {score.retrains} of {score.name}" for score in failing])
    why = next((s.failure for score in failing for s in score.streams if s.failure), "")
    return [f"Trainings failed, and count as retrains: {told}" + (f"; {why}." if why else ".")]


def _losses(result: Result, choice: Choice) -> list[str]:
    places = losses_decimals(result)
    name = loss_name(result.loss)
    shown = list({s.name: s for s in (choice.base, choice.policy, choice.top)}.values())
    parts = [
        f"{number(score.loss, places)} with {score.name}"
        + ("" if score is choice.base else f" ({change(score.loss, choice.base.loss)})")
        for score in shown
    ]
    found = [f"{name[0].upper()}{name[1:]}: {', '.join(parts)}."]
    judged = choice.top if choice.rule == "nothing" else choice.policy
    if judged.saved_low is not None and judged.name != "never":
        places += 1
        ends = (judged.saved_low, judged.saved_high)
        verb = "saves"
        if (judged.saved or 0.0) < 0:
            verb, ends = "adds", (-(judged.saved_high or 0.0), -judged.saved_low)
        found.append(
            f"Against never, {judged.name} {verb} {number(abs(judged.saved or 0.0), places)} a "
            f"record (95 % interval {number(ends[0], places)} to {number(ends[1], places)})."
        )
    if choice.rule == "nothing":
        found.append(
            "That is less than 1 % of the loss or no more than chance, and no other policy that "
            "was tried does better."
        )
    if choice.base.name != "never":
        found.append("never was not run, so this cannot say whether retraining pays at all.")
    if choice.rule == "knee" and choice.policy is not choice.top:
        found.append(
            f"No policy reaches 95 % of the gain of {choice.top.name}; this one saves most loss "
            "for its retrains (the knee of the frontier)."
        )
    return found


def _retrains(result: Result, policy: PolicyScore, top: PolicyScore) -> str:
    span = result.last_ts - result.first_ts
    text = f"{times(policy.retrains_per_stream)} a stream over {duration(span)}"
    if span >= RATE_SPAN_MS and policy.retrains:
        text += f", {count(policy.retrains_per_stream * YEAR_MS / span)} a year"
    text += f"; {policy.retrains:,} in all"
    if policy.seconds > 0 or top.seconds > 0:
        text += f", {seconds(policy.seconds)} of training"
        if top is not policy and top.seconds > 0:
            text += f" ({seconds(top.seconds)} with {top.name})"
    if policy.rejected:
        text += f"; the gate refused {times(policy.rejected, 'new model')}"
    return text + "."


def _period(result: Result, policy: PolicyScore) -> str:
    found = equal_period(points(result.policies), policy.loss or 0.0)
    if found.retrains is not None and policy.retrains_per_stream > 0:
        ratio = found.retrains / policy.retrains_per_stream
        than = f"{ratio:.2g} times as many" if ratio >= 1.05 else "no more"
        return found.told.removesuffix(".") + f", {than}."
    return found.told


def _alternative(result: Result, choice: Choice) -> list[str]:
    other, policy = choice.trade_off, choice.policy
    if other is None or other is policy or other.name in {choice.base.name, choice.top.name}:
        return []
    if other.retrains_per_stream > 0.7 * policy.retrains_per_stream:
        return []
    places = losses_decimals(result)
    share = percent(gain(other, choice.base, choice.top))
    text = f"If retrains are costly: {other.name} reaches {number(other.loss, places)} with "
    return [text + f"{count(other.retrains_per_stream)} a stream, {share} of the gain."]


def _drifts(policy: PolicyScore) -> list[str]:
    if policy.missed is None or policy.false is None:
        return []
    answered = sum(len(stream.delays) for stream in policy.streams)
    if not answered + policy.missed:
        return [f"No drift is known within this data; {times(policy.false)} without one."]
    text = f"{answered} of {times(answered + policy.missed, 'known drift')} answered"
    if policy.delay is not None:
        text += f", after {duration(policy.delay)} (median)"
    return [f"{text}; {times(policy.false)} that no known drift explains."]


def _streams(result: Result, choice: Choice) -> list[str]:
    never = next((score for score in result.policies if score.name == "never"), None)
    if never is None or choice.policy is never:
        return []
    old = {stream.stream: stream.loss for stream in never.streams}
    pairs = [
        (stream.loss, before)
        for stream in choice.policy.streams
        if stream.loss is not None and (before := old.get(stream.stream)) is not None
    ]
    if len(pairs) < 2:
        return []
    better = sum(1 for new, before in pairs if new < before)
    return [f"{better} of {len(pairs)} streams have a lower loss than without retraining."]


def _baseline(result: Result, policy: PolicyScore) -> list[str]:
    baseline = result.baseline
    if baseline is None or policy.loss is None or baseline.loss <= policy.loss:
        return []
    loss = number(baseline.loss, losses_decimals(result))
    text = f"The trivial baseline, {baseline.name}, has {loss}; the model is better "
    return [text + f"({change(policy.loss, baseline.loss)})."]
