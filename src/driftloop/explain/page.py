"""An explanation as a page: a fragment for other pages, or one self-contained file."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from driftloop.explain.model import CriterionFound, Explanation, FeatureShift
from driftloop.explain.picture import loss_picture, share_bar, shares_picture
from driftloop.explain.verdict import Check
from driftloop.plots.figures import change, compared, decimals, loss_name, number, percent
from driftloop.policy.incidents import moment

DASH = "\N{EN DASH}"
FEATURES = 12
"""Columns that are shown at once; the others open below them."""

_WIDE, _NARROW = 840, 380
_BADGES = {
    "same": ("good", "Comes out the same"),
    "from-event": ("good", "Rests on the event alone"),
    "different": ("bad", "Comes out otherwise"),
    "partly": ("warn", "Comes out in part"),
    "not-possible": ("warn", "Cannot be decided again"),
}


def write_page(told: Explanation, path: Path) -> Path:
    """Write the page and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(told), encoding="utf-8")
    return path


def render_page(told: Explanation) -> str:
    """The page as text: it loads nothing from elsewhere, and runs no script."""
    text = files("driftloop.explain").joinpath("page.html").read_text(encoding="utf-8")
    return Template(text).substitute(
        title=_text(f"{told.type} {told.id[:8]} of {told.stream or told.profile}"),
        style=style(),
        body=body(told),
    )


def style() -> str:
    """Rules of CSS for `body`; all of them are of the class ``explain``."""
    return files("driftloop.explain").joinpath("page.css").read_text(encoding="utf-8")


def body(told: Explanation) -> str:
    """The explanation as a fragment of HTML, without scripts and without styles of its own."""
    sections = [
        _head(told),
        _figures(told),
        _loss(told),
        _changed(told),
        _criteria(told),
        _listed("What was decided, and by which policy", told.policy),
        _listed("The fleet at the time", () if told.fleet is None else told.fleet.told),
        _listed("What training did", () if told.training is None else told.training.told),
        _listed("Was it worth it", () if told.worth is None else told.worth.told),
        _check(told.check),
        _steps(told),
    ]
    return f'<div class="explain">{"".join(sections)}</div>'


def _text(words: str) -> str:
    """Words as HTML; no line begins with a percent sign."""
    return escape(words).replace(" %", "\N{NO-BREAK SPACE}%")


def _head(told: Explanation) -> str:
    kind, text = _BADGES[told.check.outcome]
    return (
        f'<header><p class="over">{_text(told.type)} <code>{_text(told.id)}</code></p>'
        f"<h1>{_text(told.headline)}</h1>"
        f'<p class="quiet">{_text(told.about)} Decided at {moment(told.at)}'
        f"{f' on version {_text(told.version)}' if told.version else ''}.</p>"
        f'<p><span class="badge {kind}">{text}</span> {_text(told.check.summary)}</p></header>'
    )


def _figures(told: Explanation) -> str:
    before, now = told.shift.reference, told.shift.window
    name = loss_name(told.loss)
    places = decimals([one.loss for one in (before, now) if one is not None])
    cells = []
    if before is not None and before.loss is not None:
        cells.append((number(before.loss, places), f"{name}, reference"))
    if now is not None and now.loss is not None:
        rise = "" if before is None else compared(now.loss, before.loss)
        cells.append((number(now.loss, places), f"at the decision{f', {rise}' if rise else ''}"))
    if told.worth is not None and told.worth.after is not None:
        fall = "" if now is None else change(told.worth.after, now.loss)
        cells.append(
            (number(told.worth.after, places), f"in its first windows{f', {fall}' if fall else ''}")
        )
    if told.worth is not None and told.worth.saved is not None:
        cells.append((f"{told.worth.saved:+.3g}", f"saved a record, {told.worth.verdict}"))
    if told.training is not None:
        cells.append((told.training.version or told.training.outcome, "what training led to"))
    if not cells:
        return ""
    shown = "".join(
        f"<div><b>{_text(figure)}</b><span>{_text(text)}</span></div>" for figure, text in cells
    )
    return f'<section class="figures">{shown}</section>'


def _loss(told: Explanation) -> str:
    if not told.windows:
        return ""
    kinds = [
        ("loss", loss_name(told.loss)),
        ("reference", "reference of the version"),
        ("corrected", "after the online correction"),
        ("baseline", "trivial prediction"),
    ]
    key = "".join(
        f'<span><i class="{kind}"></i>{_text(text)}</span>'
        for kind, text in kinds
        if any(getattr(one, kind) is not None for one in told.windows)
    )
    return (
        "<section><h2>Loss over windows</h2>"
        f'<div class="key">{key}<span><i class="asked"></i>this decision</span>'
        '<span><i class="other"></i>other retrains</span></div>'
        f'<div class="wide">{loss_picture(told, width=_WIDE)}</div>'
        f'<div class="narrow">{loss_picture(told, width=_NARROW, height=260)}</div></section>'
    )


