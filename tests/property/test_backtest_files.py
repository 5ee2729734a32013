"""Whatever the records, CSV, Parquet and JSON lines give the columns that the decoder gives."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from driftloop.backtest.data import open_source
from driftloop.backtest.delay import delayed
from driftloop.records import Columns, Joiner, RecordDecoder
from driftloop.settings import Features, Profile
from tests.unit.backtest.files import write

_PROFILE = Profile(
    task="binary",
    loss="log_loss",
    classes=["no", "yes"],
    features=Features(numeric=["a", "b"], categorical=["c"]),
    deduplicate=0,
)
_numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
# A CSV file has one way to write nothing, and cannot tell the number 1 from the text "1".
_texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).map(
    lambda text: f"k{text}"
)


@st.composite
def _records(draw: st.DrawFn) -> list[dict[str, Any]]:
    ts = sorted(draw(st.lists(st.integers(0, 253_402_300_799_998), min_size=1, max_size=12)))
    maybe = draw(st.sampled_from([st.none(), _texts | st.none()]))
    # The first record has all fields, so that each format knows the columns.
    return [
        {
            "id": draw(_texts),
            "ts": at,
            "x": {
                "a": draw(_numbers | st.none()),
                "b": draw(_numbers),
                "c": draw(maybe) if i else draw(_texts),
            },
            "y_pred": draw(st.floats(0, 1) | st.none()),
            "y": draw(st.sampled_from(["no", "yes", None])),
        }
        for i, at in enumerate(ts)
    ]


def _equal(one: Columns, other: Columns) -> None:
    for name in Columns.__slots__:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, list):
            assert left == right, name
        else:
            np.testing.assert_array_equal(left, right, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(rows=_records())
def test_each_format_gives_what_the_decoder_gives(rows: list[dict[str, Any]]) -> None:
    values = [json.dumps(row).encode() for row in rows]
    stamps = [row["ts"] for row in rows]
    wanted, dead = RecordDecoder(_PROFILE).decode("t", 0, values, range(len(rows)), stamps)
    assert not dead
    low, high = 6.3e8, 4.3e9  # told apart as seconds; see `rescaled`
    if all(low <= at <= high for at in stamps):
        wanted.ts = wanted.ts * 1000
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".csv", ".parquet", ".jsonl"):
            path = write(Path(folder) / f"s{suffix}", rows)
            source = open_source(str(path), _PROFILE, stream_column="")
            _equal(source.read("s").columns, wanted)


@settings(max_examples=60, deadline=None)
@given(
    ts=st.lists(st.integers(0, 50), max_size=20).map(sorted),
    delay=st.integers(0, 60),
    ids=st.lists(st.sampled_from(["a", "b", "0", "3", None]), min_size=20, max_size=20),
)
def test_delayed_labels_are_all_joined_in_the_order_of_the_records(
    ts: list[int], delay: int, ids: list[str | None]
) -> None:
    n = len(ts)
    raw = [{"id": ids[i], "ts": at, "x": {"a": i}, "y": "yes"} for i, at in enumerate(ts)]
    values = [json.dumps(row).encode() for row in raw]
    columns, _ = RecordDecoder(_PROFILE).decode("t", 0, values, range(n), ts)
    arrivals = delayed(columns, delay)
    joiner = Joiner(max(1, arrivals.waiting))
    found = joiner.add(arrivals.columns)
    assert (joiner.pending, joiner.evicted, joiner.duplicates) == (0, 0, 0)
    assert found.x[:, 0].tolist() == list(range(n))
    assert found.ts.tolist() == [at + delay for at in ts]
