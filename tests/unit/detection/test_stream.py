"""A stream's whole pure state: windows, versions, counters and commands at their exact places."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from driftloop.detection.outputs import (
    Alarm,
    FeatureWindow,
    InitialDue,
    LossWindow,
    Ordered,
    StateChanged,
    VersionChanged,
)
from driftloop.detection.seen import Seen
from driftloop.detection.stream import StreamTracker
from driftloop.messages import ModelPublished, OffsetRange
from driftloop.records import Columns
from driftloop.settings import Policy, Profile
from driftloop.statistics.losses import compute
from tests.streams import (
    MINUTE,
    START,
    STREAM,
    command,
    frozen,
    make_columns,
    make_profile,
    make_stream,
    published,
)

HOUR = 60 * MINUTE


def track(profile: Profile, rows: Columns) -> tuple[StreamTracker, list[Any]]:
    tracker = StreamTracker(STREAM, profile)
    return tracker, tracker.records(rows)


def of(outputs: list[Any], kind: type) -> list[Any]:
    return [output for output in outputs if isinstance(output, kind)]


def test_count_windows_close_at_exactly_every_so_many_losses_with_their_values() -> None:
    profile = make_profile()
    rows = make_stream(profile, 0, 100)
    _, out = track(profile, rows)
    windows = of(out, LossWindow)
    assert [window.ranges for window in windows] == [
        [f"{STREAM}:0:{30 * k}:{30 * k + 29}"] for k in range(3)
    ]
    losses = np.concatenate([window.losses for window in windows])
    np.testing.assert_allclose(losses, compute("absolute", rows.y[:90], rows.y_pred[:90]))
    assert [window.counters.records for window in windows] == [30, 60, 90]
    assert [window.span_ms for window in windows] == [29 * MINUTE, 30 * MINUTE, 30 * MINUTE]
    assert [window.closed_at for window in windows] == rows.ts[[29, 59, 89]].tolist()
    features = of(out, FeatureWindow)
    assert [window.ranges for window in features] == [window.ranges for window in windows]
    assert [window.counters.records for window in features] == [30, 60, 90]
    np.testing.assert_array_equal(np.concatenate([f.x for f in features]), rows.x[:90])


def hourly(*hours: float, lateness: str = "0s") -> tuple[StreamTracker, list[Any]]:
    profile = make_profile(
        window={"kind": "cycle", "length": "1h", "cycle": "1h", "lateness": lateness}
    )
    n = len(hours)
    ts = START // HOUR * HOUR + HOUR * np.array(hours)
    rows = make_columns(
        profile, ts, ids=[str(i) for i in range(n)], y=np.arange(n), y_pred=np.zeros(n)
    )
    return track(profile, rows)


def test_a_cycle_window_closes_on_the_first_record_of_the_next() -> None:
    _, out = hourly(0.0, 0.5, 0.999)
    assert not of(out, LossWindow)
    _, out = hourly(0.0, 0.5, 0.999, 1.0, 1.2)
    (window,) = of(out, LossWindow)
    assert window.losses.tolist() == [0.0, 1.0, 2.0]
    assert window.span_ms == HOUR
    assert window.phases.tolist() == [0, 12, 23]
    assert window.counters.records == 3


def test_within_the_lateness_records_still_count_and_several_windows_are_open() -> None:
    tracker, out = hourly(0.1, 1.1, 0.9, 2.4, 1.9, 2.5, lateness="30m")
    (first, second) = of(out, LossWindow)
    assert first.losses.tolist() == [0.0, 2.0]
    assert second.losses.tolist() == [1.0, 4.0]
    assert tracker.counters.late == 0


def test_beyond_the_lateness_whole_records_are_dropped_and_counted() -> None:
    tracker, out = hourly(0.1, 1.5, 0.9, 0.95, 2.6, lateness="30m")
    assert [window.losses.tolist() for window in of(out, LossWindow)] == [[0.0], [1.0]]
    assert tracker.counters.late == 2
    assert of(out, LossWindow)[1].counters.late == 2


def test_a_late_label_is_news_of_the_earliest_open_window() -> None:
    profile = make_profile(window={"kind": "cycle", "length": "1h"})
    base = START // HOUR * HOUR
    rows = make_columns(
        profile,
        base + HOUR * np.array([0.1, 1.1, 0.2, 2.0]),
        ids=["a", "b", "a", "c"],
        y=[np.nan, 5, 7, 9],
        y_pred=[1, 1, np.nan, 1],
    )
    tracker, out = track(profile, rows)
    (window,) = of(out, LossWindow)
    assert window.losses.tolist() == [4.0, 6.0]
    assert window.ranges == [f"{STREAM}:0:0:2"]
    assert tracker.counters.late == 0


def test_missing_labels_leave_their_loss_out_and_the_window_counts_on() -> None:
    profile = make_profile()
    rows = make_stream(profile, 1, 60)
    rows.y_pred[::3] = np.nan  # features and label, but no prediction: complete without a loss
    tracker, out = track(profile, rows)
    windows = of(out, LossWindow)
    assert [int(np.isnan(window.losses).sum()) for window in windows] == [10, 10]
    assert tracker.counters.losses == 40


def test_what_label_records_do_not_carry_is_not_missing() -> None:
    profile = make_profile()
    tracker, _ = track(profile, make_stream(profile, 2, 60, late=1.0))
    assert tracker.counters.missing == 0
    rows = make_stream(profile, 2, 60)
    rows.x[:5, 0] = np.nan
    rows.x[7] = np.nan
    tracker, _ = track(profile, rows)
    assert tracker.counters.missing == 7


def test_a_version_begins_at_its_first_record_and_its_windows_hold_no_other() -> None:
    profile = make_profile()
    rows = make_stream(profile, 3, 140, versions=(0, 50))
    _, out = track(profile, rows)
    changes = [o.version for o in out if isinstance(o, VersionChanged)]
    assert changes == ["v1", "v2"]
    windows = of(out, LossWindow)
    assert [(w.version, w.ranges[0].split(":")[2:]) for w in windows] == [
        ("v1", ["0", "29"]),
        ("v2", ["50", "79"]),
        ("v2", ["80", "109"]),
        ("v2", ["110", "139"]),
    ]


def test_losses_of_an_earlier_version_are_stale() -> None:
    profile = make_profile()
    rows = make_stream(profile, 4, 60, versions=(0, 30))
    rows.versions[40] = rows.versions[45] = "v1"
    tracker, out = track(profile, rows)
    assert tracker.counters.stale == 2
    assert len(of(out, VersionChanged)) == 2
    assert len(of(out, LossWindow)) == 1


def test_a_publication_begins_a_version_where_records_do_not_tell() -> None:
    profile = make_profile()
    tracker, first = track(profile, make_stream(profile, 5, 45))
    changed = tracker.control(published("v1"))
    assert [type(o) for o in changed] == [VersionChanged, ModelPublished]
    rest = make_stream(profile, 6, 30)
    rest.offsets = rest.origin_offsets = rest.offsets + 45
    out = first + tracker.records(rest)
    assert [(w.version, w.ranges) for w in of(out, LossWindow)] == [
        (None, [f"{STREAM}:0:0:29"]),
        ("v1", [f"{STREAM}:0:45:74"]),
    ]


def test_alarms_name_the_record_and_the_version_that_made_its_loss() -> None:
    """Also those of the last records before a switch, whose block the switch completes."""
    profile = make_profile(
        policy=Policy(detectors=["page_hinkley"]), window={"kind": "count", "records": 500}
    )
    rows = make_stream(profile, 7, 300, versions=(0, 265))
    rows.y[258:265] += 1000.0
    _, out = track(profile, rows)
    (alarm,) = of(out, Alarm)
    where = OffsetRange.parse(alarm.range)
    assert 258 <= where.first == where.last < 265
    assert alarm.version == "v1"
    assert alarm.value > 900
    assert out.index(alarm) < [type(o) for o in out].index(VersionChanged, 1)


def test_the_first_model_is_due_once_after_so_many_labels_without_any_prediction() -> None:
    profile = make_profile(training={"initial": 50, "records": 100})
    rows = make_stream(profile, 8, 200)
    rows.y_pred[:] = np.nan
    _, out = track(profile, rows)
    (due,) = of(out, InitialDue)
    assert due.labelled >= 50
    (ranges,) = map(OffsetRange.parse, due.training)
    assert (ranges.first, ranges.size) == (0, due.labelled)
    assert due.counters.records == due.labelled
    assert due.event_time == rows.ts[due.labelled - 1]


def test_no_first_model_is_due_where_someone_predicts_or_a_model_is_published() -> None:
    profile = make_profile(training={"initial": 50, "records": 100})
    rows = make_stream(profile, 9, 200)
    assert not of(track(profile, rows)[1], InitialDue)
    rows.y_pred[:] = np.nan
    tracker = StreamTracker(STREAM, profile)
    tracker.control(published("v1"))
    assert not of(tracker.records(rows), InitialDue)


def test_a_command_carries_all_labelled_records_so_far() -> None:
    profile = make_profile()
    tracker, _ = track(profile, make_stream(profile, 10, 40))
    (order,) = tracker.control(command("retrain"))
    assert isinstance(order, Ordered)
    assert order.training == [f"{STREAM}:0:0:39"]
    assert order.labelled == 40
    assert order.event_time == START + 39 * MINUTE
    (early,) = StreamTracker(STREAM, profile).control(command("retrain"))
    assert early.training == []


def test_a_snapshot_of_a_release_that_remembered_ids_alone_goes_on() -> None:
    tracker = StreamTracker(STREAM, make_profile())
    earlier = dict(tracker.__dict__)
    del earlier["commands"]
    earlier["_commands"] = Seen()
    earlier["_commands"].add("retrain")
    resumed = StreamTracker.__new__(StreamTracker)
    resumed.__setstate__(earlier)
    assert not hasattr(resumed, "_commands")
    assert resumed.control(command("retrain"))[0].standing.word == "again"
    assert resumed.control(command("pin"))[0].standing.word == "new"
    assert pickle.loads(pickle.dumps(resumed)).control(command("pin"))[0].standing.word == "again"  # noqa: S301


def test_states_carry_the_counters() -> None:
    profile = make_profile()
    tracker, _ = track(profile, make_stream(profile, 11, 10))
    tracker.records(make_columns(profile, []), dead_letters=3)
    (silent,) = tracker.state("silent")
    assert isinstance(silent, StateChanged)
    assert (silent.counters.records, silent.counters.dead_letters) == (10, 3)


def test_out_of_order_records_of_one_merged_partition_complete_where_they_came() -> None:
    """The merger orders by event time, so offsets of a single partition need not ascend."""
    profile = make_profile(window={"kind": "cycle", "length": "10m", "lateness": "30m"})
    rows = make_stream(profile, 12, 160, jitter=8.0, late=0.5, versions=(0, 70))
    other = make_columns(profile, [START + 500 * MINUTE], partition=1)
    whole, single = (StreamTracker(STREAM, profile) for _ in range(2))
    assert not whole.records(other, partitions=2)
    assert not single.records(other, partitions=2)
    expected = [
        output
        for i in range(len(rows))
        for output in single.records(rows.select(slice(i, i + 1)), partitions=2)
    ]
    assert sum(len(window.losses) for window in of(expected, LossWindow)) >= 60
    assert frozen(whole.records(rows, partitions=2)) == frozen(expected)


def test_its_state_stays_small() -> None:
    """It is stored with every epoch in which the stream woke."""
    profile = make_profile()
    tracker, _ = track(profile, make_stream(profile, 13, 2000, versions=(0, 700)))
    assert len(pickle.dumps(tracker)) < 20_000
