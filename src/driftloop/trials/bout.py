"""One trial under way: records gathered into blocks, both losses, the bets, the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from driftloop.detection.outputs import Ending, Trial, TrialPiece, TrialVerdict
from driftloop.records import Columns
from driftloop.records.columns import Floats
from driftloop.settings import Profile
from driftloop.statistics.losses import compute
from driftloop.statistics.paired_bets import BLOCK, PairedBets

Predict = Callable[[Columns], Floats]
"""From records, n, to predictions, (n,) or (n, classes), of the version that does not serve."""


class Missing(NamedTuple):
    """The artifact of a trial cannot be had; why, in words."""

    detail: str


Answer = Predict | Missing | None
"""What is known of an artifact; None: it is on its way."""


class Bout:
    """The state of a trial: small, and free of artifacts.

    Records are predicted a whole block of `BLOCK` at a time, counted within the trial, so that a
    verdict does not depend on how the records came. What is left over at the end does not count.
    """

    def __init__(self, trial: Trial, profile: Profile) -> None:
        self.trial = trial
        self.done = False
        self.ended = False
        self._ending: Ending = ""
        self._loss = profile.loss
        settings = profile.training.canary if trial.kind == "canary" else profile.training.watch
        self._alpha = settings.alpha if settings else 0.05
        self._planned = max(1, (settings.records if settings else 300) // BLOCK)
        self._waiting: list[Columns] = []
        self._bets = PairedBets()
        self._new = self._old = 0.0
        self._ts = 0
        self._end = 0

    def take(self, piece: TrialPiece) -> None:
        """Keep records until the artifact is there; nothing is kept once the verdict is known."""
        self.ended = self.ended or bool(piece.ending)
        self._ending = self._ending or piece.ending
        if self.done:
            return
        if len(piece.rows):
            self._waiting.append(piece.rows)
        if piece.ending:
            self._end = piece.ts

    @property
    def waits(self) -> bool:
        """Whether the artifact is needed now."""
        return not self.done and (self.ended or self._rows >= BLOCK)

    @property
    def _rows(self) -> int:
        return sum(map(len, self._waiting))

    def advance(self, answer: Answer) -> TrialVerdict | None:
        """Compare what waits; the verdict, once, when it is known."""
        if not self.waits or (answer is None and self._rows >= BLOCK):
            return None
        if isinstance(answer, Missing):
            return self._finish("unscored", answer.detail)
        rows = Columns.concatenate(self._waiting) if self._waiting else None
        self._waiting = []
        while rows is not None and len(rows) >= BLOCK and answer is not None:
            block, rows = rows.select(slice(0, BLOCK)), rows.select(slice(BLOCK, len(rows)))
            try:
                self._compare(block, answer)
            except Exception as error:  # noqa: BLE001  # of another's model: the trial ends, not the stream
                return self._finish("unscored", f"{type(error).__name__}: {error}")
            if self._stops:
                self._ending, self._end = "", 0  # whatever came since: these records decided
                return self._finish(self._claim, "")
        if rows is not None and len(rows):
            self._waiting = [rows]
        if not self.ended:
            return None
        if not self._bets.blocks:
            return self._finish(
                "unscored", f"fewer than {BLOCK} records with label, features and prediction came"
            )
        return self._finish(self._claim, "")

    def _compare(self, rows: Columns, predict: Predict) -> None:
        recorded = compute(self._loss, rows.y, rows.y_pred)
        shadow = compute(self._loss, rows.y, predict(rows))
        new, old = (shadow, recorded) if self.trial.kind == "canary" else (recorded, shadow)
        both = np.isfinite(new) & np.isfinite(old)
        self._bets.update(np.where(both, new - old, np.nan))
        self._new += float(new[both].sum())
        self._old += float(old[both].sum())
        self._ts = max(self._ts, int(rows.ts.max()))

    @property
    def _claim(self) -> str:
        enough = -math.log(self._alpha)
        if self._bets.log_e_worse >= enough:
            return "worse"
        return "better" if self._bets.log_e_better >= enough else "undecided"

    @property
    def _stops(self) -> bool:
        """A claim ends a trial, but for a watch that goes well: the ledger wants its records."""
        stopping = {"worse"} if self.trial.kind == "watch" else {"worse", "better"}
        return self._claim in stopping

    def _finish(self, verdict: str, detail: str) -> TrialVerdict:
        self.done = True
        self._waiting = []
        bets, n = self._bets, self._bets.records
        interval = bets.interval(self._alpha, self._planned)
        metrics: dict[str, float | None] = {
            "records": float(n),
            "loss_new": self._new / n if n else None,
            "loss_old": self._old / n if n else None,
            "difference": _finite(bets.mean),
            "low": _finite(interval.low),
            "high": _finite(interval.high),
            "level": 1.0 - self._alpha,
            "log_e_worse": _finite(bets.log_e_worse),
            "log_e_better": _finite(bets.log_e_better),
        }
        return TrialVerdict(
            trial=self.trial,
            verdict=verdict,  # type: ignore[arg-type]  # one of the four
            ending=self._ending,
            records=n,
            metrics=metrics,
            ts=max(self._ts, self._end),
            detail=detail,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
