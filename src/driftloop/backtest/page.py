"""The report page: one HTML file with everything in it, light and dark."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from driftloop.backtest.frontier import equal_period, points
from driftloop.backtest.frontier_plot import frontier_plot, legend
from driftloop.backtest.line_plots import streams_plot, time_plot, worst_streams
from driftloop.backtest.page_tables import policies_table, streams_table
from driftloop.backtest.result import PolicyScore, Result, StreamScore
from driftloop.backtest.words import losses_decimals
from driftloop.plots.figures import (
    change,
    count,
    decimals,
    duration,
    loss_name,
    number,
    seconds,
    times,
)
from driftloop.plots.scales import date_text
from driftloop.settings.render import literal

PLOTTED_STREAMS = 20
LISTED_STREAMS = 100
_WIDE, _NARROW = 840, 400


def write_page(result: Result, path: Path) -> Path:
    """Write the page of a result and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(result), encoding="utf-8")
    return path


def render_page(result: Result) -> str:
    """The page as text: self-contained, it loads nothing from elsewhere."""
    text = files("driftloop.backtest").joinpath("page.html").read_text(encoding="utf-8")
    advice = result.advice
    chosen = _named(result, advice.policy) if advice else None
    pairs = worst_streams(result)
    name = loss_name(result.loss)
    return Template(text).substitute(
        title=escape(f"Backtest of {result.data}"),
        data=_data(result),
        headline=_code(result, advice.headline if advice else _without_advice(result)),
        use=_use(result),
        warnings=_items("warnings", advice.warnings if advice else []),
        figures=_figures(result, chosen),
        loss=escape(name[0].upper() + name[1:]),
        legend=legend(result),
        frontier=_both(
            frontier_plot(result, width=_WIDE, height=440),
            frontier_plot(result, width=_NARROW, height=380),
        ),
        frontier_note=_frontier_note(result),
        reasons=_items("reasons", advice.reasons if advice else []),
        over_time=_both(
            time_plot(result, width=_WIDE, height=300),
            time_plot(result, width=_NARROW, height=270),
        ),
        time_key=_time_key(result),
        policies=policies_table(result),
        streams=_streams_section(result, pairs),
        notes=_items("notes", [*result.notes, *_failures(result)]),
        how="\n".join(f"<p>{escape(line)}</p>" for line in _how(result)),
        footnote=escape(_footnote(result)),
    )


def _named(result: Result, name: str) -> PolicyScore | None:
    return next((score for score in result.policies if score.name == name), None)


def _both(wide: str, narrow: str) -> str:
    """A picture twice, of which the page's CSS shows the one that fits the screen."""
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def _items(kind: str, lines: list[str]) -> str:
    if not lines:
        return ""
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _code(result: Result, sentence: str) -> str:
    """A sentence with the names of policies set as such."""
    shown = escape(sentence)
    advised = result.advice.policy if result.advice else ""
    name = escape(advised)
    if advised and f"Take {name}" in shown:
        return shown.replace(f"Take {name}", f'Take <span class="policy">{name}</span>', 1)
    return shown


def _without_advice(result: Result) -> str:
    if result.mode == "recorded" and result.policies:
        return "Recorded predictions alone cannot say which policy saves loss."
    return "No record has a loss, so no policy can be advised."


def _use(result: Result) -> str:
    if result.advice is None:
        told = (
            "Give features, so that models are trained here, or the places of known drifts."
            if result.mode == "recorded" and result.policies
            else "See the notes below for what could not be read."
        )
        return f'<p class="quiet">{told}</p>'
    line = f"policy = {literal(result.advice.policy)}"
    return (
        f'<p class="use">In the profile of your <span class="file">driftloop.toml</span>: '
        f"<code>{escape(line)}</code></p>"
    )


def _data(result: Result) -> str:
    streams = max((len(score.streams) for score in result.policies), default=0)
    parts = [
        f"Backtest of {result.data}",
        times(streams, "stream"),
        f"{result.records:,} records scored",
    ]
    if result.last_ts > result.first_ts:
        parts.append(duration(result.last_ts - result.first_ts))
    return escape(" · ".join(parts))


def _figures(result: Result, chosen: PolicyScore | None) -> str:
    if chosen is None:
        return ""
    never, always = _named(result, "never"), _named(result, "always")
    places = losses_decimals(result)
    name = loss_name(result.loss)
    against = always if chosen is never else never
    cells = []
    if chosen.loss is not None and result.mode == "simulated":
        mine = number(chosen.loss, places)
        if against is None or against is chosen:
            cells.append((mine, name))
        elif against is never:
            told = f"{name}: {mine} instead of {number(never.loss, places)} with never"
            cells.append((change(chosen.loss, never.loss) or mine, told))
        else:
            cells.append((mine, f"{name}; {number(against.loss, places)} with {against.name}"))
    told = "retrains a stream"
    if always is not None and chosen is not always:
        told += f"; {count(always.retrains_per_stream)} with always"
    cells.append((count(chosen.retrains_per_stream), told))
    if chosen.gain_share is not None and chosen.name not in {"always", "never"}:
        cells.append((f"{chosen.gain_share:.0%}".replace("%", " %"), "of what always saves"))
    cells.append(_last_figure(result, chosen, always))
    return "\n".join(
        f"<div><b>{escape(figure)}</b><span>{escape(told)}</span></div>" for figure, told in cells
    )


