"""Step *decode*: messages to columns, keyed by stream; bad ones go aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from driftloop.engine.items import ControlItem, Lifecycle, StreamBatch
from driftloop.kafka.contents import contents
from driftloop.messages import CandidateTrained, Command, ModelPublished, TrainingFinished
from driftloop.monitor import metrics
from driftloop.monitor.items import (
    Control,
    Life,
    Records,
    StreamName,
    TrackItem,
    stream_of,
    topic_of,
)
from driftloop.records import DeadLetter, RecordDecoder
from driftloop.settings import CountWindow, Profile, Settings

Decoded = tuple[str, TrackItem] | DeadLetter


class Decoder:
    """Decodes what the stream source emits. Decoders are kept a profile."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._decoders = {
            name: RecordDecoder(profile) for name, profile in settings.profiles.items()
        }
        self._profiles: dict[str, tuple[str, Profile] | None] = {}

    def _profile(self, topic: str) -> tuple[str, Profile] | None:
        if topic not in self._profiles:
            self._profiles[topic] = self._settings.profile_of(topic)
        return self._profiles[topic]

    def __call__(self, items: list[StreamBatch | Lifecycle]) -> Iterable[Decoded]:
        """Decode a batch of the source's items."""
        out: list[Decoded] = []
        for item in items:
            found = self._profile(item.topic)
            if found is None:
                continue
            if isinstance(item, Lifecycle):
                out.extend(self._life(item, *found))
            else:
                self._batch(item, *found, out)
        return out

    def _batch(self, batch: StreamBatch, name: str, profile: Profile, out: list[Decoded]) -> None:
        messages = batch.messages
        rows, dead = self._decoders[name].decode(
            batch.topic,
            batch.partition,
            *contents(messages),
            lambda index: _bytes(messages[index].key()),
        )
        metrics.RECORDS.inc(len(rows))
        if dead:
            _count(dead)
            out.extend(dead)
        stream = StreamName(
            stream_of(batch.topic, batch.partition, profile.partitions), batch.topic, name
        )
        partitions = 1 if profile.partitions == "each" else batch.partitions
        if len(rows) or dead:
            out.append((stream.stream, Records(stream, rows, partitions, len(dead))))

    def _life(self, item: Lifecycle, name: str, profile: Profile) -> Iterable[Decoded]:
        parts = range(max(1, item.partitions)) if profile.partitions == "each" else range(1)
        for partition in parts:
            stream = stream_of(item.topic, partition, profile.partitions)
            yield stream, Life(StreamName(stream, item.topic, name), item.kind)


def _count(letters: Iterable[DeadLetter]) -> None:
    for reason, count in Counter(one.reason for one in letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)


def _bytes(key: bytes | str | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


class ControlDecoder:
    """Gives each control event to its stream; what cannot be read goes aside."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, items: list[ControlItem | DeadLetter]) -> Iterable[Decoded]:
        """Decode a batch of the control source's items."""
        out: list[Decoded] = []
        for item in items:
            if isinstance(item, DeadLetter):
                _count([item])
                out.append(item)
                continue
            event = item.event
            if event is not None:
                metrics.CONTROL.labels(type(event).__name__).inc()
            if not isinstance(
                event, ModelPublished | CandidateTrained | TrainingFinished | Command
            ):
                continue
            topic = topic_of(item.key)
            found = self._settings.profile_of(topic)
            if found is not None:
                name = StreamName(item.key, topic, found[0])
                out.append((item.key, Control(name, event)))
        return out


def refused(profile: Profile, partitions: int) -> str:
    """Why a topic of so many partitions cannot be monitored under a profile, or an empty text."""
    counts = isinstance(profile.window, CountWindow)
    if counts and partitions > 1 and profile.partitions == "one":
        return (
            f"windows by count need one partition, got {partitions}: their order is not defined; "
            'set window = { kind = "cycle", … } or partitions = "each" in the profile'
        )
    return ""


def keyed_item(item: Decoded) -> tuple[str, TrackItem] | None:
    """The item if it goes on to its stream."""
    return None if isinstance(item, DeadLetter) else item


def dead_letter(item: Decoded) -> DeadLetter | None:
    """The item if it could not be read."""
    return item if isinstance(item, DeadLetter) else None
