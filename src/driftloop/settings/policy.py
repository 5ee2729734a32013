"""A policy: when a stream's model is retrained."""

from __future__ import annotations

import difflib
import importlib.metadata
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from driftloop.settings.base import Duration, Section
from driftloop.settings.detectors import Detector

CRITERIA_GROUP = "driftloop.criteria"
"""Entry points under which packages register criteria of their own."""

BUILT_IN_CRITERIA = (
    "anderson-darling",
    "calibration",
    "chi-square",
    "classifier",
    "cohens-d",
    "cramer-von-mises",
    "e-process",
    "energy",
    "g-test",
    "hellinger",
    "jensen-shannon",
    "ks",
    "levene",
    "loss",
    "mann-whitney",
    "missing-rate",
    "mmd",
    "psi",
    "reducible",
    "score-ks",
    "unseen-categories",
    "wasserstein",
    "welch",
)
"""Criteria that Driftloop brings; `driftloop.criteria` holds them."""

EFFECT_SIZES = frozenset({"cohens-d", "hellinger", "jensen-shannon", "psi", "wasserstein"})
"""Those of them without a p-value."""

Kind = Literal[
    "never",
    "always",
    "periodic",
    "any",
    "all",
    "vote",
    "mlma",
    "multi-criteria",
    "detector",
    "reducible",
]
LossTest = Literal["welch", "phase-relative", "newey-west", "block-permutation", "sieve-bootstrap"]
Combine = Literal[
    "partial-conjunction",
    "fisher",
    "stouffer",
    "cauchy",
    "harmonic-mean",
    "twice-mean",
    "weighted",
]

VOTING = frozenset({"any", "all", "vote", "multi-criteria"})
"""Kinds that combine several criteria."""

DEFAULT_CRITERIA = ("ks", "score-ks", "loss")
"""Criteria of the voting kinds, one of each family, where none are named."""


@lru_cache(maxsize=1)
def known_criteria() -> tuple[str, ...]:
    """Names of all criteria that are installed, sorted; nothing is imported."""
    others = importlib.metadata.entry_points(group=CRITERIA_GROUP)
    return tuple(sorted({*BUILT_IN_CRITERIA, *(point.name for point in others)}))


