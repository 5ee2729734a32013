"""The same records in any batches give the same outputs and the same events, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftloop.detection.champion import BLOCK
from driftloop.detection.outputs import Alarm, LossWindow
from driftloop.messages import Evidence, RetrainRequested, TrainingFinished
from driftloop.policy import standing
from driftloop.records import Columns
from driftloop.settings import Policy, Profile
from tests.streams import (
    MINUTE,
    START,
    STREAM,
    Played,
    command,
    frozen,
    make_profile,
    make_stream,
    play,
    published,
)

RECORDS = 130
SHORT, LONG = 24, BLOCK + 10
COUNT = [{"kind": "count", "records": records} for records in (SHORT, LONG)]
CYCLE = [
    {"kind": "cycle", "length": f"{minutes}m", "cycle": f"{minutes}m", "lateness": "5m"}
    for minutes in (SHORT, LONG)
]
TASKS: dict[str, dict[str, Any]] = {
    "regression": {"task": "regression", "loss": "absolute", "model": {"kind": "linear"}},
    "binary": {"task": "binary", "loss": "log_loss"},
    "multiclass": {"task": "multiclass", "loss": "log_loss", "classes": ["a", "b", "c"]},
    "zero-one": {"task": "binary", "loss": "zero_one"},
}
POLICIES = {
    "accumulate": Policy(min_records=20, cost=2.0, detectors=["adwin", "page_hinkley"]),
    "test": Policy(mode="test", alpha_per_year=100, min_records=20),
    "both": Policy(mode="both", alpha_per_year=100, min_records=20, cost=2.0),
    "detectors": Policy(
        kind="never",
        detectors=[
            {"kind": "page_hinkley", "threshold": 1.0},
            {"kind": "ddm", "warm_start": 5, "drift_threshold": 0.5},
            {"kind": "page_hinkley", "on": "score", "threshold": 1.0, "min_instances": 5},
            {"kind": "kswin", "on": "x.a", "window_size": 20, "stat_size": 8, "alpha": 0.3},
            {"kind": "page_hinkley", "on": "x.b", "threshold": 0.5, "min_instances": 3},
        ],
    ),
    "mlma": Policy(kind="mlma", alpha_per_year=100, min_records=20),
    "voting": Policy(
        kind="multi-criteria",
        votes=1,
        criteria=[  # type: ignore[list-item]  # names and tables
            "ks", "chi-square", "unseen-categories", "missing-rate", "mmd", "psi > 0.01",
            "score-ks", "calibration", "reducible", "e-process", "loss",
        ],
        alpha_per_year=100,
        min_records=20,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _small_reference() -> Iterator[None]:
    """Of features and scores, so that a few windows are judged against it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standing, "REFERENCE_ROWS", 40)
        yield


batches = st.sets(st.integers(1, RECORDS * 2), max_size=24)
seeds = st.integers(0, 2**32 - 1)


def same(one: Played, other: Played) -> None:
    """Assert that two plays came out alike."""
    for mine, theirs in zip(one.outputs, other.outputs, strict=True):
        assert frozen(mine) == frozen(theirs)
    assert frozen(one.events) == frozen(other.events)


def inside(cuts: set[int], rows: Columns) -> set[int]:
    return {cut for cut in cuts if cut < len(rows)}


@pytest.mark.parametrize("windows", [COUNT, CYCLE], ids=["count", "cycle"])
@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(0, 1),
    seed=seeds,
    cuts=batches,
    pickles=seeds,
    late=st.sampled_from([0.0, 0.4, 1.0]),
    versions=st.sampled_from([(), (0,), (0, 80), (40, 65, 90)]),
    policy=st.sampled_from(sorted(POLICIES)),
    initial=st.sampled_from([0, 50]),
)
def test_any_batches_with_any_restarts_between_them_decide_alike(
    windows: list[dict[str, Any]],
    task: str,
    length: int,
    seed: int,
    cuts: set[int],
    pickles: int,
    late: float,
    versions: tuple[int, ...],
    policy: str,
    initial: int,
) -> None:
    profile = make_profile(
        window=windows[length],
        policy=POLICIES[policy],
        deduplicate=8,
        join_capacity=12,
        training={"records": 60, "initial": initial},
        **TASKS[task],
    )
    rows = make_stream(
        profile,
        seed,
        RECORDS,
        drift_at=60,
        jitter=3.0,
        missing=0.05,
        late=late,
        versions=versions,
    )
    restarts = np.random.default_rng(pickles).random(len(rows)) < 0.3
    whole = play(profile, rows)
    same(whole, play(profile, rows, inside(cuts, rows), pickled=lambda i: bool(restarts[i])))


