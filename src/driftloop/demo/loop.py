"""The replay against real time: sends what is due, follows what comes back, draws."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from driftloop.demo.children import Children
from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.replay import Replay, ReplayClock
from driftloop.demo.sabotage import SNOOZE_DAYS, publish_spoilt
from driftloop.demo.scoreboard import Scoreboard, day_text
from driftloop.demo.screen import Progress, Screen
from driftloop.demo.wire import Wire
from driftloop.errors import DriftloopError
from driftloop.heartbeat import Heartbeat
from driftloop.messages import (
    Event,
    ModelPublished,
    PartReported,
    RetrainRequested,
    StreamStatus,
    TrainingFinished,
)
from driftloop.models import ModelStore, predict
from driftloop.settings import Settings

LAG_MS = 12 * DAY_MS
"""Event time by which the replay may be ahead of the monitor and of a training under way: a week
of window, a day of lateness, and four days, which are a second at the usual speed."""

_RATE_SECONDS = 2.0
_TICK_SECONDS = 0.02
"""One turn of the loop: shorter ones would make more and smaller messages' batches, and the broker
pays by the batch."""

_CHECK_SECONDS = 0.5
_SETTLED_SECONDS = 1.0
"""After a snooze, until no request that came before it is unknown here."""

_PATIENCE_SECONDS = 120.0
_ASK_SECONDS = 2.0
_REPORT_SECONDS = 30.0
_QUIET_SECONDS = 2.0
_SILENCE_SECONDS = 30.0


class Loop:
    """Plays flights through the wire and keeps the score.

    Args:
        wire: Kafka.
        children: Watched; one that ends ends the loop with its error.
        screen: Drawn on.
        board: Kept.
        flights: What is replayed.
        settings: The run's configuration.
    """

    def __init__(
        self,
        wire: Wire,
        children: Children,
        screen: Screen,
        board: Scoreboard,
        flights: Flights,
        settings: Settings,
    ) -> None:
        self._wire = wire
        self._children = children
        self._screen = screen
        self._board = board
        self._flights = flights
        self._store = ModelStore(settings.store)
        self._heartbeat = Heartbeat(settings.home, "demo")
        self.replayed = Replay(flights)
        self._clock_ms = int(flights.departed[0])
        self._begin_ms = self._clock_ms
        self._monitored: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self._taken: dict[str, float] = {}  # records, by the monitor's processes
        self._told = time.monotonic()
        self._open: dict[str, int] = {}
        self._finished: set[str] = set()
        self._current: dict[str, ModelPublished] = {}
        self._asked: dict[str, str] = {}  # the request under way of each stream
        self._predictions = 0
        self._records = 0
        self._marks: deque[tuple[float, int, float]] = deque()
        self._held = 0.0
        self._checked = 0.0
        self._last_news = time.monotonic()

    def warm_up(self, speed: float, until: int) -> None:
        """Replay up to the event time `until`, while no stream has a model.

        Nothing is predicted yet, so no label has to wait. Ends when all came out of the scorer.

        Raises:
            DriftloopError: The scorer passes nothing on.
        """
        clock = ReplayClock(self._clock_ms, speed)
        while clock.event_ms < until:
            now = time.monotonic()
            departures, landings = self.replayed.due(clock.advance(now, until))
            self._wire.depart(departures)
            self._wire.land(landings)
            self.replayed.see(departures.tolist())
            self._follow(0)
            self._check_children(now)
            self._rest(now)
        self._clock_ms = clock.event_ms
        self._wire.flush()
        if not self._wait(lambda: self._predictions >= self.replayed.departed, _PATIENCE_SECONDS):
            raise DriftloopError("the scorer passes nothing on; see its log")

    def replay(self, speed: float) -> None:
        """Replay at `speed` days a second to the last landing.

        Raises:
            DriftloopError: Predictions stay away.
        """
        clock = ReplayClock(self._clock_ms, speed)
        self._last_news = time.monotonic()
        while not self.replayed.finished:
            now = time.monotonic()
            limit = min(self.replayed.limit(), self._lag_limit())
            event_ms = clock.advance(now, limit)
            departures, landings = self.replayed.due(event_ms)
            self._wire.depart(departures)
            self._wire.land(landings)
            self._board.event_ms = event_ms
            self._board.land(landings)
            self._follow(0)
            self._sabotage(event_ms)
            if len(departures) or len(landings):
                self._last_news = now
            self._check_progress(now)
            self._screen.draw(self._progress(clock, now), self._board, now=now)
            self._rest(now)
        self._wire.flush()

    def wait_for_monitor(self, run: str) -> None:
        """Wait until the monitor has read what was sent.

        It tells how far it is in the status that follows a command, and unpinning what is not
        pinned changes nothing else.

        Raises:
            DriftloopError: It does not get there in time.
        """
        sent = np.bincount(self._flights.route[: self.replayed.departed])
        landed = self._flights.route[self.replayed.given_landings()]
        sent += np.bincount(landed, minlength=len(sent))
        wanted = {self._wire.streams[route]: count for route, count in enumerate(sent.tolist())}
        # Its own reports say when it is worth asking: each question stands in the audit.
        self._wait(lambda: sum(self._taken.values()) >= int(sent.sum()), _REPORT_SECONDS)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for turn in itertools.count():
            behind = [name for name, count in wanted.items() if self._read.get(name, 0) < count]
            if not behind:
                return
            if time.monotonic() > deadline:
                raise DriftloopError(
                    f"the monitor has not read {', '.join(behind)} to the end within "
                    f"{_PATIENCE_SECONDS:.0f} s; see its log"
                )
            self._wire.command(behind, "unpin", f"{run}-ask-{turn}", "to learn how far it is")
            self._wait(
                lambda: all(self._read.get(name, 0) >= wanted[name] for name in wanted),
                _ASK_SECONDS,
            )

    def wait_for_models(self) -> None:
        """Wait until every stream has its first version.

        Raises:
            DriftloopError: A training failed, or they are not there in time.
        """
        wanted = set(self._flights.routes)
        if not self._wait(lambda: wanted <= self._board.versions.keys(), _PATIENCE_SECONDS):
            missing = ", ".join(sorted(wanted - self._board.versions.keys()))
            raise DriftloopError(
                f"no first model within {_PATIENCE_SECONDS:.0f} s for: {missing}; "
                "see the logs of monitor and trainer"
            )

    def wait_for_quiet(self) -> None:
        """Wait until trainings that are under way have come out, or nothing more comes."""
        self._last_news = time.monotonic()
        self._wait(
            lambda: time.monotonic() - self._last_news > _QUIET_SECONDS, _PATIENCE_SECONDS / 10
        )

    def _wait(self, done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            now = time.monotonic()
            if now > deadline:
                return False
            if self._follow(0.05):
                self._last_news = now
            self._check_children(now)
        return True

    def _follow(self, wait: float) -> bool:
        """Take in what came; whether there was an event among it."""
        self._heartbeat.beat()
        predictions, events, records = self._wire.receive(wait)
        for row, y_pred in predictions:
            self._board.predict(row, y_pred)
        self.replayed.see(row for row, _ in predictions)
        self._predictions += len(predictions)
        self._records += records
        for event in events:
            self._note(event)
        return bool(events)

    def _note(self, event: Event) -> None:
        if isinstance(event, StreamStatus):
            self._told = time.monotonic()
            self._read[event.stream] = event.records
            if event.event_time is not None:
                self._monitored[event.stream] = event.event_time
            return
        if isinstance(event, PartReported):
            if event.part == "monitor":
                self._taken[event.instance] = event.metrics.get("records") or 0.0
            return
        self._board.note(event)
        if isinstance(event, RetrainRequested) and event.id not in self._finished:
            self._open[event.id] = event.decided_at
            self._asked[event.stream] = event.id
        elif isinstance(event, TrainingFinished):
            self._finished.add(event.request_id)
            self._open.pop(event.request_id, None)
            if self._asked.get(event.stream) == event.request_id:
                del self._asked[event.stream]
        elif isinstance(event, ModelPublished):
            self._current[event.stream] = event
            if event.parent_version is None:
                self._shadow(event)
        if (
            isinstance(event, TrainingFinished)
            and event.outcome == "failed"
            and event.stream.removeprefix(self._board.prefix) not in self._board.versions
        ):
            raise DriftloopError(f"the first model of {event.stream} failed: {event.detail}")

    def _sabotage(self, event_ms: int) -> None:
        """Publish a bad version when it is due, and the stream has no request under way."""
        plan = self._board.sabotage
        if plan is None or plan.version or event_ms < plan.due_ms:
            return
        stream = f"{self._board.prefix}{plan.route}"
        if not plan.snoozed:
            plan.snoozed = time.monotonic()
            until = plan.due_ms + SNOOZE_DAYS * DAY_MS
            why = "so that no retrain comes before the verdict on a spoilt version"
            self._wire.command([stream], "snooze", f"sabotage-{time.time_ns()}", why, until=until)
        settled = time.monotonic() - plan.snoozed > _SETTLED_SECONDS
        current = self._current.get(stream)
        if current is None or current.stream in self._asked or not settled:
            return
        spoilt = publish_spoilt(self._store, current)
        plan.version, plan.parent, plan.at_ms = spoilt.version, current.version, event_ms
        self._wire.publish(spoilt)

    def _shadow(self, event: ModelPublished) -> None:
        """Predict all flights of a stream by its first version, which nobody will touch."""
        route = event.stream.removeprefix(self._board.prefix)
        rows = np.flatnonzero(self._flights.route == self._flights.routes.index(route))
        artifact = self._store.load(event.uri, event.sha256)
        self._board.untouched[rows] = predict(
            artifact,
            self._flights.numeric[rows],
            self._flights.categories(rows),
            self._flights.departed[rows],
        )

    def _lag_limit(self) -> int:
        """Event time up to which the replay may run ahead of monitor and trainer.

        In reality a training takes minutes. Here minutes are years, so the clock waits for it. A
        monitor that tells nothing for long is waited for no more.
        """
        limits = list(self._open.values())
        if self._monitored and time.monotonic() - self._told < _SILENCE_SECONDS:
            limits.append(int(np.median(list(self._monitored.values()))))
        return min(limits) + LAG_MS if limits else int(np.iinfo(np.int64).max)

    def _rest(self, begun: float) -> None:
        """Follow what comes until the turn that began at `begun` is over."""
        left = begun + _TICK_SECONDS - time.monotonic()
        if left > 0:
            self._follow(left)

    def _check_progress(self, now: float) -> None:
        self._check_children(now)
        if now - self._last_news > _PATIENCE_SECONDS:
            raise DriftloopError(
                f"the replay stands still at {day_text(self._board.event_ms).strip()} for "
                f"{_PATIENCE_SECONDS:.0f} s: {self.replayed.owed} flights wait for their "
                f"prediction, {len(self._open)} requests for their training; see the logs"
            )

    def _check_children(self, now: float) -> None:
        if now - self._checked > _CHECK_SECONDS:
            self._checked = now
            self._children.check()

    def _progress(self, clock: ReplayClock, now: float) -> Progress:
        held = clock.held_seconds - self._held
        self._held = clock.held_seconds
        self._marks.append((now, self._records, held))
        while now - self._marks[0][0] > _RATE_SECONDS:
            self._marks.popleft()
        then, records, _ = self._marks[0]
        seconds = max(now - then, _TICK_SECONDS)
        span = int(self._flights.landed.max()) - self._begin_ms
        return Progress(
            event_ms=clock.event_ms,
            share=min(1.0, (clock.event_ms - self._begin_ms) / span),
            rate=(self._records - records) / seconds if now > then else 0.0,
            streams=len(self._flights.routes),
            held=min(1.0, sum(mark[2] for mark in self._marks) / seconds),
        )
