"""Offset ranges are read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given

from driftloop.errors import MessageError
from driftloop.messages import OffsetRange
from tests.strategies import offset_ranges


@given(offset_ranges())
def test_a_range_survives_its_text(one: OffsetRange) -> None:
    assert OffsetRange.parse(str(one)) == one
    assert one.size == one.last - one.first + 1


@pytest.mark.parametrize(
    "text", ["", "a", "a:0:1", "a:0:1:2:3", "a b:0:1:2", "a:0:-1:2", "a:0:5:4", "a:0:1:2\n"]
)
def test_another_text_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(MessageError, match="an offset range"):
        OffsetRange.parse(text)
