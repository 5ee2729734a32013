"""What a stream's new losses are compared with: those of the current model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftloop.errors import Fault, SettingsError
from driftloop.statistics.loss_registry import LOSS_TESTS
from driftloop.statistics.loss_tests import loss_test, reference_inflation
from driftloop.statistics.phases import cycles
from driftloop.statistics.results import TestResult, no_verdict

Array = npt.NDArray[np.float64]
Phases = npt.ArrayLike | None

ANCHOR_CYCLES = 4  # the anchored reference's least, where there are phases: see `phase_inflation`


class _Losses:
    """Losses in their order with the phase of each, at most `maximum`, the newest kept."""

    __slots__ = ("_inflation", "losses", "maximum", "phases")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.clear()

    def clear(self) -> None:
        self.losses = np.empty(0)
        self.phases = np.empty(0, dtype=np.int64)
        self._inflation: dict[bool, float] = {}

    def extend(self, losses: Array, phases: npt.NDArray[np.int64]) -> None:
        self.losses = np.concatenate([self.losses, losses])[-self.maximum :]
        self.phases = np.concatenate([self.phases, phases])[-self.maximum :]
        self._inflation = {}

    def inflation(self, *, phased: bool) -> float:
        """Return k of these losses, with or without their phases' means; computed once."""
        if phased not in self._inflation:
            self._inflation[phased] = reference_inflation(
                self.losses, self.phases if phased else None
            )
        return self._inflation[phased]

    def test(
        self,
        losses: Array,
        phases: npt.NDArray[np.int64],
        tolerance: float,
        *,
        phased: bool,
        better: bool = False,
        name: str = "welch",
        seed: int = 0,
    ) -> TestResult:
        """Test whether losses are worse than these, or better."""
        if not len(self.losses):
            return no_verdict("no reference yet", n=len(losses))
        new, old = (-losses, -self.losses) if better else (losses, self.losses)
        both = (phases, self.phases) if phased else None
        if name == "welch" or (name == "phase_relative" and not phased):
            known = self.inflation(phased=phased)  # that of -x is that of x
            return loss_test(new, old, tolerance=tolerance, phases=both, inflation=known)
        return LOSS_TESTS[name](new, old, tolerance=tolerance, phases=both, seed=seed)


