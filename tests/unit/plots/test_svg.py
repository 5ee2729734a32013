"""Elements are well-formed, escaped and told to readers that do not see them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from driftloop.plots.svg import SHAPES, hover, line, marker, open_svg, signed_percent, text


def test_a_picture_is_named_described_and_escaped() -> None:
    made = open_svg(10, 5, 'a < "b"', description="c & d") + text(1, 2, "x < y") + "</svg>"
    root = ET.fromstring(made)  # noqa: S314  # made above
    assert root.attrib["aria-label"] == 'a < "b"'
    assert [child.text for child in root] == ['a < "b"', "c & d", "x < y"]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_one_element_of_its_own_form(shape: str) -> None:
    made = marker(shape, 5, 5, kind="point")
    assert ET.fromstring(made).attrib["class"].startswith("point")  # noqa: S314  # made above
    assert sum(marker(other, 5, 5, kind="point") == made for other in SHAPES) == 1


def test_lines_and_hovers_are_well_formed() -> None:
    for made in (line(0, 0, 1, 1, kind="grid"), hover(0, 0, 1, 1, "<told>")):
        ET.fromstring(made)  # noqa: S314  # made above


def test_a_saving_is_told_as_a_change() -> None:
    assert signed_percent(0.25) == "\N{MINUS SIGN}25 %"
    assert signed_percent(-0.25) == "+25 %"