def _last_figure(
    result: Result, chosen: PolicyScore, always: PolicyScore | None
) -> tuple[str, str]:
    """What it costs: in money, else the best fixed period, else seconds of training."""
    if chosen.cost is not None:
        never = _named(result, "never")
        told = "retrains and loss, in money"
        if never is not None and never is not chosen and never.cost is not None:
            told += f"; {number(never.cost, decimals([never.cost], 3))} with never"
        return number(chosen.cost, decimals([chosen.cost], 3)), told
    period = equal_period(points(result.policies), chosen.loss or math.nan)
    if period.retrains is not None and chosen.family not in {"periodic", "always", "never"}:
        return count(period.retrains), "retrains a stream with the best fixed period, same loss"
    told = "of training in all"
    if always is not None and chosen is not always:
        told += f"; {seconds(always.seconds)} with always"
    return seconds(chosen.seconds), told


def _frontier_note(result: Result) -> str:
    told = "Lower left is better: less loss for fewer retrains."
    if any(score.family == "periodic" for score in result.policies):
        told += " In the shaded part, retraining at fixed times does as well."
    if result.advice is not None:
        told += " The ring marks the advised policy."
    return escape(told)


def _time_key(result: Result) -> str:
    advised = result.advice.policy if result.advice else ""
    items = []
    for curve in result.curves:
        kind = "mine" if curve.policy == advised else curve.policy
        items.append(f'<span><i class="{kind}"></i>{escape(curve.policy)}</span>')
    if any(curve.policy == advised and any(curve.retrains) for curve in result.curves):
        items.append(f'<span><i class="bar"></i>retrains under {escape(advised)}</span>')
    return "\n".join(items)


def _streams_section(result: Result, pairs: list[tuple[StreamScore, float | None]]) -> str:
    if not pairs:
        return ""
    shown = pairs[:PLOTTED_STREAMS]
    compared = any(before is not None for _, before in pairs)
    order = "those that gain least first" if compared else "largest loss first"
    what = "All" if len(shown) == len(pairs) else f"{len(shown)} of {len(pairs)}"
    listed = pairs[:LISTED_STREAMS]
    rows = "all of them" if len(listed) == len(pairs) else f"the first {len(listed)}"
    plots = _both(
        streams_plot(result, shown, width=_WIDE), streams_plot(result, shown, width=_NARROW)
    )
    policy = escape(result.advice.policy) if result.advice else ""
    never = '<span><i class="dot never"></i>never</span>' if compared else ""
    return (
        "<section><h2>Stream by stream</h2>"
        f'<p class="quiet">{what} streams, {order}.</p>'
        f'<div class="key">{never}<span><i class="dot mine"></i>{policy}</span></div>{plots}'
        f"<details><summary>As a table, {rows}</summary>"
        f'<div class="scroll">{streams_table(result, listed)}</div></details></section>'
    )


def _failures(result: Result) -> list[str]:
    return [f"{failure.stream} is not part of this: {failure.why}" for failure in result.failures]


def _how(result: Result) -> list[str]:
    lines = []
    if result.mode == "simulated":
        lines.append(
            "Prequential: each record is predicted by the model that its policy has at that time, "
            f"then learned from. Models ({result.model}) were trained here; a retrain's model is "
            "in use "
            + (f"{duration(result.latency)} after the decision" if result.latency else "at once")
            + (f", and labels are known {duration(result.delay)} late." if result.delay else ".")
        )
    else:
        lines.append(
            "The predictions are those in the data; only the decisions were replayed, and no "
            "retrain changes a loss."
        )
    if result.warmup:
        lines.append(
            f"A stream's first model learned {result.warmup:,} records (median), which are not "
            "scored."
        )
    if result.horizon is not None:
        lines.append(
            f"A known drift is answered by the first retrain within {duration(result.horizon)} "
            "and before the next drift; retrains outside these stretches are false."
        )
    lines.append(
        "Intervals are 95 % intervals of the mean paired difference against never: over the "
        "streams where there are at least ten, else over blocks of consecutive records, with "
        "their autocorrelation."
    )
    return lines


def _footnote(result: Result) -> str:
    text = f"Driftloop {result.version} · seed {result.seed} · {result.task}, {result.loss} loss"
    if result.last_ts > result.first_ts:
        begin = date_text(result.first_ts, result.first_ts)
        text += f" · {begin} to {date_text(result.last_ts, result.first_ts)}"
    if result.seconds:
        text += f" · took {seconds(result.seconds)}"
    if result.created_at:
        made = datetime.fromtimestamp(result.created_at / 1000, tz=UTC)
        text += f" · made {made:%Y-%m-%d %H:%M} UTC"
    return text
