"""The monitor is killed again and again in mid-work: every decision comes all the same."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import psutil
import pytest

from driftloop.messages.ranges import OffsetRange
from tests.integration.monitor_rig import MARGIN, WINDOW, MonitorRig, Tail, jumping

KILLS = 10
CHUNK = 20
LEAD = 12


class Feed:
    """Gives records to the topics only as fast as evidence of them comes back.

    So the monitor always has something to do, and never all of it at once.
    """

    def __init__(self, rig: MonitorRig, streams: dict[str, list[bytes]]) -> None:
        self.expected = rig.expected(streams)
        self._rig = rig
        self._streams = streams
        self._given = 0
        # The number of records after which each event is known, by id.
        self._known = {
            event.id: max(OffsetRange.parse(text).last for text in ranges) + 1
            for topic, values in streams.items()
            for event in rig.decisions(topic, values, 7)
            if event.id in self.expected and (ranges := getattr(event, "window", None))
        }

    def step(self, seen: set[str]) -> None:
        """Give more where the monitor has nearly done with what it was given."""
        due = {name for name, known in self._known.items() if known <= self._given}
        if len(due - seen) >= LEAD:
            return
        for topic, values in self._streams.items():
            self._rig.produce(topic, values[self._given : self._given + CHUNK])
        self._given += CHUNK


def _work(feed: Feed, tail: Tail, goal: int) -> None:
    """Feed and read on until so many different events were seen."""

    def enough() -> bool:
        seen = tail.bodies().keys()
        if len(seen) >= goal:
            return True
        feed.step(set(seen))
        return False

    tail.until(enough, f"{goal} of {len(feed.expected)} events")


def _check(tail: Tail, feed: Feed, runs: int) -> None:
    tail.gather(feed.expected)
    found = tail.bodies()
    assert found.keys() == feed.expected.keys(), "no more and no fewer"
    assert found == {name: {body} for name, body in feed.expected.items()}, "repeated unchanged"
    # What the snapshots held was not repeated: the first window closed in few of the runs.
    first = next(iter(feed.expected))
    times = sum(event.id == first for event in tail.events())
    assert 1 <= times < runs, "recovery was used"


def _streams(rig: MonitorRig, records: int) -> dict[str, list[bytes]]:
    streams = {
        rig.make(f"streams.s{i}"): jumping(records, seed=i, versions=i, jump=0.2 + 0.15 * i)
        for i in range(4)
    }
    streams[rig.make("hours.h")] = jumping(records, seed=9, versions=2)
    return streams


@pytest.mark.slow
def test_ten_kills_lose_nothing_and_repeat_only_what_is_equal(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    """Killed at seeded random numbers of events seen; the union equals an uninterrupted run's."""
    with MonitorRig(tmp_path, kafka_bootstrap, monitor="max_records = 50") as rig:
        feed = Feed(rig, _streams(rig, 20 * WINDOW))
        points = sorted(random.Random(20).sample(range(5, len(feed.expected) - 5), KILLS))
        with rig.tail("evidence", "retrain") as tail:
            for point in points:
                process = rig.start()
                _work(feed, tail, point)
                process.kill()
                assert process.wait() == -9
            process = rig.start()
            _work(feed, tail, len(feed.expected))
            assert rig.stop(process) == 0
            _check(tail, feed, KILLS + 1)


@pytest.mark.slow
def test_kills_of_a_cluster_and_of_its_parts_lose_nothing(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    """Two processes: the starter is killed, then one of its parts, which ends the rest."""
    with MonitorRig(tmp_path, kafka_bootstrap, monitor="max_records = 50") as rig:
        feed = Feed(rig, _streams(rig, 10 * WINDOW))
        points = sorted(random.Random(21).sample(range(5, len(feed.expected) - 5), 2))
        with rig.tail("evidence", "retrain") as tail:
            for number, point in enumerate(points):
                process = rig.start("--processes", "2")
                _work(feed, tail, point)
                parts = psutil.Process(process.pid).children()
                assert len(parts) == 2
                if number % 2:
                    parts[1].kill()
                    assert process.wait(MARGIN) == 1, "the others are ended with it"
                else:
                    process.kill()
                    process.wait()
                _, alive = psutil.wait_procs(parts, timeout=30)
                assert not alive, "no part outlives its starter"
            process = rig.start("--processes", "2")
            _work(feed, tail, len(feed.expected))
            parts = psutil.Process(process.pid).children()
            assert rig.stop(process, signal.SIGINT) == 0, "the cluster drains as one"
            assert not any(part.is_running() for part in parts)
            _check(tail, feed, len(points) + 2)
