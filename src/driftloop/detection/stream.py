"""A stream's whole pure state: from its records to closed windows.

`StreamTracker` knows no engine, no Kafka and no clock. What it puts out is a function of the
records in offset order and of the control events at the places where it was given them; how the
records were cut into batches does not matter.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from driftloop.criteria import parts_read
from driftloop.detection.champion import BLOCK, ChampionLosses, predicts
from driftloop.detection.closing import WindowCloser
from driftloop.detection.contents import VOCABULARY, WindowContents
from driftloop.detection.history import TrainingHistory
from driftloop.detection.merge import PartitionMerger
from driftloop.detection.outputs import (
    Alarm,
    Counters,
    FeatureWindow,
    InitialDue,
    LossWindow,
    Ordered,
    Output,
    StateChanged,
    VersionChanged,
)
from driftloop.detection.places import arrivals, widened
from driftloop.detection.signals import Signal
from driftloop.detection.trials import TrialFeed
from driftloop.detection.versions import VersionTracker
from driftloop.detection.watch import Watch
from driftloop.detection.windows import (
    CountWindower,
    CycleWindower,
    Window,
    extent,
)
from driftloop.messages import (
    CandidateTrained,
    Command,
    CommandMemory,
    ModelPublished,
    OffsetRange,
    TrainingFinished,
)
from driftloop.records import Columns, Joiner
from driftloop.settings import CycleWindow, Profile
from driftloop.settings.base import milliseconds
from driftloop.settings.policy import VOTING
from driftloop.statistics.naive import NaiveLosses

GONE = frozenset({"retired", "recreated"})
"""States of a topic that end the stream that it was."""

MANY = 1 << 62
"""More rows than any batch has."""


class StreamTracker:
    """State of one stream.

    Args:
        topic: Its topic.
        profile: What its records mean.

    Attributes:
        refused: Whether its topic cannot be monitored.
        retired: Whether a person ended the stream: its records are skipped.
        commands: Those that it was given.
    """

    def __init__(self, topic: str, profile: Profile) -> None:
        self.topic = topic
        self.profile = profile
        self.counters = Counters()
        self.newest_ts: float | None = None
        self.refused = False
        self.retired = False
        self._versions = VersionTracker()
        self._trials = TrialFeed(profile)
        self.commands = CommandMemory()
        self._begin()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot, also of an earlier release, which remembered ids alone."""
        ids = state.pop("_commands", ())
        self.commands = CommandMemory.of_ids(ids)
        self.__dict__.update(state)

    def _begin(self) -> None:
        """Know nothing of the records; versions, trials and totals stay."""
        profile = self.profile
        self._joiner = Joiner(profile.join_capacity, profile.deduplicate)
        self._history = TrainingHistory(profile.training)
        self._vocabulary: list[dict[str, int]] = [{} for _ in profile.features.categorical]
        self._champion: ChampionLosses | None = None
        self._initial_due = profile.training.initial > 0
        self._initial_seen = 0  # labelled records, also those that no training would take any more
        self._stage: Columns | None = None
        self._version = self._versions.current  # whose losses the champion takes
        self._closed_before: int | None = None  # cycle windows below this are closed
        self._merger: PartitionMerger | None = None
        self._losses = self._windower()
        self._features = self._windower()
        self._contents = WindowContents(profile, parts_read(profile.policy))
        self._votes = profile.policy.kind in VOTING
        self._closer = WindowCloser(self.topic, profile, self._contents, self._history)
        self._watch = Watch(profile)
        self._naive = NaiveLosses(profile.loss, len(profile.classes))

    def _windower(self) -> CountWindower | CycleWindower:
        window = self.profile.window
        return CycleWindower(window) if isinstance(window, CycleWindow) else CountWindower(window)

    # Records

    def records(self, rows: Columns, partitions: int = 1, dead_letters: int = 0) -> list[Output]:
        """Take records of one partition, in offset order.

        Args:
            rows: The records.
            partitions: How many partitions feed this stream.
            dead_letters: Records of the same batch that could not be read.
        """
        if self.retired:
            return []
        self.counters.dead_letters += dead_letters
        if not len(rows):
            return []
        if partitions > 1 and isinstance(self.profile.window, CycleWindow):
            if self._merger is None:
                self._merger = PartitionMerger(milliseconds(self.profile.window.lateness))
            merged = self._merger.add(rows, int(rows.partitions[0]), partitions)
            if merged is None:
                return []
            rows = merged
        out: list[Output] = []
        if isinstance(self._losses, CycleWindower):
            self._by_cycles(rows, out)
        else:
            self._arrive(rows, out)
        newest = float(rows.ts.max())
        self.newest_ts = newest if self.newest_ts is None else max(self.newest_ts, newest)
        return out

    def _by_cycles(self, rows: Columns, out: list[Output]) -> None:
        """Close windows exactly at the record that passes their end and the allowed lateness."""
        window = self.profile.window
        assert isinstance(window, CycleWindow)  # noqa: S101  # for the type checker
        length = milliseconds(window.length)
        lateness = 0 if self._merger is not None else milliseconds(window.lateness)
        before = -np.inf if self.newest_ts is None else self.newest_ts
        newest = np.maximum(np.maximum.accumulate(rows.ts), before)
        passed = ((newest - lateness) // length).astype(np.int64)
        if self._closed_before is None:
            self._closed_before = int(passed[0])
        # Rows that raise the number of closed windows begin a new piece.
        starts = np.flatnonzero(np.diff(passed, prepend=self._closed_before)).tolist()
        cuts = sorted({0, *starts, len(rows)})
        for start, end in pairwise(cuts):
            closed = int(passed[start])
            if closed > self._closed_before:
                self._flush(out)
                self._close_cycles(closed, out)
            piece = rows.select(slice(start, end)) if (start, end) != (0, len(rows)) else rows
            self._arrive(piece, out)

    def _drop_late(self, rows: Columns) -> Columns:
        """Drop complete records of closed windows; late halves of a join are news, and stay."""
        if not isinstance(self._losses, CycleWindower) or self._closed_before is None:
            return rows
        late = rows.ts < self._closed_before * self._losses.length
        if not late.any():
            return rows
        whole = ~np.isnan(rows.loss) | (
            ~np.isnan(rows.y) & (rows.has_prediction | rows.has_features)
        )
        self.counters.late += int((late & whole).sum())
        return rows.select(~(late & whole))

    def _close_cycles(self, before: int, out: list[Output]) -> None:
        assert isinstance(self._losses, CycleWindower)  # noqa: S101  # for the type checker
        assert isinstance(self._features, CycleWindower)  # noqa: S101  # for the type checker
        features = {window.index: window for window in self._features.close(before)}
        losses = {window.index: window for window in self._losses.close(before)}
        for index in sorted(features | losses):
            if index in features:
                out.append(self._closed_features(features[index]))
            if index in losses:
                out.append(self._closed_losses(losses[index]))
        self._closed_before = before

    def _arrive(self, rows: Columns, out: list[Output]) -> None:
        """Take rows up to where a window may be full, so that its counters tell of no more."""
        featured = np.empty(0, np.intp)
        if self._contents.featured and isinstance(self._features, CountWindower):
            featured = np.flatnonzero(self._contents.gathers(rows))
        start = 0
        while start < len(rows):
            end = min(start + self.room, len(rows))
            if len(featured) and isinstance(self._features, CountWindower):
                filling = np.searchsorted(featured, start) + self._features.room - 1
                if filling < len(featured):
                    end = min(end, int(featured[filling]) + 1)
            whole = end - start == len(rows)
            self._take(rows if whole else rows.select(slice(start, end)), out)
            start = end

    @property
    def room(self) -> int:
        """Rows, > 0, of which none but the last can lead to a decision or call for a model."""
        staged = 0 if self._stage is None else len(self._stage)
        room = self._losses.room if isinstance(self._losses, CountWindower) else MANY
        room = min(room, BLOCK if self._initial_due else MANY) - staged
        if self._votes and isinstance(self._features, CountWindower):  # decides without losses
            room = min(room, self._features.room)
        return room

    def _count(self, rows: Columns) -> None:
        self.counters.records += len(rows)
        if rows.x.shape[1] and np.isnan(rows.x).any():
            label_alone = ~(np.isnan(rows.y) | rows.has_prediction | rows.has_features)
            self.counters.missing += int(np.isnan(rows.x[~label_alone]).sum())

    def _take(self, rows: Columns, out: list[Output]) -> None:
        """Join rows, of which none but the last fills a window, and take what is complete.

        A piece ends where the next complete record begins a version or belongs to one without a
        correction yet, and at a record at which a detector on score or features signals: so that
        windows of both kinds, versions, vocabularies and alarms meet in the order of the records,
        whatever the batches.
        """
        self._count(rows)
        rows = self._drop_late(rows)
        if not len(rows):
            return
        complete = self._joiner.add(rows)
        self.counters.pending = self._joiner.pending
        self.counters.evicted = self._joiner.evicted
        self.counters.duplicates = self._joiner.duplicates
        at = arrivals(rows, complete)
        if self._trials:
            out += self._trials.look(rows, complete, at)
        sightings = self._watch.look(rows) if self._watch else []
        position = done = 0
        switch = -1
        while position < len(rows):
            end = len(rows)
            if self._vocabulary and done < len(complete):
                if switch < done:
                    switch = self._next_switch(complete, done)
                if self._champion is None or switch == done:
                    end = min(end, int(at[done]) + 1)
                elif switch < len(complete):
                    end = min(end, int(at[switch]))
            if sightings:
                end = min(end, sightings[0].signal.row + 1)
            piece = rows if end - position == len(rows) else rows.select(slice(position, end))
            self._learn(piece)
            until = int(np.searchsorted(at, end))
            if until > done:
                whole = until - done == len(complete)
                self._complete(complete if whole else complete.select(slice(done, until)), out)
            if self._contents.featured:
                self._add_features(piece, out)
            while sightings and sightings[0].signal.row < end:
                signal, version = sightings.pop(0)
                out.append(self._alarm(rows, signal, version))
            position, done = end, until

    def _next_switch(self, complete: Columns, start: int) -> int:
        """Index of the first complete record from `start` on that begins a version."""
        versions, current = complete.versions, self._versions.current
        if versions.count(current) + versions.count(None) >= len(versions):
            return len(versions)
        for i in range(start, len(versions)):
            version = versions[i]
            if version is not None and self._versions.begins(version):
                return i
        return len(versions)

    def _learn(self, rows: Columns) -> None:
        """Remember categories, first come."""
        for known, column in zip(self._vocabulary, rows.categories, strict=True):
            if len(known) < VOCABULARY:
                for value in column:
                    if value is not None and value not in known and len(known) < VOCABULARY:
                        known[value] = len(known)

    def _add_features(self, rows: Columns, out: list[Output]) -> None:
        """Add rows that fill at most one window."""
        has = self._contents.gathers(rows)
        if not has.all():
            rows = rows.select(has)
        if not len(rows):
            return
        values = self._contents.pack_features(rows, self._vocabulary)
        if isinstance(self._features, CycleWindower):
            self._features.add(rows, extent(rows), values, self._closed_before or 0)
            return
        self._features.add(extent(rows), values)
        window = self._features.close()
        if window is not None:
            out.append(self._closed_features(window))

    # Complete records

    def _complete(self, rows: Columns, out: list[Output]) -> None:
        """Cut completed records where the model version changes, and drop what is stale."""
        current = self._versions.current
        n = len(rows)
        if rows.versions.count(current) == n or rows.versions.count(None) == n:
            if current is not None and rows.versions[0] is not None:
                self._versions.see(current)
            self._labelled(rows, out)
            return
        run: list[int] = []
        for i, version in enumerate(rows.versions):
            known = self._versions.current
            if version is not None and version != known:
                if run:
                    self._labelled(rows.select(run), out)
                    run = []
                if not self._versions.see(version):
                    self.counters.stale += 1
                    continue
                self._new_version(out)
            elif version is not None:
                self._versions.see(version)
            run.append(i)
        if run:
            self._labelled(rows.select(run), out)

    def _new_version(self, out: list[Output]) -> None:
        self._flush(out)
        self._losses.restart()
        self._champion = None
        self._version = self._versions.current
        out.append(VersionChanged(self._version))

    def _labelled(self, rows: Columns, out: list[Output]) -> None:
        """Take completed records of the current version, whole blocks at a time."""
        if self._stage is not None:
            rows = Columns.concatenate([self._stage, rows])
            self._stage = None
        while len(rows):
            take = len(rows) - len(rows) % BLOCK
            if isinstance(self._losses, CountWindower) and self._losses.room <= len(rows):
                take = self._losses.room
            if not take:
                break
            if self._initial_due:  # looked at after each block
                take = min(take, BLOCK)
            self._advance(rows if take == len(rows) else rows.select(slice(0, take)), out)
            rows = rows.select(slice(take, len(rows)))
        self._stage = rows if len(rows) else None

    def _flush(self, out: list[Output]) -> None:
        """Take the rows of an incomplete block: their window or version ends here."""
        rows, self._stage = self._stage, None
        if rows is not None:
            self._advance(rows, out)

    def _advance(self, rows: Columns, out: list[Output]) -> None:
        where = extent(rows)
        self._history.add(where)
        if self._champion is None:
            self._champion = ChampionLosses(self.profile, [list(v) for v in self._vocabulary])
        losses, corrected, signals = self._champion.advance(rows)
        self.counters.losses += int((~np.isnan(losses)).sum())
        out += [self._alarm(rows, signal, self._version) for signal in signals]
        baseline = self._naive.advance(rows.y, BLOCK)
        own = ~np.isnan(rows.loss)  # which may have another unit
        if own.any():
            baseline = np.where(own, np.nan, baseline)
        values = self._contents.pack_losses(rows, losses, corrected, baseline)
        if isinstance(self._losses, CycleWindower):
            self._losses.add(rows, where, values, self._closed_before or 0)
        else:
            self._losses.add(where, values)
            window = self._losses.close()
            if window is not None:
                out.append(self._closed_losses(window))
        if self._initial_due:
            self._check_initial(rows, out)

    def _alarm(self, rows: Columns, signal: Signal, version: str | None) -> Alarm:
        self.counters.alarms += 1
        i = signal.row
        offset = int(rows.offsets[i])
        record = str(OffsetRange(self.topic, int(rows.partitions[i]), offset, offset))
        return Alarm(signal.detector, int(rows.ts[i]), record, version, signal.value, signal.on)

    def _check_initial(self, rows: Columns, out: list[Output]) -> None:
        if self._versions.current is not None or predicts(rows):
            self._initial_due = False
            return
        self._initial_seen += len(rows)
        if self._initial_seen >= self.profile.training.initial:
            self._initial_due = False
            out.append(
                InitialDue(
                    self._history.ranges(self.topic),
                    self._history.rows,
                    int(rows.ts.max()),
                    self._counted(),
                )
            )

    # Windows

    def _closed_losses(self, window: Window) -> LossWindow:
        return self._closer.losses(window, self._versions.current, self._counted())

    def _closed_features(self, window: Window) -> FeatureWindow:
        return self._closer.features(window, self._versions.current, self._counted())

    def _counted(self) -> Counters:
        late = self._merger.late if self._merger is not None else 0
        counters = self.counters
        return replace(counters, records=counters.records + late, late=self.late)

    @property
    def late(self) -> int:
        """Records so far that came after their window had closed."""
        return self.counters.late + (self._merger.late if self._merger is not None else 0)

    # Control

    def control(
        self, event: ModelPublished | CandidateTrained | TrainingFinished | Command
    ) -> list[Output]:
        """Take a control event at this place of the stream."""
        out: list[Output] = []
        if isinstance(event, ModelPublished):
            out += self._trials.published(event, self.newest_ts)
            self._watch.publish(event.version)
            if self._versions.publish(event.version):
                self._new_version(out)
            return [*out, event]
        if isinstance(event, CandidateTrained):
            return [*self._trials.candidate(event, self.newest_ts), event]
        if isinstance(event, TrainingFinished):
            return [*self._trials.finished(event.request_id, self.newest_ts), event]
        return self._command(event)

    def _command(self, event: Command) -> list[Output]:
        """What an operator orders; what it does to the records' state is done here."""
        out: list[Output] = []
        standing = self.commands.take(event)
        if standing.word == "new":
            self._carry_out(event, out)
        newest = event.issued_at if self.newest_ts is None else int(self.newest_ts)
        ranges = self._history.ranges(self.topic)
        labelled = self._history.rows
        if self._stage is not None:
            labelled += len(self._stage)
            ranges = widened(self.topic, ranges, self._stage)
        version, counters = self._versions.current, self._counted()
        return [*out, Ordered(event, ranges, labelled, version, newest, counters, standing)]

    def _carry_out(self, event: Command, out: list[Output]) -> None:
        if event.action == "reset-reference" and not self.retired:
            self._forget(out)
        elif event.action == "retire":
            self.retired = True
            self.counters.pending = 0
            self._begin()
        elif event.action == "resume":
            self.retired = False

    def _forget(self, out: list[Output]) -> None:
        """Open windows, the correction and the detectors begin anew; training data stay."""
        self._flush(out)
        self._losses.restart()
        self._features.restart()
        self._champion = None
        self._watch.reset()

    def state(self, state: str, detail: str = "") -> list[Output]:
        """The stream's topic appeared, fell silent, spoke again, is refused or is gone."""
        newest = None if self.newest_ts is None else int(self.newest_ts)
        over = self._trials.gone(self.newest_ts) if state in GONE else []
        return [*over, StateChanged(state, newest, self._versions.current, self._counted(), detail)]
