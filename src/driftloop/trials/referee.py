"""All trials of one stream."""

from __future__ import annotations

from collections.abc import Callable

from driftloop.detection.outputs import Trial, TrialPiece, TrialVerdict
from driftloop.settings import Profile
from driftloop.trials.bout import Answer, Bout


class Referee:
    """The trials of one stream that have no verdict yet.

    What it puts out is a function of the pieces; when it does so depends on when the artifacts are
    there. That an artifact cannot be had is known by the clock alone, and told in the verdict.

    Args:
        profile: Loss, levels, sizes.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._bouts: dict[Trial, Bout] = {}

    def __bool__(self) -> bool:
        return bool(self._bouts)

    def take(self, piece: TrialPiece) -> None:
        """Keep a piece; `advance` compares."""
        bout = self._bouts.get(piece.trial)
        if bout is None:
            bout = self._bouts[piece.trial] = Bout(piece.trial, self._profile)
        bout.take(piece)

    def wanted(self) -> list[Trial]:
        """Trials that need their artifact now."""
        return [trial for trial, bout in self._bouts.items() if bout.waits]

    def advance(self, artifact: Callable[[Trial], Answer]) -> list[TrialVerdict]:
        """Compare what waits; verdicts that are known by that."""
        found = []
        for trial in self.wanted():
            verdict = self._bouts[trial].advance(artifact(trial))
            if verdict is not None:
                found.append(verdict)
        self._bouts = {
            trial: bout for trial, bout in self._bouts.items() if not (bout.done and bout.ended)
        }
        return found
