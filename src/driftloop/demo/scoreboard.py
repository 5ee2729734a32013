"""What the demo knows: errors of the models in use and of the untouched ones, versions, retrains.

Pure: it is told predictions, landings and events, and knows neither Kafka nor the terminal.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from driftloop.demo.flights import DAY_MS, Flights
from driftloop.demo.ledger import Account
from driftloop.demo.sabotage import REQUEST as SABOTAGE
from driftloop.demo.sabotage import Sabotage
from driftloop.messages import (
    Event,
    ModelPublished,
    RetrainJudged,
    RetrainRequested,
    TrainingFinished,
)

Floats = npt.NDArray[np.float64]
RECENT = 6
WEEK = 7
CONTROL = "BOS"
"""Boston: a short hop north, across the jet stream, whose flights hardly change with the season."""


@dataclass(frozen=True, slots=True)
class RouteResult:
    """One line of the closing table.

    Attributes:
        route: Destination.
        flights: Flights that landed with both errors known.
        untouched: Mean absolute error in minutes of the January model.
        driftloop: The same of the models in use.
        retrains: Retrains that the policy requested.
        versions: Model versions published, the first one included.
    """

    route: str
    flights: int
    untouched: float
    driftloop: float
    retrains: int
    versions: int

    @property
    def saved(self) -> float:
        """Share of the error that was saved, 0 to 1; negative where it grew."""
        return 1 - self.driftloop / self.untouched if self.untouched > 0 else 0.0


@dataclass(slots=True)
class Moment:
    """One line of what happened: event time, route, text, and a kind for its colour."""

    event_ms: int
    route: str
    text: str
    kind: str


@dataclass(slots=True)
class _Days:
    """Sums by route and day of landing, (routes, days): both errors, and flights."""

    untouched: Floats
    driftloop: Floats
    flights: npt.NDArray[np.int64]


@dataclass(slots=True)
class Scoreboard:
    """All results of one run.

    Args:
        flights: What is replayed.
        prefix: What stands before a route in the name of its stream.
        begin_ms: Event time from which errors count.

    Attributes:
        predicted: Prediction of each flight in use, (flights,); nan where there is none.
        untouched: The same by the first model of its route.
        versions: Versions published by route, first ones included.
        retrains: Retrains that the policy asked for, by route.
        commanded: Other requests: those for the first models.
        outcomes: Trainings that came to an end, by outcome.
        ledger: What the monitor found the retrains of each route to be worth.
        rollbacks: Versions that were taken back, by route.
        refusal: The last challenger that the gate refused, in words.
        sabotage: What ``--sabotage`` does, or None.
    """

    flights: Flights
    prefix: str
    begin_ms: int
    predicted: Floats = field(init=False)
    untouched: Floats = field(init=False)
    versions: Counter[str] = field(default_factory=Counter)
    retrains: Counter[str] = field(default_factory=Counter)
    commanded: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    ledger: dict[str, Account] = field(default_factory=dict)
    rollbacks: Counter[str] = field(default_factory=Counter)
    refusal: str = ""
    sabotage: Sabotage | None = None
    retrain_times: list[tuple[str, int]] = field(default_factory=list)
    recent: deque[Moment] = field(default_factory=lambda: deque(maxlen=RECENT))
    unpredicted: int = 0
    event_ms: int = 0
    _days: _Days = field(init=False)
    _ids: set[str] = field(default_factory=set)
    _routes: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.flights)
        self.predicted = np.full(n, np.nan)
        self.untouched = np.full(n, np.nan)
        last = int(self.flights.landed.max()) if n else self.begin_ms
        weeks = max(1, (last - self.begin_ms) // (WEEK * DAY_MS) + 1)
        shape = (len(self.flights.routes), weeks * WEEK)
        self._days = _Days(np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64))

    def predict(self, row: int, y_pred: float | None) -> None:
        """Note the prediction of a flight; None when the scorer had no model."""
        if y_pred is not None:
            self.predicted[row] = y_pred
        elif self.flights.departed[row] >= self.begin_ms:
            self.unpredicted += 1

    def land(self, rows: npt.NDArray[np.int64]) -> None:
        """Count the errors of flights that land now."""
        air = self.flights.air_time[rows]
        driftloop = np.abs(air - self.predicted[rows])
        untouched = np.abs(air - self.untouched[rows])
        day = (self.flights.landed[rows] - self.begin_ms) // DAY_MS
        known = (
            np.isfinite(driftloop)
            & np.isfinite(untouched)
            & (self.flights.departed[rows] >= self.begin_ms)
        )
        at = (self.flights.route[rows][known], day[known])
        np.add.at(self._days.untouched, at, untouched[known])
        np.add.at(self._days.driftloop, at, driftloop[known])
        np.add.at(self._days.flights, at, 1)

    def note(self, event: Event) -> None:
        """Take an event of Driftloop in; one that comes twice counts once."""
        if event.id in self._ids:
            return
        self._ids.add(event.id)
        route = event.stream.removeprefix(self.prefix)
        match event:
            case RetrainRequested(reason="policy"):
                self.retrains[route] += 1
                self.retrain_times.append((route, event.decided_at))
                self._say(route, _grounds(event), "retrain", event.decided_at)
            case RetrainRequested():
                self.commanded += 1
            case ModelPublished(action="rolled-back"):
                self._rolled_back(route, event)
            case ModelPublished() if self.sabotage and event.request_id == SABOTAGE:
                self._say(
                    route, f"model {event.version} published: spoilt", "failed", self.event_ms
                )
            case ModelPublished():
                self.versions[route] += 1
                if event.parent_version is not None:
                    self._say(route, _published(event), "model", self.event_ms)
            case TrainingFinished(reason="rolled-back" | "rollback-failed"):
                pass  # the outcome of an order, not of a request
            case TrainingFinished():
                self.outcomes[event.outcome] += 1
                if event.outcome in {"failed", "rejected"}:
                    text = _outcome(event)
                    self._say(route, text, event.outcome, self.event_ms)
                    if event.outcome == "rejected":
                        day = day_text(self.event_ms).strip()
                        self.refusal = f"{route}, {day}: {event.detail}"
            case RetrainJudged():
                self._judged(route, event)

    def _rolled_back(self, route: str, event: ModelPublished) -> None:
        self.rollbacks[route] += 1
        self._say(route, f"rolled back to {event.version}", "rollback", self.event_ms)
        plan = self.sabotage
        if plan is not None and plan.version == event.parent_version and plan.route == route:
            plan.back_ms = self.event_ms

    def _judged(self, route: str, event: RetrainJudged) -> None:
        plan = self.sabotage
        if plan is not None and (route, event.version) == (plan.route, plan.version):
            plan.flights, plan.added = event.records, -(event.saved or 0.0)
            return  # nobody asked for this version
        self.ledger.setdefault(route, Account()).add(event)
        if event.verdict != "undecided" and event.saved is not None:
            word = "saves" if event.saved >= 0 else "adds"
            text = f"model {event.version} judged: it {word} {abs(event.saved):.1f} min a flight"
            self._say(route, text, "judged", self.event_ms)

    @property
    def account(self) -> Account:
        """The ledger of all routes."""
        total = Account()
        for one in self.ledger.values():
            total.verdicts += one.verdicts
            total.flights += one.flights
            total.saved += one.saved
            total.seconds += one.seconds
        return total

    def _say(self, route: str, text: str, kind: str, event_ms: int) -> None:
        self.recent.append(Moment(event_ms, route, text, kind))

    def means(self, last_days: int | None = None) -> tuple[float, float]:
        """Mean error untouched and with Driftloop, over all flights or the newest days; nan: none.

        Args:
            last_days: Days of landing up to now, today included; None for all.
        """
        today = (self.event_ms - self.begin_ms) // DAY_MS + 1
        first = 0 if last_days is None else max(0, today - last_days)
        window = slice(first, max(today, 0))
        flights = int(self._days.flights[:, window].sum())
        if not flights:
            return float("nan"), float("nan")
        return (
            float(self._days.untouched[:, window].sum()) / flights,
            float(self._days.driftloop[:, window].sum()) / flights,
        )

    def weekly(self, route: str | None = None) -> tuple[Floats, Floats, Floats]:
        """Mean errors by week of landing, of one route or of all.

        Returns:
            Middle of each week in event-time ms, error untouched, error with Driftloop; each
            (weeks,), weeks without a flight left out.
        """
        chosen = slice(None) if route is None else [self.flights.routes.index(route)]

        def by_week(days: npt.NDArray[np.generic]) -> Floats:
            total = days[chosen].astype(np.float64).sum(axis=0)  # (days,)
            sums: Floats = total.reshape(-1, WEEK).sum(axis=1)  # (weeks,)
            return sums

        flights = by_week(self._days.flights)
        kept = np.flatnonzero(flights)
        middle = self.begin_ms + (kept + 0.5) * WEEK * DAY_MS
        untouched, driftloop = (
            by_week(days)[kept] / flights[kept]
            for days in (self._days.untouched, self._days.driftloop)
        )
        return middle.astype(np.float64), untouched, driftloop

    def results(self) -> list[RouteResult]:
        """One line a route, in the order of `Flights.routes`."""
        flights = self._days.flights.sum(axis=1)  # (routes,)
        with np.errstate(invalid="ignore"):
            untouched = self._days.untouched.sum(axis=1) / flights
            driftloop = self._days.driftloop.sum(axis=1) / flights
        return [
            RouteResult(
                route,
                int(flights[i]),
                float(untouched[i]),
                float(driftloop[i]),
                self.retrains[route],
                self.versions[route],
            )
            for i, route in enumerate(self.flights.routes)
        ]

    def total(self) -> RouteResult:
        """All routes together; the mean is over flights."""
        lines = self.results()
        flights = sum(line.flights for line in lines)

        def mean(values: list[tuple[float, int]]) -> float:
            return sum(v * n for v, n in values if n) / flights if flights else float("nan")

        return RouteResult(
            "all",
            flights,
            mean([(line.untouched, line.flights) for line in lines]),
            mean([(line.driftloop, line.flights) for line in lines]),
            sum(line.retrains for line in lines),
            sum(line.versions for line in lines),
        )


def day_text(event_ms: int) -> str:
    """A day as ``14 Mar``."""
    moment = datetime.fromtimestamp(event_ms / 1000, tz=UTC)
    return f"{moment.day:2d} {moment:%b}"


def _grounds(event: RetrainRequested) -> str:
    for ground in event.grounds:
        if ground.rejected and ground.criterion == "reducible" and ground.statistic is not None:
            return f"retrain: a newer model would have saved {ground.statistic:,.0f} min of error"
    named = ", ".join(ground.criterion for ground in event.grounds if ground.rejected)
    return f"retrain requested{f': {named}' if named else ''}"


def _outcome(event: TrainingFinished) -> str:
    old = (event.champion or {}).get("loss")
    new = (event.challenger or {}).get("loss")
    if event.outcome == "rejected" and old is not None and new is not None:
        return f"challenger rejected: {old:.1f} → {new:.1f} min would be worse"
    return f"{event.outcome}: {event.detail or event.reason}"


def _published(event: ModelPublished) -> str:
    old = (event.champion or {}).get("loss")
    new = event.challenger.get("loss")
    if old is None or new is None:
        return f"model {event.version} published"
    return f"model {event.version} published: {old:.1f} → {new:.1f} min on newest flights"