@pytest.mark.parametrize("window", [*COUNT, *CYCLE])
@pytest.mark.parametrize("task", TASKS)
def test_alarms_come_in_one_order_among_windows_and_versions(
    window: dict[str, Any], task: str
) -> None:
    profile = make_profile(window=window, policy=POLICIES["detectors"], **TASKS[task])
    rows = make_stream(profile, 7, 300, drift_at=160, jitter=3, late=0.3, versions=(0, 220))
    whole = play(profile, rows)
    same(whole, play(profile, rows, range(len(rows)), pickled=lambda i: i % 11 == 0))
    read = {alarm.on for alarm in whole.outputs if isinstance(alarm, Alarm)}
    assert read == {"loss", "error", "score", "x.a", "x.b"}


@pytest.mark.parametrize("window", [*COUNT, *CYCLE])
def test_records_one_by_one_decide_as_all_at_once(window: dict[str, Any]) -> None:
    profile = make_profile(window=window, policy=POLICIES["accumulate"])
    rows = make_stream(profile, 7, 300, drift_at=60, jitter=3, late=0.3, versions=(0, 220))
    one_by_one = play(profile, rows, range(len(rows)), pickled=lambda i: i % 11 == 0)
    same(play(profile, rows), one_by_one)
    assert one_by_one.of(RetrainRequested)


@pytest.mark.parametrize("window", [*COUNT, *CYCLE])
@pytest.mark.parametrize("task", TASKS)
def test_the_baseline_is_that_of_the_last_labels_whatever_the_batches(
    window: dict[str, Any], task: str
) -> None:
    profile = make_profile(window=window, policy=POLICIES["mlma"], **TASKS[task])
    rows = make_stream(profile, 3, 300, late=0.3, missing=0.1, versions=(0, 150))
    whole = play(profile, rows)
    same(whole, play(profile, rows, range(len(rows)), pickled=lambda i: i % 11 == 0))
    found = [one for one in whole.outputs if isinstance(one, LossWindow)]
    for one in found:
        assert one.baseline is not None
        assert np.isfinite(one.baseline).sum() >= len(one.losses) - 1
    told = [one.metrics["baseline_loss"] for one in whole.of(Evidence) if "loss" in one.metrics]
    assert told == [float(one.baseline[np.isfinite(one.baseline)].mean()) for one in found]


@pytest.mark.parametrize("window", [*COUNT, *CYCLE])
@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_a_vote_of_many_criteria_does_not_depend_on_batches_and_decides(
    window: dict[str, Any], task: str
) -> None:
    profile = make_profile(window=window, policy=POLICIES["voting"], **TASKS[task])
    rows = make_stream(profile, 7, 600, drift_at=300, missing=0.1, late=0.3, versions=(0, 480))
    whole = play(profile, rows)
    same(whole, play(profile, rows, range(0, len(rows), 7), pickled=lambda i: i % 5 == 0))
    judged = {
        ground.criterion
        for evidence in whole.of(Evidence)
        if evidence.kind == "window"
        for ground in evidence.results
    }
    assert judged >= {one.name for one in POLICIES["voting"].criteria} - {"loss"}
    assert judged >= {"mlma-adaptive", "mlma-anchored", "multi-criteria"}
    assert whole.of(RetrainRequested)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, cuts=batches, at=st.lists(st.integers(0, RECORDS - 1), min_size=12, max_size=12))