class Criterion(Section):
    """A criterion that votes.

    Attributes:
        name: Its name; `docs/criteria.md` lists them.
        effect: Smallest effect size that counts, in the criterion's own unit: a significant
            difference below it is none.
        weight: Of its vote, for ``combine = "weighted"`` and ``"stouffer"``.
        params: What the criterion itself takes.
    """

    name: str
    effect: float | None = Field(default=None, ge=0)
    weight: float = Field(default=1.0, gt=0)
    params: dict[str, Any] = Field(default={})

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        known = known_criteria()
        if value not in known:
            close = difflib.get_close_matches(value, known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
            own = "one of your own needs its package installed"
            raise ValueError(f"a known criterion ({hint}; {own})")
        return value


def _criterion(value: Any) -> Any:
    """A bare name, or ``name > effect``, is a table."""
    if not isinstance(value, str):
        return value
    name, sign, floor = (part.strip() for part in value.partition(">"))
    if not sign:
        return {"name": name}
    return {"name": name, "effect": floor}


class Price(Section):
    """What makes a retrain's cost and a loss comparable: both in money.

    The cost of a retrain in units of loss is then ``gpu_second * seconds / loss``.

    Attributes:
        gpu_second: Price of a second of training.
        seconds: Seconds that a retrain takes; with `measured` what is expected before any was
            measured.
        loss: Value of one unit of loss on one record.
        measured: Whether the cost follows what the stream's own trainings took: the median of the
            newest 5, of which `seconds` are the first, whatever came of them.
    """

    gpu_second: float = Field(gt=0)
    seconds: float = Field(gt=0)
    loss: float = Field(gt=0)
    measured: bool = False

    @property
    def cost_loss(self) -> float:
        """Cost of a retrain in units of loss, as it is expected."""
        return self.cost_of(self.seconds)

    def cost_of(self, seconds: float) -> float:
        """Cost of a retrain that takes so many seconds, in units of loss.

        >>> Price(gpu_second=0.01, seconds=30, loss=0.5).cost_of(50)
        1.0
        """
        return self.gpu_second * seconds / self.loss


class Policy(Section):
    """When a stream's model is retrained.

    Attributes:
        kind: ``never``; ``always`` (at every closed window of losses); ``periodic`` (`every` or
            `every_records`); ``any``, ``all`` and ``vote`` (1, all or `votes` of the `criteria`
            speak for drift); ``mlma`` (the window's losses against a data-adaptive reference);
            ``multi-criteria`` (as ``vote``, and the losses must speak for it too); ``detector``
            (an incremental detector has signalled); ``reducible`` (a newer model would save more
            loss than a retrain costs).
        mode: For ``reducible``: ``accumulate`` (retrain once the loss that a newer model would
            have saved exceeds the cost of a retrain), ``test`` (a window's saving is significant)
            or ``both`` (the accumulated saving exceeds the cost, and is significant).
        cost: Cost of a retrain in records' worth of the model's mean loss; used by accumulate.
        cost_loss: The same in units of loss; overrides `cost`.
        price: The same in money; overrides both.
        alpha_per_year: Tests are levelled so that a stream without drift is retrained needlessly
            at most this often a year, in expectation.
        tolerance: Rise of the mean loss that is accepted. With `price` or `cost_loss` and
            `every_records`, at least what a retrain costs a record until the next scheduled one; by
            the expected seconds, also where the price is measured.
        cooldown: Event time after a retrain request in which no other follows.
        outcome_timeout: Event time after which a request without an outcome no longer holds back
            the next one.
        min_records: Losses of the current version that must have been seen.
        every: For ``periodic``: event time between two retrains.
        every_records: For ``periodic``: labelled records between two retrains. For other kinds
            it only prices `tolerance`.
        forgetting: For ``reducible``: weight that the online correction keeps of what it knew,
            a record.
        min_window: For ``reducible``: a model is trained on the newest part of the training window
            that holds all records since the accumulated saving was nil, which estimates where the
            change began, and at least this share of the window. 1 trains on the whole window.
        criteria: For ``any``, ``all``, ``vote`` and ``multi-criteria``: names, ``"name > effect"``
            or tables; by default ``ks``, ``score-ks`` and ``loss``.
        votes: For ``vote`` and ``multi-criteria``: how many of the criteria with a p-value must
            speak for drift. Those without one are conditions: besides, one of them must be over its
            floor (for ``all``: all of them). With ``weighted`` all criteria vote alike.
        combine: How the criteria's p-values become one: ``partial-conjunction`` (valid under any
            dependence), ``fisher``, ``stouffer``, ``cauchy``, ``harmonic-mean``, ``twice-mean``;
            ``weighted`` counts rejections by weight, without error control.
        correction: Over the features of one criterion: ``holm``, ``bonferroni`` or ``bh``.
        loss_test: The test of a window's losses: ``welch`` (with effective sizes),
            ``phase-relative`` (the same, each loss relative to what is usual at its hour, where
            windows have a cycle), ``newey-west``, ``block-permutation`` or ``sieve-bootstrap``.
        detector: For ``detector``: the one that decides, written as one of `detectors`.
        detectors: Incremental detectors; they raise alarms, not retrains. Each is a text,
            ``KIND`` or ``KIND:ON``, or a table that also changes parameters. ON is what it reads:
            of labelled records the ``loss`` (usual) or the ``error`` (usual for ``ddm``, ``eddm``,
            ``fhddm``, ``hddm_a``, ``hddm_w``): a wrong class, or in regression a loss above the
            upper quartile of the model version's first 100; of all records, with or without their
            label, the ``score`` (the prediction; multiclass: the predicted class's probability) or
            a numeric feature, ``x.NAME``. All but those on features restart with each version.
        feature_tests: Whether features are tested window by window; a rejection makes the stream
            'watched'. Unless ``ks`` is one of `criteria`, the test takes records as independent.
        approval: Whether a decision waits for the engineer's command ``approve``.
    """

    kind: Kind = "reducible"
    mode: Literal["accumulate", "test", "both"] = "accumulate"
    cost: float = Field(default=20.0, gt=0)
    cost_loss: float | None = Field(default=None, gt=0)
    price: Price | None = None
    alpha_per_year: float = Field(default=0.1, gt=0, le=100)
    tolerance: float = Field(default=0.0, ge=0)
    cooldown: Duration = Field(default=0)  # type: ignore[assignment]  # read by parse_duration
    outcome_timeout: Duration = Field(default="1d")  # type: ignore[assignment]  # parse_duration
    min_records: int = Field(default=50, ge=1)
    every: Duration | None = None
    every_records: int | None = Field(default=None, ge=1)
    forgetting: float = Field(default=0.995, gt=0.9, le=1)
    min_window: float = Field(default=1.0, gt=0, le=1)
    criteria: list[Annotated[Criterion, BeforeValidator(_criterion)]] = Field(default=[])
    votes: int = Field(default=2, ge=1)
    combine: Combine = "partial-conjunction"
    correction: Literal["holm", "bonferroni", "bh"] = "holm"
    loss_test: LossTest = "welch"
    detector: Detector = Field(default="adwin")  # type: ignore[assignment]  # text
    detectors: list[Detector] = Field(default=["adwin"])  # type: ignore[list-item]  # text
    feature_tests: bool = True
    approval: bool = False

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        if self.kind == "periodic" and (self.every is None) == (self.every_records is None):
            raise ValueError(
                "policy periodic needs 'every', as every = \"7d\", or 'every_records'; one of both"
            )
        if self.min_window < 1 and self.kind != "reducible":
            raise ValueError(
                f"min_window is of policy reducible alone, got {self.min_window:g} for {self.kind}"
            )
        if self.kind in VOTING and not self.criteria:
            chosen = [Criterion(name=name) for name in DEFAULT_CRITERIA]
            object.__setattr__(self, "criteria", chosen)
        if self.kind == "detector" and self.detector not in self.detectors:
            object.__setattr__(self, "detectors", [*self.detectors, self.detector])
        names = [one.name for one in self.criteria]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each criterion votes once; got {', '.join(twice)} more than once")
        if self.kind in VOTING and not self._voters:
            raise ValueError(
                "at least one of the criteria has a p-value, or combine is 'weighted': "
                f"{', '.join(names)} alone have none"
            )
        if self.kind in {"vote", "multi-criteria"} and self.votes > len(self._voters):
            besides = len(names) - len(self._voters)
            raise ValueError(
                f"votes must be at most the number of criteria, {len(self._voters)}"
                + (f" ({besides} without a p-value do not vote)" * (besides > 0))
            )
        return self

    @property
    def _voters(self) -> list[Criterion]:
        """The criteria that vote; the others are conditions."""
        every = self.combine == "weighted"
        return [one for one in self.criteria if every or one.name not in EFFECT_SIZES]

    @property
    def required_votes(self) -> int:
        """Of a voting kind: how many of the criteria that vote must speak for drift."""
        return {"any": 1, "all": len(self._voters)}.get(self.kind, self.votes)

    @property
    def fixed_cost(self) -> float | None:
        """Cost of a retrain in units of loss, where it does not depend on the stream's losses.

        With ``price.measured`` the expected one; `driftloop.policy.cost` has the one in force.
        """
        return self.price.cost_loss if self.price is not None else self.cost_loss

    @property
    def effective_tolerance(self) -> float:
        """Rise of the mean loss that is accepted, ≥ 0, in units of loss.

        A rise of δ costs ``δ * every_records`` until the next scheduled retrain, so one below
        ``fixed_cost / every_records`` costs less than a retrain does. `tolerance` where one of the
        two is not set, or where it is larger. It is part of the hypothesis that is tested, which
        may not change while evidence is gathered: so it never follows measured seconds.

        >>> Policy(kind="mlma", cost_loss=50.0, every_records=1000).effective_tolerance
        0.05
        """
        if self.fixed_cost is None or self.every_records is None:
            return self.tolerance
        return max(self.tolerance, self.fixed_cost / self.every_records)