class LossReference:
    """The out-of-sample losses of the current model, adaptive and anchored.

    The adaptive reference follows the stream: it absorbs each accepted batch, bounded in length,
    oldest first, and a significantly *better* batch replaces it, so that the bar rises. Slow drift
    hides in it; the anchored reference never absorbs, so that it does not. Whoever tests against
    both makes two tests a batch and corrects for that.

    Make a new one for each model version. One without any losses yet learns both from the first
    batches: the anchored one is complete, and never changes again, once it holds `anchor_records`,
    and, where there are phases, `ANCHOR_CYCLES` or all that it can hold.

    Attributes:
        adaptive: The adaptive reference's losses, (≤ max_records,), oldest first.
        anchored: The anchored reference's losses, (≤ max_records,).
    """

    def __init__(
        self,
        max_records: int = 2000,
        *,
        anchor_records: int = 200,
        tolerance: float = 0.0,
        test: str = "welch",
    ) -> None:
        """Make an empty reference.

        Args:
            max_records: Most losses that either reference holds, ≥ 1.
            anchor_records: Losses at which the anchored reference is complete, in
                [1, max_records].
            tolerance: δ, the rise of the mean loss that is accepted, in units of the loss.
            test: One of `LOSS_TESTS`.

        Raises:
            SettingsError: A number is out of its range.
        """
        if max_records < 1:
            raise SettingsError([Fault("max_records", str(max_records), "must be at least 1")])
        if not 1 <= anchor_records <= max_records:
            rule = f"must be in [1, max_records = {max_records}]"
            raise SettingsError([Fault("anchor_records", str(anchor_records), rule)])
        if test not in LOSS_TESTS:
            raise SettingsError([Fault("test", repr(test), f"one of {', '.join(LOSS_TESTS)}")])
        self.tolerance = tolerance
        self._test = test
        self._anchor_records = anchor_records
        self._adaptive = _Losses(max_records)
        self._anchored = _Losses(max_records)
        self._phased = False

    @property
    def adaptive(self) -> Array:
        """The adaptive reference's losses, oldest first."""
        return self._adaptive.losses

    @property
    def anchored(self) -> Array:
        """The anchored reference's losses, oldest first."""
        return self._anchored.losses

    def start(self, losses: npt.ArrayLike, phases: Phases = None) -> None:
        """Begin anew with a model's out-of-sample losses, (n,), for both references."""
        self._adaptive.clear()
        self._anchored.clear()
        values, marks = self._prepare(losses, phases)
        self._adaptive.extend(values, marks)
        self._anchored.extend(values, marks)

    def evaluate(
        self,
        batch: npt.ArrayLike,
        phases: Phases = None,
        names: tuple[str, ...] = ("adaptive", "anchored"),
        seed: int = 0,
    ) -> dict[str, TestResult]:
        """Test whether a batch's mean loss is above each reference's; changes nothing.

        Args:
            batch: (n,) losses in their order; non-finite ones are dropped.
            phases: Phase of each record, (n,), whole numbers; with them the phases' means are
                removed (see `loss_test`), if the reference was given phases too.
            names: Which references; the anchored one costs less, as it does not change.
            seed: Decides what a test draws at random.

        Returns:
            Results by name, ``adaptive`` and ``anchored``; both one-sided.
        """
        values, marks = self._split(batch, phases)
        phased = self._phased and phases is not None
        references = {"adaptive": self._adaptive, "anchored": self._anchored}
        return {
            name: references[name].test(
                values, marks, self.tolerance, phased=phased, name=self._test, seed=seed
            )
            for name in names
        }

    def is_better(self, batch: npt.ArrayLike, level: float, phases: Phases = None) -> bool:
        """Say whether a batch's mean loss is significantly *below* the adaptive reference's."""
        values, marks = self._split(batch, phases)
        phased = self._phased and phases is not None
        return self._adaptive.test(values, marks, 0.0, phased=phased, better=True).p_value < level

    def settle(
        self, batch: npt.ArrayLike, *, rejected: bool, level: float, phases: Phases = None
    ) -> str:
        """Take a tested batch in as its verdict asks.

        Args:
            batch: (n,) losses that `evaluate` has tested.
            rejected: Whether it was found worse: then no reference changes.
            level: Level, in [0, 1], at which a batch counts as significantly better.
            phases: As for `evaluate`.

        Returns:
            What was done: ``kept``, ``absorbed`` or ``replaced``.
        """
        if rejected:
            return "kept"
        if self.is_better(batch, level, phases):
            self.replace(batch, phases)
            return "replaced"
        self.absorb(batch, phases)
        return "absorbed"

    def absorb(self, batch: npt.ArrayLike, phases: Phases = None) -> None:
        """Add an accepted batch to the adaptive reference; the oldest losses over the bound go."""
        values, marks = self._prepare(batch, phases)
        self._adaptive.extend(values, marks)
        self._fill_anchor(values, marks)

    def replace(self, batch: npt.ArrayLike, phases: Phases = None) -> None:
        """Put a significantly better batch in the adaptive reference's place."""
        values, marks = self._prepare(batch, phases)
        if not len(values):
            return
        self._adaptive.clear()
        self._adaptive.extend(values, marks)
        self._fill_anchor(values, marks)

    def _fill_anchor(self, values: Array, marks: npt.NDArray[np.int64]) -> None:
        short = self._phased and cycles(self._anchored.phases) < ANCHOR_CYCLES
        enough = self._anchored.maximum if short else self._anchor_records
        if len(self._anchored.losses) < enough:
            self._anchored.extend(values, marks)

    def _prepare(
        self, losses: npt.ArrayLike, phases: Phases
    ) -> tuple[Array, npt.NDArray[np.int64]]:
        """Split losses to be stored; whether there are phases must not change while any are."""
        values, marks = self._split(losses, phases)
        if not len(self._adaptive.losses):
            self._phased = phases is not None
        elif len(values) and self._phased != (phases is not None):
            rule = "must be given for all batches of a reference, or for none"
            raise SettingsError([Fault("phases", "given" if phases is not None else "none", rule)])
        return values, marks

    @staticmethod
    def _split(losses: npt.ArrayLike, phases: Phases) -> tuple[Array, npt.NDArray[np.int64]]:
        """Return the finite losses, (n,), and their phases, (n,); phase 0 where none are given."""
        values = np.asarray(losses, dtype=np.float64).ravel()
        marks = np.zeros(len(values), np.int64) if phases is None else np.asarray(phases).ravel()
        if marks.shape != values.shape:
            rule = f"must give one phase for each of {len(values)} losses"
            raise SettingsError([Fault("phases", str(len(marks)), rule)])
        keep = np.isfinite(values)
        return values[keep], marks[keep].astype(np.int64)