def test_control_events_at_their_places_do_not_depend_on_batches(
    seed: int, cuts: set[int], at: list[int]
) -> None:
    profile = make_profile(window=COUNT[0], policy=POLICIES["accumulate"])
    rows = make_stream(profile, seed, RECORDS, drift_at=60, missing=0.05)
    events = [
        published("v1"),
        published("v2"),
        command("retrain"),
        command("pin"),
        command("unpin"),
        command("snooze", until=START + 70 * MINUTE),
        command("reset-reference"),
        command("reset-reference", id="again"),
        command("retire"),
        command("resume"),
        command("dismiss"),
        TrainingFinished(
            id="t",
            stream=STREAM,
            profile="default",
            request_id="r",
            outcome="rejected",
            finished_at=0,
        ),
    ]
    controls = dict(zip(at, events, strict=True))
    same(
        play(profile, rows, controls=controls),
        play(profile, rows, cuts & set(range(RECORDS)), controls=controls, pickled=lambda _: True),
    )


def partitioned(profile: Profile, seed: int) -> list[Columns]:
    return [
        make_stream(profile, seed + p, 60, jitter=2.0, late=0.2, missing=0.05, partition=p)
        for p in range(3)
    ]


def interleaved(parts: list[Columns], cuts: list[int], order: list[int]) -> list[Columns]:
    """Batches of all partitions: each one's in its order, the partitions as `order` says."""
    queues = []
    for rows in parts:
        edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
        queues.append([rows.select(slice(a, b)) for a, b in pairwise(edges)])
    out = [queues[pick].pop(0) for pick in order if queues[pick]]
    return out + [batch for queue in queues for batch in queue]


def play_partitions(
    profile: Profile, batches: list[Columns], pickled: Callable[[int], bool]
) -> Played:
    played = Played(profile)
    for number, rows in enumerate(batches):
        if pickled(number):
            played.pickled()
        played.records(rows, partitions=3)
    return played


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    cuts=st.lists(st.integers(1, 80), max_size=10),
    order=st.lists(st.integers(0, 2), max_size=40),
    pickles=seeds,
)
@example(seed=0, cuts=[], order=[2, 1, 0], pickles=0)
def test_neither_batches_nor_the_order_of_partitions_matters(
    seed: int, cuts: list[int], order: list[int], pickles: int
) -> None:
    window = {"kind": "cycle", "length": "15m", "lateness": "40m"}  # enough that none is late
    profile = make_profile(window=window, policy=POLICIES["accumulate"])
    parts = partitioned(profile, seed)
    restarts = np.random.default_rng(pickles)
    plain = play_partitions(profile, parts, lambda _: False)
    mixed = play_partitions(
        profile, interleaved(parts, cuts, order), lambda _: restarts.random() < 0.3
    )
    same(plain, mixed)


def test_late_records_of_a_partition_change_no_window_however_partitions_interleave() -> None:
    """Only the running totals of what was late differ: they tell what was read so far."""
    window = {"kind": "cycle", "length": "10m", "lateness": "1m"}
    profile = make_profile(window=window)
    parts = partitioned(profile, 3)
    orders = [[0, 1, 2] * 30, [2] * 9 + [0, 1] * 30, [1, 0, 0, 2] * 20]
    plays = [
        play_partitions(profile, interleaved(parts, list(range(0, 80, 5)), o), lambda _: False)
        for o in orders
    ]
    first, *others = ([o for o in p.outputs if isinstance(o, LossWindow)] for p in plays)
    assert len(first) >= 4
    assert first[-1].counters.late > 0
    for found in others:
        for mine, theirs in zip(first, found, strict=True):
            theirs.counters = mine.counters
            assert frozen(mine) == frozen(theirs)


def test_a_slow_partition_holds_windows_open_and_a_fast_one_makes_nothing_late() -> None:
    window = {"kind": "cycle", "length": "10m", "lateness": "1m"}
    profile = make_profile(window=window)
    fast, slow = (make_stream(profile, s, 60, partition=s) for s in range(2))
    played = Played(profile).records(fast, partitions=2)
    assert not played.outputs
    played.records(slow.select(slice(0, 30)), partitions=2)
    closed = [o for o in played.outputs if isinstance(o, LossWindow)]
    limit = START + (30 - 1) * MINUTE
    assert closed
    assert all(window.closed_at < limit for window in closed)
    assert played.states[0].counters.late == 0
