"""The pure monitor with its referee: streams whose versions are on trial."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from driftloop.detection.outputs import Output, Trial, TrialPiece, TrialVerdict
from driftloop.detection.stream import StreamTracker
from driftloop.messages import CandidateTrained, Cost, Event, ModelPublished
from driftloop.policy import StreamDecider, StreamTester
from driftloop.records import Columns
from driftloop.settings import Profile
from driftloop.trials import Answer, Predict, Referee
from tests.streams import START, STREAM

COST = Cost(seconds=2.0, records=100, device="cpu")


def trained(version: str, parent: str | None, **more: Any) -> ModelPublished:
    """The publication of a version whose artifact lies at its name, as its parent's does."""
    given: dict[str, Any] = {
        "id": f"model-{version}",
        "stream": STREAM,
        "profile": "default",
        "version": version,
        "sequence": int(version[1:]),
        "parent_version": parent,
        "parent_uri": parent,
        "parent_sha256": parent,
        "kind": "linear",
        "uri": version,
        "sha256": version,
        "format": "safetensors",
        "champion": None,
        "challenger": {},
        "data": [],
        "cost": COST,
        "request_id": f"request-{version}",
        "published_at": START,
    }
    return ModelPublished(**{**given, **more})


def candidate(version: str, parent: str) -> CandidateTrained:
    """A candidate, likewise."""
    return CandidateTrained(
        id=f"candidate-{version}",
        stream=STREAM,
        profile="default",
        profile_hash="p",
        version=version,
        sequence=int(version[1:]),
        parent_version=parent,
        parent_uri=parent,
        parent_sha256=parent,
        kind="linear",
        uri=version,
        sha256=version,
        format="safetensors",
        champion=None,
        challenger={},
        data=[],
        cost=COST,
        request_id=f"request-{version}",
        trained_at=START,
    )


def off_by(bias: float) -> Predict:
    """A model of `make_stream`'s regressions that knows all but for a bias."""

    def predict(rows: Columns) -> np.ndarray:
        code = {"red": 0, "green": 1, "blue": 2, "grey": 3}
        colours = np.array([code.get(one or "red", 0) for one in rows.categories[0]])
        return np.nan_to_num(rows.x).sum(axis=1) + 0.5 * colours - 0.75 + bias

    return predict


class Court:
    """One stream: its records, its versions, what is decided.

    Args:
        profile: Its profile.
        models: Predictions of each artifact, by its URI.
        ready: Whether an artifact is there when it is asked for the nth time.
    """

    def __init__(
        self,
        profile: Profile,
        models: dict[str, Answer],
        ready: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.models = models
        self.ready = ready
        self.asked = 0
        self.states = (
            StreamTracker(STREAM, profile),
            StreamTester(profile),
            StreamDecider(STREAM, "default", profile),
            Referee(profile),
        )
        self.pieces: list[TrialPiece] = []
        self.verdicts: list[TrialVerdict] = []
        self.events: list[Event] = []

    def answer(self, trial: Trial) -> Answer:
        """What is known of a trial's artifact."""
        self.asked += 1
        return self.models[trial.uri] if self.ready(self.asked) else None

    def records(self, rows: Columns) -> list[Event]:
        """Give it records."""
        return self.take(self.states[0].records(rows))

    def control(self, event: Any) -> list[Event]:
        """Give it a control event."""
        return self.take(self.states[0].control(event))

    def take(self, outputs: Iterable[Output]) -> list[Event]:
        """Test, compare and decide; what was decided by that."""
        _, tester, decider, referee = self.states
        before = len(self.events)
        for output in outputs:
            if isinstance(output, TrialPiece):
                self.pieces.append(output)
                referee.take(output)
                self.settle()
            else:
                self.events += decider.decide(tester.test(output))
        return self.events[before:]

    def settle(self) -> None:
        """Compare what can be compared now."""
        for verdict in self.states[3].advance(self.answer):
            self.verdicts.append(verdict)
            self.events += self.states[2].decide(verdict)

    def pickled(self) -> None:
        """Put each state away and take it up again, as a restart does."""
        self.states = pickle.loads(pickle.dumps(self.states))  # noqa: S301  # our own bytes

    def of(self, kind: type[Any]) -> list[Any]:
        """Its events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def play(
        self,
        rows: Columns,
        cuts: Iterable[int] = (),
        controls: dict[int, Any] | None = None,
        pickled: Callable[[int], bool] = lambda _: False,
    ) -> Court:
        """Play records, cut into batches, as `tests.streams.play` does."""
        controls = controls or {}
        for start, end in pairwise(sorted({0, *cuts, *controls, len(rows)})):
            if pickled(start):
                self.pickled()
            if start in controls:
                self.control(controls[start])
            self.records(rows.select(slice(start, end)))
        return self
