"""What may go: a pure plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftloop.models.listing import StoredVersion, folder_of, stream_of
from driftloop.models.retention import Held, plan

NOW, GRACE = 1_000_000.0, 3600.0


def one(
    version: str, *, age: float = 7200.0, complete: bool = True, tag: str = ""
) -> StoredVersion:
    folder = f"root/s/{version}-01234567{tag}"
    return StoredVersion("s", version, folder, f"file:///{folder}", (), 1, NOW - age, complete)


def kept(versions: list[StoredVersion], held: Held, keep: int) -> dict[str, str]:
    judged = plan(versions, held, keep=keep, grace=GRACE, now=NOW)
    return {j.stored.folder.rpartition("/")[2]: j.reason for j in judged if j.keep}


def test_numbers_count_not_texts_nor_times() -> None:
    versions = [one("v10", age=9000), one("v9", age=4000), one("v2", age=5000)]
    assert list(kept(versions, Held(), 2)) == ["v10-01234567", "v9-01234567"]


def test_each_reason_is_told() -> None:
    versions = [
        *(one("v8"), one("v7"), one("v6"), one("v5"), one("v4", age=10)),
        *(one("v3"), one("v2"), one("v1")),
    ]
    held = Held({"v7": "current", "v5": "parent", "v2": "pinned"})
    assert kept(versions, held, 1) == {
        "v8-01234567": "among the newest 1",
        "v7-01234567": "current",
        "v5-01234567": "parent",
        "v4-01234567": "young",
        "v2-01234567": "pinned",
    }
    gone = [j.reason for j in plan(versions, held, keep=1, grace=GRACE, now=NOW) if not j.keep]
    assert gone == ["older than the newest 1"] * 3


def test_a_number_that_several_trainers_wrote_stays_or_goes_as_one() -> None:
    versions = [one("v3"), one("v2", tag="a"), one("v2", tag="b"), one("v1")]
    assert set(kept(versions, Held(), 2)) == {"v3-01234567", "v2-01234567a", "v2-01234567b"}


def test_what_is_half_written_counts_for_nothing() -> None:
    versions = [one("v3", complete=False), one("v2"), one("v1")]
    assert list(kept(versions, Held({"v3": "current"}), 1)) == ["v2-01234567"]
    assert "v3-01234567" in kept([one("v3", complete=False, age=10)], Held(), 1)


stored = st.builds(
    one,
    st.integers(0, 12).map(lambda i: f"v{i}"),
    age=st.floats(-100, 10_000),
    complete=st.booleans(),
    tag=st.sampled_from("abc"),
)


@given(st.lists(stored, max_size=20), st.integers(0, 5), st.lists(st.integers(0, 12), max_size=3))
def test_the_promise_holds_for_any_store(
    versions: list[StoredVersion], keep: int, numbers: list[int]
) -> None:
    """Nothing young, held or among the newest ever goes; with 0 nothing whole does."""
    held = Held({f"v{i}": "current" for i in numbers})
    judged = plan(versions, held, keep=keep, grace=GRACE, now=NOW)
    assert len(judged) == len(versions)
    newest = sorted({j.stored.sequence for j in judged if j.stored.complete})[-keep:]
    for j in judged:
        if j.keep:
            continue
        assert NOW - j.stored.modified >= GRACE
        assert not j.stored.complete or (
            keep and j.stored.version not in held.versions and j.stored.sequence not in newest
        )


@pytest.mark.parametrize("name", ["streams.a", "topic:3", "a_b-c.d", "..", "..."])
def test_a_streams_folder_tells_the_stream(name: str) -> None:
    folder = folder_of(name)
    assert "/" not in folder
    assert folder not in {".", ".."}
    assert stream_of(folder) == name or not name.strip(".")
