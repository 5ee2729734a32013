"""Which records of a stream count in a trial of two model versions.

A *canary* compares a candidate with the version that serves; a *watch* compares a version that
serves since a moment with its parent. Either takes the complete records that the serving version
predicted, from where its event was seen on, until it has as many as it needs, its patience (event
time) is over, or another version takes its place. A stream without a trial costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftloop.detection.outputs import Ending, Trial, TrialPiece
from driftloop.messages import CandidateTrained, ModelPublished
from driftloop.records import Columns
from driftloop.settings import Profile
from driftloop.settings.base import milliseconds


@dataclass(slots=True)
class _Open:
    """A trial under way."""

    trial: Trial
    wanted: int
    patience: int
    began: float | None = None
    newest: float = -np.inf

    @property
    def serving(self) -> str:
        """The version that serves meanwhile, and whose records count."""
        return self.trial.against if self.trial.kind == "canary" else self.trial.version


class TrialFeed:
    """The trials of one stream: at most one watch and one canary.

    Args:
        profile: Its settings of training; a profile without features has no trials.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._open: list[_Open] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def published(self, event: ModelPublished, newest: float | None) -> list[TrialPiece]:
        """A version is current now: trials of others end, and its own watch begins.

        A version that was restored is not watched against the one that it replaced.
        """
        watch = self._profile.training.watch
        trial = watch_of(self._profile, event)
        if trial is not None and any(one.trial == trial for one in self._open):
            return []  # told twice
        out = self._end(newest, lambda _: True)
        if trial is not None and watch is not None:
            self._open.append(_Open(trial, watch.records, milliseconds(watch.patience)))
        return out

    def candidate(self, event: CandidateTrained, newest: float | None) -> list[TrialPiece]:
        """A candidate is to be tried; it takes the place of an earlier one."""
        canary = self._profile.training.canary
        trial = canary_of(self._profile, event)
        if canary is None or trial is None:
            return []
        if any(one.trial == trial for one in self._open):
            return []
        out = self._end(newest, lambda one: one.kind == "canary")
        self._open.append(_Open(trial, canary.records, milliseconds(canary.patience)))
        return out

    def finished(self, request_id: str, newest: float | None) -> list[TrialPiece]:
        """A training has its outcome: its canary is over, and nobody waits for a verdict."""
        return self._end(newest, lambda one: one.kind == "canary" and one.request_id == request_id)

    def gone(self, newest: float | None) -> list[TrialPiece]:
        """The stream is no more."""
        return self._end(newest, lambda _: True)

    def look(self, rows: Columns, complete: Columns, at: npt.NDArray[np.intp]) -> list[TrialPiece]:
        """Pick the records that count.

        Args:
            rows: Records in order, at least one.
            complete: Those that became complete with them.
            at: (complete,) the row with which each became so, ascending.
        """
        usable = ~np.isnan(complete.y) & complete.has_prediction & complete.has_features
        clock = np.maximum.accumulate(rows.ts)
        found = [self._look(one, complete, at, usable, clock) for one in list(self._open)]
        return [piece for piece in found if len(piece.rows) or piece.ending]

    def _look(
        self,
        one: _Open,
        complete: Columns,
        at: npt.NDArray[np.intp],
        usable: npt.NDArray[np.bool_],
        clock: npt.NDArray[np.float64],
    ) -> TrialPiece:
        if one.began is None:
            one.began = float(clock[0])
        clock = np.maximum(clock, one.newest)
        late = int(np.searchsorted(clock, one.began + one.patience))  # the first row beyond it
        known = (one.serving, None)
        mine = usable & np.fromiter((v in known for v in complete.versions), bool, len(complete))
        chosen = np.flatnonzero(mine & (at < late))[: one.wanted]
        one.wanted -= len(chosen)
        one.newest = float(clock[-1])
        ending: Ending = ""
        last = len(clock) - 1
        if not one.wanted:
            ending, last = "complete", int(at[chosen[-1]])
        elif late < len(clock):
            ending, last = "patience", late
        if ending:
            self._open.remove(one)
        rows = complete if len(chosen) == len(complete) else complete.select(chosen)
        return TrialPiece(one.trial, rows, ending, int(clock[last]))

    def _end(self, newest: float | None, which: Callable[[Trial], bool]) -> list[TrialPiece]:
        ended = [one for one in self._open if which(one.trial)]
        self._open = [one for one in self._open if not which(one.trial)]
        ts = 0 if newest is None else int(newest)
        nothing = Columns.empty(self._profile)
        return [TrialPiece(one.trial, nothing, "superseded", ts) for one in ended]


def watch_of(profile: Profile, event: ModelPublished) -> Trial | None:
    """The watch that a publication begins, if any."""
    if profile.training.watch is None or event.action == "rolled-back" or not _featured(profile):
        return None
    if not (event.parent_version and event.parent_uri and event.parent_sha256):
        return None
    return Trial(
        kind="watch",
        version=event.version,
        against=event.parent_version,
        uri=event.parent_uri,
        sha256=event.parent_sha256,
        request_id=event.request_id,
        seconds=event.cost.seconds,
        device=event.cost.device,
    )


def canary_of(profile: Profile, event: CandidateTrained) -> Trial | None:
    """The canary that a candidate begins, if any."""
    if profile.training.canary is None or not _featured(profile):
        return None
    return Trial(
        kind="canary",
        version=event.version,
        against=event.parent_version,
        uri=event.uri,
        sha256=event.sha256,
        request_id=event.request_id,
        seconds=event.cost.seconds,
        device=event.cost.device,
    )


def _featured(profile: Profile) -> bool:
    return bool(profile.features.numeric or profile.features.categorical)
