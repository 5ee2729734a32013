"""The report page's tables as HTML: columns that have nothing to tell are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from driftloop.backtest.frontier_plot import styles
from driftloop.backtest.result import PolicyScore, Result, StreamScore
from driftloop.backtest.words import losses_decimals
from driftloop.plots.figures import (
    change,
    count,
    decimals,
    duration,
    loss_name,
    number,
    percent,
    seconds,
)
from driftloop.plots.svg import marker

Column = tuple[str, Callable[[PolicyScore], str]]
DASH = "\N{EN DASH}"


def columns(result: Result) -> list[Column]:
    """Heads of the figures of a policy, and how each is shown; used by page and terminal."""
    places = losses_decimals(result)
    never = next((score for score in result.policies if score.name == "never"), None)
    costs = decimals([score.cost for score in result.policies], 3)
    found: list[Column] = [(loss_name(result.loss), lambda s: number(s.loss, places))]
    scores = result.policies
    if any(score.accuracy is not None for score in scores):
        found.append(("accuracy", lambda s: number(s.accuracy, 4)))
    if never is not None and result.mode == "simulated":
        found.append(("vs never", lambda s: "" if s is never else change(s.loss, never.loss)))
    if any(score.gain_share is not None for score in scores):
        found.append(("of gain", lambda s: DASH if s.gain_share is None else percent(s.gain_share)))
    found.append(("retrains a stream", lambda s: count(s.retrains_per_stream)))
    if any(score.rejected for score in scores):
        found.append(("refused", lambda s: f"{s.rejected:,}"))
    if any(score.failed for score in scores):
        found.append(("failed", lambda s: f"{s.failed:,}"))
    if any(score.seconds for score in scores):
        found.append(("training", lambda s: seconds(s.seconds)))
    if any(score.trained for score in scores):
        found.append(("records trained", lambda s: f"{s.trained:,}"))
    if any(score.missed is not None for score in scores):
        found += [
            ("delay", lambda s: DASH if s.delay is None else duration(s.delay)),
            ("missed", lambda s: DASH if s.missed is None else f"{s.missed:,}"),
            ("false", lambda s: DASH if s.false is None else f"{s.false:,}"),
        ]
    if any(score.cost is not None for score in scores):
        found.append(("cost", lambda s: number(s.cost, costs)))
    return found


def policies_table(result: Result) -> str:
    """All policies, in the order of their loss; the advised one is marked."""
    shown = columns(result)
    look = styles(result)
    advised = result.advice.policy if result.advice else ""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head, _ in shown)
    rows = []
    for score in result.policies:
        kind, shape = look[score.family]
        symbol = marker(shape, 8, 8, kind=f"point {kind}")
        mine = score.name == advised
        badge = ' <span class="badge">advised</span>' if mine else ""
        cells = "".join(f"<td>{escape(figure(score))}</td>" for _, figure in shown)
        rows.append(
            f'<tr{" class=mine" if mine else ""}><th scope="row">'
            f'<svg class="symbol" viewBox="0 0 16 16" aria-hidden="true">{symbol}</svg>'
            f"{escape(score.name)}{badge}</th>{cells}</tr>"
        )
    baseline = result.baseline
    if baseline is not None:
        told = {
            loss_name(result.loss): number(baseline.loss, losses_decimals(result)),
            "accuracy": number(baseline.accuracy, 4),
        }
        cells = "".join(f"<td>{told.get(head, '')}</td>" for head, _ in shown)
        name = escape(f"{baseline.name} (trivial)")
        rows.append(f'<tr class="trivial"><th scope="row">{name}</th>{cells}</tr>')
    return (
        f'<table><thead><tr><th scope="col">policy</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def streams_table(result: Result, pairs: Sequence[tuple[StreamScore, float | None]]) -> str:
    """A row a stream: its losses, its retrains, and drifts where they are known."""
    places = losses_decimals(result)
    drifts = any(stream.missed is not None for stream, _ in pairs)
    heads = ["stream", "records", "never", "advised", "change", "retrains", "refused"]
    heads += ["missed", "false"] if drifts else []
    rows = []
    for stream, before in pairs:
        cells = [
            f"{stream.records:,}",
            number(before, places),
            number(stream.loss, places),
            change(stream.loss, before),
            f"{stream.retrains:,}",
            f"{stream.rejected:,}",
        ]
        if drifts:
            cells += [DASH if n is None else f"{n:,}" for n in (stream.missed, stream.false)]
        body = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(stream.stream)}</th>{body}</tr>')
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