def _changed(told: Explanation) -> str:
    shift = told.shift
    if not shift.told and not shift.features:
        return ""
    lines = "".join(f"<li>{_text(one)}</li>" for one in shift.told)
    shown, rest = shift.features[:FEATURES], shift.features[FEATURES:]
    answers = [one for one in rest if one.role != "feature"]
    rest = tuple(one for one in rest if one.role == "feature")
    table = _features([*shown, *answers])
    if rest:
        table += f"<details><summary>{len(rest)} more</summary>{_features(list(rest))}</details>"
    key = ""
    if table:
        key = (
            '<div class="key"><span><i class="before"></i>reference</span>'
            '<span><i class="after"></i>window of the decision</span></div>'
        )
    return f"<section><h2>What changed</h2><ul>{lines}</ul>{table}{key}</section>"


def _features(columns: list[FeatureShift]) -> str:
    if not columns:
        return ""
    rows = []
    for one in columns:
        share = (
            f'<td class="bar">{share_bar(one.share)} {percent(one.share)}</td>'
            if one.share is not None
            else "<td></td>"
        )
        distance = "" if one.distance is None else f"{one.distance:.2f}"
        rows.append(
            f'<tr><th scope="row">{_text(one.name)}</th>{share}<td>{distance}</td>'
            f'<td class="text">{_text(one.told)}</td>'
            f'<td class="picture">{shares_picture(one)}</td></tr>'
        )
    heads = ("column", "share in the shift", "distance", "what moved", "its values")
    return _table(heads, rows, "features")


def _criteria(told: Explanation) -> str:
    if not told.criteria:
        return ""
    rows = [_criterion(one) for one in told.criteria]
    heads = ("criterion", "effect", "p", "says", "what it means")
    return (
        "<section><h2>What the criteria said</h2>"
        f'<p class="quiet">Those for drift first, then by effect, each in its own unit.</p>'
        f"{_table(heads, rows, 'criteria')}</section>"
    )


def _criterion(one: CriterionFound) -> str:
    name = (
        one.criterion
        if not one.about or one.about in one.criterion
        else f"{one.criterion} {one.about}"
    )
    p = DASH if one.p_value is None else f"{one.p_value:.2g}"
    effect = DASH if one.effect is None else f"{one.effect:.3g}"
    says = '<span class="badge bad">drift</span>' if one.rejected else "no"
    return (
        f'<tr><th scope="row">{_text(name)}</th><td>{effect}</td><td>{p}</td><td>{says}</td>'
        f'<td class="text">{_text(one.told)}</td></tr>'
    )


def _check(check: Check) -> str:
    lines = []
    if check.records:
        lines.append(
            f"{check.records:,} records read again from {check.began}, {check.windows:,} windows."
        )
        if check.compared:
            lines.append(f"{check.compared[:1].upper()}{check.compared[1:]}.")
    lines += [one.told for one in check.fleet] + [f"{one}." for one in check.notes]
    body = "".join(f"<li>{_text(one)}</li>" for one in lines)
    missing = "".join(f"<li>{_text(one)}</li>" for one in check.missing)
    if missing:
        missing = f"<h3>Missing</h3><ul>{missing}</ul>"
    table = ""
    if check.differences:
        rows = [
            f'<tr><th scope="row">{_text(one.place)}</th><td class="text">'
            f'{_text(one.recorded)}</td><td class="text">{_text(one.recomputed)}</td></tr>'
            for one in check.differences
        ]
        table = _table(("value", "recorded", "recomputed"), rows, "differences")
    if not lines and not missing and not table:
        return ""
    return f"<section><h2>Decided again</h2><ul>{body}</ul>{missing}{table}</section>"


def _steps(told: Explanation) -> str:
    if not told.steps:
        return ""
    rows = [
        f'<tr><th scope="row">{moment(one.at)}</th><td class="text">{_text(one.type)}</td>'
        f'<td class="text">{_text(one.told)}</td><td><code>{_text(one.id[:8])}</code></td></tr>'
        for one in told.steps
    ]
    return (
        '<section><h2>Events</h2><p class="quiet">In the order in which they were written.</p>'
        f"{_table(('written at', 'event', 'what', 'id'), rows, 'steps')}</section>"
    )


def _listed(title: str, lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{_text(one)}</li>" for one in lines)
    return f"<section><h2>{title}</h2><ul>{items}</ul></section>"


def _table(heads: tuple[str, ...], rows: list[str], kind: str) -> str:
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in heads)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
