"""The page is one well-formed file that loads nothing, whatever the result lacks."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from driftloop.backtest.line_plots import worst_streams
from driftloop.backtest.page import render_page, write_page
from driftloop.backtest.result import Baseline, Result
from driftloop.backtest.summary import summarise
from driftloop.settings.policy import Price
from tests.html import Balance
from tests.unit.backtest.examples import BEGIN, DAY, FACTS, NAN, constant, example, run


def _checked(result: Result) -> str:
    text = render_page(result)
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert not re.search(r"(src|href)=|@import|url\(|<script", text)
    assert not re.search(
        r"\b(nan|inf|None)\b", re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)
    )
    assert "$" not in text
    pictures = re.findall(r"<svg (?!class).*?</svg>", text, flags=re.DOTALL)
    for picture in pictures:
        root = ET.fromstring(picture)  # noqa: S314  # the page's own
        assert root.attrib["aria-label"]
        assert root[0].tag.endswith("title")
    return text


@pytest.fixture(scope="module")
def whole() -> Result:
    return example()


def test_it_answers_first_then_shows_the_grounds(whole: Result, tmp_path: Path) -> None:
    text = write_page(whole, tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    assert _checked(whole) == text
    order = [
        'Take <span class="policy">reducible(20)</span>',
        "policy = &quot;reducible(20)&quot;",
        "is not part of this: flights.HNL",
        '<section class="figures">',
        "What a retrain buys",
        "Why this one",
        "Loss over time",
        "All policies",
        "Stream by stream",
        "How it was computed",
        "line 41, column y",
        "seed 7",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places
    assert places == sorted(places)


def test_each_plot_is_there_for_a_screen_and_for_a_phone(whole: Result) -> None:
    text = _checked(whole)
    assert text.count('<div class="wide">') == text.count('<div class="narrow">') == 3


def test_every_policy_is_a_point_told_on_hover_and_one_is_ringed(whole: Result) -> None:
    text = _checked(whole)
    frontier = text[text.index('<div class="wide">') : text.index('<div class="narrow">')]
    for score in whole.policies:
        assert f"<title>{score.name}: mean absolute error" in frontier
    assert frontier.count('class="advised"') == 1
    assert "fixed times does as well" in text
    assert 'class="worse"' in frontier


def test_families_differ_in_shape_not_in_colour_alone(whole: Result) -> None:
    key = _checked(whole).split('<div class="key">')[1]
    shapes = re.findall(r"<(circle|path) class=\"point (\w+).*?(d=\"[^\"]*\"|r=\"5\")", key)
    drawn = {kind: form for _, kind, form in shapes if kind != "ends"}
    assert len(drawn) == 6
    assert len(set(drawn.values())) == 6


def test_many_streams_are_cut_and_the_worst_come_first() -> None:
    runs = [run(n, r, 3.0, streams=120, records=30) for n, r in (("never", 0), ("mlma(1)", 5))]
    result = summarise(runs, FACTS)
    assert result.advice is not None
    text = _checked(result)
    assert "20 of 120 streams" in text
    assert "the first 100" in text
    assert text.count('<tr><th scope="row">flights.') == 100  # fmt: skip
    changes = [
        (stream.loss - before) / before
        for stream, before in worst_streams(result)
        if stream.loss is not None and before is not None
    ]
    if result.advice.policy != "never":
        assert changes == sorted(changes, reverse=True)


def test_names_from_the_data_are_escaped() -> None:
    bad = replace(FACTS, data="<img>", notes=["<b>&</b>"], model='"')
    text = _checked(summarise([constant("never", [1.0, 2.0] * 50)], bad))
    assert "&lt;img&gt;" in text
    assert "<b>&" not in text


@pytest.mark.parametrize(
    "result",
    [
        summarise([], FACTS),
        summarise([constant("never", [NAN] * 9)], FACTS),
        summarise([constant("never", [])], FACTS),
        summarise([constant("never", [1.0] * 50)], FACTS),
        summarise([constant("never", [0.0] * 50), constant("always", [0.0] * 50, [BEGIN])], FACTS),
        summarise([constant("always", [2.0] * 50, [BEGIN]), constant("any", [3.0] * 50)], FACTS),
        summarise([constant("never", [1.0])], FACTS),
        summarise([constant("never", [-3.0] * 50), constant("always", [-4.0] * 50)], FACTS),
        summarise([constant("mine", [1.0] * 50), constant("yours", [2.0] * 50)], FACTS),
    ],
    ids=["nothing", "nan", "empty", "one", "zero", "no never", "record", "negative", "own"],
)
def test_poor_results_have_a_page(result: Result) -> None:
    _checked(result)


def test_recorded_predictions_have_a_page_that_says_what_is_missing() -> None:
    recorded = replace(FACTS, mode="recorded")
    runs = [constant("never", [1.0, 3.0] * 50), constant("mlma(1)", [1.0, 3.0] * 50, [BEGIN])]
    text = _checked(summarise(runs, recorded))
    assert "Recorded predictions alone cannot say which policy saves loss." in text
    drifts = {"s": [BEGIN - DAY]}
    judged = _checked(summarise(runs, recorded, drifts=drifts, horizon=3 * DAY))
    assert "no retrain here could change" in judged
    assert '<th scope="col">missed</th>' in judged


def test_a_useless_model_is_said_loudly_at_the_top() -> None:
    runs = [constant("never", [3.0] * 99), constant("always", [2.0] * 99, [BEGIN])]
    text = _checked(summarise(runs, FACTS, baseline=Baseline(name="last value", loss=1.0)))
    assert text.index("worse than the trivial baseline") < text.index('class="figures"')
    assert "last value: 1.000, below the scale" in text


def test_money_is_a_key_figure_where_prices_are_known() -> None:
    runs = [constant("never", [3.0] * 99), constant("always", [2.0] * 99, [BEGIN])]
    text = _checked(summarise(runs, FACTS, price=Price(gpu_second=1, seconds=1, loss=1)))
    assert "retrains and loss, in money; 297 with never" in text
