"""What flows between the monitor's steps; each item crosses processes, so all of it pickles."""

from __future__ import annotations

from typing import NamedTuple

from driftloop.detection.outputs import Output
from driftloop.messages import CandidateTrained, Command, ModelPublished, TrainingFinished
from driftloop.policy import FleetItem, Tested
from driftloop.records import Columns


class StreamName(NamedTuple):
    """A stream, its topic and the name of its profile."""

    stream: str
    topic: str
    profile: str


class Records(NamedTuple):
    """Records of one partition of a stream."""

    name: StreamName
    rows: Columns
    partitions: int
    dead_letters: int


class Life(NamedTuple):
    """What became of a stream's topic: the kinds of `driftloop.engine.items.Lifecycle`."""

    name: StreamName
    kind: str


class Control(NamedTuple):
    """A control event for a stream."""

    name: StreamName
    event: ModelPublished | CandidateTrained | TrainingFinished | Command


TrackItem = Records | Life | Control


class Tracked(NamedTuple):
    """What a stream's tracker put out."""

    name: StreamName
    output: Output


class Judged(NamedTuple):
    """A tracker's output after the tests."""

    name: StreamName
    item: Tested | Output


class ForFleet(NamedTuple):
    """What a stream tells its fleet."""

    name: StreamName
    item: FleetItem


def stream_of(topic: str, partition: int, mode: str) -> str:
    """Stream id: the topic, or ``topic:partition`` where each partition is a stream."""
    return f"{topic}:{partition}" if mode == "each" else topic


def topic_of(stream: str) -> str:
    """Topic of a stream id; a topic's name holds no colon."""
    return stream.partition(":")[0]
